//! A long run at half of what mag can take in: memory, handles and the write-ahead log must stay where they are.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::books::Books;
use crate::destination::{Conduct, Destination};
use crate::load::{self, Format};
use crate::process::{Home, Mag, Use};
use crate::{now, wait_for};

/// Messages by which the most that mag takes in is measured.
const MEASURED: u64 = 1_000_000;
/// Connections that send, new ones each round.
const CONNECTIONS: u64 = 4;
/// Different texts.
const GROUPS: u64 = 1_000;
/// How much more resident memory the last third of all rounds may have than the first, in percent.
const DRIFT_PERCENT: f64 = 5.0;
/// The write-ahead log at most.
const WAL_BYTES: u64 = 64 << 20;
/// How long mag may take to let go of closed connections.
const CLOSED_LIMIT: Duration = Duration::from_secs(120);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// mag's binary.
    pub binary: PathBuf,
    /// Where compiled plugins are kept.
    pub cache: Option<PathBuf>,
    /// How long all rounds take, those not counted that come first.
    pub time: Duration,
    /// How long one round takes; at the end of each all connections are closed and everything is looked at.
    pub round: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages a second at most, as measured at the beginning.
    pub most_per_second: f64,
    /// Messages sent in all.
    pub messages: u64,
    /// Notifications.
    pub notifications: usize,
    /// After each round.
    pub uses: Vec<Use>,
    /// Growth of resident memory from the first third of all rounds to the last, in percent.
    pub drift_percent: f64,
    /// The write-ahead log at its largest.
    pub wal_bytes: u64,
    /// What must not happen and did.
    pub wrong: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) =
            (self.uses.first().copied().unwrap_or_default(), self.uses.last().copied().unwrap_or_default());
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "most taken in           {:.0} messages/s", self.most_per_second)?;
        writeln!(f, "messages sent           {} in {} rounds", self.messages, self.uses.len())?;
        writeln!(f, "notifications           {}", self.notifications)?;
        writeln!(
            f,
            "resident memory         {:.1} MiB, {:.1} MiB",
            mib(first.resident_bytes),
            mib(last.resident_bytes)
        )?;
        writeln!(f, "drift of memory         {:.1} %", self.drift_percent)?;
        writeln!(f, "handles                 {}, {}", first.handles, last.handles)?;
        writeln!(f, "largest WAL             {:.1} MiB", mib(self.wal_bytes))?;
        write!(f, "wrong                   {}", self.wrong.len())?;
        for wrong in &self.wrong {
            write!(f, "\n  {wrong}")?;
        }
        Ok(())
    }
}

/// Runs it. `tell` hears one line now and then.
///
/// # Errors
/// mag does not start, or breaks a connection. Broken promises stand in [`Report::wrong`].
pub fn run(plan: &Plan, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
    let home = Home::new(&plan.binary, plan.cache.as_deref())?;
    let destination = Destination::start(0, |_| Conduct::Takes, Duration::from_secs(10))?;
    home.configure(&format!(
        "[store]\npath = \"mag.db\"\n[route]\ntime_limit = \"1s\"\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = {:?} }}\n",
        destination.url(1)
    ))?;
    let mag = home.start()?;
    home.wait_until_said("sender hook: ready", 0)?;
    let mut report = Report { most_per_second: most_per_second(&mag)?, messages: MEASURED, ..Report::default() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below what a u64 holds")]
    let messages = (report.most_per_second / 2.0 * plan.round.as_secs_f64()) as u64;
    let shares = load::make(messages.max(CONNECTIONS), CONNECTIONS, GROUPS, Format::Classic);
    let end = now() + plan.time;
    while report.uses.len() < 3 || now() < end {
        load::send_within(&shares, mag.address(), plan.round).context("a round breaks off")?;
        report.messages += messages.max(CONNECTIONS);
        let used = at_rest(&mag, report.uses.first())?;
        report.wal_bytes = report.wal_bytes.max(home.size("mag.db-wal"));
        tell(&format!("{} messages, {} KiB, {} handles", report.messages, used.resident_bytes / 1024, used.handles));
        report.uses.push(used);
    }
    mag.stop()?;
    report.judge(&home, &destination)?;
    Ok(report)
}

fn most_per_second(mag: &Mag) -> anyhow::Result<f64> {
    let shares = load::make(MEASURED, CONNECTIONS, GROUPS, Format::Classic);
    // Twice: the first time memory grows to what a storm needs.
    load::send(&shares, mag.address())?;
    let begin = now();
    load::send(&shares, mag.address())?;
    Ok(MEASURED as f64 / begin.elapsed().as_secs_f64())
}

/// What mag has once its connections are closed: as many handles as after the first round, if it ever gets there.
fn at_rest(mag: &Mag, first: Option<&Use>) -> anyhow::Result<Use> {
    let Some(first) = first else { return mag.usage() };
    let at_rest = || Ok(Some(mag.usage()?).filter(|used| used.handles <= first.handles));
    wait_for("closed connections to be let go", CLOSED_LIMIT, at_rest).or_else(|_late| mag.usage())
}

impl Report {
    fn judge(&mut self, home: &Home, destination: &Destination) -> anyhow::Result<()> {
        let heard = destination.heard();
        self.notifications = heard.notifications.len();
        self.wrong.extend(heard.wrong.clone());
        self.wrong.extend(Books::open(&home.path("mag.db"))?.mistakes()?);
        ensure!(self.uses.len() >= 3, "too few rounds to compare");
        let third = self.uses.len() / 3;
        let mean = |uses: &[Use]| uses.iter().map(|used| used.resident_bytes as f64).sum::<f64>() / uses.len() as f64;
        let (early, late) = (self.uses.get(..third), self.uses.get(self.uses.len() - third..));
        self.drift_percent = (mean(late.unwrap_or_default()) / mean(early.unwrap_or_default()) - 1.0) * 100.0;
        if self.drift_percent >= DRIFT_PERCENT {
            self.wrong.push(format!("resident memory grew by {:.1} %", self.drift_percent));
        }
        let handles = |used: Option<&Use>| used.map(|used| used.handles).unwrap_or_default();
        let (first, last) = (handles(self.uses.first()), handles(self.uses.last()));
        if last > first {
            self.wrong.push(format!("{first} handles became {last}"));
        }
        if self.wal_bytes >= WAL_BYTES {
            self.wrong.push(format!("the write-ahead log had {} bytes", self.wal_bytes));
        }
        Ok(())
    }
}
