//! `mag watch -- COMMAND…`: a wrapper for cron jobs and the like. Each line that the command writes is a message, and so is
//! the way that it failed.
//!
//! The command comes first: it never waits for mag, what it writes passes through, and the exit status is its own.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

use clap::Args;
use mag_client::{Background, Client, Message, Severity};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::reach::USUAL;
use super::send::{To, read_line};
use super::{EXIT_DENIED, EXIT_TEMPORARY, complain};
use crate::limits;

/// Lines that wait for mag; more are dropped and counted, so that the command never waits.
const LINES: usize = 10_000;
/// What a shell says of a command that it does not find, and of one that it cannot run.
const EXIT_NOT_FOUND: u8 = 127;
const EXIT_NOT_RUN: u8 = 126;
/// A shell's exit status of a command that a signal ended, before the signal's number is added.
const EXIT_SIGNAL: i32 = 128;

/// Arguments of `mag watch`.
#[derive(Args, Clone, Debug)]
pub(super) struct WatchArgs {
    #[command(flatten)]
    to: To,
    /// Sends only the message that the command failed, not the lines that it writes
    #[arg(long)]
    only_failure: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command; its own exit status, 126 or 127 when it cannot be run. When it did well and mag was not told all, 77
/// when mag does not let this in, else 75.
#[must_use]
pub(super) fn run(args: &WatchArgs, config: Option<&Path>) -> ExitCode {
    // The command runs all the same.
    let (client, named) = args.to.client(config).unwrap_or_else(|error| {
        complain(&error.to_string());
        (Client::builder(USUAL).timeout(args.to.timeout), USUAL.to_owned())
    });
    let mag = match client.background(LINES) {
        Ok(mag) => mag,
        Err(error) => {
            complain(&format!("mag: cannot send: {error}"));
            return ExitCode::from(EXIT_TEMPORARY);
        }
    };
    let code = watch(args, &mag);
    match mag.close(args.to.timeout) {
        Ok(()) => ExitCode::from(code),
        Err(unsent) => {
            complain(&format!("mag: {unsent}; mag is asked for at {named}"));
            let own = if unsent.denied { EXIT_DENIED } else { EXIT_TEMPORARY };
            ExitCode::from(if code == 0 { own } else { code })
        }
    }
}

fn watch(args: &WatchArgs, mag: &Background) -> u8 {
    let name = args.command.join(" ");
    let ended = start(args).and_then(|child| finish(args, child, mag));
    match ended {
        Ok(status) if status.success() => 0,
        Ok(status) => {
            let (how, code) = in_words(status);
            tell(mag, failure(args, &name, &how).label("exit_status", code.to_string()));
            code
        }
        Err(error) => {
            complain(&format!("mag: cannot run {name}: {error}"));
            let code = if error.kind() == io::ErrorKind::NotFound { EXIT_NOT_FOUND } else { EXIT_NOT_RUN };
            let failure = failure(args, &name, &format!("cannot be run: {error}"));
            tell(mag, failure.label("exit_status", code.to_string()));
            code
        }
    }
}

fn failure(args: &WatchArgs, name: &str, how: &str) -> Message {
    args.to.message(format!("{name} {how}")).severity(Severity::Error).label("command", name)
}

/// A full buffer is told at the end, with how much was dropped.
fn tell(mag: &Background, message: Message) {
    drop(mag.send(message));
}

fn start(args: &WatchArgs) -> io::Result<Child> {
    let (program, arguments) = args.command.split_first().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    command.args(arguments);
    if !args.only_failure {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    command.spawn()
}

/// Passes on what the child writes, and the signals that come here, until it ends.
fn finish(args: &WatchArgs, mut child: Child, mag: &Background) -> io::Result<ExitStatus> {
    let signals = pass_signals(&child)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        if let Some(out) = out {
            scope.spawn(|| lines(args, out, io::stdout(), "stdout", mag));
        }
        if let Some(err) = err {
            scope.spawn(|| lines(args, err, io::stderr(), "stderr", mag));
        }
    });
    let status = child.wait();
    drop(signals);
    status
}

/// Each line becomes a message and is written on at once.
fn lines(args: &WatchArgs, from: impl Read, mut to: impl Write, stream: &str, mag: &Background) {
    let mut from = BufReader::with_capacity(limits::READ_BUFFER_BYTES, Copied { from, to: &mut to });
    let mut line = Vec::new();
    while read_line(&mut from, &mut line).is_ok_and(|more| more) {
        if !line.trim_ascii().is_empty() {
            tell(mag, args.to.message(String::from_utf8_lossy(&line)).label("stream", stream));
        }
    }
}

/// Writes on what is read. Nobody may read that any more; the lines go to mag all the same.
struct Copied<'w, R, W> {
    from: R,
    to: &'w mut W,
}

impl<R: Read, W: Write> Read for Copied<'_, R, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        drop(self.to.write_all(into.get(..count).unwrap_or_default()).and_then(|()| self.to.flush()));
        Ok(count)
    }
}

/// What ends this process is for the command: it gets the signal, and this process goes on until it has ended.
fn pass_signals(child: &Child) -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for (kind, number) in [
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::hangup(), Signal::HUP),
    ] {
        let entered = runtime.enter();
        let mut signals = signal(kind)?;
        drop(entered);
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                if let Some(Err(error)) = child.map(|child| kill_process(child, number)) {
                    // It may have ended a moment ago.
                    tracing::debug!(%error, "cannot pass a signal on");
                }
            }
        });
    }
    Ok(runtime)
}

/// How a command failed, and the exit status that a shell would give for it.
fn in_words(status: ExitStatus) -> (String, u8) {
    match (status.code(), status.signal()) {
        (Some(code), _) => (format!("failed with exit status {code}"), u8::try_from(code).unwrap_or(1)),
        (None, Some(signal)) => {
            (format!("was ended by signal {signal}"), u8::try_from(EXIT_SIGNAL + signal).unwrap_or(1))
        }
        (None, None) => (format!("failed: {status}"), 1),
    }
}
