//! A sender's task: what it does next, and the waiting for it.
//!
//! It holds no rule of its own beyond the order of things; what an answer means stands in `outcome.rs`.

use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant;

use super::health::State;
use super::{Ended, Plugin, Ready, STOP_GRACE, Task, Waiting, form, retry};
use crate::clock::sleep_until;
use crate::sender::Prepared;
use crate::store::{Delivery, Escalation, Stopped};

/// What a sender's task does next.
enum Next {
    /// Lets the plugin sign in.
    Prepare,
    /// Tries the delivery that stands there in the backoff.
    Attempt(usize),
    /// Waits until then, or until a call ends.
    Wait(Option<Instant>),
    /// Waits for the store to freeze something, until then at most.
    Arm(Option<Instant>),
}

impl<P: Plugin> Task<P> {
    /// Runs until it is told to stop; whatever the store does not hear of any more goes on at the next start.
    pub(super) async fn run(mut self) {
        while !self.stop.is_cancelled() {
            if self.step().await.is_err() {
                return;
            }
        }
        if self.wind_down().await.is_err() {
            tracing::debug!(sender = self.settings.name, "the store stopped before the last call ended");
        }
    }

    async fn step(&mut self) -> Result<(), Stopped> {
        self.escalate().await?;
        self.show();
        match self.next() {
            Next::Prepare => self.prepare().await,
            Next::Attempt(at) => {
                let waiting = self.backoff.remove(at);
                self.begin(waiting).await
            }
            Next::Wait(until) => self.wait(until).await,
            Next::Arm(until) => self.wait_for_work(until).await,
        }
    }

    fn next(&self) -> Next {
        let now = self.clock.instant();
        let restrained = self.trouble.is_restrained();
        let width = if restrained { 1 } else { self.settings.concurrency };
        if self.calls.len() >= width {
            return Next::Wait(None);
        }
        if !self.is_prepared() {
            return match self.prepare_at {
                Some(at) if at > now => Next::Wait(Some(at)),
                _ => Next::Prepare,
            };
        }
        let allowed = self.budget.ready_at(now).max(self.paused_until.unwrap_or(now));
        if allowed > now {
            return Next::Wait(Some(allowed));
        }
        match self.first_due() {
            Some((at, due)) if due <= now => Next::Attempt(at),
            Some((_, due)) if restrained => Next::Wait(Some(due)),
            due => Next::Arm(due.map(|(_, due)| due)),
        }
    }

    fn is_prepared(&self) -> bool {
        let now = self.clock.instant();
        self.prepared.as_ref().is_some_and(|ready| ready.until.is_none_or(|until| now < until))
    }

    fn first_due(&self) -> Option<(usize, Instant)> {
        self.backoff.iter().enumerate().map(|(at, waiting)| (at, waiting.due)).min_by_key(|(_, due)| *due)
    }

    /// When the task has to look again, whatever else it waits for.
    fn wake(&self, until: Option<Instant>) -> Option<Instant> {
        let state = self.prepared.as_ref().and_then(|ready| ready.until);
        // A state that ran out already is renewed when there is room for it.
        let state = state.filter(|until| *until > self.clock.instant());
        let fallback = self.settings.fallback.as_ref();
        let escalation = fallback.and_then(|fallback| self.trouble.escalation_due(fallback.after));
        [until, state, escalation].into_iter().flatten().min()
    }

