//! A delivery and how its attempts end: plain values, no SQL.

use std::time::Duration;

use crate::message::{Cause, Group, Millis, Reason};

/// A promise to freeze the next delivery of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// For whom.
    pub sender: String,
    /// Groups told in full.
    pub max_groups: u32,
    /// Whether the rest is told by further notifications; else it is summed up in this one.
    pub split: bool,
    /// Set for a sender that tells each group by a message of its own and keeps that up to date: for so long, then a
    /// new one is posted. Such a delivery holds one group.
    pub living: Option<Duration>,
}

/// What a delivery has been through, restarts included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Failures so far, without those that only asked to wait.
    pub failures: u32,
    /// Answers that only asked to wait; they never count towards giving up.
    pub limited: u32,
    /// Failures that were the plugin's own fault.
    pub faults: u32,
    /// Whether an attempt may have arrived, so that the next one may be the second to do so.
    pub unclear: bool,
    /// How long it has been tried while mag ran, without the pauses that count towards nothing.
    pub trying: Duration,
}

/// One notification at one sender, frozen: the same content on each attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The notification's id.
    pub id: String,
    /// For whom.
    pub sender: String,
    /// The attempt that is under way or was the last.
    pub attempt: u32,
    /// What is told in full, most important first.
    pub groups: Vec<Group>,
    /// Groups summed up.
    pub omitted_groups: u64,
    /// Messages in them.
    pub omitted_messages: u64,
    /// When it was frozen.
    pub created: Millis,
    /// When the next attempt is due; `None` while one is under way, or was when mag stopped.
    pub next_attempt: Option<Millis>,
    /// What the last attempt gave back.
    pub progress: Option<Vec<u8>>,
    /// Why it is told, where its groups do not say it: escalated, or a test.
    pub reason: Option<Reason>,
    /// Who could not tell it, and why.
    pub cause: Option<Cause>,
    /// The receipt of the living message that this one brings up to date.
    pub previous: Option<Vec<u8>>,
    /// What it has been through.
    pub tries: Tries,
}

impl Delivery {
    pub(super) fn begin(id: String, sender: String, now: Millis) -> Self {
        Self {
            id,
            sender,
            attempt: 1,
            groups: Vec::new(),
            omitted_groups: 0,
            omitted_messages: 0,
            created: now,
            next_attempt: None,
            progress: None,
            reason: None,
            cause: None,
            previous: None,
            tries: Tries::default(),
        }
    }
}

/// How an attempt ended, for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// The delivery.
    pub id: String,
    /// Which attempt.
    pub attempt: u32,
    /// For whom.
    pub sender: String,
    /// How.
    pub outcome: Outcome,
    /// What the delivery has been through, this attempt included.
    pub tries: Tries,
    /// Who is told when it is dead.
    pub fallback: Option<String>,
}

/// What a sender cannot tell, for another one to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Who cannot.
    pub sender: String,
    /// Who shall.
    pub fallback: String,
    /// The failure's code.
    pub code: String,
    /// The failure in words.
    pub error: String,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Told.
    Delivered {
        /// So that it can be updated later.
        receipt: Option<Vec<u8>>,
        /// Whether the message of `previous` was changed, instead of a new one posted.
        updated_in_place: bool,
    },
    /// To be tried again.
    Backoff {
        /// When.
        next_attempt: Millis,
        /// Whether the destination wants to be left alone until then, whatever there is to tell.
        pause: bool,
        /// The failure's code.
        code: String,
        /// The failure in words.
        error: String,
        /// Who has it already.
        progress: Option<Vec<u8>>,
    },
    /// Given up.
    Dead {
        /// The failure's code.
        code: String,
        /// The failure in words.
        error: String,
    },
}
