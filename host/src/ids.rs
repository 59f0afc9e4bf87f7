//! Which messages came before, by source and id: what a client sends again is counted once.
//!
//! Pure: time and the random key are handed in. Whoever holds an [`Ids`] decides for everybody, so there is one, and
//! what it says of a message is written in the same transaction as the message's count.

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::message::{Batch, Millis, Refusal};

/// A message that was counted, to be remembered over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedId {
    /// Its row: numbers in the order of coming in, so that new rows go to the end of the file.
    pub n: i64,
    /// Who sent it.
    pub source: String,
    /// The id that the client gave it.
    pub id: String,
    /// What it said, as a hash.
    pub content: u64,
    /// When it came.
    pub seen: Millis,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Ids at most; the oldest goes first.
    pub ids: usize,
    /// An id that came longer ago is forgotten.
    pub keep_ms: Millis,
}

/// What became of the messages with an id in a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that are counted now, to be written with the counts.
    pub fresh: Vec<SavedId>,
    /// How many came before: they are acknowledged, and not counted again.
    pub known: u64,
    /// How many were refused.
    pub refused: u64,
}

/// The last ids that came, in a ring in the order of coming, found through a table of places in it. Of source and id it
/// holds a hash with a secret key only: a million of them are 45 MB.
#[derive(Debug)]
pub struct Ids {
    key: [u8; 32],
    memory: Memory,
    /// The row of the oldest one in `ring`.
    first: i64,
    ring: VecDeque<Remembered>,
    /// The low half of a row's number.
    table: HashTable<u32>,
    /// Source and id side by side: hashing one piece is much faster than hashing two.
    piece: Vec<u8>,
}

/// So many that rows can still be told apart by the low halves of their numbers.
const MOST: usize = 1 << 30;

/// One of [`Ids`]. When its id was forgotten and came anew, this one is no longer in the table.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    name: u128,
    content: u64,
    seen: Millis,
}

/// What is known of a message.
enum Seen {
    /// It is new.
    Never,
    /// The very same came before.
    Same,
    /// Another one came under its id.
    Other,
}

impl Default for Memory {
    /// 1,000,000 ids of the last 24 hours.
    fn default() -> Self {
        Self { ids: 1_000_000, keep_ms: 24 * 60 * 60 * 1_000 }
    }
}

impl Default for Ids {
    fn default() -> Self {
        Self::new([0; 32], Memory::default(), 1)
    }
}

impl Ids {
    /// Remembers nothing yet. `key` is random, so that nobody can choose ids that are taken for each other; `first` is
    /// the number of the next row.
    #[must_use]
    pub fn new(key: [u8; 32], memory: Memory, first: i64) -> Self {
        let memory = Memory { ids: memory.ids.clamp(1, MOST), ..memory };
        Self { key, memory, first, ring: VecDeque::new(), table: HashTable::new(), piece: Vec::new() }
    }

    /// Remembers another number of ids, or for another time, from now on.
    pub fn rebound(&mut self, memory: Memory) {
        self.memory = Memory { ids: memory.ids.clamp(1, MOST), ..memory };
    }

    /// Takes in what a former run remembered; rows come in their order.
    pub fn restore(&mut self, n: i64, source: &str, id: &str, content: u64, seen: Millis) {
        if self.next() != n {
            // A hole in the numbers, which only a person with an SQL shell makes: what stands before it is forgotten.
            self.ring.clear();
            self.table.clear();
            self.first = n;
        }
        let name = self.name(source, id);
        self.push(Remembered { name, content, seen });
    }

    /// The number of the oldest row that is still needed.
    #[must_use]
    pub fn first(&self) -> i64 {
        self.first
    }

