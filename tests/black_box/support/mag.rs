//! mag itself: a folder with its config, and the process that runs in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Once};
use std::thread;

use tempfile::TempDir;

use super::admin::Admin;
use super::record::Record;
use super::store::Store;
use super::wire::Wire;

/// A config that compiles every bundled plugin once: the compiled code is then taken from the shared cache.
const ALL_PLUGINS: &str = r##"
[route]
senders = ["console", "email", "slack", "webhook"]
[senders.console]
plugin = "console"
[senders.email]
plugin = "email"
config = { from = "a@example.org", to = ["b@example.org"] }
smtp = { url = "smtp://127.0.0.1:1" }
[senders.slack]
plugin = "slack"
config = { channel = "#ops" }
secrets.token = { env = "HOME" }
[senders.webhook]
plugin = "webhook"
config = { url = "http://127.0.0.1:1/" }
"##;

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mag"))
}

/// Where compiled plugins are kept: compiled once for all tests and all runs of them.
fn cache_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// The folder with all bundled plugins compiled, for tests that start the binary in their own way.
pub(crate) fn plugin_cache() -> PathBuf {
    warm_up();
    cache_folder()
}

/// A port that nobody has, and that nobody gets who asks the system for any: below those it gives away, each given once.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let lowest = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux");
    let lowest: u16 = lowest.split_whitespace().next().and_then(|port| port.parse().ok()).expect("a number");
    let (first, all) = (lowest / 2, u32::from(lowest - lowest / 2));
    // Another run of the tests begins elsewhere.
    let begin = std::process::id().wrapping_mul(997) % all;
    let ports = std::iter::repeat_with(|| {
        let place = (begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % all;
        first + u16::try_from(place).expect("less than all ports")
    });
    ports.take(1_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A folder with a `mag.toml`, and the environment that mag is started with; it outlives one run.
#[derive(Debug)]
pub(crate) struct Home {
    folder: Arc<TempDir>,
    env: Vec<(String, String)>,
    handles: Option<u32>,
    heard: Vec<String>,
    nobody_reads: bool,
}

impl Home {
    /// A folder whose config listens on a free port of the loopback, unless it says itself where to listen.
    pub(crate) fn with(config: &str) -> Self {
        let home = Self {
            folder: Arc::new(TempDir::new().expect("a temporary folder")),
            env: Vec::new(),
            handles: None,
            heard: Vec::new(),
            nobody_reads: false,
        };
        home.configure(config);
        home
    }

    /// A folder whose config is exactly `config`.
    pub(crate) fn with_exactly(config: &str) -> Self {
        Self::with("").file("mag.toml", config.as_bytes())
    }

    /// Replaces the config.
    pub(crate) fn configure(&self, config: &str) {
        let listen = if config.contains("[[listen]]") { "" } else { "[[listen]]\naddress = \"127.0.0.1:0\"\n" };
        std::fs::write(self.path("mag.toml"), format!("{listen}{config}")).expect("the config is written");
    }

    /// Puts a file beside the config.
    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.path(name), bytes).expect("the file is written");
        self
    }

    /// Sets a variable of mag's environment, which is otherwise nearly empty.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts mag with this limit of open files, which it cannot raise.
    pub(crate) fn with_handles(mut self, handles: u32) -> Self {
        self.handles = Some(handles);
        self
    }

    /// Nobody reads mag's standard output, and its pipe stays open.
    pub(crate) fn with_nobody_reading(mut self) -> Self {
        self.nobody_reads = true;
        self
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts mag and waits until it listens.
    #[track_caller]
    pub(crate) fn start(self) -> Mag {
        self.start_by(&["run", "--config", "mag.toml"])
    }

    /// Starts mag with these arguments and waits until it listens.
    #[track_caller]
    pub(crate) fn start_by(self, arguments: &[&str]) -> Mag {
        warm_up();
        let process = Process::spawn(self.command(arguments), b"", self.nobody_reads);
        let address = process.stderr.wait_for("the line `listening on`", |lines| {
            let line = lines.iter().find(|line| line.contains("listening on "))?;
            let address = line.split("listening on ").nth(1)?.split([' ', ',', '"']).next()?;
            address.parse::<SocketAddr>().ok()
        });
        Mag { home: self, process, address }
    }

    /// Runs a command of mag to its end.
    #[track_caller]
    pub(crate) fn runs(&self, arguments: &[&str]) -> Ended {
        self.runs_with(arguments, b"")
    }

    /// Runs a command of mag to its end, with this standard input.
    #[track_caller]
    pub(crate) fn runs_with(&self, arguments: &[&str], input: &[u8]) -> Ended {
        warm_up();
        self.runs_cold(arguments, input)
    }

    #[track_caller]
    fn runs_cold(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut process = Process::spawn(self.command(arguments), input, false);
        let status = process.wait();
        Ended { code: status.code(), stdout: process.stdout.all().join("\n"), stderr: process.stderr.all().join("\n") }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.handles {
            None => Command::new(binary()),
            Some(handles) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -n {handles}; exec \"$0\" \"$@\"");
                shell.args(["-c", &limited]).arg(binary());
                shell
            }
        };
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("XDG_CACHE_HOME", cache_folder());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The database, once mag has stopped.
    pub(crate) fn store(&self) -> Store {
        Store::open(&self.folder)
    }

    /// Checks that `secret` stands in nothing that mag printed, logged or wrote into its folder.
    #[track_caller]
    pub(crate) fn must_show_nowhere(&self, secret: &str) {
        for line in &self.heard {
            assert!(!line.contains(secret), "the secret {secret} is shown: {line}");
        }
        for entry in std::fs::read_dir(self.folder.path()).expect("the folder") {
            let path = entry.expect("an entry").path();
            let bytes = if path.is_file() { std::fs::read(&path).expect("a file of the folder") } else { Vec::new() };
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "the secret {secret} stands in {}", path.display());
        }
    }

    fn hear(&mut self, process: &Process) {
        self.heard.extend(process.stdout.all());
        self.heard.extend(process.stderr.all());
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed, without the last line end.
    pub(crate) stdout: String,
    /// What it said to people, without the last line end.
    pub(crate) stderr: String,
}

