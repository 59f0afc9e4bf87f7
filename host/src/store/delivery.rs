//! A delivery and how its attempts end: plain values, no SQL.

use crate::message::{Group, Millis};

/// A promise to freeze the next delivery of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// For whom.
    pub sender: String,
    /// Groups told in full.
    pub max_groups: u32,
    /// Whether the rest is told by further notifications; else it is summed up in this one.
    pub split: bool,
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
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Told.
    Delivered {
        /// So that it can be updated later.
        receipt: Option<Vec<u8>>,
    },
    /// To be tried again.
    Backoff {
        /// When.
        next_attempt: Millis,
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
