//! From the queue to the sender: one task a sender, which freezes, calls the plugin, and commits what came of it.
//!
//! What it decides is pure and stands in [`retry`], [`budget`] and [`form`]; here is only the waiting. It never calls a
//! plugin before the store has the attempt, and never takes a second step before the store has the outcome of the first.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, as_millis, sleep_until};
use crate::config::Rate;
use crate::message::Notification;
use crate::sender::{Delivered, Failure, FailureKind, Prepared};
use crate::store::{Attempted, Delivery, Freeze, Outcome, Stopped, Store};

pub mod budget;
pub mod form;
pub mod retry;
#[cfg(test)]
mod tests;

use budget::Budget;
use retry::{Decision, Tries};

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
    /// Its budget.
    pub rate: Option<Rate>,
    /// Attempts that may follow each other at once.
    pub burst: u32,
    /// One attempt may take this long; the plugin is told, the plugin host enforces it.
    pub timeout: Duration,
}

/// What a former run left for this sender.
#[derive(Debug, Default)]
pub struct Resume {
    /// Deliveries that go on, oldest first.
    pub deliveries: Vec<Delivery>,
    /// How long ago attempts of the last minutes began, oldest first.
    pub spent: Vec<Duration>,
}

/// How long a call may go on after mag was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// After this many failures in a row of different deliveries only the oldest is tried.
const FAILING: usize = 3;

/// Runs one sender until `stop`, or until the store stops.
pub async fn run<P: Plugin>(
    plugin: P,
    settings: Settings,
    resume: Resume,
    store: Store,
    clock: Clock,
    stop: CancellationToken,
) {
    let now = clock.instant();
    let budget = Budget::new(settings.rate, settings.burst, &resume.spent, now);
    let wall = clock.now();
    let backoff = resume.deliveries.into_iter().map(|delivery| {
        // A wall clock that was set back must not make anybody wait longer than a destination may ask for.
        let wait = Duration::from_millis(delivery.next_attempt.map_or(0, |due| due.saturating_sub(wall)));
        Waiting { due: now + wait.min(retry::ASKED_MAX), delivery, tries: Tries::default(), since: now, begun: false }
    });
    let backoff = backoff.collect();
    let task = Task {
        plugin,
        settings,
        store,
        clock,
        stop,
        budget,
        backoff,
        prepared: None,
        said_ready: false,
        prepare_failures: 0,
        paused_until: None,
        failed_in_a_row: Vec::new(),
        last_failure: None,
    };
    task.run().await;
}

/// A delivery that failed and waits for its next attempt.
struct Waiting {
    due: Instant,
    delivery: Delivery,
    tries: Tries,
    since: Instant,
    /// Whether the store began its attempt already, as it does when it freezes.
    begun: bool,
}

/// What `prepare` gave, as long as it holds.
struct Ready {
    state: Vec<u8>,
    until: Option<Instant>,
}

struct Task<P> {
    plugin: P,
    settings: Settings,
    store: Store,
    clock: Clock,
    stop: CancellationToken,
    budget: Budget,
    /// In the order of freezing.
    backoff: Vec<Waiting>,
    prepared: Option<Ready>,
    /// Whether a person was told that it is ready, since it last was not.
    said_ready: bool,
    prepare_failures: u32,
    paused_until: Option<Instant>,
    /// Ids of deliveries that failed since the last success, at most [`FAILING`].
    failed_in_a_row: Vec<String>,
    /// Code and text of the last failure that was logged: the same one is said once.
    last_failure: Option<(String, String)>,
}

/// What a sender's task does next.
enum Next {
    Attempt(Box<Waiting>),
    Again,
    Stop,
}

impl<P: Plugin> Task<P> {
    async fn run(mut self) {
        loop {
            let next = match self.next().await {
                Ok(next) => next,
                Err(Stopped) => return,
            };
            let stopped = match next {
                Next::Stop => return,
                Next::Again => continue,
                Next::Attempt(waiting) => self.attempt(*waiting).await,
            };
            if stopped.is_err() {
                return;
            }
        }
    }