    /// How many are remembered, at most.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Decides about the messages of a batch that have an id, in the order of their lines: counts those that are new in
    /// their entries, and tells the connection which are refused.
    pub fn settle(&mut self, batch: &mut Batch, now: Millis) -> Settled {
        let mut settled = Settled::default();
        let mut refusals = Vec::new();
        let ids = std::mem::take(&mut batch.ids);
        let decided = ids.len();
        for message in ids {
            let Some(entry) = batch.entries.get_mut(message.entry) else { continue };
            let source = &entry.message.source;
            let name = self.name(source, &message.id);
            match self.look_up(name, message.content, now) {
                Seen::Same => settled.known += 1,
                Seen::Other => {
                    settled.refused += 1;
                    refusals.push(Refusal { line: message.line, number: message.number, id: message.id });
                }
                Seen::Never => {
                    let n = self.next();
                    self.push(Remembered { name, content: message.content, seen: now });
                    let source = source.as_str().to_owned();
                    settled.fresh.push(SavedId { n, source, id: message.id, content: message.content, seen: now });
                    entry.count = entry.count.saturating_add(message.count);
                    entry.first_seen = entry.first_seen.min(message.time);
                    entry.last_seen = entry.last_seen.max(message.time);
                }
            }
        }
        if let Some(answers) = &batch.answers {
            answers.decided(decided, refusals);
        }
        settled
    }

    fn look_up(&mut self, name: u128, content: u64, now: Millis) -> Seen {
        let Some(place) = self.find(name) else { return Seen::Never };
        let Some(remembered) = self.ring.get(place).copied() else { return Seen::Never };
        if remembered.seen.saturating_add(self.memory.keep_ms) <= now {
            self.forget(place);
            return Seen::Never;
        }
        if remembered.content == content { Seen::Same } else { Seen::Other }
    }

    /// Lets the oldest go, as far as they are too many or too old: two at most for each that comes, so that nobody waits
    /// for it.
    fn make_room(&mut self, now: Millis) {
        for _ in 0..2 {
            let old = |oldest: &Remembered| oldest.seen.saturating_add(self.memory.keep_ms) <= now;
            if self.ring.len() >= self.memory.ids || self.ring.front().is_some_and(old) {
                self.forget(0);
                if self.ring.pop_front().is_some() {
                    self.first += 1;
                }
            }
        }
    }

    fn push(&mut self, remembered: Remembered) {
        self.make_room(remembered.seen);
        let low = low_half(self.next());
        self.ring.push_back(remembered);
        let (first, ring) = (low_half(self.first), &self.ring);
        let hash_of = |low: &u32| ring.get(place(first, *low)).map_or(0, |there| hash(there.name));
        self.table.insert_unique(hash(remembered.name), low, hash_of);
    }

    fn find(&self, name: u128) -> Option<usize> {
        let (first, ring) = (low_half(self.first), &self.ring);
        let same = |low: &u32| ring.get(place(first, *low)).is_some_and(|there| there.name == name);
        self.table.find(hash(name), same).map(|low| place(first, *low))
    }

    /// Takes what stands at a place of the ring out of the table, if it is still there.
    fn forget(&mut self, at: usize) {
        let Some(name) = self.ring.get(at).map(|there| there.name) else { return };
        let first = low_half(self.first);
        if let Ok(entry) = self.table.find_entry(hash(name), |low| place(first, *low) == at) {
            entry.remove();
        }
    }

    /// The number of the next row.
    fn next(&self) -> i64 {
        self.first.saturating_add(i64::try_from(self.ring.len()).unwrap_or(i64::MAX))
    }

    fn name(&mut self, source: &str, id: &str) -> u128 {
        self.piece.clear();
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        self.piece.extend_from_slice(&(source.len() as u64).to_le_bytes());
        self.piece.extend_from_slice(source.as_bytes());
        self.piece.extend_from_slice(id.as_bytes());
        let hash = blake3::keyed_hash(&self.key, &self.piece);
        hash.as_bytes().iter().take(16).fold(0, |name, byte| (name << 8) | u128::from(*byte))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the low half is what is wanted")]
fn low_half(n: i64) -> u32 {
    n as u32
}

/// How far behind the first one a row stands: the ring is far shorter than numbers of 32 bits reach.
fn place(first: u32, low: u32) -> usize {
    low.wrapping_sub(first) as usize
}

#[expect(clippy::cast_possible_truncation, reason = "any half of a hash is a hash")]
fn hash(name: u128) -> u64 {
    name as u64
}

#[cfg(test)]
mod tests;
