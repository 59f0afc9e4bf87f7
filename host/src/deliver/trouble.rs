//! What a sender's failures come to: restraint, and when its fallback is asked. Pure: it is told the time.

use std::time::Duration;

use tokio::time::Instant;

use crate::sender::{Failure, FailureKind};

/// After this many failures in a row a person should know; when they are of different deliveries, one is tried at a time.
const FAILING: usize = 3;
/// What came since the fallback was last asked is told by it after this time.
const ESCALATE_AGAIN: Duration = Duration::from_secs(60);

/// What went wrong since something was last delivered.
#[derive(Debug, Default)]
pub struct Trouble {
    /// Ids of deliveries that failed, at most [`FAILING`].
    failed: Vec<String>,
    /// Attempts that failed, whichever: of one delivery too, and those that were refused for good.
    in_a_row: usize,
    /// Since when.
    since: Option<Instant>,
    misconfigured: bool,
    /// When the fallback was last asked.
    escalated: Option<Instant>,
    /// Code and text of the last failure.
    last: (String, String),
    /// Code and text of the last failure that a person was told: the same one is said once.
    said: Option<(String, String)>,
}

/// Whether a failure is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is.
    New,
    /// It was said already.
    Again,
}

impl Trouble {
    /// It began in a former run, then.
    #[must_use]
    pub fn since(then: Instant) -> Self {
        let last = ("not-delivered".to_owned(), "nothing was delivered since before the start".to_owned());
        Self { since: Some(then), last, ..Self::default() }
    }

    /// A delivery failed; whether the sender counts as failing from now on.
    pub fn failed(&mut self, id: &str, failure: &Failure, now: Instant) -> bool {
        self.note(failure, now);
        if failure.kind != FailureKind::RateLimited {
            self.in_a_row = self.in_a_row.saturating_add(1);
        }
        // A destination that refuses one notification works, and one that asks for a pause works too.
        let counts = matches!(failure.kind, FailureKind::Retry | FailureKind::Misconfigured);
        if !counts || self.failed.len() >= FAILING || self.failed.iter().any(|failed| failed == id) {
            return false;
        }
        self.failed.push(id.to_owned());
        self.failed.len() == FAILING
    }

    /// Signing in failed.
    pub fn not_ready(&mut self, failure: &Failure, now: Instant) {
        self.note(failure, now);
    }

    fn note(&mut self, failure: &Failure, now: Instant) {
        self.last = (failure.code.clone(), failure.message.clone());
        match failure.kind {
            // It is dealt with: the notification is a dead letter, and the fallback has it.
            FailureKind::Permanent => {}
            FailureKind::Misconfigured => {
                self.misconfigured = true;
                self.since.get_or_insert(now);
            }
            FailureKind::Retry | FailureKind::RateLimited => drop(self.since.get_or_insert(now)),
        }
    }

    /// Something was delivered; whether a person was told of trouble before.
    pub fn end(&mut self) -> bool {
        std::mem::take(self).said.is_some()
    }

    /// Whether one delivery is tried at a time, and nothing new is begun.
    #[must_use]
    pub fn is_restrained(&self) -> bool {
        self.misconfigured || self.failed.len() >= FAILING
    }

