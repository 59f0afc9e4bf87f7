//! What must be found after a crash: the state after exactly so many commits, of which none that was answered is missing.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use rusqlite::types::ValueRef;

use super::player::{Played, play, start};
use super::scenario::Scenario;
use super::*;

/// A place where one thread opens stores, one after the other.
pub(super) struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    runtime: tokio::runtime::Runtime,
    fs: FaultFs,
}

/// What a store holds that was opened on an image, and then took in one more message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Commits before it was opened.
    pub(super) commits: u64,
    /// Messages that were ever taken in, by route and sender.
    accepted: BTreeMap<(String, String), u64>,
    /// All rows of all tables.
    rows: String,
}

/// The log of a start and of one message after it.
pub(super) struct Recovery {
    pub(super) log: Vec<Operation>,
    /// Operations until the store was open.
    pub(super) opened: usize,
    /// Operations until the message was answered.
    pub(super) answered: usize,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = folder();
        let path = folder.path().join("mag.db");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { _folder: folder, path, runtime, fs: FaultFs::register() }
    }

    /// Opens a store on an image, lets one fresh message through it and looks at everything.
    pub(super) fn reopen(&self, image: &Image, config: usize) -> Result<Found, String> {
        self.place(image).map_err(|error| error.to_string())?;
        self.open(&Settings::new(Some(&self.path)), config, None)?;
        let found = look(&self.path).map_err(|error| format!("the file cannot be read: {error}"))?;
        let wrong = verify(&self.path).map_err(|error| format!("it cannot be verified: {error}"))?;
        if wrong.is_empty() { Ok(found) } else { Err(format!("the ledger does not balance: {wrong:?}")) }
    }

    /// Writes an image. A power loss may take the time of a file's last change, and keep the change: the hardest to tell
    /// apart from damage is a time that the mark knows.
    fn place(&self, image: &Image) -> std::io::Result<()> {
        image.write(&self.path)?;
        let left = image.0.get(&Part::Mark).and_then(|mark| mark::Left::read(&String::from_utf8_lossy(mark)));
        let (Some(stopped), true) = (left.and_then(|left| left.stopped), self.path.exists()) else { return Ok(()) };
        let (seconds, nanos) = (stopped.written.0.unsigned_abs(), u32::try_from(stopped.written.1).unwrap_or_default());
        let written = std::time::UNIX_EPOCH + Duration::new(seconds, nanos);
        std::fs::File::options().write(true).open(&self.path)?.set_modified(written)
    }

    /// What lies on the disk now.
    pub(super) fn left(&self) -> Image {
        Image::read(&self.path).expect("the files read")
    }

    /// Returns how much was logged when the store was open, and when the message was answered.
    fn open(&self, settings: &Settings, config: usize, fs: Option<&FaultFs>) -> Result<[usize; 2], String> {
        let logged = || fs.map_or(0, FaultFs::logged);
        let clock = clock::Clock::derived(NOON + 3_600_000);
        let (store, running, _) = start(settings, config, clock, fs).map_err(|error| format!("refused: {error:?}"))?;
        let opened = logged();
        let fresh = closing(vec![group("root", "fresh", 1)]);
        let told = self.runtime.block_on(store.change(fresh)).map_err(|_stopped| "it takes nothing in".to_owned());
        let answered = logged();
        drop(store);
        running.wait();
        told.map(|_committed| [opened, answered])
    }

    /// What a start on this image and one more message do to the disk.
    pub(super) fn recovery(&self, image: &Image, config: usize) -> Recovery {
        self.place(image).expect("the image is written");
        let settings = Settings { vfs: Some(self.fs.name().to_owned()), ..Settings::new(Some(&self.path)) };
        let [opened, answered] = self.open(&settings, config, Some(&self.fs)).expect("it opened before");
        Recovery { log: self.fs.take_log(), opened, answered }
    }

    /// The number of the last commit in an image, by SQLite alone.
    pub(super) fn commits(&self, image: &Image) -> u64 {
        image.write(&self.path).expect("the image is written");
        let conn = Connection::open(&self.path).expect("the file opens");
        // Before the first start is done there is no such table.
        conn.query_row("SELECT value FROM meta WHERE key = 'commit_seq'", [], |row| rows::read_uint(row, 0))
            .unwrap_or(0)
    }
}

