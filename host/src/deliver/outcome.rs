//! What the answers of a plugin mean for its sender: what is committed, when it is tried again, what a person is told.

use std::time::Duration;

use tokio::time::Instant;

use super::health::State;
use super::retry::{self, Decision};
use super::trouble::Said;
use super::{Ended, Plugin, Task, Waiting};
use crate::clock::as_millis;
use crate::message::Reason;
use crate::sender::{Delivered, Failure, FailureKind};
use crate::store::{Attempted, Delivery, Outcome, Stopped};

/// Whether a person waits for the outcome: it is tried once, they ask again.
fn is_test(delivery: &Delivery) -> bool {
    delivery.reason == Some(Reason::Test)
}

impl<P: Plugin> Task<P> {
    /// Takes in the end of an attempt; returns when it is committed.
    pub(super) async fn ended(&mut self, (waiting, result): Ended) -> Result<(), Stopped> {
        match result {
            Ok(delivered) => self.delivered(&waiting.delivery, delivered).await,
            Err(failure) => self.failed(waiting, failure).await,
        }
    }

    async fn delivered(&mut self, delivery: &Delivery, delivered: Delivered) -> Result<(), Stopped> {
        if self.trouble.end() {
            tracing::info!("sender {}: works again", self.settings.name);
        }
        let Delivered { receipt, updated_in_place } = delivered;
        // Only a message that was named can have been changed.
        let updated_in_place = updated_in_place && delivery.previous.is_some();
        self.finish(delivery, Outcome::Delivered { receipt, updated_in_place }).await?;
        let now = self.clock.now();
        self.health.send_modify(|health| {
            health.counts.delivered += 1;
            health.last_delivered = Some(now);
        });
        Ok(())
    }

    async fn failed(&mut self, mut waiting: Waiting, failure: Failure) -> Result<(), Stopped> {
        let now = self.clock.instant();
        self.count(&failure, &mut waiting, now);
        let wait = match retry::decide(&failure, waiting.delivery.tries, self.settings.give_up_after, fastrand::f64()) {
            Decision::Retry(wait) => wait,
            Decision::Pause(wait) => {
                self.pause(&mut waiting, wait, now);
                wait
            }
            Decision::GiveUp if is_test(&waiting.delivery) => Duration::ZERO,
            Decision::GiveUp => return self.give_up(&waiting.delivery, &failure).await,
        };
        let misconfigured = failure.kind == FailureKind::Misconfigured;
        if misconfigured {
            // Whatever signing in found out is in doubt; it is asked again first.
            self.prepared = None;
            self.prepare_at = Some(now + wait);
            self.say(&failure, "misconfigured, its queue waits until a person changes something");
        } else if is_test(&waiting.delivery) {
            self.say(&failure, "the test is not repeated");
        } else {
            self.say(&failure, "will try again");
        }
        if is_test(&waiting.delivery) {
            let Failure { code, message: error, .. } = failure;
            return self.finish(&waiting.delivery, Outcome::Dead { code, error }).await;
        }
        if failure.progress.is_some() {
            waiting.delivery.progress.clone_from(&failure.progress);
        }
        // A start after a person changed something tries at once.
        let due = if misconfigured { Duration::ZERO } else { wait };
        let next_attempt = self.clock.now().saturating_add(as_millis(due));
        let Failure { kind, code, message: error, progress, .. } = failure;
        let pause = kind == FailureKind::RateLimited;
        self.finish(&waiting.delivery, Outcome::Backoff { next_attempt, pause, code, error, progress }).await?;
        waiting.due = now + wait;
        waiting.delivery.next_attempt = Some(next_attempt);
        let at = self.backoff.partition_point(|other| other.delivery.id < waiting.delivery.id);
        self.backoff.insert(at, waiting);
        Ok(())
    }

    /// Counts a failure towards giving up, and towards holding the whole sender back.
    fn count(&mut self, failure: &Failure, waiting: &mut Waiting, now: Instant) {
        let tries = &mut waiting.delivery.tries;
        if failure.kind == FailureKind::RateLimited {
            tries.limited = tries.limited.saturating_add(1);
        } else {
            tries.failures = tries.failures.saturating_add(1);
            tries.faults = tries.faults.saturating_add(u32::from(failure.fault.is_some()));
        }
        tries.trying = waiting.tried_before + now.saturating_duration_since(waiting.since);
        tries.unclear |= failure.maybe_delivered;
        if self.trouble.failed(&waiting.delivery.id, failure, now) {
            tracing::warn!("sender {}: failing, one notification is tried at a time", self.settings.name);
        }
        let at = self.clock.now();
        self.health.send_modify(|health| health.failed(failure, at));
    }

