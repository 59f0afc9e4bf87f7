//! Secrets that a program prints: run with a time limit, its output bounded.
//!
//! **Invariant:** an error names the program and how it ended, never what it wrote or what it was given.

use std::io::Read as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::SecretCommand;
use crate::limits;

/// What the program printed.
pub(super) fn run(command: &SecretCommand) -> Result<Vec<u8>, String> {
    run_within(command, Duration::from_secs(limits::SECRET_COMMAND_SECONDS))
}

fn run_within(command: &SecretCommand, limit: Duration) -> Result<Vec<u8>, String> {
    // It runs in the config's folder, from where neither of the two would be found by a relative path.
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_unknown_folder| path.to_owned());
    let is_looked_up = command.program.components().count() == 1;
    let program = if is_looked_up { command.program.clone() } else { whole(&command.program) };
    // What it complains about may be the secret, so that goes nowhere.
    let child = Command::new(program)
        .args(&command.arguments)
        .current_dir(whole(&command.folder.join(".")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (tell, told) = mpsc::sync_channel(1);
    let wait = move || {
        // Nobody waits any more when it took too long.
        drop(tell.send(output(child)));
    };
    std::thread::Builder::new()
        .name("secret command".to_owned())
        .spawn(wait)
        .map_err(|error| format!("no thread to wait for it: {error}"))?;
    let Ok(ended) = told.recv_timeout(limit) else {
        // It may have started others that hold its output open.
        if let Some(group) = group {
            // Whoever ended meanwhile is not there to be ended.
            let _gone: Result<(), rustix::io::Errno> = kill_process_group(group, Signal::KILL);
        }
        return Err(format!("it did not end within {} s", limit.as_secs()));
    };
    let (printed, status) = ended.map_err(|error| format!("its output cannot be read: {error}"))?;
    if printed.len() as u64 > limits::SECRET_BYTES {
        return Err(format!("it printed more than {} bytes", limits::SECRET_BYTES));
    }
    if status.success() {
        return Ok(printed);
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with status {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it failed".to_owned(),
    };
    Err(format!("{how}: run it by hand, as mag's user, to see why"))
}

fn output(mut child: Child) -> std::io::Result<(Vec<u8>, ExitStatus)> {
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        // Closed after that, which ends a program that prints for ever.
        stdout.take(limits::SECRET_BYTES + 1).read_to_end(&mut printed)?;
    }
    Ok((printed, child.wait()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SecretCommand, run, run_within};

    fn shell(script: &str) -> SecretCommand {
        SecretCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            folder: "/".into(),
            refresh: None,
        }
    }

    #[track_caller]
    fn check(script: &str, expect: Result<&str, &str>) {
        let ended = run(&shell(script)).map(|printed| String::from_utf8(printed).unwrap());
        assert_eq!(ended.as_deref().map_err(String::as_str), expect, "{script}");
    }

    #[test]
    fn what_a_command_prints_is_the_value_and_nothing_else_of_it_is_told() {
        check("echo canary; echo other >&2", Ok("canary\n"));
        let why = "it ended with status 3: run it by hand, as mag's user, to see why";
        check("echo canary; echo canary >&2; exit 3", Err(why));
        check("kill -TERM $$", Err("signal 15 ended it: run it by hand, as mag's user, to see why"));
        check("while :; do echo canary; done", Err("it printed more than 65536 bytes"));
        let missing = SecretCommand { program: "/nowhere/pass".into(), ..shell("") };
        assert_eq!(run(&missing), Err("it cannot be run: No such file or directory (os error 2)".to_owned()));
    }

    #[test]
    fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let slow = SecretCommand { folder: folder.path().to_owned(), ..shell("echo $$ > pid; sleep 600 & wait") };
        assert_eq!(run_within(&slow, Duration::from_secs(5)), Err("it did not end within 5 s".to_owned()));
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
        let ended = |_: &()| !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
        // The thread that waits for it takes its place in the table of processes away.
        let gone = std::iter::repeat_n((), 12_000).find(|()| {
            std::thread::sleep(Duration::from_millis(10));
            ended(&())
        });
        assert!(gone.is_some(), "process {pid} still runs");
    }
}