fn look(path: &Path) -> rusqlite::Result<Found> {
    let conn = Connection::open(path)?;
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::InvalidColumnName(sound));
    }
    let commits =
        conn.query_row("SELECT value - 1 FROM meta WHERE key = 'commit_seq'", [], |row| rows::read_uint(row, 0))?;
    let mut statement = conn.prepare("SELECT route, sender, accepted FROM ledger")?;
    let accepted = statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?), rows::read_uint(row, 2)?)))?;
    Ok(Found { commits, accepted: accepted.collect::<rusqlite::Result<_>>()?, rows: all_rows(&conn)? })
}

/// Every row of every table, in an order that does not depend on the ids of deliveries, which are random.
fn all_rows(conn: &Connection) -> rusqlite::Result<String> {
    let mut names = BTreeMap::new();
    let order = "created, sender, reason, state, messages, groups, attempt, id";
    let mut statement = conn.prepare_cached(&format!("SELECT id FROM deliveries ORDER BY {order}"))?;
    for (n, id) in (1..).zip(statement.query_map([], |row| row.get::<_, String>(0))?) {
        names.insert(id?, n);
    }
    let mut tables = conn.prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut all = String::new();
    for table in tables {
        // Of a sender that is gone each start makes dead letters with a time of its own: the ledger counts them.
        let buried = "(SELECT id FROM deliveries WHERE code = 'sender-gone')";
        let kept = match table.as_str() {
            // The store's own number is random.
            "meta" => "WHERE key != 'store'".to_owned(),
            // What no route ever took in may be left of a config that no commit was made with.
            "ledger" => "WHERE accepted != 0".to_owned(),
            "deliveries" => format!("WHERE id NOT IN {buried}"),
            "delivery_groups" | "attempts" => format!("WHERE delivery NOT IN {buried}"),
            _ => String::new(),
        };
        let mut statement = conn.prepare(&format!("SELECT * FROM {table} {kept}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            let mut line = table.clone();
            for column in 0..columns {
                line.push(' ');
                write_value(&mut line, row.get_ref(column)?, &names);
            }
            lines.push(line);
        }
        lines.sort_unstable();
        lines.iter().for_each(|line| writeln!(all, "{line}").expect("a text can be written"));
    }
    Ok(all)
}

fn write_value(line: &mut String, value: ValueRef<'_>, names: &BTreeMap<String, u32>) {
    let written = match value {
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            match names.get(text.as_ref()) {
                Some(name) => write!(line, "delivery-{name}"),
                None if Uuid::parse_str(&text).is_ok() => write!(line, "delivery-gone"),
                None => write!(line, "{:.40}", text.trim_end_matches('x')),
            }
        }
        other => write!(line, "{other:?}"),
    };
    written.expect("a text can be written");
}

fn same_rows(found: &Found, expected: &Found, counts: impl Fn(&&str) -> bool) -> Result<(), String> {
    let rows = |found: &'_ Found| found.rows.lines().filter(&counts).map(str::to_owned).collect::<Vec<_>>();
    let (here, there) = (rows(found), rows(expected));
    if here == there {
        return Ok(());
    }
    let more = here.iter().find(|row| !there.contains(row));
    let missing = there.iter().find(|row| !here.contains(row));
    Err(format!("after {} commits there is {more:?}, there is not {missing:?}", found.commits))
}

/// A scenario that was played without any fault, and what it holds after each of its commits.
pub(super) struct Oracle {
    pub(super) scenario: Scenario,
    pub(super) log: Vec<Operation>,
    pub(super) played: Played,
    /// Commits that were answered with each answer.
    pub(super) answered: Vec<u64>,
    pub(super) commits: BTreeMap<u64, Image>,
    expected: Mutex<BTreeMap<(u64, usize), Arc<Found>>>,
}

impl Oracle {
    pub(super) fn play(scenario: Scenario) -> Self {
        Self::play_on(scenario, &FaultFs::register())
    }