    async fn next(&mut self) -> Result<Next, Stopped> {
        if self.stop.is_cancelled() {
            return Ok(Next::Stop);
        }
        if !self.is_prepared() {
            return Ok(self.prepare().await);
        }
        let now = self.clock.instant();
        let allowed = self.budget.ready_at(now).max(self.paused_until.unwrap_or(now));
        if allowed > now {
            return Ok(self.sleep_until(allowed).await);
        }
        let failing = self.failed_in_a_row.len() >= FAILING;
        let due = if failing { self.backoff.first().map(|w| (0, w.due)) } else { self.first_due() };
        match due {
            Some((at, due)) if due <= now => return Ok(Next::Attempt(Box::new(self.backoff.remove(at)))),
            Some((_, due)) if failing => return Ok(self.sleep_until(due).await),
            _ => {}
        }
        self.wait_for_work(due.map(|(_, due)| due)).await
    }

    fn is_prepared(&self) -> bool {
        let now = self.clock.instant();
        self.prepared.as_ref().is_some_and(|ready| ready.until.is_none_or(|until| now < until))
    }

    fn first_due(&self) -> Option<(usize, Instant)> {
        self.backoff.iter().enumerate().map(|(at, waiting)| (at, waiting.due)).min_by_key(|(_, due)| *due)
    }

    async fn sleep_until(&self, at: Instant) -> Next {
        tokio::select! {
            () = tokio::time::sleep_until(at) => Next::Again,
            () = self.stop.cancelled() => Next::Stop,
        }
    }

    async fn prepare(&mut self) -> Next {
        let prepared = tokio::select! {
            prepared = self.plugin.prepare() => prepared,
            () = self.stop.cancelled() => return Next::Stop,
        };
        let sender = self.settings.name.as_str();
        match prepared {
            Ok(prepared) => {
                if !self.said_ready {
                    self.said_ready = true;
                    tracing::info!("sender {sender}: ready ({}{})", self.settings.plugin, self.rate_words());
                }
                // What is valid for no time would be renewed without a pause.
                let until = prepared.valid_for.map(|valid| self.clock.instant() + valid.max(retry::BACKOFF_MIN));
                self.prepared = Some(Ready { state: prepared.state, until });
                self.prepare_failures = 0;
                Next::Again
            }
            Err(failure) => {
                self.prepared = None;
                self.said_ready = false;
                self.prepare_failures = self.prepare_failures.saturating_add(1);
                self.say(&failure, "not ready, its queue waits");
                let wait = retry::backoff(self.prepare_failures, fastrand::f64());
                let wait = failure.after.map_or(wait, |asked| asked.max(wait).min(retry::ASKED_MAX));
                self.sleep_until(self.clock.instant() + wait).await
            }
        }
    }

    fn rate_words(&self) -> String {
        let Some(rate) = self.settings.rate else { return String::new() };
        let per = match rate.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        format!(", {}/{per}", rate.count)
    }

    /// Waits for the store to freeze something, or for a delivery in backoff to become due.
    async fn wait_for_work(&mut self, due: Option<Instant>) -> Result<Next, Stopped> {
        let freeze = Freeze {
            sender: self.settings.name.clone(),
            max_groups: self.settings.max_groups,
            split: self.settings.split,
        };
        let mut frozen = self.store.arm(freeze).await?;
        let until = self.prepared.as_ref().and_then(|ready| ready.until);
        let wake = [due, until].into_iter().flatten().min();
        tokio::select! {
            biased;
            delivery = &mut frozen => return Ok(Next::Attempt(self.fresh(delivery.map_err(|_closed| Stopped)?))),
            () = sleep_until(wake) => {}
            () = self.stop.cancelled() => {}
        }
        self.store.disarm(self.settings.name.clone()).await?;
        Ok(match late(frozen) {
            Some(delivery) => Next::Attempt(self.fresh(delivery)),
            None => Next::Again,
        })
    }

    fn fresh(&self, delivery: Delivery) -> Box<Waiting> {
        let now = self.clock.instant();
        Box::new(Waiting { due: now, delivery, tries: Tries::default(), since: now, begun: true })
    }

    async fn attempt(&mut self, mut waiting: Waiting) -> Result<(), Stopped> {
        self.budget.take(self.clock.instant());
        if !waiting.begun {
            waiting.delivery.attempt += 1;
            waiting.delivery.next_attempt = None;
            self.store.begin(waiting.delivery.clone()).await?;
        }
        waiting.begun = false;
        let notification = form::notification(&waiting.delivery, self.settings.timeout);
        let state = self.prepared.as_ref().map(|ready| ready.state.clone()).unwrap_or_default();
        let result = tokio::select! {
            result = self.plugin.send(&state, &notification) => result,
            () = grace(&self.stop) => {
                tracing::warn!(sender = self.settings.name, id = notification.id, "a call was cut off by the stop; the next start tries it again");
                return Err(Stopped);
            }
        };
        match result {
            Ok(delivered) => self.delivered(&waiting.delivery, delivered).await,
            Err(failure) => self.failed(waiting, failure).await,
        }
    }

