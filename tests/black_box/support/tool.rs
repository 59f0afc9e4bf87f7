//! Programs of other people, as their packages install them: the clients that mag's users already have.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use super::record::Record;

/// Where a program is; `None`, said in one line, when it is not installed. In CI that is a failure.
#[track_caller]
pub(crate) fn find(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!in_ci, "{name} is not installed: apt-get install {package}");
        println!("skipped: {name} is not installed (apt-get install {package})");
    }
    found
}

/// Runs a program to its end; gives back what it printed. It must end well.
#[track_caller]
pub(crate) fn runs(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}: {stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// A program that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    said: Arc<Record<String>>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let said = lines_of(child.stderr.take().expect("a pipe"));
        Self { child, said }
    }

    /// Waits until it says something on standard error.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) {
        self.said.wait_for(part, |lines| lines.iter().any(|line| line.contains(part)).then_some(()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("--- what the other program said\n{}\n---", self.said.all().join("\n"));
        }
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> Arc<Record<String>> {
    let record = Arc::new(Record::default());
    let lines = Arc::clone(&record);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            lines.push(line);
        }
        lines.end();
    });
    record
}
