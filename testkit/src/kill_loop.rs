//! The kill loop: load over several connections, destinations that misbehave, a kill at a random moment, a start, and
//! again; after each kill the oracle looks.
//!
//! SIGKILL does not test durability, since the page cache survives it: this finds mistakes of order and of memory.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::books::Books;
use crate::destination::{Conduct, Destination, Mood};
use crate::oracle::{Oracle, Sent};
use crate::process::{Home, Mag};
use crate::{now, pace, wait_for};

mod clients;
mod resender;

use clients::Clients;
use resender::Resender;

/// Of one attempt, so that a destination that hangs costs little of a run.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long everything may take to be told once the destinations behave: several steps of backoff.
const DRAIN_LIMIT: Duration = Duration::from_secs(240);
/// How long a fresh message may take to be told.
const FRESH_LIMIT: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// mag's binary.
    pub binary: PathBuf,
    /// Where compiled plugins are kept.
    pub cache: Option<PathBuf>,
    /// Runs of mag that are ended at a random moment.
    pub cycles: u32,
    /// Whether mag has room for only a few groups, so that it counts many together; then only sums are compared.
    pub tight: bool,
    /// Of all chance: the same seed gives the same plan, though never the same timing.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Runs ended by SIGKILL.
    pub kills: u32,
    /// Runs ended by SIGTERM.
    pub stops: u32,
    /// Messages sent.
    pub sent: u64,
    /// Messages acknowledged.
    pub acknowledged: u64,
    /// Messages told, for all senders.
    pub told: u64,
    /// Messages told by the fallback.
    pub escalated: u64,
    /// Messages given up because the destination refused them, for all senders.
    pub dead: u64,
    /// Notifications.
    pub notifications: usize,
    /// Acknowledged messages that are nowhere.
    pub lost: u64,
    /// Messages that are somewhere and were never sent.
    pub twice: u64,
    /// Messages told together with others because their groups found no room.
    pub overflowed: u64,
    /// Messages with an id, each counted once.
    pub with_ids: u64,
    /// How many of these were sent again because their ack had not come.
    pub sent_again: u64,
    /// Notifications that came again after they had been taken, with the same id and content.
    pub resends: u64,
    /// Answers that left open whether a notification was taken.
    pub unclear: u64,
    /// What must not happen and did.
    pub wrong: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed                    {}", self.seed)?;
        writeln!(
            f,
            "cycles                  {} ({} SIGKILL, {} SIGTERM)",
            self.kills + self.stops,
            self.kills,
            self.stops
        )?;
        writeln!(f, "messages sent           {}", self.sent)?;
        writeln!(f, "messages acknowledged   {}", self.acknowledged)?;
        writeln!(f, "told, to {} senders      {}", SENDERS.len(), self.told)?;
        writeln!(f, "told by the fallback    {}", self.escalated)?;
        writeln!(f, "dead letters, messages  {}", self.dead)?;
        writeln!(f, "notifications           {}", self.notifications)?;
        writeln!(f, "told without room       {}", self.overflowed)?;
        writeln!(f, "with an id              {}, {} of them sent again", self.with_ids, self.sent_again)?;
        writeln!(f, "lost                    {}", self.lost)?;
        writeln!(f, "counted twice           {}", self.twice)?;
        writeln!(f, "resends, same id        {}", self.resends)?;
        writeln!(f, "unclear answers         {}", self.unclear)?;
        write!(f, "wrong                   {}", self.wrong.len())?;
        for wrong in self.wrong.iter().take(20) {
            write!(f, "\n  {wrong}")?;
        }
        Ok(())
    }
}

/// Who is told of every message.
const SENDERS: [&str; 3] = ["calm", "rough", "slow"];
/// Who is told what `rough` gave up, or could not tell for a while.
const FALLBACK: (&str, &str) = ("rough", "spare");
/// Deliveries that can be in flight at a time: `slow` has three.
const IN_FLIGHT: u64 = 6;

/// The budget of `calm`: so many a second, and mag's default of so many at once.
const BUDGET: (f64, u32) = (3.0, 5);

/// The settings of a sender beyond those that all have.
fn settings(name: &str) -> &'static str {
    match name {
        "calm" => "rate = \"3/s\"\n",
        "rough" => "rate = \"50/s\"\nfallback = \"spare\"\nfallback_after = \"2s\"\n",
        "slow" => "rate = \"50/s\"\nconcurrency = 3\n",
        _ => "rate = \"50/s\"\n",
    }
}

