//! Counts equal messages of one connection before anybody else sees them.
//!
//! One hash a message, over the raw bytes, with a random seed: clients choose the keys. Knows no connection, no clock
//! and no engine; its size is bounded by whoever asks [`Merger::is_full`].

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::hash_table::{Entry as Place, HashTable};

use crate::limits;
use crate::message::{DEFAULT_KIND, Entry, Identified, Labels, Message, Millis, Severity};
use crate::protocol::{Extra, Identity, Parsed};

/// The label of a text that was cut.
const TRUNCATED_LABEL: &str = "truncated";

/// Different messages, each with its count.
#[derive(Debug, Default)]
pub(super) struct Merger {
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
    count: u64,
    first_seen: Millis,
    last_seen: Millis,
}

/// What was merged, and what only shows when raw bytes become text.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) entries: Vec<Entry>,
    pub(super) ids: Vec<Identified>,
    /// Messages whose text was not UTF-8.
    pub(super) replaced: u64,
    /// Messages whose text is longer than allowed only since its bad bytes are replaced.
    pub(super) truncated: u64,
}

impl Merger {
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

    /// Gives out what it holds, as messages of `peer` where they name no source.
    pub(super) fn drain(&mut self, peer: &str, text_bytes: usize) -> Merged {
        let ids = std::mem::take(&mut self.ids);
        let mut merged = Merged { entries: Vec::with_capacity(self.slots.len()), ids, ..Merged::default() };
        self.table.clear();
        self.bytes = 0;
        for slot in self.slots.drain(..) {
            merged.push(slot, peer, text_bytes);
        }
        merged
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
    }
}

impl Merged {
    fn push(&mut self, slot: Slot, peer: &str, text_bytes: usize) {
        let mut truncated = slot.truncated;
        let text = String::from_utf8(slot.text).unwrap_or_else(|error| {
            self.replaced += slot.count;
            let mut text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            if text.len() > text_bytes {
                text.truncate(text.floor_char_boundary(text_bytes));
                self.truncated += if truncated { 0 } else { slot.count };
                truncated = true;
            }
            text
        });
        let extra = slot.extra.map(|extra| *extra).unwrap_or_default();
        let kind = extra.kind.map_or_else(|| DEFAULT_KIND.to_owned(), Cow::into_owned);
        let source = extra.source.map_or_else(|| peer.to_owned(), Cow::into_owned);
        let mut labels: Vec<_> =
            extra.labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        if truncated {
            labels.push((TRUNCATED_LABEL.to_owned(), "true".to_owned()));
        }
        let message = Message { text, kind, severity: slot.severity, labels: Labels::new(labels), source };
        let (first_seen, last_seen) = (slot.first_seen, slot.last_seen);
        self.entries.push(Entry { message, count: slot.count, first_seen, last_seen });
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

#[cfg(test)]
mod tests {
    use super::Merger;
    use crate::limits;
    use crate::message::Severity;
    use crate::protocol::{Extra, Parsed};

    fn plain(text: &[u8]) -> Parsed<'_> {
        Parsed::plain(text, None, false)
    }

    #[test]
    fn equal_messages_become_one_entry_with_their_count_and_times() {
        let mut merger = Merger::default();
        merger.add(plain(b"a"), 20);
        merger.add(plain(b"b"), 20);
        merger.add(Parsed { count: 5, time: Some(3), ..plain(b"a") }, 30);
        merger.add(plain(b"a"), 40);
        let entries = merger.drain("10.0.0.1", 100).entries;
        let told: Vec<_> =
            entries.iter().map(|e| (e.message.text.as_str(), e.count, e.first_seen, e.last_seen)).collect();
        assert_eq!(told, [("a", 7, 3, 40), ("b", 1, 20, 20)]);
        assert!(entries.iter().all(|e| e.message.source == "10.0.0.1" && e.message.kind == "default"));
        assert!(merger.is_empty());
    }

    #[test]
    fn messages_differ_by_severity_kind_labels_source_and_whether_they_are_cut() {
        let extra = |extra: Extra<'static>| Parsed { extra: Some(Box::new(extra)), ..plain(b"a") };
        let mut merger = Merger::default();
        for _ in 0..2 {
            merger.add(plain(b"a"), 1);
            merger.add(Parsed::plain(b"a", Some(Severity::Error), false), 1);
            merger.add(Parsed::plain(b"a", None, true), 1);
            merger.add(extra(Extra { kind: Some("k".into()), ..Extra::default() }), 1);
            merger.add(extra(Extra { source: Some("k".into()), ..Extra::default() }), 1);
            merger.add(extra(Extra { labels: vec![("n".into(), "v".into())], ..Extra::default() }), 1);
        }
        let entries = merger.drain("p", 100).entries;
        assert_eq!(entries.iter().map(|e| e.count).collect::<Vec<_>>(), [2; 6]);
        assert_eq!(entries[2].message.labels.get("truncated"), Some("true"));
    }

    #[test]
    fn what_is_not_utf8_is_replaced_counted_and_still_bounded() {
        let mut merger = Merger::default();
        merger.add(plain(b"a\xffb"), 1);
        merger.add(plain(b"a\xffb"), 1);
        merger.add(plain(&[0xFF; 8]), 1);
        let merged = merger.drain("p", 8);
        assert_eq!((merged.replaced, merged.truncated), (3, 1));
        assert_eq!(merged.entries[0].message.text, "a\u{fffd}b");
        assert_eq!(merged.entries[1].message.text, "\u{fffd}\u{fffd}");
        assert_eq!(merged.entries[1].message.labels.get("truncated"), Some("true"));
    }

    #[test]
    fn it_says_when_it_is_full() {
        let mut merger = Merger::default();
        for n in 0..limits::MERGE_ENTRIES {
            assert!(!merger.is_full());
            merger.add(plain(n.to_string().as_bytes()), 1);
        }
        assert!(merger.is_full());
        assert_eq!(merger.drain("p", 10).entries.len(), limits::MERGE_ENTRIES);
        merger.add(plain(&vec![b'x'; limits::MERGE_BYTES]), 1);
        assert!(merger.is_full());
    }
}