impl Ended {
    /// Checks exit status and everything that was said.
    #[track_caller]
    pub(crate) fn must_be(&self, code: i32, stdout: &str, stderr: &str) {
        let found = (self.code, self.stdout.as_str(), self.stderr.as_str());
        assert_eq!(found, (Some(code), stdout, stderr));
    }

    /// Checks the exit status and that all of these were said to people.
    #[track_caller]
    pub(crate) fn must_fail_with(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for said in said {
            assert!(self.stderr.contains(said), "nothing says {said:?}: {self:#?}");
        }
    }
}

/// A running mag. Dropped, it is killed, and what it said is shown when the test fails.
#[derive(Debug)]
pub(crate) struct Mag {
    home: Home,
    process: Process,
    address: SocketAddr,
}

impl Mag {
    /// Starts mag with this config.
    #[track_caller]
    pub(crate) fn with(config: &str) -> Self {
        Home::with(config).start()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its admin listener.
    #[track_caller]
    pub(crate) fn admin(&self) -> Admin {
        let line = self.says("[admin] on http://");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(['"', ' ']).next()).expect("an address");
        Admin(address.parse().expect("an address"))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Its folder.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// A connection to it.
    pub(crate) fn wire(&self) -> Wire {
        Wire::to(self.address)
    }

    /// Sends bytes on a connection of their own and waits until all of them are committed.
    #[track_caller]
    pub(crate) fn takes(&self, bytes: &[u8]) {
        let mut wire = self.wire();
        wire.writes(bytes);
        wire.finishes();
        assert_eq!(wire.hears_to_the_end(), "", "a reply to bytes that should need none");
    }

    /// Waits for a line on standard error that holds `part`.
    #[track_caller]
    pub(crate) fn says(&self, part: &str) -> String {
        let found = |lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
        self.process.stderr.wait_for(&format!("{part:?} on standard error"), found)
    }

    /// Waits for a line on standard output that holds `part`.
    #[track_caller]
    pub(crate) fn prints(&self, part: &str) -> String {
        let found = |lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
        self.process.stdout.wait_for(&format!("{part:?} on standard output"), found)
    }

    /// All lines of standard output so far.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.process.stdout.all()
    }

