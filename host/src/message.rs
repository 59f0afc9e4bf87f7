//! The plain values everything else speaks of: messages, batches, groups, notifications, ids.
//!
//! Nothing here does I/O, reads a clock or knows a wire format, a SQL row or the plugin contract; those convert
//! from and to these types at their own edge.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, watch};

mod labels;
mod numbered;
mod posted;
mod word;

pub use labels::{Labels, Pairs, pack};
pub use numbered::{Count, Learned, Numbered, Origin, Times};
#[cfg(test)]
pub(crate) use posted::OwnPosted;
pub use posted::{Ends, Posted, Posts};
pub use word::Word;

/// Unix time in milliseconds.
pub type Millis = u64;

/// Whether a character may act where it is shown: move a cursor, hide text, or turn its direction round.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A number with its noun, as people read it: `1 group`, `2 groups`.
#[must_use]
pub fn counted(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// How bad a message says it is, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Finer than debugging.
    Trace,
    /// For whoever debugs the program.
    Debug,
    /// Normal operation.
    Info,
    /// Normal, but worth a look.
    Notice,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// A person is needed; syslog's `alert` and `emerg` are here too.
    Critical,
}

impl Severity {
    /// Every severity, lowest first.
    pub const ALL: [Self; 7] =
        [Self::Trace, Self::Debug, Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Critical];

    /// The one word for it, in matchers, the store and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }

    /// Reads any of the words that clients use, in any case; `None` for a word that is no severity.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        // No word is longer, and nothing is allocated for those that are none.
        let mut lower = [0; 8];
        let lower = lower.get_mut(..word.len())?;
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" => Self::Trace,
            b"debug" => Self::Debug,
            b"info" => Self::Info,
            b"notice" => Self::Notice,
            b"warn" | b"warning" => Self::Warning,
            b"err" | b"error" => Self::Error,
            b"crit" | b"critical" | b"fatal" | b"alert" | b"emerg" | b"panic" => Self::Critical,
            _ => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The kind of a message that does not say one.
pub const DEFAULT_KIND: &str = "default";
/// The kind of messages that alerts make.
pub const ALERT_KIND: &str = "alert";
/// The kind of messages that a monitor makes.
pub const MONITOR_KIND: &str = "monitor";

/// What one event says. Two messages with equal values are the same one, whatever route they take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// What happened, in the client's words.
    pub text: String,
    /// What sort of message: [`DEFAULT_KIND`], [`MONITOR_KIND`] or the client's own word.
    pub kind: Word,
    /// How bad it is, when the client said so.
    pub severity: Option<Severity>,
    /// The client's labels.
    pub labels: Labels,
    /// Who sent it: the peer's address without port, unless the client named another.
    pub source: Word,
}

/// Equal messages of one connection, merged before anybody else sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What they say.
    pub message: Message,
    /// How many there were.
    pub count: u64,
    /// The earliest time one of them carries.
    pub first_seen: Millis,
    /// The latest time one of them carries.
    pub last_seen: Millis,
}

impl Entry {
    /// How many there were, and when.
    #[must_use]
    pub fn times(&self) -> Times {
        Times { count: self.count, first_seen: self.first_seen, last_seen: self.last_seen }
    }
}

/// What one read buffer, or several that were already waiting, came to.
#[derive(Debug, Default)]
pub struct Batch {
    /// Merged messages, in the order in which each was first seen; messages with an id are not in the counts yet.
    pub entries: Vec<Entry>,
    /// Merged messages that are told by number, after the entries.
    pub numbered: Option<Numbered>,
    /// Messages with an id, in the order of their lines: whoever counts decides which of them are new.
    pub ids: Vec<Identified>,
    /// Alerts, in the order of their request: whoever counts decides which of them are new.
    pub alerts: Posts,
    /// Where that is told; there when `ids` is not empty.
    pub answers: Option<Arc<Answers>>,
    /// Who wants to hear when all of it is committed.
    pub ack: Option<Ack>,
    /// Its share of the memory of all batches, given back when the batch is counted and gone.
    pub load: Option<OwnedSemaphorePermit>,
}

/// A message with an id, until it is known whether it came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Its place among the entries, which say all that it says but the following.
    pub entry: usize,
    /// The client's id.
    pub id: String,
    /// All that it says, as a hash that is the same in every run.
    pub content: u64,
    /// How many messages it stands for.
    pub count: u64,
    /// When it happened.
    pub time: Millis,
    /// Its line on its connection, from 1.
    pub line: u64,
    /// How many messages its connection had taken with it.
    pub number: u64,
}

/// A message that is refused after it was taken: another one came under its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its line on its connection.
    pub line: u64,
    /// How many messages its connection had taken with it.
    pub number: u64,
    /// Its id.
    pub id: String,
}

/// What a connection has yet to hear of its messages with an id.
#[derive(Debug, Default)]
pub struct Answers {
    open: Mutex<OpenIds>,
    told: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct OpenIds {
    /// Handed over and not decided.
    undecided: usize,
    /// Decided against, and not yet told to the client.
    refusals: Vec<Refusal>,
}

impl Answers {
    /// Messages with an id are on their way to whoever decides.
    pub fn hand_over(&self, ids: usize) {
        self.look(|open| open.undecided = open.undecided.saturating_add(ids));
    }