    async fn wait(&mut self, until: Option<Instant>) -> Result<(), Stopped> {
        let wake = self.wake(until);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(()),
            Some(ended) = self.calls.join_next() => self.ended(returned(ended)).await,
            () = sleep_until(wake) => Ok(()),
            () = self.look.notified() => {
                self.look_again();
                Ok(())
            }
        }
    }

    /// A person thinks that the destination works: what needed a person, or failed, is tried now. A pause that the
    /// destination asked for is kept.
    fn look_again(&mut self) {
        let now = self.clock.instant();
        self.prepare_at = None;
        if self.trouble.is_misconfigured() {
            self.paused_until = None;
        }
        for waiting in &mut self.backoff {
            waiting.due = now;
        }
    }

    /// Waits for the store to freeze something.
    async fn wait_for_work(&mut self, until: Option<Instant>) -> Result<(), Stopped> {
        let mut frozen = self.store.arm(self.settings.freeze()).await?;
        let wake = self.wake(until);
        let mut call = None;
        tokio::select! {
            biased;
            delivery = &mut frozen => {
                let fresh = self.fresh(delivery.map_err(|_closed| Stopped)?);
                return self.begin(fresh).await;
            }
            Some(ended) = self.calls.join_next() => call = Some(returned(ended)),
            () = sleep_until(wake) => {}
            () = self.look.notified() => self.look_again(),
            () = self.stop.cancelled() => {}
        }
        self.store.disarm(self.settings.name.clone()).await?;
        if let Some(delivery) = late(frozen) {
            let fresh = self.fresh(delivery);
            self.begin(fresh).await?;
        }
        match call {
            Some(ended) => self.ended(ended).await,
            None => Ok(()),
        }
    }

    fn fresh(&self, delivery: Delivery) -> Waiting {
        let now = self.clock.instant();
        Waiting { due: now, tried_before: delivery.tries.trying, delivery, since: now, begun: true }
    }

    async fn prepare(&mut self) -> Result<(), Stopped> {
        let plugin = std::sync::Arc::clone(&self.plugin);
        let mut preparing = std::pin::pin!(async move { plugin.prepare().await });
        let prepared = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                prepared = &mut preparing => break prepared,
                Some(ended) = self.calls.join_next() => self.ended(returned(ended)).await?,
            }
        };
        match prepared {
            Ok(prepared) => self.take(prepared, self.clock.instant()),
            Err(failure) => self.not_ready(&failure),
        }
        Ok(())
    }

    /// Signing in gave this, then.
    pub(super) fn take(&mut self, prepared: Prepared, at: Instant) {
        // What is valid for no time would be renewed without a pause.
        let until = prepared.valid_for.map(|valid| at + valid.max(retry::BACKOFF_MIN));
        self.prepared = Some(Ready { state: prepared.state, until });
        self.ready();
    }

    /// Begins an attempt: first in the store, then at the plugin.
    async fn begin(&mut self, mut waiting: Waiting) -> Result<(), Stopped> {
        self.budget.take(self.clock.instant());
        if !waiting.begun {
            waiting.delivery.attempt += 1;
            waiting.delivery.next_attempt = None;
            self.store.begin(waiting.delivery.clone()).await?;
        }
        waiting.begun = false;
        self.health.send_modify(|health| {
            health.counts.attempts += 1;
            health.counts.resent += u64::from(waiting.delivery.tries.unclear);
        });
        let notification = form::notification(&waiting.delivery, self.settings.timeout);
        let state = self.prepared.as_ref().map(|ready| ready.state.clone()).unwrap_or_default();
        let plugin = std::sync::Arc::clone(&self.plugin);
        self.calls.spawn(async move {
            let result = plugin.send(&state, &notification).await;
            (waiting, result)
        });
        Ok(())
    }

    /// Lets the fallback tell what this sender cannot, when it is time.
    async fn escalate(&mut self) -> Result<(), Stopped> {
        let Some(fallback) = &self.settings.fallback else { return Ok(()) };
        let now = self.clock.instant();
        if self.trouble.escalation_due(fallback.after).is_none_or(|due| due > now) {
            return Ok(());
        }
        let (code, error) = self.trouble.last_failure();
        let (sender, fallback) = (self.settings.name.clone(), fallback.sender.clone());
        let made = self.store.escalate(Escalation { sender, fallback: fallback.clone(), code, error }).await?;
        self.trouble.escalated(now);
        if made > 0 {
            tracing::warn!("sender {}: its fallback {fallback} tells what waits", self.settings.name);
            self.health.send_modify(|health| health.counts.escalated += 1);
        }
        Ok(())
    }

    /// Lets the calls that are under way end, for a bounded time if mag stops; begins nothing.
    async fn wind_down(&mut self) -> Result<(), Stopped> {
        self.settled.cancel();
        if self.ending.is_cancelled() {
            self.show_as(State::Stopped);
        }
        let ending = self.ending.clone();
        let grace = async move {
            ending.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::pin!(grace);
        loop {
            tokio::select! {
                ended = self.calls.join_next() => match ended {
                    Some(ended) => self.ended(returned(ended)).await?,
                    None => return Ok(()),
                },
                () = &mut grace => {
                    let calls = self.calls.len();
                    tracing::warn!(sender = self.settings.name, calls, "a call was cut off by the stop; the next start tries it again");
                    self.calls.shutdown().await;
                    return Ok(());
                }
            }
        }
    }
}

/// What a call gave; a panic in it goes on here, so that whoever watches the task hears of it.
fn returned(ended: Result<Ended, JoinError>) -> Ended {
    match ended {
        Ok(ended) => ended,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What the store froze before it heard that nobody waits any more.
fn late(mut frozen: oneshot::Receiver<Delivery>) -> Option<Delivery> {
    frozen.try_recv().ok()
}
