//! The one owner of all windows: a loop over [`Event`] that counts, closes, and tells the store.
//!
//! It knows no connection, no sender and no SQL. The core ([`Core`]) is synchronous and is told the time; the loop around
//! it waits. **Aggregate first, then journal:** a transaction holds the windows that changed, never the messages.

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::clock::{Clock, Episode, sleep_until};
use crate::limits;
use crate::message::{Ack, Batch, RouteIndex};
use crate::route::Routes;
use crate::store::{Changes, Committed, Routing, Stopped, Store, Trouble};
use crate::telemetry::metrics::Metrics;

mod core;
#[cfg(test)]
mod tests;

pub use self::core::{Bounds, Core, Noticed, Rerouted, Restored};

/// Other routes, for windows that are open.
#[derive(Debug)]
pub struct Reroute {
    /// Where messages go from now on.
    pub routes: Routes,
    /// Who is told by which of them.
    pub routing: Routing,
    /// All senders.
    pub senders: Vec<String>,
    /// How much is held from now on.
    pub bounds: Bounds,
    /// Answered when it is on disk, or with what keeps everything as it was.
    pub done: oneshot::Sender<Result<Rerouted, Trouble>>,
}

/// Everything that can wake the engine.
enum Event {
    /// Messages came in; `None` when nobody is left who could send any.
    Batch(Option<Batch>),
    /// The config has other routes or senders now.
    Reroute(Reroute),
    /// A route's clock rings.
    Rings(RouteIndex),
    /// Alerts are over that nobody posted again.
    AlertsEnd,
    /// It is time to write what changed.
    Write,
    /// The store found room, or found none any more.
    Room,
    /// The commit that was under way is on disk, or the store stopped.
    Written(Result<Committed, Stopped>),
}

/// With nobody waiting, a commit starts this long after the first change…
const COMMIT_DELAY: Duration = Duration::from_millis(20);
/// …or this many times the last commit's duration after it, so that committing takes a tenth of the time…
const COMMIT_REST: u32 = 9;
/// …but never later than this.
const COMMIT_DELAY_MAX: Duration = Duration::from_secs(1);

/// A commit that takes longer than this, several times what the largest ones take, waits for something.
const COMMIT_STALL: Duration = Duration::from_secs(2);

/// When the next commit starts.
struct Pace {
    first_change: Option<Instant>,
    last_took: Duration,
    last_end: Option<Instant>,
}

impl Pace {
    fn new() -> Self {
        Self { first_change: None, last_took: Duration::ZERO, last_end: None }
    }

    fn changed(&mut self, now: Instant) {
        self.first_change.get_or_insert(now);
    }

    fn due(&self, urgent: bool) -> Option<Instant> {
        let first = self.first_change?;
        if urgent {
            return Some(first);
        }
        let rested = self.last_end.map(|end| end + self.last_took.saturating_mul(COMMIT_REST));
        let due = rested.map_or(first + COMMIT_DELAY, |rested| rested.max(first + COMMIT_DELAY));
        Some(due.min(first + COMMIT_DELAY_MAX))
    }

    fn written(&mut self, took: Duration, now: Instant) {
        self.last_took = took;
        self.last_end = Some(now);
    }
}

/// Says when groups begin to overflow, and counts what is worth counting.
struct Watch {
    metrics: Metrics,
    overflow: Episode,
    saturated: Episode,
    alerts: Episode,
}

impl Watch {
    fn look(&mut self, core: &mut Core, now: Instant) {
        let noticed = core.take_noticed();
        if noticed == Noticed::default() {
            return;
        }
        if noticed.saturated > 0 && self.saturated.begins(now) {
            tracing::error!(
                most = limits::ROUTE_MESSAGES,
                "a route has counted as many messages as can be counted, what comes to it counts once, whatever `count` says"
            );
        }
        self.metrics.known_ids.inc_by(noticed.known);
        self.metrics.refused_ids.inc_by(noticed.refused);
        self.metrics.overflowed.inc_by(noticed.overflowed);
        self.metrics.refreshed_alerts.inc_by(noticed.refreshed);
        self.metrics.past_alerts.inc_by(noticed.past_alerts);
        if noticed.past_alerts > 0 && self.alerts.begins(now) {
            tracing::warn!(
                "too many alerts fire, further ones count each time they are posted, and nobody hears when they are over: \
                 see [limits] alerts"
            );
        }
        if noticed.overflowed > 0 && self.overflow.begins(now) {
            tracing::warn!(
                limit = core.groups_limit(),
                "too many open groups, messages that would open another one are counted together: see [limits] groups and groups_per_source"
            );
        }
    }
}

