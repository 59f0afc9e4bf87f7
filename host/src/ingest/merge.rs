//! Counts equal messages before anybody else sees them.
//!
//! Knows no connection, no clock and no engine; its size is bounded by whoever asks [`Merger::is_full`]. Messages that
//! came before are known and told by number (`known.rs`), the others are told with all they say (`once.rs`).

mod known;
mod once;
mod spelling;

use crate::message::{Entry, Identified, Millis, Numbered, Word};
use crate::protocol::{Identity, Parsed, Raw};
use known::Known;
use once::Once;
pub(super) use spelling::Odd;
use spelling::Words;

/// Different messages, each with its count.
#[derive(Debug)]
pub(super) struct Merger {
    words: Words,
    text_bytes: usize,
    known: Known,
    once: Once,
}

/// What was merged, and what only shows when raw bytes become text.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) entries: Vec<Entry>,
    pub(super) numbered: Option<Numbered>,
    pub(super) ids: Vec<Identified>,
    pub(super) odd: Odd,
}

impl Merger {
    /// Knows nothing yet, and will know no more than fits into `room` bytes.
    pub(super) fn new(room: usize) -> Self {
        Self { words: Words::default(), text_bytes: 0, known: Known::new(room), once: Once::default() }
    }

    /// Whether it may know anything.
    pub(super) fn may_know(&self) -> bool {
        self.known.has_room()
    }

    /// From now on messages come from this peer, with texts of at most `text_bytes`. What it holds must be drained before.
    pub(super) fn enter(&mut self, peer: &str, text_bytes: usize) {
        self.text_bytes = text_bytes;
        if self.words.peer != *peer {
            self.words.peer.set(peer);
            self.known.enter(peer);
        }
    }

    /// Whose messages come.
    pub(super) fn peer(&self) -> Word {
        self.words.peer.clone()
    }

    /// Counts the messages at the front that came in these very bytes before; says how many.
    #[inline]
    pub(super) fn recall(&mut self, raws: &[Raw<'_>], now: Millis) -> usize {
        self.known.recall(raws, now)
    }

    /// Counts a message that came in at `now`. When it came in a `line` that says it all, it is recalled by that line.
    pub(super) fn add(&mut self, message: Parsed<'_>, line: Option<&[u8]>, now: Millis) {
        if !self.may_know() {
            return self.once.add(message, now);
        }
        let line = line.filter(|_| message.is_all_in_its_line());
        if let Some(message) = self.known.add(message, line, (&mut self.words, self.text_bytes), now) {
            self.once.add(message, now);
        }
    }

    /// Takes a message that has an id, the `number`-th of its connection: whether it counts is decided later.
    pub(super) fn add_identified(&mut self, message: Parsed<'_>, identity: Identity<'_>, number: u64, now: Millis) {
        self.once.add_identified(message, identity, number, now);
    }

    /// Nothing came since it was drained: whoever sent it is refused. What it knows it goes on knowing.
    pub(super) fn withdraw(&mut self) {
        self.known.withdraw(&self.words.peer);
        self.once = Once::default();
    }

    /// Whether it holds nothing that is not drained.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.once.is_empty()
    }

    /// Whether what it holds must be sent on before it takes more.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.known.is_full() || self.once.is_full()
    }

    /// About how much memory that takes.
    pub(super) fn bytes(&self) -> usize {
        self.known.turn_bytes().saturating_add(self.once.bytes())
    }

    /// Gives out what it holds.
    pub(super) fn drain(&mut self) -> Merged {
        let mut odd = Odd::default();
        let (entries, ids) = self.once.drain(&mut self.words, self.text_bytes, &mut odd);
        let numbered = self.known.drain(&self.words.peer, &mut odd);
        Merged { entries, numbered, ids, odd }
    }
}

#[cfg(test)]
mod tests;
