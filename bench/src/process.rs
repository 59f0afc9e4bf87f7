//! The measured processes: how they are built, started, watched and ended.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

/// The unit of `/proc/PID/stat`: Linux shows user space 100 ticks a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long mag may take to listen and to come to rest.
const START_SECONDS: u64 = 120;
/// At rest: no tick of CPU for this long.
const REST: Duration = Duration::from_millis(300);

/// What mag runs on: nothing is told during the measurement, so that taking in is all it does.
const CONFIG: &str = r#"
[store]
path = "mag.db"

[route]
max_messages = 1000000000
time_limit = "1h"
senders = ["console"]

[senders.console]
plugin = "console"
"#;

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A started process; it ends with this value.
pub(crate) struct Process {
    child: Child,
    /// Where it takes messages.
    pub(crate) address: SocketAddr,
    output: Option<BufReader<ChildStdout>>,
    _folder: Option<TempDir>,
}

/// Builds the `mag` binary and says so.
pub(crate) fn build_mag() -> anyhow::Result<PathBuf> {
    println!("building mag: cargo build --release -p mag");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the bench has no workspace")?;
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "mag"])
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "cargo build --release -p mag failed");
    let this = std::env::current_exe().context("cannot find this program's own file")?;
    let target = this.parent().and_then(Path::parent).context("this program is in no target folder")?;
    Ok(target.join("release").join("mag"))
}

impl Process {
    /// Starts the reference reader.
    pub(crate) fn reference(connections: u64) -> anyhow::Result<Self> {
        let this = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(this)
            .args(["reference", "--connections", &connections.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the reference reader")?;
        let mut output = BufReader::new(child.stdout.take().context("the reference reader has no output")?);
        let mut line = String::new();
        output.read_line(&mut line).context("the reference reader said no port")?;
        let port: u16 = line.trim().parse().context("the reference reader said no port")?;
        Ok(Self { child, address: (Ipv4Addr::LOCALHOST, port).into(), output: Some(output), _folder: None })
    }

    /// Starts mag with a store of its own and waits until it listens and rests.
    pub(crate) fn mag(binary: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let address =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).context("no free port")?;
        let config = folder.path().join("mag.toml");
        fs::write(&config, format!("[[listen]]\naddress = \"{address}\"\n{CONFIG}"))
            .context("cannot write mag.toml")?;
        let log = fs::File::create(folder.path().join("log")).context("cannot write a log")?;
        let child = Command::new(binary)
            .args(["run", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut mag = Self { child, address, output: None, _folder: Some(folder) };
        mag.wait_until_ready()?;
        Ok(mag)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let until = now() + Duration::from_secs(START_SECONDS);
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("mag ended at its start ({status}): {}", self.log());
            }
            ensure!(now() < until, "mag did not listen in {START_SECONDS} s: {}", self.log());
            sleep(Duration::from_millis(20));
        }
        let mut before = self.cpu_seconds()?;
        loop {
            sleep(REST);
            let after = self.cpu_seconds()?;
            if after - before < 1.0 / TICKS_PER_SECOND {
                return Ok(());
            }
            ensure!(now() < until, "mag did not come to rest in {START_SECONDS} s: {}", self.log());
            before = after;
        }
    }

    fn log(&self) -> String {
        let file = self._folder.as_ref().map(|folder| folder.path().join("log"));
        file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default()
    }

    /// User and system time the process has used.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let file = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        parse_cpu_ticks(&stat)
            .map(|ticks| ticks / TICKS_PER_SECOND)
            .with_context(|| format!("cannot understand {file}"))
    }

    /// What the reference reader counted: messages and keys.
    pub(crate) fn counted(mut self) -> anyhow::Result<(u64, u64)> {
        let mut text = String::new();
        let output = self.output.as_mut().context("this process says nothing")?;
        output.read_to_string(&mut text).context("the reference reader said nothing")?;
        let (messages, keys) = text.trim().split_once(' ').context("the reference reader said nothing")?;
        Ok((messages.parse()?, keys.parse()?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The fields `utime` and `stime`; the name before them may hold spaces and brackets.
fn parse_cpu_ticks(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some(ticks.next()?.ok()? + ticks.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::parse_cpu_ticks;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 1 0 100";
        assert_eq!(parse_cpu_ticks(stat), Some(168.0));
        assert_eq!(parse_cpu_ticks("42 (a"), None);
    }
}
