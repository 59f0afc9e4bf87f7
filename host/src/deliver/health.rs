//! How a sender is doing, for whoever looks in. Plain values; nothing is decided by them.

use crate::message::Millis;
use crate::sender::{Failure, FailureKind};

/// What a sender is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Its plugin is compiled, or signs in for the first time.
    #[default]
    Starting,
    /// It tells what there is to tell.
    Ready,
    /// Its destination asked to be left alone for a while.
    Paused,
    /// Signing in fails; it is tried on.
    NotReady,
    /// Several notifications in a row could not be told; one is tried at a time.
    Failing,
    /// A person has to change something.
    Misconfigured,
    /// Its plugin or its config does not work at all.
    Broken,
    /// mag stops.
    Stopped,
}

impl State {
    /// The word in the API and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::NotReady => "not-ready",
            Self::Failing => "failing",
            Self::Misconfigured => "misconfigured",
            Self::Broken => "broken",
            Self::Stopped => "stopped",
        }
    }
}

/// How a sender is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What it is at…
    pub state: State,
    /// …since when.
    pub since: Millis,
    /// Plugin and version; empty as long as it is not known.
    pub plugin: String,
    /// When something was last delivered, in this run.
    pub last_delivered: Option<Millis>,
    /// What failed last, in this run.
    pub last_failure: Option<LastFailure>,
    /// When something is tried next, as far as a time is known.
    pub next_attempt: Option<Millis>,
    /// Attempts under way.
    pub under_way: usize,
    /// Deliveries that wait for their next attempt.
    pub backing_off: usize,
    /// What happened in this run.
    pub counts: Counts,
}

/// A failure as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastFailure {
    /// When.
    pub at: Millis,
    /// What it means.
    pub kind: FailureKind,
    /// A stable word.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// What happened at a sender since mag started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts of what an earlier one may have told: at most these were told twice, under the same id.
    pub resent: u64,
    /// Notifications delivered.
    pub delivered: u64,
    /// Failures to be tried again.
    pub retry: u64,
    /// Answers that asked for a pause.
    pub rate_limited: u64,
    /// Notifications that a destination will never take.
    pub permanent: u64,
    /// Failures that need a person.
    pub misconfigured: u64,
    /// Of all failures, those that were the plugin's own fault.
    pub faults: u64,
    /// Notifications that went to the dead letters.
    pub dead: u64,
    /// Times that the fallback was asked to tell something.
    pub escalated: u64,
}

impl Health {
    /// Takes in a failure.
    pub(super) fn failed(&mut self, failure: &Failure, at: Millis) {
        let counts = &mut self.counts;
        let count = match failure.kind {
            FailureKind::Retry => &mut counts.retry,
            FailureKind::RateLimited => &mut counts.rate_limited,
            FailureKind::Permanent => &mut counts.permanent,
            FailureKind::Misconfigured => &mut counts.misconfigured,
        };
        *count += 1;
        counts.faults += u64::from(failure.fault.is_some());
        let (code, message) = (failure.code.clone(), failure.message.clone());
        self.last_failure = Some(LastFailure { at, kind: failure.kind, code, message });
    }
}
