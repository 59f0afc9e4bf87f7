//! A storm: very many messages in few groups, as fast as they can be sent, and a destination with a small budget.
//!
//! Half-way mag is killed and started again, when all of the first half is committed: counts stay exact, and the budget
//! holds across the restart.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::books::Books;
use crate::destination::{Conduct, Destination};
use crate::load::{self, Format};
use crate::process::{Home, Mag};
use crate::{now, pace, wait_for};

/// Everything must be told so soon after the last byte.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// What the storm runs against: the budget of its destination.
const PER_SECOND: u32 = 1;
/// mag's default.
const BURST: u32 = 5;
/// Resident memory at most: what mag needs at rest, one call of a plugin, and buffers of its connections.
const MEMORY_BYTES: u64 = 128 << 20;
/// The file at most: a storm in few groups writes the same rows again and again.
const FILE_BYTES: u64 = 16 << 20;
/// The write-ahead log at most.
const WAL_BYTES: u64 = 64 << 20;
/// Connections that send.
const CONNECTIONS: u64 = 4;

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// mag's binary.
    pub binary: PathBuf,
    /// Where compiled plugins are kept.
    pub cache: Option<PathBuf>,
    /// Messages in all.
    pub messages: u64,
    /// Different texts.
    pub groups: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages sent.
    pub messages: u64,
    /// Messages told.
    pub told: u64,
    /// Different texts sent.
    pub groups: usize,
    /// Notifications.
    pub notifications: usize,
    /// From the first byte to the last, the restart left out.
    pub sending: Duration,
    /// From the last byte until everything was told.
    pub telling: Duration,
    /// Requests within any 60 s at most, by the destination's clock.
    pub most_in_a_minute: usize,
    /// The most resident memory of either run.
    pub peak_bytes: u64,
    /// The file at its end.
    pub file_bytes: u64,
    /// The write-ahead log at its largest.
    pub wal_bytes: u64,
    /// What must not happen and did.
    pub wrong: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        writeln!(f, "messages sent           {} in {} groups", self.messages, self.groups)?;
        writeln!(f, "messages told           {}", self.told)?;
        writeln!(f, "notifications           {}, at most {} in 60 s", self.notifications, self.most_in_a_minute)?;
        writeln!(f, "sent in                 {:.1} s", self.sending.as_secs_f64())?;
        writeln!(f, "last byte to all told   {:.1} s", self.telling.as_secs_f64())?;
        writeln!(f, "most resident memory    {} MiB", mib(self.peak_bytes))?;
        writeln!(f, "mag.db, largest WAL     {} MiB, {} MiB", mib(self.file_bytes), mib(self.wal_bytes))?;
        write!(f, "wrong                   {}", self.wrong.len())?;
        for wrong in &self.wrong {
            write!(f, "\n  {wrong}")?;
        }
        Ok(())
    }
}

/// Runs it.
///
/// # Errors
/// mag does not start, breaks a connection, or tells nothing for a long time. Broken promises stand in
/// [`Report::wrong`].
pub fn run(plan: &Plan) -> anyhow::Result<Report> {
    let home = Home::new(&plan.binary, plan.cache.as_deref())?;
    let destination = Destination::start(0, |_| Conduct::Takes, Duration::from_secs(10))?;
    let halves = [plan.messages / 2, plan.messages - plan.messages / 2];
    let shares = halves.map(|messages| load::make(messages, CONNECTIONS, plan.groups, Format::Classic));
    let mut expected = BTreeMap::new();
    shares.iter().flat_map(|half| load::counts(half)).for_each(|(text, n)| *expected.entry(text).or_insert(0) += n);

    let mut report = Report { messages: plan.messages, groups: expected.len(), ..Report::default() };
    let [first, second] = &shares;
    configure(&home, &destination, 1)?;
    let mag = start(&home)?;
    report.sending += send(first, &mag)?;
    report.note(&home, &mag)?;
    mag.kill()?;
    configure(&home, &destination, 2)?;
    let mag = start(&home)?;
    report.sending += send(second, &mag)?;
    let end = now();
    report.telling = wait_until_told(plan.messages, &destination, end, || report.note(&home, &mag))?;
    report.note(&home, &mag)?;
    mag.stop()?;
    report.file_bytes = home.size("mag.db");
    report.judge(&home, &destination, &expected)?;
    Ok(report)
}