    /// Whether so much went wrong that a person should know: several failures in a row, also of one notification or because
    /// each was refused, or the fallback was asked.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.in_a_row >= FAILING || self.escalated.is_some()
    }

    /// Whether a person has to change something.
    #[must_use]
    pub fn is_misconfigured(&self) -> bool {
        self.misconfigured
    }

    /// When the fallback is to be asked: after `after` without a delivery, at once when a person is needed, and then
    /// again and again for what came since.
    #[must_use]
    pub fn escalation_due(&self, after: Duration) -> Option<Instant> {
        let since = self.since?;
        let first = if self.misconfigured { since } else { since + after };
        Some(self.escalated.map_or(first, |last| first.max(last + after.min(ESCALATE_AGAIN))))
    }

    /// The fallback was asked.
    pub fn escalated(&mut self, now: Instant) {
        self.escalated = Some(now);
    }

    /// Code and text of the last failure.
    #[must_use]
    pub fn last_failure(&self) -> (String, String) {
        self.last.clone()
    }

    /// Whether a failure is to be said.
    pub fn say(&mut self, failure: &Failure) -> Said {
        let this = Some((failure.code.clone(), failure.message.clone()));
        if self.said == this {
            return Said::Again;
        }
        self.said = this;
        Said::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(300);

    fn failure(kind: FailureKind) -> Failure {
        let (code, message) = ("code".to_owned(), "no".to_owned());
        Failure { kind, code, message, after: None, maybe_delivered: false, progress: None, fault: None }
    }

    #[test]
    fn three_different_deliveries_that_fail_make_a_sender_fail() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        let retry = failure(FailureKind::Retry);
        assert!(!trouble.failed("a", &retry, now) && !trouble.failed("a", &retry, now));
        assert!(!trouble.failed("b", &retry, now) && !trouble.is_restrained());
        assert!(trouble.failed("c", &retry, now) && trouble.is_restrained());
        assert!(!trouble.failed("d", &retry, now), "said once");
        trouble.end();
        assert!(!trouble.is_restrained());
    }

    #[test]
    fn refusals_and_pauses_are_no_failing_of_the_destination() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        for id in ["a", "b", "c", "d"] {
            assert!(!trouble.failed(id, &failure(FailureKind::Permanent), now));
            assert!(!trouble.failed(id, &failure(FailureKind::RateLimited), now));
        }
        assert!(!trouble.is_restrained());
    }

    #[test]
    fn three_failures_in_a_row_are_shown_also_when_they_are_of_one_notification_or_refusals() {
        for kind in [FailureKind::Retry, FailureKind::Permanent] {
            let (mut trouble, now) = (Trouble::default(), Instant::now());
            for before_the_third in [true, true, false] {
                assert!(!trouble.failed("a", &failure(kind), now));
                assert_eq!(trouble.is_failing(), !before_the_third);
            }
            assert!(!trouble.is_restrained(), "one notification holds back no other");
            trouble.end();
            assert!(!trouble.is_failing());
        }
    }

    #[test]
    fn being_asked_to_wait_is_no_failing() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        (0..5).for_each(|_| assert!(!trouble.failed("a", &failure(FailureKind::RateLimited), now)));
        assert!(!trouble.is_failing());
    }

    #[test]
    fn the_fallback_is_asked_after_a_time_without_a_delivery_and_then_every_minute() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.escalation_due(AFTER), None);
        trouble.failed("a", &failure(FailureKind::Retry), start);
        trouble.failed("a", &failure(FailureKind::RateLimited), start + AFTER / 2);
        assert_eq!(trouble.escalation_due(AFTER), Some(start + AFTER), "counted from the first failure");
        trouble.escalated(start + AFTER);
        assert_eq!(trouble.escalation_due(AFTER), Some(start + AFTER + ESCALATE_AGAIN));
        trouble.end();
        assert_eq!(trouble.escalation_due(AFTER), None);
    }

    #[test]
    fn the_fallback_is_asked_at_once_when_a_person_is_needed() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        trouble.failed("a", &failure(FailureKind::Retry), start);
        trouble.not_ready(&failure(FailureKind::Misconfigured), start + AFTER / 2);
        assert_eq!(trouble.escalation_due(AFTER), Some(start));
        assert!(trouble.is_restrained());
    }

    #[test]
    fn a_notification_that_is_refused_for_ever_is_no_trouble_of_the_sender() {
        let mut trouble = Trouble::default();
        trouble.failed("a", &failure(FailureKind::Permanent), Instant::now());
        assert_eq!(trouble.escalation_due(AFTER), None);
    }
}
