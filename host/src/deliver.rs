//! From the queue to the sender: one task a sender, which freezes, calls the plugin, and commits what came of it.
//!
//! What it decides is pure and stands in [`retry`], [`budget`], [`trouble`] and [`form`]; the rest is waiting. It never
//! calls a plugin before the store has the attempt, and never takes a second step for a delivery before the store has
//! the outcome of the first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Rate;
use crate::message::{Millis, Notification};
use crate::sender::{Delivered, Failure, Prepared};
use crate::store::{Delivery, Freeze, Store};

pub mod budget;
pub mod form;
pub mod health;
mod outcome;
pub mod retry;
mod stranded;
mod task;
#[cfg(test)]
mod tests;
pub mod trouble;

pub use health::Health;
pub use stranded::stranded;

use budget::Budget;
use trouble::Trouble;

/// What a sender's task needs of its plugin.
pub trait Plugin: Send + Sync + 'static {
    /// Signs in and looks names up.
    fn prepare(&self) -> impl Future<Output = Result<Prepared, Failure>> + Send;
    /// Tells a notification.
    fn send(&self, state: &[u8], n: &Notification) -> impl Future<Output = Result<Delivered, Failure>> + Send;
}

/// What does not change while a sender's task runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sender's name.
    pub name: String,
    /// Plugin and version, for the line that says it is ready.
    pub plugin: String,
    /// Groups told in full by one notification.
    pub max_groups: u32,
    /// Whether more groups go into further notifications.
    pub split: bool,
    /// Set when each group has a message of its own that is kept up to date: for so long, then a new one is posted.
    pub living: Option<Duration>,
    /// Its budget.
    pub rate: Option<Rate>,
    /// Attempts that may follow each other at once.
    pub burst: u32,
    /// Attempts that may be under way together, of different deliveries.
    pub concurrency: usize,
    /// One attempt may take this long; the plugin is told, the plugin host enforces it.
    pub timeout: Duration,
    /// How long a delivery is tried while mag runs.
    pub give_up_after: Duration,
    /// Who tells what this sender cannot.
    pub fallback: Option<Fallback>,
}

/// Who tells what another sender cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Its name.
    pub sender: String,
    /// After the other one delivered nothing for so long, though it had something to tell.
    pub after: Duration,
}

/// What a former run left for this sender.
#[derive(Debug, Default)]
pub struct Resume {
    /// Deliveries that go on, oldest first.
    pub deliveries: Vec<Delivery>,
    /// How long ago attempts of the last minutes began, oldest first.
    pub spent: Vec<Duration>,
    /// Until when its destination wants to be left alone, in wall-clock time.
    pub paused_until: Option<Millis>,
    /// When something was last delivered, in wall-clock time.
    pub last_delivered: Option<Millis>,
}

/// What a sender's task is given by those who start it.
#[derive(Debug)]
pub struct Surroundings {
    /// Where deliveries come from and outcomes go.
    pub store: Store,
    /// What time it is.
    pub clock: Clock,
    /// Cancelled when nothing new may begin.
    pub stop: CancellationToken,
    /// Cancelled when mag stops: calls under way then have little time left. Else they may end in their own.
    pub ending: CancellationToken,
    /// Cancelled by the task when it begins nothing any more, and only ends what is under way.
    pub settled: CancellationToken,
    /// Where others see how it goes.
    pub health: watch::Sender<Health>,
    /// Told when a person thinks that the destination works again: it is tried at once.
    pub look: Arc<Notify>,
}

/// How long a call may go on after mag was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Runs one sender until it is told to stop, or until the store stops. It may have signed in already, at that time.
pub async fn run<P: Plugin>(
    plugin: P,
    signed_in: Option<(Prepared, Instant)>,
    settings: Settings,
    resume: Resume,
    surroundings: Surroundings,
) {
    let Surroundings { store, clock, stop, ending, settled, health, look } = surroundings;
    let (now, wall) = (clock.instant(), clock.now());
    // A wall clock that was set back must not make anybody wait longer than a destination may ask for.
    let from_now = |due: Millis| now + Duration::from_millis(due.saturating_sub(wall)).min(retry::ASKED_MAX);
    let waiting = |delivery: Delivery| Waiting {
        due: delivery.next_attempt.map_or(now, from_now),
        tried_before: delivery.tries.trying,
        since: now,
        begun: false,
        delivery,
    };
    let mut backoff: Vec<Waiting> = resume.deliveries.into_iter().map(waiting).collect();
    backoff.sort_by(|a, b| a.delivery.id.cmp(&b.delivery.id));
    health.send_modify(|health| health.plugin.clone_from(&settings.plugin));
    let trouble = trouble_before(&backoff, resume.last_delivered, wall, now);
    let mut task = Task {
        plugin: Arc::new(plugin),
        budget: Budget::new(settings.rate, settings.burst, &resume.spent, now),
        settings,
        store,
        clock,
        stop,
        ending,
        settled,
        health,
        backoff,
        calls: JoinSet::new(),
        prepared: None,
        said_ready: false,
        prepare_failures: 0,
        prepare_at: None,
        paused_until: resume.paused_until.map(from_now),
        trouble,
        look,
    };
    if let Some((prepared, at)) = signed_in {
        task.take(prepared, at);
    }
    task.run().await;
}

/// A delivery that is tried, or waits for its next attempt.
struct Waiting {
    due: Instant,
    delivery: Delivery,
    /// How long it was tried in former runs.
    tried_before: Duration,
    /// Since when it is tried in this one; pauses that count towards nothing move it.
    since: Instant,
    /// Whether the store began its attempt already, as it does when it freezes.
    begun: bool,
}

/// What `prepare` gave, as long as it holds.
struct Ready {
    state: Vec<u8>,
    until: Option<Instant>,
}

/// A call of the plugin that ended.
type Ended = (Waiting, Result<Delivered, Failure>);

struct Task<P> {
    plugin: Arc<P>,
    settings: Settings,
    store: Store,
    clock: Clock,
    stop: CancellationToken,
    ending: CancellationToken,
    settled: CancellationToken,
    health: watch::Sender<Health>,
    budget: Budget,
    /// In the order of freezing.
    backoff: Vec<Waiting>,
    /// Attempts under way.
    calls: JoinSet<Ended>,
    prepared: Option<Ready>,
    /// Whether a person was told that it is ready, since it last was not.
    said_ready: bool,
    prepare_failures: u32,
    /// Not before then.
    prepare_at: Option<Instant>,
    /// No attempt before then.
    paused_until: Option<Instant>,
    trouble: Trouble,
    look: Arc<Notify>,
}

/// Since when nothing was delivered though it was tried, in the former runs: a restart does not make the fallback wait
/// anew.
fn trouble_before(backoff: &[Waiting], last_delivered: Option<Millis>, wall: Millis, now: Instant) -> Trouble {
    let tried = backoff.iter().map(|waiting| waiting.tried_before).max().unwrap_or_default();
    let since_delivered = last_delivered.map(|last| Duration::from_millis(wall.saturating_sub(last)));
    let trying = since_delivered.map_or(tried, |since| since.min(tried));
    if trying.is_zero() { Trouble::default() } else { Trouble::since(now.checked_sub(trying).unwrap_or(now)) }
}

impl Settings {
    fn freeze(&self) -> Freeze {
        Freeze { sender: self.name.clone(), max_groups: self.max_groups, split: self.split, living: self.living }
    }
}