    /// It is known of `ids` messages whether they came before; these are refused.
    pub fn decided(&self, ids: usize, refusals: Vec<Refusal>) {
        self.look(|open| {
            open.undecided = open.undecided.saturating_sub(ids);
            open.refusals.extend(refusals);
        });
        self.told.notify_one();
        self.room.notify_one();
    }

    /// What was refused since the last time.
    pub fn take_refusals(&self) -> Vec<Refusal> {
        let refusals = self.look(|open| std::mem::take(&mut open.refusals));
        if !refusals.is_empty() {
            self.room.notify_one();
        }
        refusals
    }

    /// Returns when something was decided since the last time.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    /// Whether `most` messages or more are undecided, or refused without the client knowing.
    #[must_use]
    pub fn is_full(&self, most: usize) -> bool {
        self.look(|open| open.undecided.saturating_add(open.refusals.len())) >= most
    }

    /// Waits until fewer than `most` messages are undecided or refused without the client knowing.
    pub async fn room(&self, most: usize) {
        while self.is_full(most) {
            self.room.notified().await;
        }
    }

    fn look<T>(&self, look: impl FnOnce(&mut OpenIds) -> T) -> T {
        look(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A promise to tell a connection how far its messages are committed.
///
/// Dropped without [`Ack::confirm`] it confirms nothing; the connection then sees its channel closed.
#[derive(Clone, Debug)]
pub struct Ack {
    /// Where the connection waits; shared, because one batch after the other confirms through it.
    pub progress: Arc<watch::Sender<u64>>,
    /// The cumulative number that this batch confirms.
    pub upto: u64,
}

impl Ack {
    /// Says that everything up to this batch is on disk. Numbers never go back.
    pub fn confirm(self) {
        self.progress.send_if_modified(|n| {
            let forward = self.upto > *n;
            *n = (*n).max(self.upto);
            forward
        });
    }
}

/// The stable id of a group: the first 8 bytes of BLAKE3 over route and key, shown as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A route's place in the tree of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteIndex(u32);

impl RouteIndex {
    /// The route at this place.
    #[must_use]
    pub fn new(place: usize) -> Self {
        Self(u32::try_from(place).expect("a tree of routes has been written by somebody"))
    }

    /// The place.
    #[must_use]
    #[inline]
    pub fn place(self) -> usize {
        self.0 as usize
    }
}

/// Why a window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It reached `max_messages`.
    Count,
    /// The route's clock rang.
    Time,
    /// What it told of is over.
    Resolved,
    /// Another sender could not tell it.
    Escalated,
    /// A person asked for a test.
    Test,
}

impl Reason {
    /// The word in the contract, the store and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Time => "time",
            Self::Resolved => "resolved",
            Self::Escalated => "escalated",
            Self::Test => "test",
        }
    }

    /// Reads back what [`Reason::as_str`] wrote.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Count, Self::Time, Self::Resolved, Self::Escalated, Self::Test].into_iter().find(|r| r.as_str() == word)
    }
}

/// A closed window, as a sender is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The same for the same group, for ever.
    pub id: GroupId,
    /// The route's identity.
    pub route: Arc<str>,
    /// The kind its messages share, else [`DEFAULT_KIND`].
    pub kind: String,
    /// The source its messages share.
    pub source: Option<String>,
    /// The text of its first message.
    pub text: String,
    /// The highest of its messages.
    pub severity: Option<Severity>,
    /// The labels that all its messages share.
    pub labels: Labels,
    /// What is said about its alerts, as far as it is the same of all of them.
    pub annotations: Labels,
    /// Messages in the window that closed.
    pub count: u64,
    /// Messages since the group was first seen, on this route.
    pub total: u64,
    /// The earliest time a message of the group carried.
    pub first_seen: Millis,
    /// The latest time a message of the group carried.
    pub last_seen: Millis,
    /// When the window opened; for one closed by the clock, when the clock started.
    pub opened: Millis,
    /// When the window closed.
    pub closed: Millis,
    /// Other texts of the group, newest last.
    pub samples: Vec<String>,
    /// Why it closed.
    pub reason: Reason,
}

/// Why a sender is asked to tell what was another one's to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Who could not tell it.
    pub sender: String,
    /// The failure's code.
    pub code: String,
    /// The failure in words.
    pub error: String,
}

/// What one sender is asked to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The idempotency key: the same on every attempt.
    pub id: String,
    /// From 1.
    pub attempt: u32,
    /// The sender's name.
    pub sender: String,
    /// The groups' common kind, else [`DEFAULT_KIND`].
    pub kind: String,
    /// The groups' common reason, else [`Reason::Time`].
    pub reason: Reason,
    /// How long the longest of the windows was open, in milliseconds.
    pub period_ms: u64,
    /// Plain text, one line, at most 200 characters.
    pub title: String,
    /// What is told, most important first.
    pub groups: Vec<Group>,
    /// Groups that are summed up only.
    pub omitted_groups: u64,
    /// Messages in them.
    pub omitted_messages: u64,
    /// When this notification was formed.
    pub sent_at: Millis,
    /// How long one attempt may take.
    pub timeout_ms: u32,
    /// What the last attempt gave back: who has it already.
    pub progress: Option<Vec<u8>>,
    /// The receipt of the message that is to be brought up to date instead of posting a new one.
    pub previous: Option<Vec<u8>>,
    /// Set with [`Reason::Escalated`].
    pub cause: Option<Cause>,
}