/// Runs it. `tell` hears one line now and then.
///
/// # Errors
/// mag does not start, does not stop, or does not tell in time. Broken promises stand in [`Report::wrong`].
pub fn run(plan: &Plan, tell: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
    let mut rig = Rig::new(plan)?;
    let begun = now();
    for cycle in 1..=plan.cycles {
        rig.cycle(cycle).with_context(|| rig.context(cycle))?;
        if cycle % 25 == 0 {
            let (seconds, acknowledged) = (begun.elapsed().as_secs(), rig.oracle.acknowledged);
            tell(&format!(
                "{cycle} cycles in {seconds} s, {acknowledged} acknowledged, {} wrong",
                rig.oracle.wrong.len()
            ));
        }
    }
    rig.drain(plan.cycles + 1).with_context(|| rig.context(plan.cycles + 1))?;
    Ok(rig.report())
}

struct Rig {
    seed: u64,
    tight: bool,
    chance: fastrand::Rng,
    home: Home,
    destinations: Vec<(&'static str, Destination)>,
    oracle: Oracle,
    resender: Resender,
    kills: u32,
    stops: u32,
}

impl Rig {
    fn new(plan: &Plan) -> anyhow::Result<Self> {
        let oracle = Oracle::new(&SENDERS, &[FALLBACK]);
        let all: [(&'static str, Mood); 4] = [("calm", calm), ("rough", rough), ("slow", slow), ("spare", calm)];
        let started = all
            .into_iter()
            .zip(1..)
            .map(|((name, mood), n)| Ok((name, Destination::start(plan.seed.wrapping_add(n), mood, TIMEOUT)?)));
        Ok(Self {
            seed: plan.seed,
            tight: plan.tight,
            chance: fastrand::Rng::with_seed(plan.seed),
            home: Home::new(&plan.binary, plan.cache.as_deref())?,
            destinations: started.collect::<anyhow::Result<_>>()?,
            oracle: if plan.tight { oracle.of_sums() } else { oracle },
            resender: Resender::default(),
            kills: 0,
            stops: 0,
        })
    }

    fn context(&self, run: u32) -> String {
        let log = self.home.log();
        let last = log.lines().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        format!("seed {}, run {run}; mag said at last:\n{last}\n", self.seed)
    }

    fn configure(&self, run: u32, long: &str) -> anyhow::Result<()> {
        let mut config = format!(
            "[store]\npath = \"mag.db\"\n[route]\nmax_messages = 200\ntime_limit = \"100ms\"\nsenders = {SENDERS:?}\n\
             [[route.routes]]\nname = \"long\"\nmatch = ['kind=\"long\"']\nmax_messages = 1000000000\ntime_limit = \"{long}\"\n"
        );
        for (name, destination) in &self.destinations {
            config.push_str(&format!(
                "[senders.{name}]\nplugin = \"webhook\"\nconfig = {{ url = \"{}\" }}\ntimeout = \"{}s\"\n{}",
                destination.url(run),
                TIMEOUT.as_secs(),
                settings(name),
            ));
        }
        if self.tight {
            config.push_str("[limits]\ngroups = 12\nqueue = 8\n");
        }
        self.home.configure(&config)
    }

    /// One run of mag, ended at a random moment.
    fn cycle(&mut self, run: u32) -> anyhow::Result<()> {
        self.configure(run, "1h")?;
        let sent = match run % 10 {
            // Before it listens, perhaps in the middle of its recovery.
            9 => {
                let mag = self.home.spawn()?;
                thread::sleep(Duration::from_millis(self.chance.u64(0..40)));
                self.kill(mag)?;
                Sent::default()
            }
            5 => self.under_load(run, Self::stop)?,
            _ => self.under_load(run, Self::kill)?,
        };
        self.look(run, &sent)?;
        if run.is_multiple_of(10) { self.verify(run) } else { Ok(()) }
    }

    fn under_load(&mut self, run: u32, end: fn(&mut Self, Mag) -> anyhow::Result<()>) -> anyhow::Result<Sent> {
        let mag = self.home.start()?;
        let resender = std::mem::take(&mut self.resender);
        let clients = Clients::start(mag.address(), run, self.chance.u64(..), resender);
        // The moment of the kill is chance on purpose.
        thread::sleep(Duration::from_millis(self.chance.u64(0..1_200)));
        end(self, mag)?;
        let (sent, resender) = clients.end()?;
        self.resender = resender;
        Ok(sent)
    }

    fn kill(&mut self, mag: Mag) -> anyhow::Result<()> {
        self.kills += 1;
        mag.kill()
    }

    fn stop(&mut self, mag: Mag) -> anyhow::Result<()> {
        self.stops += 1;
        mag.stop()
    }

    fn look(&mut self, run: u32, sent: &Sent) -> anyhow::Result<()> {
        if self.home.size("mag.db") == 0 && self.home.size("mag.db-wal") == 0 {
            ensure!(self.oracle.acknowledged == 0, "mag.db is gone");
            return Ok(());
        }
        let heard: Vec<_> = self.destinations.iter().map(|(name, destination)| (*name, destination.heard())).collect();
        let heard: Vec<_> = heard.iter().map(|(name, heard)| (*name, &**heard)).collect();
        self.oracle.look(run, &Books::open(&self.home.path("mag.db"))?, sent, &heard)
    }

    /// Destinations behave: all that waits is told, and a fresh message flows from end to end.
    fn drain(&mut self, run: u32) -> anyhow::Result<()> {
        self.destinations.iter().for_each(|(_, destination)| destination.calms_down());
        self.configure(run, "100ms")?;
        let mag = self.home.start()?;
        let books = Books::open(&self.home.path("mag.db"))?;
        let left = || Ok((books.under_way()? == 0).then_some(()));
        wait_for("everything to be told", DRAIN_LIMIT, left)?;
        let mut sent = self.resender.finish(mag.address())?;
        clients::send_acknowledged(mag.address(), FRESH, &mut sent)?;
        wait_for("a fresh message to be told", FRESH_LIMIT, || {
            let mut senders = self.destinations.iter().filter(|(name, _)| SENDERS.contains(name));
            let told = senders.all(|(_, destination)| destination.heard().told_of(FRESH) == 1);
            Ok((told && books.under_way()? == 0).then_some(()))
        })?;
        drop(books);
        mag.stop()?;
        self.look(run, &sent)?;
        if !self.tight {
            self.oracle.must_be_exactly(&self.resender.counts());
        }
        self.check_budget()?;
        self.verify(run)
    }

    /// A budget holds across all the restarts.
    fn check_budget(&mut self) -> anyhow::Result<()> {
        let begun = Books::open(&self.home.path("mag.db"))?.attempts("calm")?;
        let first = begun.first().copied().unwrap_or_default();
        let begun = begun.iter().map(|at| Duration::from_millis(u64::try_from(at - first).unwrap_or_default()));
        // An attempt is written down a little before or after its token is taken.
        if let Some(millis) = pace::too_fast(&begun.collect::<Vec<_>>(), BUDGET.0, BUDGET.1 + 1) {
            self.oracle.wrong.push(format!("calm was told more often within {millis} ms than its budget allows"));
        }
        Ok(())
    }

    /// mag's own check of its file must find nothing either.
    fn verify(&mut self, run: u32) -> anyhow::Result<()> {
        let verified = self.home.runs(&["verify", "mag.db"])?;
        if !verified.status.success() {
            let said = String::from_utf8_lossy(&verified.stdout).into_owned();
            self.oracle.wrong.push(format!("after run {run}: mag verify says: {said}"));
        }
        Ok(())
    }

    fn report(self) -> Report {
        let mut report = Report {
            seed: self.seed,
            kills: self.kills,
            stops: self.stops,
            sent: self.oracle.sent,
            acknowledged: self.oracle.acknowledged,
            dead: self.oracle.dead(),
            lost: self.oracle.lost,
            twice: self.oracle.twice,
            with_ids: self.resender.counts().values().sum(),
            sent_again: self.resender.again,
            wrong: self.oracle.wrong,
            ..Report::default()
        };
        for (name, destination) in &self.destinations {
            let heard = destination.heard();
            let told = if *name == FALLBACK.1 { &mut report.escalated } else { &mut report.told };
            *told += heard.told();
            report.overflowed += heard.told_of(NO_ROOM.0) + heard.told_of(NO_ROOM.1);
            report.notifications += heard.notifications.len();
            report.resends += heard.resends;
            report.unclear += heard.unclear;
            report.wrong.extend(heard.wrong.iter().map(|wrong| format!("{name}: {wrong}")));
        }
        let most = u64::from(self.kills + self.stops) * IN_FLIGHT + report.unclear;
        if report.resends > most {
            report.wrong.push(format!("{} resends, at most {most} can be explained", report.resends));
        }
        report
    }
}

/// Texts of the groups that hold what found no room among the open ones, and in a queue.
const NO_ROOM: (&str, &str) =
    ("other messages in more groups than the limit of 12", "other messages in more waiting groups than the limit of 8");
const FRESH: &str = "a fresh message after all of it";

fn calm(_: &mut fastrand::Rng) -> Conduct {
    Conduct::Takes
}

fn rough(chance: &mut fastrand::Rng) -> Conduct {
    match chance.u32(0..100) {
        0..15 => Conduct::Refuses(500),
        15..23 => Conduct::Limits(Some("1")),
        23..26 => Conduct::Limits(None),
        26..33 => Conduct::Resets,
        33..38 => Conduct::BreaksOff,
        38..44 => Conduct::Refuses(422),
        _ => Conduct::Takes,
    }
}

fn slow(chance: &mut fastrand::Rng) -> Conduct {
    match chance.u32(0..100) {
        0..10 => Conduct::Hangs,
        10..20 => Conduct::Closes,
        20..25 => Conduct::BreaksOff,
        _ => Conduct::Takes,
    }
}