    /// Nothing is asked of the destination for that time, and it counts towards nobody's giving up.
    fn pause(&mut self, waiting: &mut Waiting, wait: Duration, now: Instant) {
        self.paused_until = Some(self.paused_until.map_or(now + wait, |until| until.max(now + wait)));
        for paused in self.backoff.iter_mut().chain([waiting]) {
            paused.since += wait;
        }
    }

    async fn give_up(&mut self, delivery: &Delivery, failure: &Failure) -> Result<(), Stopped> {
        self.finish(delivery, Outcome::Dead { code: failure.code.clone(), error: failure.message.clone() }).await?;
        // Only now is it true.
        tracing::error!(
            sender = self.settings.name,
            id = delivery.id,
            attempts = delivery.attempt,
            code = failure.code,
            "given up, the notification is in the dead letters: {}",
            failure.message
        );
        self.health.send_modify(|health| health.counts.dead += 1);
        Ok(())
    }

    async fn finish(&self, delivery: &Delivery, outcome: Outcome) -> Result<(), Stopped> {
        let attempted = Attempted {
            id: delivery.id.clone(),
            attempt: delivery.attempt,
            sender: self.settings.name.clone(),
            outcome,
            tries: delivery.tries,
            fallback: self.settings.fallback.as_ref().map(|fallback| fallback.sender.clone()),
        };
        self.store.finish(attempted).await
    }

    /// Signing in worked.
    pub(super) fn ready(&mut self) {
        if !self.said_ready {
            self.said_ready = true;
            tracing::info!("sender {}: ready ({}{})", self.settings.name, self.settings.plugin, self.rate_words());
        }
        self.prepare_failures = 0;
        self.prepare_at = None;
        if self.backoff.is_empty() && self.calls.is_empty() {
            // No delivery failed since: it was signing in alone that did.
            self.trouble.end();
        }
    }

    fn rate_words(&self) -> String {
        self.settings.rate.map_or_else(String::new, |rate| format!(", {rate}"))
    }

    /// Signing in did not work.
    pub(super) fn not_ready(&mut self, failure: &Failure) {
        let now = self.clock.instant();
        self.prepared = None;
        self.said_ready = false;
        self.prepare_failures = self.prepare_failures.saturating_add(1);
        self.trouble.not_ready(failure, now);
        self.say(failure, "not ready, its queue waits");
        let at = self.clock.now();
        self.health.send_modify(|health| health.failed(failure, at));
        let wait = retry::backoff(self.prepare_failures, fastrand::f64());
        let wait = failure.after.map_or(wait, |asked| asked.max(wait).min(retry::ASKED_MAX));
        self.prepare_at = Some(now + wait);
    }

    /// Says a failure, unless it is the one that was said last.
    fn say(&mut self, failure: &Failure, what: &str) {
        let said = self.trouble.say(failure);
        // The message names the sender and its plugin.
        match said {
            Said::Again => {}
            Said::New if failure.kind == FailureKind::Misconfigured => {
                tracing::error!(kind = failure.kind.as_str(), code = failure.code, "{}; {what}", failure.message);
            }
            Said::New => {
                tracing::warn!(kind = failure.kind.as_str(), code = failure.code, "{}; {what}", failure.message);
            }
        }
    }

    /// Shows others how it goes.
    pub(super) fn show(&self) {
        let now = self.clock.instant();
        let state = match () {
            () if self.trouble.is_misconfigured() => State::Misconfigured,
            () if self.paused_until.is_some_and(|until| until > now) => State::Paused,
            () if self.trouble.is_failing() => State::Failing,
            () if self.prepared.is_none() && self.prepare_failures > 0 => State::NotReady,
            () if self.prepared.is_none() => State::Starting,
            () => State::Ready,
        };
        self.show_as(state);
    }

    /// Shows a state, and when it will be looked at again.
    pub(super) fn show_as(&self, state: State) {
        let (now, wall) = (self.clock.instant(), self.clock.now());
        let pause = self.paused_until.max(self.prepare_at).filter(|until| *until > now);
        let next = pause.or_else(|| self.backoff.iter().map(|waiting| waiting.due).min());
        let next = next.map(|at| wall.saturating_add(as_millis(at.saturating_duration_since(now))));
        let (under_way, backing_off) = (self.calls.len(), self.backoff.len());
        self.health.send_if_modified(|health| {
            let changed = health.state != state || health.under_way != under_way || health.backing_off != backing_off;
            if health.state != state {
                health.since = wall;
            }
            health.state = state;
            (health.under_way, health.backing_off, health.next_attempt) = (under_way, backing_off, next);
            changed
        });
    }
}