/// Runs until nobody is left who could send a batch and everything that was sent is on disk, or until the store stops.
///
/// Windows stay open in the store; only routes with `flush_on_stop` close theirs.
///
/// # Errors
///
/// The store stopped: nothing that was not confirmed may be taken for written.
pub async fn run(
    mut core: Core,
    store: Store,
    mut batches: mpsc::Receiver<Batch>,
    mut reroutes: mpsc::Receiver<Reroute>,
    clock: Clock,
) -> Result<(), Stopped> {
    let mut watch = Watch {
        metrics: store.metrics().clone(),
        overflow: Episode::default(),
        saturated: Episode::default(),
        alerts: Episode::default(),
    };
    let mut pace = Pace::new();
    let mut trouble = store.watch_trouble();
    let mut writing: Option<Writing> = None;
    let mut stopping = false;
    // New routes wait until the store knows all that the old ones counted; nothing is taken in meanwhile.
    let mut rerouting: Option<Reroute> = None;
    loop {
        confirm_known(&mut core, &mut writing);
        if core.has_changes() {
            pace.changed(clock.instant());
        }
        if stopping && writing.is_none() && !core.has_changes() {
            return Ok(());
        }
        let full = trouble.borrow_and_update().is_some_and(Trouble::is_full);
        if let Some(reroute) = rerouting.take_if(|_| full || (writing.is_none() && !core.has_changes())) {
            answer_reroute(&mut core, &store, reroute, full, &clock).await?;
            continue;
        }
        let hurry = stopping || rerouting.is_some() || core.is_urgent();
        let due = if writing.is_some() { None } else { pace.due(hurry) };
        let takes_in = !stopping
            && rerouting.is_none()
            && !full
            && !core.is_full()
            && !writing.as_ref().is_some_and(Writing::is_stalled);
        let batches = takes_in.then_some(&mut batches);
        let waking = Waking {
            trouble: &mut trouble,
            reroutes: (!stopping && rerouting.is_none()).then_some(&mut reroutes),
            due,
            stopping,
        };
        match next_event(&core, batches, &mut writing, waking).await {
            Event::Room => {}
            Event::Reroute(reroute) => rerouting = Some(reroute),
            Event::Batch(Some(batch)) => {
                core.count(batch, clock.now(), clock.instant());
            }
            Event::Rings(route) => core.ring(route, clock.now()),
            Event::AlertsEnd => core.end_alerts(clock.now(), clock.instant()),
            Event::Write => {
                pace.first_change = None;
                let sweep = if full { limits::FULL_SWEEP_WINDOWS } else { limits::SWEEP_WINDOWS };
                writing = Some(Writing::begin(core.changes(sweep), store.clone(), clock.instant()));
            }
            Event::Written(result) => {
                pace.written(core.written(result?), clock.instant());
                let Some(written) = writing.take() else { continue };
                if written.is_stalled() {
                    core.took_nothing_in(written.since.elapsed());
                }
                for ack in written.acks {
                    ack.confirm();
                }
            }
            Event::Batch(None) => {
                stopping = true;
                core.flush_on_stop(clock.now());
            }
        }
        watch.look(&mut core, clock.instant());
    }
}

/// A commit under way, and who waits for it.
struct Writing {
    commit: std::pin::Pin<Box<dyn Future<Output = Result<Committed, Stopped>> + Send>>,
    acks: Vec<Ack>,
    since: Instant,
}

impl Writing {
    fn begin((changes, acks): (Changes, Vec<Ack>), store: Store, since: Instant) -> Self {
        Self { commit: Box::pin(async move { store.change(changes).await }), acks, since }
    }

    /// Whether it takes so long that clients are held back: the disk is full, or busy. What a crash could take from
    /// those that want no ack, and the memory that they cost, stays small that way.
    fn is_stalled(&self) -> bool {
        self.since.elapsed() >= COMMIT_STALL
    }
}

/// Whoever posted only alerts that the store knows needs no commit of their own: what they wait for is on disk, or is with
/// the commit that is under way.
fn confirm_known(core: &mut Core, writing: &mut Option<Writing>) {
    let acks = core.take_acks_of_known();
    match writing {
        Some(writing) => writing.acks.extend(acks),
        None => acks.into_iter().for_each(Ack::confirm),
    }
}

/// Takes other routes, once the store has: in this order, because it knows who is told of what closes.
async fn answer_reroute(
    core: &mut Core,
    store: &Store,
    reroute: Reroute,
    full: bool,
    clock: &Clock,
) -> Result<(), Stopped> {
    let Reroute { routes, routing, senders, bounds, done } = reroute;
    let answer = if full {
        Err(store.trouble().unwrap_or(Trouble::Full))
    } else {
        let accepted = store.refit(routing, senders, bounds.queue).await?;
        core.rebound(&bounds);
        Ok(core.reroute(routes, &accepted, clock.now(), clock.instant()))
    };
    if done.send(answer).is_err() {
        tracing::debug!("nobody waits any more for the new routes");
    }
    Ok(())
}

/// What wakes the engine beside batches and commits.
struct Waking<'w> {
    trouble: &'w mut watch::Receiver<Option<Trouble>>,
    reroutes: Option<&'w mut mpsc::Receiver<Reroute>>,
    due: Option<Instant>,
    stopping: bool,
}

/// The next of a channel that may be closed or left alone.
async fn next_of<T>(channel: Option<&mut mpsc::Receiver<T>>) -> T {
    let next = match channel {
        Some(channel) => channel.recv().await,
        None => None,
    };
    match next {
        Some(next) => next,
        None => pending().await,
    }
}

/// What comes next; of `batches` only when more may be taken in.
async fn next_event(
    core: &Core,
    batches: Option<&mut mpsc::Receiver<Batch>>,
    writing: &mut Option<Writing>,
    waking: Waking<'_>,
) -> Event {
    let Waking { trouble, reroutes, due, stopping } = waking;
    let rings = core.next_ring();
    let takes_in = batches.is_some();
    tokio::select! {
        biased;
        written = async { match writing { Some(writing) => writing.commit.as_mut().await, None => pending().await } } => {
            Event::Written(written)
        }
        // Whatever ends the store shows at the next commit.
        () = async { if trouble.changed().await.is_err() { pending().await } } => Event::Room,
        () = sleep_until(due) => Event::Write,
        () = sleep_until(rings.map(|(at, _)| at)), if !stopping => {
            rings.map_or(Event::Write, |(_, route)| Event::Rings(route))
        }
        () = sleep_until(core.next_end()), if takes_in => Event::AlertsEnd,
        reroute = next_of(reroutes) => Event::Reroute(reroute),
        batch = async { match batches { Some(batches) => batches.recv().await, None => pending().await } } => {
            Event::Batch(batch)
        }
    }
}