/// The same for both runs, but for the path that says which of them sent a request.
fn configure(home: &Home, destination: &Destination, run: u32) -> anyhow::Result<()> {
    home.configure(&format!(
        "[store]\npath = \"mag.db\"\n[route]\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         rate = \"{PER_SECOND}/s\"\nconfig = {{ url = {:?} }}\n",
        destination.url(run)
    ))
}

/// Starts mag and waits until its sender could tell something.
fn start(home: &Home) -> anyhow::Result<Mag> {
    let said_before = home.size("log");
    let mag = home.start()?;
    home.wait_until_said("sender hook: ready", said_before)?;
    Ok(mag)
}

fn send(shares: &[load::Share], mag: &Mag) -> anyhow::Result<Duration> {
    let begin = now();
    load::send(shares, mag.address()).context("the storm breaks off")?;
    Ok(begin.elapsed())
}

fn wait_until_told(
    messages: u64,
    destination: &Destination,
    end: Instant,
    mut note: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Duration> {
    // Longer than promised, so that what is missing can be named.
    wait_for("everything to be told", 3 * TOLD_WITHIN, || {
        note()?;
        Ok((destination.heard().told() >= messages).then_some(()))
    })?;
    Ok(end.elapsed())
}

impl Report {
    fn note(&mut self, home: &Home, mag: &Mag) -> anyhow::Result<()> {
        self.peak_bytes = self.peak_bytes.max(mag.usage()?.peak_bytes);
        self.wal_bytes = self.wal_bytes.max(home.size("mag.db-wal"));
        Ok(())
    }

    fn judge(&mut self, home: &Home, to: &Destination, expected: &BTreeMap<String, u64>) -> anyhow::Result<()> {
        let books = Books::open(&home.path("mag.db"))?;
        let heard = to.heard();
        self.told = heard.told();
        self.notifications = heard.notifications.len();
        let begin = heard.arrivals.first().copied().context("nothing was told")?;
        let arrivals: Vec<Duration> = heard.arrivals.iter().map(|at| *at - begin).collect();
        self.most_in_a_minute = pace::most_within(&arrivals, Duration::from_secs(60));
        let begun: Vec<i64> = books.attempts("hook")?;
        let first = begun.first().copied().unwrap_or_default();
        let begun: Vec<Duration> =
            begun.iter().map(|at| Duration::from_millis(u64::try_from(at - first).unwrap_or_default())).collect();

        self.wrong.extend(heard.wrong.clone());
        self.wrong.extend(books.mistakes()?);
        for (text, count) in expected {
            let told = heard.told_of(text);
            self.expect(told == *count, || format!("{text:?}: told {told} of {count}"));
        }
        let (told, messages) = (self.told, self.messages);
        self.expect(told == messages, || format!("{told} messages told of {messages}"));
        let telling = self.telling;
        self.expect(telling <= TOLD_WITHIN, || format!("all told only {} s after the last byte", telling.as_secs()));
        // An attempt is written down a little before or after its token is taken, and arrives a little later.
        let too_fast = pace::too_fast(&begun, f64::from(PER_SECOND), BURST + 1);
        self.expect(too_fast.is_none(), || format!("more attempts than the budget allows within {too_fast:?} ms"));
        let (most, allowed) = (self.most_in_a_minute, usize::try_from(60 * PER_SECOND + BURST + 1)?);
        self.expect(most <= allowed, || format!("{most} requests in 60 s, {allowed} are allowed"));
        let (peak, file, wal) = (self.peak_bytes, self.file_bytes, self.wal_bytes);
        self.expect(peak <= MEMORY_BYTES, || format!("{peak} bytes of memory, {MEMORY_BYTES} are allowed"));
        self.expect(file <= FILE_BYTES, || format!("mag.db has {file} bytes, {FILE_BYTES} are allowed"));
        self.expect(wal <= WAL_BYTES, || format!("the write-ahead log has {wal} bytes, {WAL_BYTES} are allowed"));
        Ok(())
    }

    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }
}
