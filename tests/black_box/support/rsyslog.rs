//! rsyslog, as a system's own one, with a configuration that the README shows.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mag_testkit::wait_for;
use tempfile::TempDir;

/// rsyslog is ready far sooner.
const LIMIT: Duration = Duration::from_secs(120);

/// A running rsyslogd that forwards what it gets from local programs, and nothing else.
#[derive(Debug)]
pub(crate) struct Rsyslog {
    folder: TempDir,
    process: Child,
}

impl Rsyslog {
    /// Starts it with these lines of configuration.
    #[track_caller]
    pub(crate) fn start(rsyslogd: &Path, forward: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let at = folder.path().display();
        let config = format!(
            "global(workDirectory=\"{at}\")\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{at}/log\" RateLimit.Interval=\"0\")\n{forward}\n"
        );
        fs::write(folder.path().join("rsyslog.conf"), config).expect("its config is written");
        let process = Command::new(rsyslogd)
            .args(["-n", "-i"])
            .arg(folder.path().join("pid"))
            .arg("-f")
            .arg(folder.path().join("rsyslog.conf"))
            .stdin(Stdio::null())
            .spawn()
            .expect("rsyslogd runs");
        Self { folder, process }
    }

    /// A local program's message, in the form that the C library gives it.
    #[track_caller]
    pub(crate) fn gets(&self, message: &str) {
        let socket = UnixDatagram::unbound().expect("a socket");
        let path = self.folder.path().join("log");
        // It listens a moment after its start, and says so nowhere.
        let sent = || Ok(socket.send_to(message.as_bytes(), &path).ok());
        wait_for("rsyslogd to take a message", LIMIT, sent).unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about it then.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
