//! The measured processes: how they are built, started, watched and ended.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use mag_testkit::process::{Home, Mag, Use, cpu_seconds};
use mag_testkit::wait_for;
use tempfile::TempDir;

/// How long mag may take to come to rest.
const START_LIMIT: Duration = Duration::from_secs(120);
/// At rest: hardly any CPU for this long.
const REST: Duration = Duration::from_millis(300);
/// That much.
const AT_REST_SECONDS: f64 = 0.005;

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

/// The binary that was named, else a fresh one.
pub(crate) fn named_or_built(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    named.map_or_else(build_mag, |binary| binary.canonicalize().context("cannot find that binary"))
}

/// mag with a store of its own; it ends with this value.
pub(crate) struct Measured {
    mag: Mag,
    _home: Home,
}

impl Measured {
    /// Starts mag and waits until it listens and rests.
    pub(crate) fn start(binary: &Path) -> anyhow::Result<Self> {
        Self::start_with(binary, "")
    }

    /// The same, with more in its config.
    pub(crate) fn start_with(binary: &Path, config: &str) -> anyhow::Result<Self> {
        let home = Home::new(binary, None)?;
        home.configure(&format!("{CONFIG}\n{config}"))?;
        let this = Self { mag: home.start()?, _home: home };
        this.rests()?;
        Ok(this)
    }

    /// Waits until mag has nothing to do.
    pub(crate) fn rests(&self) -> anyhow::Result<()> {
        let mut before = self.cpu_seconds()?;
        wait_for("mag to come to rest", START_LIMIT, || {
            sleep(REST);
            let used = self.cpu_seconds()? - before;
            before += used;
            Ok((used < AT_REST_SECONDS).then_some(()))
        })
    }

    /// Memory and handles.
    pub(crate) fn usage(&self) -> anyhow::Result<Use> {
        self.mag.usage()
    }

    /// Where it takes messages.
    pub(crate) fn address(&self) -> SocketAddr {
        self.mag.address()
    }

    /// User and system time it has used.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.mag.cpu_seconds()
    }
}

/// A program that reads and counts.
pub(crate) enum Reader {
    /// This one, by its command `reference`.
    Rust,
    /// `reference.c`, compiled into a folder that goes with this value.
    C(TempDir),
}

impl Reader {
    /// Those that there are: the one in C needs a compiler.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        let folder = TempDir::new().context("cannot make a folder")?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.c");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let compiled =
            Command::new(compiler).arg("-O2").arg("-o").arg(folder.path().join("reference")).arg(source).status();
        let mut readers = vec![Self::Rust];
        match compiled {
            Ok(status) => {
                ensure!(status.success(), "reference.c does not compile");
                readers.push(Self::C(folder));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).context("cannot run the C compiler"),
        }
        Ok(readers)
    }

    fn command(&self, connections: u64) -> anyhow::Result<Command> {
        let connections = connections.to_string();
        Ok(match self {
            Self::Rust => {
                let mut command = Command::new(std::env::current_exe().context("cannot find this program's own file")?);
                command.args(["reference", "--connections", &connections]);
                command
            }
            Self::C(folder) => {
                let mut command = Command::new(folder.path().join("reference"));
                command.arg(connections);
                command
            }
        })
    }
}

/// The reference reader, started; it ends with this value.
pub(crate) struct Reference {
    child: Child,
    /// Where it takes messages.
    pub(crate) address: SocketAddr,
    output: BufReader<ChildStdout>,
}

impl Reference {
    /// Starts it.
    pub(crate) fn start(reader: &Reader, connections: u64) -> anyhow::Result<Self> {
        let mut child =
            reader.command(connections)?.stdout(Stdio::piped()).spawn().context("cannot start the reference reader")?;
        let mut output = BufReader::new(child.stdout.take().context("the reference reader has no output")?);
        let mut line = String::new();
        output.read_line(&mut line).context("the reference reader said no port")?;
        let port: u16 = line.trim().parse().context("the reference reader said no port")?;
        Ok(Self { child, address: (Ipv4Addr::LOCALHOST, port).into(), output })
    }

    /// User and system time it has used.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.child.id())
    }

    /// What it counted: messages and keys.
    pub(crate) fn counted(mut self) -> anyhow::Result<(u64, u64)> {
        let mut text = String::new();
        self.output.read_to_string(&mut text).context("the reference reader said nothing")?;
        let (messages, keys) = text.trim().split_once(' ').context("the reference reader said nothing")?;
        Ok((messages.parse()?, keys.parse()?))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // One that has ended already is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
