//! What a look sees: plain values, no SQL.

use std::path::PathBuf;

use crate::message::{Labels, Millis};

/// One row of the ledger: accepted is the sum of all other terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The route's identity.
    pub route: String,
    /// The sender; empty for a route that tells nobody.
    pub sender: String,
    /// Messages taken in.
    pub accepted: u64,
    /// Where they are, by the words of the ledger.
    pub terms: [(&'static str, u64); 7],
}

/// Groups of a route that are being counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRoute {
    /// The route's identity.
    pub route: String,
    /// Groups.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
}

/// A sender, as far as the store knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderLine {
    /// Its name.
    pub name: String,
    /// Groups that wait.
    pub queue_groups: u64,
    /// Messages in them.
    pub queue_messages: u64,
    /// Deliveries that wait for it to be free.
    pub queued: u64,
    /// Deliveries whose attempt is under way.
    pub sending: u64,
    /// Deliveries that wait for their next attempt.
    pub backoff: u64,
    /// Its dead letters.
    pub dead: u64,
    /// Deliveries told, ever.
    pub delivered: u64,
    /// When it last told something.
    pub last_delivered: Option<Millis>,
    /// When it last failed, with the failure's code and words.
    pub last_failed: Option<(Millis, String, String)>,
    /// Its destination wants to be left alone until then.
    pub paused_until: Option<Millis>,
}

impl SenderLine {
    /// Whether something waits for it, is under way or lies in the dead letters.
    #[must_use]
    pub fn is_something_left(&self) -> bool {
        self.queue_groups + self.queued + self.sending + self.backoff + self.dead > 0
    }
}

/// What there is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The number of the last commit.
    pub commit: u64,
    /// By route.
    pub open: Vec<OpenRoute>,
    /// The ledger.
    pub accounts: Vec<Account>,
    /// Every sender that the store has heard of.
    pub senders: Vec<SenderLine>,
    /// What ended last, newest first.
    pub recent: Vec<Letter>,
    /// Alerts that fire.
    pub alerts: u64,
    /// From when until when each silence that is kept holds.
    pub silences: Vec<(Millis, Millis)>,
}

/// A delivery in a list: dead letters, or what ended last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The notification's id.
    pub id: String,
    /// For whom.
    pub sender: String,
    /// The word for where it stands.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Groups, those summed up included.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
    /// When it was frozen.
    pub created: Millis,
    /// When it ended.
    pub finished: Option<Millis>,
    /// The last failure's code.
    pub code: Option<String>,
    /// The last failure in words.
    pub error: Option<String>,
    /// The beginning of its first group's text.
    pub text: Option<String>,
}

/// A part of the dead letters, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPage {
    /// They.
    pub letters: Vec<Letter>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A delivery with everything about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryLine {
    /// What a list shows.
    pub letter: Letter,
    /// When it will be tried again.
    pub next_attempt: Option<Millis>,
    /// Its attempts as far as they are kept, first one first.
    pub tries: Vec<AttemptLine>,
    /// Its groups, most important first, at most [`crate::limits::SHOWN_GROUPS`].
    pub told: Vec<GroupLine>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLine {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started: Millis,
    /// When it ended; `None` while it is under way, or when a crash cut it off.
    pub finished: Option<Millis>,
    /// How it ended, in a word.
    pub outcome: Option<String>,
    /// The failure's code.
    pub code: Option<String>,
    /// The failure in words.
    pub error: Option<String>,
}

/// One group of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLine {
    /// The group's id.
    pub id: String,
    /// The route's identity; empty for a test.
    pub route: String,
    /// Its kind.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Its severity.
    pub severity: Option<String>,
    /// The labels its messages share.
    pub labels: Labels,
    /// Messages in the window that closed.
    pub count: u64,
    /// The earliest time of one of them.
    pub first_seen: Millis,
    /// The latest.
    pub last_seen: Millis,
    /// Whether it is only summed up.
    pub omitted: bool,
}

/// The file and its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The file; `None` for `:memory:`.
    pub path: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// The size of its write-ahead log.
    pub wal_bytes: u64,
    /// Its schema.
    pub schema: usize,
    /// The number of its last commit.
    pub commit: u64,
    /// Rows by table.
    pub rows: Vec<(&'static str, u64)>,
    /// When the oldest delivery that is kept ended.
    pub oldest: Option<Millis>,
}