    pub(super) fn play_on(scenario: Scenario, fs: &FaultFs) -> Self {
        let (folder, bench) = (folder(), Bench::new());
        let played = play(&scenario, fs, folder.path());
        assert!(played.ended.is_none(), "without a fault nothing stops: {:?}", played.ended);
        let log = fs.take_log();
        let mut disk = Disk::new(&scenario.start, FailedSync::Drops);
        let mut answers = played.answered.iter().map(|answered| answered.at).peekable();
        let (mut commits, mut answered) = (BTreeMap::new(), Vec::new());
        for (done, operation) in (1..).zip(&log) {
            disk.apply(operation);
            let mut answers_here = 0;
            while answers.next_if_eq(&done).is_some() {
                answers_here += 1;
            }
            if answers_here > 0 || matches!(operation, Operation::Sync { .. }) {
                let image = disk.cached();
                let commit = bench.commits(&image);
                answered.extend(std::iter::repeat_n(commit, answers_here));
                commits.entry(commit).or_insert(image);
            }
        }
        assert_eq!(answered.len(), played.answered.len());
        assert!(answered.is_sorted());
        Self { scenario, log, played, answered, commits, expected: Mutex::default() }
    }

    /// Commits that may be found at a moment of the log: at least what was answered, at most what the next answer says.
    pub(super) fn commits_at(&self, done: usize) -> RangeInclusive<u64> {
        let answers = self.played.answered.partition_point(|answered| answered.at <= done);
        self.commits_after(answers)
    }

    /// Commits that may be found after that many answers.
    pub(super) fn commits_after(&self, answers: usize) -> RangeInclusive<u64> {
        let first = self.commits.keys().next().copied().unwrap_or_default();
        let least = answers.checked_sub(1).map_or(first, |last| self.answered[last]);
        least..=self.answered.get(answers).copied().unwrap_or(least)
    }

    /// The config of the run that a moment of the log belongs to.
    pub(super) fn config_at(&self, done: usize) -> usize {
        let runs = self.played.configs.partition_point(|run| run.from < done);
        self.played.configs[runs.saturating_sub(1)].config
    }

    /// Opens a store on an image and says what is wrong with what it holds.
    pub(super) fn check(
        &self,
        bench: &Bench,
        image: &Image,
        config: usize,
        commits: &RangeInclusive<u64>,
    ) -> Result<Arc<Found>, String> {
        let found = bench.reopen(image, config)?;
        if !commits.contains(&found.commits) {
            return Err(format!("it holds {} commits, not {commits:?}", found.commits));
        }
        let expected = self.expected(bench, found.commits, config)?;
        same_rows(&found, &expected, |_| true)?;
        Ok(expected)
    }

    /// Checks that an image holds all of the scenario, in whatever number of commits: while the disk is full commands
    /// may come to share a transaction.
    pub(super) fn check_end(&self, bench: &Bench, image: &Image, config: usize) -> Result<(), String> {
        let found = bench.reopen(image, config)?;
        let last = self.answered.last().copied().unwrap_or_default();
        same_rows(&found, &*self.expected(bench, last, config)?, |line| !line.starts_with("meta commit_seq "))
    }

    fn expected(&self, bench: &Bench, commits: u64, config: usize) -> Result<Arc<Found>, String> {
        let key = (commits, config);
        if let Some(expected) = self.expected.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(expected));
        }
        let image = self.commits.get(&commits).ok_or_else(|| format!("there never were {commits} commits"))?;
        let expected = Arc::new(bench.reopen(image, config)?);
        if expected.commits != commits {
            return Err(format!("a kill after {commits} commits leaves {}", expected.commits));
        }
        self.compare_accepted(&expected)?;
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&expected));
        Ok(expected)
    }

    /// What the store counted against what the scenario sent. Sender `one` is told by these routes in every config.
    fn compare_accepted(&self, found: &Found) -> Result<(), String> {
        let Some(answer) = self.answered.iter().rposition(|commit| *commit == found.commits) else { return Ok(()) };
        for route in ["root", "both"] {
            let sent = self.played.answered[answer].accepted.get(route).copied().unwrap_or_default();
            let sent = sent + u64::from(route == "root");
            let counted = found.accepted.get(&(route.to_owned(), "one".to_owned())).copied().unwrap_or_default();
            if counted != sent {
                return Err(format!(
                    "after {} commits route {route} counted {counted} of {sent} messages",
                    found.commits
                ));
            }
        }
        Ok(())
    }
}
