//! Messages that are told with all they say: those with an id, and those for which there is no room among the known.
//!
//! Equal ones are merged until they are taken out; then nothing of them is kept.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::hash_table::{Entry as Place, HashTable};

use super::spelling::{Odd, Words, spell};
use crate::limits;
use crate::message::{Entry, Identified, Millis, Severity};
use crate::protocol::syslog::Envelope;
use crate::protocol::{Extra, Identity, Parsed};

/// Different messages, each with its count.
#[derive(Debug, Default)]
pub(super) struct Once {
    seed: RandomState,
    /// Indexes into `slots`.
    table: HashTable<usize>,
    /// In the order in which each was first seen.
    slots: Vec<Slot>,
    /// In the order of their lines; they are not in the counts of their slots.
    ids: Vec<Identified>,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    text: Vec<u8>,
    severity: Option<Severity>,
    truncated: bool,
    extra: Option<Box<Extra<'static>>>,
    envelope: Option<Envelope>,
    count: u64,
    first_seen: Millis,
    last_seen: Millis,
}

impl Once {
    /// Counts a message that came in at `now`.
    #[inline]
    pub(super) fn add(&mut self, message: Parsed<'_>, now: Millis) {
        let time = message.time.unwrap_or(now);
        let hash = self.hash(&message);
        let slots = &self.slots;
        let same = |at: &usize| slots.get(*at).is_some_and(|slot| slot.says(&message));
        let hash_of = |at: &usize| slots.get(*at).map_or(0, |slot| slot.hash);
        match self.table.entry(hash, same, hash_of) {
            Place::Occupied(place) => {
                if let Some(slot) = self.slots.get_mut(*place.get()) {
                    slot.count = slot.count.saturating_add(message.count);
                    slot.first_seen = slot.first_seen.min(time);
                    slot.last_seen = slot.last_seen.max(time);
                }
            }
            Place::Vacant(place) => {
                place.insert(slots.len());
                self.bytes = self.bytes.saturating_add(size(&message));
                self.slots.push(Slot::new(message, hash, time));
            }
        }
    }

    /// Takes a message that has an id, the `number`-th of its connection: whether it counts is decided later.
    pub(super) fn add_identified(&mut self, message: Parsed<'_>, identity: Identity<'_>, number: u64, now: Millis) {
        let time = message.time.unwrap_or(now);
        let (hash, content, count) = (self.hash(&message), content(&message), message.count);
        let slots = &self.slots;
        let same = |at: &usize| slots.get(*at).is_some_and(|slot| slot.says(&message));
        let hash_of = |at: &usize| slots.get(*at).map_or(0, |slot| slot.hash);
        let entry = match self.table.entry(hash, same, hash_of) {
            Place::Occupied(place) => *place.get(),
            Place::Vacant(place) => {
                let entry = slots.len();
                place.insert(entry);
                self.bytes = self.bytes.saturating_add(size(&message));
                let (first_seen, last_seen) = (Millis::MAX, Millis::MIN);
                self.slots.push(Slot { count: 0, first_seen, last_seen, ..Slot::new(message, hash, time) });
                entry
            }
        };
        let id = identity.id.into_owned();
        self.bytes = self.bytes.saturating_add(id.len() + limits::MERGE_ENTRY_BYTES);
        self.ids.push(Identified { entry, id, content, count, time, line: identity.line, number });
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether what it holds must be sent on before it takes more.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= limits::MERGE_ENTRIES
            || self.bytes >= limits::MERGE_BYTES
            || self.ids.len() >= limits::MERGE_IDS
    }

    /// About how much memory that takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives out what it holds, as messages of the peer where they name no source.
    pub(super) fn drain(
        &mut self,
        words: &mut Words,
        text_bytes: usize,
        odd: &mut Odd,
    ) -> (Vec<Entry>, Vec<Identified>) {
        self.table.clear();
        self.bytes = 0;
        let entry = |slot: Slot| {
            let Slot { extra, envelope, .. } = slot;
            let parsed = Parsed { extra, envelope, ..Parsed::plain(&slot.text, slot.severity, slot.truncated) };
            let spelled = spell(parsed, words, text_bytes);
            odd.replaced += if spelled.replaced { slot.count } else { 0 };
            odd.truncated += if spelled.cut { slot.count } else { 0 };
            let Slot { count, first_seen, last_seen, .. } = slot;
            Entry { message: spelled.message, count, first_seen, last_seen }
        };
        (self.slots.drain(..).map(entry).collect(), std::mem::take(&mut self.ids))
    }

    fn hash(&self, message: &Parsed<'_>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(message.text);
        let severity = message.severity.map_or(0, |severity| severity as u8 + 1);
        hasher.write_u16(u16::from_le_bytes([severity, u8::from(message.truncated)]));
        if let Some(extra) = &message.extra {
            extra.hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Slot {
    fn new(message: Parsed<'_>, hash: u64, time: Millis) -> Self {
        Self {
            hash,
            text: message.text.to_vec(),
            severity: message.severity,
            truncated: message.truncated,
            extra: message.extra.map(|extra| Box::new(extra.into_owned())),
            envelope: message.envelope,
            count: message.count,
            first_seen: time,
            last_seen: time,
        }
    }

    fn says(&self, message: &Parsed<'_>) -> bool {
        self.text == message.text
            && self.severity == message.severity
            && self.truncated == message.truncated
            && self.extra.as_deref() == message.extra.as_deref()
            && self.envelope == message.envelope
    }
}

/// All that a message says, as a hash that is the same in every run, but for its time: a client may well tell that anew
/// when it sends again.
fn content(message: &Parsed<'_>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    // Lengths keep ("ab", "c") and ("a", "bc") apart.
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(message.text);
    part(message.severity.map_or("", Severity::as_str).as_bytes());
    part(&message.count.to_le_bytes());
    let nothing = Extra::default();
    let extra = message.extra.as_deref().unwrap_or(&nothing);
    part(extra.kind().as_bytes());
    for (name, value) in &extra.labels {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// About what a message takes in memory.
fn size(message: &Parsed<'_>) -> usize {
    let labels = message.extra.iter().flat_map(|extra| &extra.labels);
    limits::MERGE_ENTRY_BYTES + labels.map(|(name, value)| name.len() + value.len()).sum::<usize>() + message.text.len()
}
