//! mag itself: a folder with its config and its file, and the process that runs in it, watched through `/proc`.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::wait_for;

/// How long a start may take, plugins compiled for the first time included.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long mag may take to stop: it promises a service manager 10 s, on a machine that has time for it.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// The unit of `/proc/PID/stat`: Linux shows user space 100 ticks a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// A folder with a config; it outlives the runs of mag in it.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    binary: PathBuf,
    cache: Option<PathBuf>,
}

impl Home {
    /// An empty folder for this binary. `cache` is where compiled plugins are kept, if not in the folder.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(binary: &Path, cache: Option<&Path>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        Ok(Self { folder, binary: binary.to_owned(), cache: cache.map(Path::to_owned) })
    }

    /// Writes the config; it listens on a free port of the loopback.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn configure(&self, config: &str) -> anyhow::Result<()> {
        let config = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{config}");
        fs::write(self.path("mag.toml"), config).context("cannot write mag.toml")
    }

    /// A file of the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Bytes of a file of the folder, 0 when there is none.
    #[must_use]
    pub fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |found| found.len())
    }

    /// All that mag ever logged here.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.path("log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Starts mag and waits until it listens.
    ///
    /// # Errors
    /// It does not start; the error holds what it said.
    pub fn start(&self) -> anyhow::Result<Mag> {
        let said_before = self.size("log");
        let mut mag = self.spawn()?;
        mag.address = wait_for("mag to listen", START_LIMIT, || {
            let said = self.said_since(said_before)?;
            if let Some(status) = mag.child.try_wait()? {
                bail!("mag ended at its start ({status}): {said}");
            }
            Ok(address_in(&said))
        })?;
        Ok(mag)
    }

    /// Waits until mag logs something with this in it, behind the log's first `bytes`.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_until_said(&self, part: &str, bytes: u64) -> anyhow::Result<()> {
        let said = || Ok(self.said_since(bytes)?.contains(part).then_some(()));
        wait_for(&format!("{part:?} in mag's log"), START_LIMIT, said)
    }

    fn said_since(&self, bytes: u64) -> anyhow::Result<String> {
        let mut log = File::open(self.path("log")).context("mag's log is gone")?;
        log.seek(SeekFrom::Start(bytes)).context("cannot read mag's log")?;
        let mut said = Vec::new();
        log.read_to_end(&mut said).context("cannot read mag's log")?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs a command of mag in the folder, to its end.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub fn runs(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.output().with_context(|| format!("cannot start {}", self.binary.display()))
    }

    /// Starts mag and waits for nothing; where it listens is not known.
    ///
    /// # Errors
    /// The binary cannot be run.
    pub fn spawn(&self) -> anyhow::Result<Mag> {
        let log = File::options().create(true).append(true).open(self.path("log")).context("cannot write a log")?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--config", "mag.toml"]).current_dir(self.folder.path()).env_clear();
        let cache = self.cache.clone().unwrap_or_else(|| self.path("cache"));
        command.env("HOME", self.folder.path()).env("XDG_CACHE_HOME", cache);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        Ok(Mag { child, address: SocketAddr::from(([0; 4], 0)) })
    }
}

/// The address in mag's own line about it.
fn address_in(log: &str) -> Option<SocketAddr> {
    let (_, behind) = log.split_once("listening on ")?;
    behind.split_once(['\n', ',', ' '])?.0.parse().ok()
}

/// A running mag; dropped, it is killed.
#[derive(Debug)]
pub struct Mag {
    child: Child,
    address: SocketAddr,
}

/// What a process has of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    /// Resident memory now.
    pub resident_bytes: u64,
    /// The most it ever had.
    pub peak_bytes: u64,
    /// Open handles.
    pub handles: u64,
}

impl Mag {
    /// Where it takes messages.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a crash does, and waits until it is gone.
    ///
    /// # Errors
    /// It had ended by itself.
    pub fn kill(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("mag ended by itself before it was killed: {status}");
        }
        self.child.kill().context("cannot kill mag")?;
        self.child.wait().context("cannot wait for mag").map(drop)
    }

    /// Stops it as a service manager does. It must end in time and with status 0.
    ///
    /// # Errors
    /// It does not.
    pub fn stop(mut self) -> anyhow::Result<()> {
        // The child is not waited for yet, so its id cannot be somebody else's.
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s TERM \"$0\"", &pid]).status().context("cannot run sh")?;
        ensure!(sent.success(), "no process {pid} to stop");
        let status: ExitStatus = wait_for("mag to stop", STOP_LIMIT, || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "mag stopped with {status}");
        Ok(())
    }

    /// Memory and handles.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn usage(&self) -> anyhow::Result<Use> {
        usage(self.child.id())
    }

    /// User and system time it has used.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.child.id())
    }
}

impl Drop for Mag {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Memory and handles of a process.
///
/// # Errors
/// The system does not tell.
pub fn usage(pid: u32) -> anyhow::Result<Use> {
    let proc = PathBuf::from(format!("/proc/{}", pid));
    let status = fs::read_to_string(proc.join("status")).context("cannot read the process's status")?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .with_context(|| format!("no {name} in the process's status"))
    };
    let handles = fs::read_dir(proc.join("fd")).context("cannot read the process's handles")?.count();
    Ok(Use {
        resident_bytes: kib("VmRSS:")? * 1024,
        peak_bytes: kib("VmHWM:")? * 1024,
        handles: u64::try_from(handles)?,
    })
}

/// Lets [`Use::peak_bytes`] of a process begin anew, at what it has now.
///
/// # Errors
/// The system does not let it.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the process's peak of memory")
}

/// Time that all threads of a process have run: to the nanosecond where the system tells it for each thread, else in
/// ticks of its clock. The first leaves out threads that have ended.
///
/// # Errors
/// The system does not tell.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    if let Some(nanos) = run_nanos(pid) {
        return Ok(nanos / 1e9);
    }
    let file = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    parse_cpu_ticks(&stat).map(|ticks| ticks / TICKS_PER_SECOND).with_context(|| format!("cannot understand {file}"))
}

fn run_nanos(pid: u32) -> Option<f64> {
    let mut nanos = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let schedstat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += schedstat.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
    }
    Some(nanos).filter(|nanos| *nanos > 0.0)
}

/// The fields `utime` and `stime`; the name before them may hold spaces and brackets.
fn parse_cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some(ticks.next()?.ok()? + ticks.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::{address_in, parse_cpu_ticks};

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 100";
        assert_eq!(parse_cpu_ticks(stat), Some(168.0));
        assert_eq!(parse_cpu_ticks("42 (a"), None);
    }

    #[test]
    fn the_address_is_found_once_its_line_is_whole() {
        assert_eq!(address_in("x INFO listening on 127.0.0.1:40"), None);
        assert_eq!(address_in("x INFO listening on 127.0.0.1:4000\n"), "127.0.0.1:4000".parse().ok());
    }
}