    async fn delivered(&mut self, delivery: &Delivery, delivered: Delivered) -> Result<(), Stopped> {
        if self.last_failure.take().is_some() {
            tracing::info!("sender {}: works again", self.settings.name);
        }
        self.failed_in_a_row.clear();
        self.finish(delivery, Outcome::Delivered { receipt: delivered.receipt }).await
    }

    async fn failed(&mut self, mut waiting: Waiting, failure: Failure) -> Result<(), Stopped> {
        let now = self.clock.instant();
        if failure.kind == FailureKind::RateLimited {
            waiting.tries.limited = waiting.tries.limited.saturating_add(1);
        } else {
            waiting.tries.failures = waiting.tries.failures.saturating_add(1);
            waiting.tries.faults += u32::from(failure.fault.is_some());
        }
        // A destination that refuses one notification works, and one that asks for a pause works too.
        if matches!(failure.kind, FailureKind::Retry | FailureKind::Misconfigured) {
            self.remember_failure(&waiting.delivery.id);
        }
        if failure.kind == FailureKind::Misconfigured {
            self.prepared = None;
        }
        waiting.tries.trying = now.saturating_duration_since(waiting.since);
        let wait = match retry::decide(&failure, waiting.tries, fastrand::f64()) {
            Decision::Retry(wait) => wait,
            Decision::Pause(wait) => {
                self.paused_until = Some(now + wait);
                // A pause counts towards nobody's giving up.
                for paused in self.backoff.iter_mut().chain([&mut waiting]) {
                    paused.since += wait;
                }
                wait
            }
            Decision::GiveUp => return self.give_up(&waiting.delivery, &failure).await,
        };
        self.say(&failure, "will try again");
        let next_attempt = self.clock.now().saturating_add(as_millis(wait));
        if failure.progress.is_some() {
            waiting.delivery.progress.clone_from(&failure.progress);
        }
        let outcome =
            Outcome::Backoff { next_attempt, code: failure.code, error: failure.message, progress: failure.progress };
        self.finish(&waiting.delivery, outcome).await?;
        waiting.due = now + wait;
        waiting.delivery.next_attempt = Some(next_attempt);
        let at = self.backoff.partition_point(|other| other.delivery.id < waiting.delivery.id);
        self.backoff.insert(at, waiting);
        Ok(())
    }

    async fn give_up(&mut self, delivery: &Delivery, failure: &Failure) -> Result<(), Stopped> {
        tracing::error!(
            sender = self.settings.name,
            id = delivery.id,
            attempts = delivery.attempt,
            code = failure.code,
            "given up, the notification is in the dead letters: {}",
            failure.message
        );
        self.finish(delivery, Outcome::Dead { code: failure.code.clone(), error: failure.message.clone() }).await
    }

    async fn finish(&self, delivery: &Delivery, outcome: Outcome) -> Result<(), Stopped> {
        let attempted = Attempted {
            id: delivery.id.clone(),
            attempt: delivery.attempt,
            sender: self.settings.name.clone(),
            outcome,
        };
        self.store.finish(attempted).await
    }

    fn remember_failure(&mut self, id: &str) {
        if self.failed_in_a_row.len() < FAILING && !self.failed_in_a_row.iter().any(|failed| failed == id) {
            self.failed_in_a_row.push(id.to_owned());
            if self.failed_in_a_row.len() == FAILING {
                tracing::warn!("sender {}: failing, only its oldest notification is tried", self.settings.name);
            }
        }
    }

    /// Says a failure, unless it is the one that was said last.
    fn say(&mut self, failure: &Failure, what: &str) {
        let this = (failure.code.clone(), failure.message.clone());
        if self.last_failure.as_ref() != Some(&this) {
            // The message names the sender and its plugin.
            tracing::warn!(kind = failure.kind.as_str(), code = failure.code, "{}; {what}", failure.message);
            self.last_failure = Some(this);
        }
    }
}

/// What the store froze before it heard that nobody waits any more.
fn late(mut frozen: oneshot::Receiver<Delivery>) -> Option<Delivery> {
    frozen.try_recv().ok()
}

/// Returns when a call has gone on long enough after the stop.
async fn grace(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}
