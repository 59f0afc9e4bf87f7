//! Secrets that a program prints: run with a time limit, its output bounded.
//!
//! **Invariant:** an error names the program and how it ended, never what it wrote or what it was given.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::Instant;

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
    let mut child = Command::new(program)
        .args(&command.arguments)
        .current_dir(whole(&command.folder.join(".")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("it cannot be run: {error}"))?;
    let ended = output(&mut child, Instant::now() + limit).inspect_err(|_given_up| end(&mut child));
    let (printed, status) = ended.map_err(|given_up| match given_up {
        GivenUp::Late => format!("it did not end within {} s", limit.as_secs()),
        GivenUp::TooMuch => format!("it printed more than {} bytes", limits::SECRET_BYTES),
        GivenUp::Io(error) => format!("its output cannot be read: {error}"),
    })?;
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

/// Why a program is not waited for any more.
enum GivenUp {
    Late,
    TooMuch,
    Io(io::Error),
}

impl From<io::Error> for GivenUp {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What it printed until it ended. Others that it started may hold its output open for ever: they are not waited for.
fn output(child: &mut Child, deadline: Instant) -> Result<(Vec<u8>, ExitStatus), GivenUp> {
    let mut printed = Vec::new();
    let mut stdout = child.stdout.take();
    if let Some(pipe) = &stdout {
        rustix::io::ioctl_fionbio(pipe, true).map_err(io::Error::from)?;
    }
    loop {
        // Before the pipe, in which there is then all that it printed.
        let ended = child.try_wait()?;
        if let Some(pipe) = &mut stdout
            && drain(pipe, &mut printed)?
        {
            stdout = None;
        }
        if printed.len() as u64 > limits::SECRET_BYTES {
            return Err(GivenUp::TooMuch);
        }
        if let Some(status) = ended {
            return Ok((printed, status));
        }
        if Instant::now() >= deadline {
            return Err(GivenUp::Late);
        }
        std::thread::sleep(TICK);
    }
}

/// Reads what is there; `true` at its end.
fn drain(pipe: &mut ChildStdout, printed: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 4096];
    while printed.len() as u64 <= limits::SECRET_BYTES {
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(read) => printed.extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Ends a program that still runs, with all that it started, and takes it out of the table of processes.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Whoever ended meanwhile is not there to be ended.
        let _gone: Result<(), rustix::io::Errno> = kill_process_group(group, Signal::KILL);
    }
    // Ticks, because one that hangs in the system itself does not end even so.
    for _ in 0..END_TICKS {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(TICK);
    }
}

/// How often a program is looked at that prints nothing.
const TICK: Duration = Duration::from_millis(5);
/// So often it is looked at while it is being ended.
const END_TICKS: u32 = 200;

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
        assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(), "process {pid} is still there");
    }

    #[test]
    fn what_a_command_leaves_running_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let agent =
            SecretCommand { folder: folder.path().to_owned(), ..shell("sleep 600 & echo $! > pid; echo canary") };
        assert_eq!(run_within(&agent, Duration::from_secs(600)), Ok(b"canary\n".to_vec()));
        let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
    }
}
