//! What one request brings: merged, sent on as one batch, and waited for until it is committed.

use std::sync::Arc;

use hyper::http::StatusCode;
use tokio::sync::watch;

use super::super::Shared;
use super::super::connection::take;
use super::super::counters::Tally;
use super::super::merge::Merger;
use super::super::replies::reason;
use crate::limits;
use crate::message::{Ack, Answers, Batch, Millis, Posted, Posts};
use crate::protocol::Parsed;
use crate::protocol::http::{Outcome, Refusal, Take};

/// Takes what a body holds.
pub(super) struct Intake {
    now: Millis,
    merger: Box<Merger>,
    alerts: Posts,
    tally: Tally,
    outcome: Outcome,
    too_much: bool,
}

impl Take for Intake {
    fn message(&mut self, message: Parsed<'_>) {
        if self.merger.bytes() > limits::HTTP_MERGED_BYTES {
            self.too_much = true;
            return;
        }
        self.tally.note(&message);
        self.outcome.accepted += 1;
        take(&mut self.merger, message, self.outcome.accepted, self.now);
    }

    fn skip(&mut self) {
        self.tally.ignored_keys += 1;
    }

    fn name(&mut self, name: &str) {
        self.outcome.name.get_or_insert_with(|| name.to_owned());
    }

    fn alert(&mut self, alert: Posted<'_>) {
        self.tally.messages += 1;
        self.outcome.accepted += 1;
        self.alerts.push(alert);
    }

    fn refuse(&mut self, index: u64, why: String) {
        self.tally.refused_lines += 1;
        self.outcome.refused += 1;
        if self.outcome.errors.len() < limits::HTTP_ERRORS {
            self.outcome.errors.push((index, why));
        }
    }
}

impl Intake {
    /// Messages that say no time of their own come now.
    pub(super) fn new(peer: &str, shared: &Shared) -> Self {
        let mut merger = shared.spares.take_merger();
        merger.enter(peer, shared.text_bytes());
        Self {
            now: shared.clock.now(),
            merger,
            alerts: Posts::default(),
            tally: Tally::default(),
            outcome: Outcome::default(),
            too_much: false,
        }
    }

    /// Whether a request is small enough to be taken.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if !self.too_much {
            return Ok(());
        }
        let why = "too many different messages in one request: send them in several".to_owned();
        Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, why })
    }

    /// Takes nothing: the request is refused.
    pub(super) fn withdraw(mut self, shared: &Shared) {
        self.merger.withdraw();
        shared.spares.keep_merger(self.merger);
    }

    /// Hands everything to the engine.
    ///
    /// When this is broken off, the merger is lost with what it was about to tell, so nobody goes on with its numbers.
    pub(super) async fn send(mut self, shared: &Shared) -> Result<Taken, Refusal> {
        let (progress, committed) = watch::channel(0);
        let answers = Arc::new(Answers::default());
        let mut waited = false;
        if !self.merger.is_empty() || !self.alerts.is_empty() {
            waited = true;
            let load = shared.settings.flight.load(self.merger.bytes() + self.alerts.bytes()).await;
            let mut merged = self.merger.drain();
            self.tally.replaced += merged.odd.replaced;
            self.tally.truncated += merged.odd.truncated;
            shared.label(&mut merged);
            let mut alerts = self.alerts;
            alerts.source = self.merger.peer();
            alerts.label(&shared.listener.labels);
            let ack = Some(Ack { progress: Arc::new(progress), upto: 1 });
            let (entries, numbered) = (merged.entries, merged.numbered);
            let mut batch = Batch { entries, numbered, alerts, ack, load, ..Batch::default() };
            if !merged.ids.is_empty() {
                answers.hand_over(merged.ids.len());
                batch.answers = Some(Arc::clone(&answers));
                batch.ids = merged.ids;
            }
            shared.batches.send(batch).await.map_err(|_unsent| stopping())?;
        }
        shared.spares.keep_merger(self.merger);
        self.tally.tell(&shared.counters);
        Ok(Taken { committed, waited, answers, outcome: self.outcome })
    }
}

/// What the engine has and the store may not have yet.
pub(super) struct Taken {
    committed: watch::Receiver<u64>,
    waited: bool,
    answers: Arc<Answers>,
    outcome: Outcome,
}

impl Taken {
    /// What is kept until it is answered.
    pub(super) fn bytes(&self) -> usize {
        self.outcome.errors.iter().map(|(_, why)| size_of::<(u64, String)>() + why.len()).sum()
    }

    /// Waits for the commit.
    pub(super) async fn committed(mut self) -> Result<Outcome, Refusal> {
        if self.waited {
            self.committed.wait_for(|number| *number >= 1).await.map_err(|_gone| stopping())?;
            // Refusals are told before the commit is.
            for refused in self.answers.take_refusals() {
                self.outcome.accepted = self.outcome.accepted.saturating_sub(1);
                self.outcome.refused += 1;
                // Nobody reads on for very many, as of other mistakes.
                if self.outcome.errors.len() < limits::HTTP_ERRORS {
                    self.outcome.errors.push((refused.line, reason(&refused)));
                }
            }
            self.outcome.errors.sort();
        }
        Ok(self.outcome)
    }
}

/// What a client is told that asks while mag stops.
pub(super) fn stopping() -> Refusal {
    Refusal { status: StatusCode::SERVICE_UNAVAILABLE, why: "mag stops: send it again".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Refusal;

    #[tokio::test]
    async fn of_very_many_refused_ids_the_first_are_told_and_all_are_counted() {
        let many = limits::HTTP_ERRORS as u64 + 5;
        let (progress, committed) = watch::channel(1);
        let answers = Arc::new(Answers::default());
        let refused = |line| Refusal { line, number: line, id: "a".to_owned() };
        answers.decided(0, (0..many).map(refused).collect());
        let outcome = Outcome { accepted: many + 1, ..Outcome::default() };
        let taken = Taken { committed, waited: true, answers, outcome };
        let outcome = taken.committed().await.expect("it is committed");
        assert_eq!((outcome.accepted, outcome.refused, outcome.errors.len()), (1, many, limits::HTTP_ERRORS));
        drop(progress);
    }
}