    /// All lines of standard error so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.process.stderr.all()
    }

    /// Sends a signal by its name: `TERM`, `INT`.
    pub(crate) fn gets_signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Stops it as a service manager does: it must end with status 0, and its ledger must balance.
    #[track_caller]
    pub(crate) fn stops(self) -> Home {
        self.gets_signal("TERM");
        self.ends_well()
    }

    /// Waits for its end: status 0, and a ledger that balances.
    #[track_caller]
    pub(crate) fn ends_well(self) -> Home {
        self.ends(Some(0))
    }

    /// Kills it as a crash does; the ledger of what is on disk must balance all the same.
    #[track_caller]
    pub(crate) fn crashes(mut self) -> Home {
        self.process.child.kill().expect("the child is ours");
        self.ends(None)
    }

    #[track_caller]
    fn ends(mut self, code: Option<i32>) -> Home {
        let status = self.process.wait();
        assert_eq!(status.code(), code, "mag's exit status");
        self.home.hear(&self.process);
        if self.home.path("mag.db").exists() {
            self.home.store().must_balance();
            // The same by mag's own eyes, which also hold what has ended against its rows.
            let wrong = mag::store::verify(&self.home.path("mag.db")).expect("the store reads");
            assert_eq!(wrong, [""; 0], "mag verify finds something");
        }
        self.home
    }
}

/// Compiles all bundled plugins into the shared cache, before anything with a time limit needs them.
fn warm_up() {
    static WARM: Once = Once::new();
    WARM.call_once(|| {
        let ended = Home::with(ALL_PLUGINS).runs_cold(&["check", "--config", "mag.toml"], b"");
        assert_eq!(ended.code, Some(0), "the bundled plugins do not load: {ended:#?}");
    });
}

/// A child process whose output is read line by line as it comes.
#[derive(Debug)]
struct Process {
    child: Child,
    stdout: Arc<Record<String>>,
    stderr: Arc<Record<String>>,
}

impl Process {
    fn spawn(mut command: Command, input: &[u8], nobody_reads: bool) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = if nobody_reads { Arc::default() } else { lines_of(child.stdout.take().expect("a pipe")) };
        let stderr = lines_of(child.stderr.take().expect("a pipe"));
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        // A command that does not read its input to the end is looked at by its exit status.
        thread::spawn(move || drop(stdin.write_all(&input)));
        Self { child, stdout, stderr }
    }

    fn signal(&self, name: &str) {
        // The child is not waited for yet, so its id cannot be somebody else's.
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(sent.expect("sh runs").success(), "no process {pid} to send {name} to");
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        self.stderr.wait_for_the_end("the end of mag");
        if self.child.stdout.is_none() {
            self.stdout.wait_for_the_end("the end of mag's output");
        }
        self.child.wait().expect("the child is ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            let (stdout, stderr) = (self.stdout.all().join("\n"), self.stderr.all().join("\n"));
            println!("--- mag's standard output\n{stdout}\n--- mag's standard error\n{stderr}\n---");
        }
        // It may have ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines_of(pipe: impl Read + Send + 'static) -> Arc<Record<String>> {
    let record = Arc::new(Record::default());
    let lines = Arc::clone(&record);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { break };
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        lines.end();
    });
    record
}
