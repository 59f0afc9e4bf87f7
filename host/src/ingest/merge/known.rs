//! The messages that came before, so that one that comes again costs a look and a number.
//!
//! One hash a message, over the raw bytes, with a random seed: clients choose them. What is kept is bounded by bytes;
//! when they are used up, what is not known is left to whoever asks, until most of what comes is not known.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::spelling::{Odd, spell};
use crate::limits;
use crate::message::{Count, Message, Millis, Numbered, Origin, Times};
use crate::protocol::{Extra, Form, Parsed};

/// What every message that is known takes here and with whoever counts, beside its bytes: about.
pub(super) const KNOWN_BYTES: usize = size_of::<Slot>() + 48;

/// Known messages, and how often each came since the last time.
#[derive(Debug)]
pub(super) struct Known {
    seed: RandomState,
    /// Indexes into `slots`.
    table: HashTable<u32>,
    /// By their numbers.
    slots: Vec<Slot>,
    /// The bytes of all of them in one piece: comparing with one in no order is a walk over the memory, and over far
    /// fewer of its pages this way.
    texts: Vec<u8>,
    bytes: usize,
    /// How many bytes may be kept.
    room: usize,
    /// Messages that came since there is no room: those that were known, and those that were not.
    met: (u64, u64),
    origin: Arc<Origin>,
    /// A number for each peer: messages of two peers are not the same one.
    peers: HashMap<Box<str>, u32>,
    peer: u32,
    /// Counts the times that something was taken out; what a slot says of an earlier one is over.
    turn: u32,
    counts: Vec<Count>,
    new: Vec<Arc<Message>>,
    new_bytes: usize,
    /// Messages of this turn whose text was not UTF-8, and those whose text is longer than allowed only since its bad
    /// bytes are replaced.
    odd: Odd,
}

/// A known message. Its number is its place. One line of the cache: very many are counted in no order.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    hash: u64,
    /// Where its bytes are in `texts`.
    start: usize,
    length: u32,
    extra: Option<Box<Extra<'static>>>,
    about: About,
    /// Where its count is, if it came in this turn.
    turn: u32,
    at: u32,
    replaced: bool,
    cut: bool,
}

/// Peer, severity, form, and whether it is cut: what must be equal beside the bytes.
type About = u64;

/// A message as it is looked up.
struct Key<'k, 'p> {
    hash: u64,
    bytes: &'k [u8],
    about: About,
    extra: Option<&'k Extra<'p>>,
}

impl Key<'_, '_> {
    #[inline]
    fn is(&self, slot: &Slot, texts: &[u8]) -> bool {
        slot.length as usize == self.bytes.len()
            && texts.get(slot.start..).and_then(|text| text.get(..self.bytes.len())) == Some(self.bytes)
            && slot.about == self.about
            && slot.extra.as_deref() == self.extra
    }
}

impl Known {
    /// Nothing is known yet; at most `room` bytes will be.
    pub(super) fn new(room: usize) -> Self {
        Self {
            seed: RandomState::default(),
            table: HashTable::new(),
            slots: Vec::new(),
            texts: Vec::new(),
            bytes: 0,
            room,
            met: (0, 0),
            origin: Arc::default(),
            peers: HashMap::new(),
            peer: 0,
            turn: 1,
            counts: Vec::new(),
            new: Vec::new(),
            new_bytes: 0,
            odd: Odd::default(),
        }
    }

    /// Whether it was given any room.
    pub(super) fn has_room(&self) -> bool {
        self.room > 0
    }

    /// From now on messages come from this peer.
    pub(super) fn enter(&mut self, peer: &str) {
        self.peer = self.peers.get(peer).copied().unwrap_or_else(|| {
            // One of each peer that has anything to be known.
            let number = u32::try_from(self.peers.len()).unwrap_or(u32::MAX);
            self.bytes = self.bytes.saturating_add(peer.len() + limits::PEER_BYTES);
            self.peers.insert(peer.into(), number);
            number
        });
    }

    /// Counts a message that is known by exactly these bytes; says whether there is one.
    #[inline]
    pub(super) fn recall(&mut self, bytes: &[u8], form: Form, now: Millis) -> bool {
        let about = self.about(form, None, false);
        let key = Key { hash: self.hash(bytes, about, None), bytes, about, extra: None };
        let Some(number) = self.find(&key) else { return false };
        self.count(number, Times::at(now, 1));
        true
    }

    /// Counts a message, and knows it from now on if there is room; else it is given back.
    ///
    /// With `line`, these bytes say it all: the message is known by them.
    pub(super) fn add<'p>(
        &mut self,
        message: Parsed<'p>,
        line: Option<&[u8]>,
        (peer, text_bytes): (&str, usize),
        now: Millis,
    ) -> Option<Parsed<'p>> {
        let times = Times::at(message.time.unwrap_or(now), message.count);
        let about = match (line, message.envelope) {
            (Some(_), _) => self.about(Form::Line, None, false),
            (None, Some(envelope)) => self.about(Form::Syslog(envelope), None, message.truncated),
            (None, None) => self.about(Form::Text, message.severity.map(|severity| severity as u8), message.truncated),
        };
        let extra = if line.is_some() { None } else { message.extra.as_deref() };
        let bytes = line.unwrap_or(message.text);
        let key = Key { hash: self.hash(bytes, about, extra), bytes, about, extra };
        if let Some(number) = self.find(&key) {
            self.count(number, times);
            return None;
        }
        let labels = message.extra.iter().flat_map(|extra| &extra.labels);
        let words: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
        let size = KNOWN_BYTES + bytes.len() + words;
        let has_room = self.bytes.saturating_add(size) <= self.room;
        let (Ok(number), Ok(length), true) = (u32::try_from(self.slots.len()), u32::try_from(bytes.len()), has_room)
        else {
            self.met.1 += 1;
            return Some(message);
        };
        self.bytes += size;
        self.new_bytes += limits::MERGE_ENTRY_BYTES + words + message.text.len();
        let owned = Slot {
            hash: key.hash,
            start: self.texts.len(),
            length,
            extra: extra.map(|extra| Box::new(extra.clone().into_owned())),
            about,
            turn: 0,
            at: 0,
            replaced: false,
            cut: false,
        };
        self.texts.extend_from_slice(bytes);
        let spelled = spell(message, peer, text_bytes);
        let slot = Slot { replaced: spelled.replaced, cut: spelled.cut, ..owned };
        self.new.push(Arc::new(spelled.message));
        let slots = &self.slots;
        let hash_of = |at: &u32| slots.get(*at as usize).map_or(0, |slot| slot.hash);
        self.table.insert_unique(slot.hash, number, hash_of);
        self.slots.push(slot);
        self.count(number, times);
        None
    }

    /// Whether nothing came since the last time.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether what came must be taken out before more comes.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.counts.len() >= limits::MERGE_COUNTS
            || self.new.len() >= limits::MERGE_ENTRIES
            || self.new_bytes >= limits::MERGE_BYTES
    }

    /// About how much memory that takes.
    pub(super) fn turn_bytes(&self) -> usize {
        self.new_bytes + self.counts.len() * size_of::<Count>()
    }

    /// Takes out what came; more will come from the same `peer`.
    pub(super) fn drain(&mut self, peer: &str, odd: &mut Odd) -> Option<Numbered> {
        if self.counts.is_empty() {
            return None;
        }
        let numbered = Numbered {
            origin: Arc::clone(&self.origin),
            new: std::mem::take(&mut self.new),
            counts: std::mem::replace(&mut self.counts, self.origin.spare()),
        };
        odd.add(std::mem::take(&mut self.odd));
        self.new_bytes = 0;
        self.turn = self.turn.wrapping_add(1);
        let (known, unknown) = self.met;
        let outworn = known.saturating_add(unknown) >= self.slots.len() as u64 && unknown > known;
        // After the last turn there is an old one that looks like the next.
        if outworn || self.turn == 0 {
            *self = Self::new(self.room);
            self.enter(peer);
        }
        Some(numbered)
    }

    #[inline]
    fn count(&mut self, number: u32, times: Times) {
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        if self.met.1 > 0 {
            self.met.0 += 1;
        }
        if slot.replaced {
            self.odd.replaced += times.count;
        }
        if slot.cut {
            self.odd.truncated += times.count;
        }
        if slot.turn == self.turn
            && let Some(count) = self.counts.get_mut(slot.at as usize)
        {
            count.times.add(times.first_seen, times.count);
            return;
        }
        slot.turn = self.turn;
        slot.at = u32::try_from(self.counts.len()).unwrap_or(u32::MAX);
        self.counts.push(Count { number, times });
    }

    #[inline]
    fn find(&self, key: &Key<'_, '_>) -> Option<u32> {
        let same = |at: &u32| self.slots.get(*at as usize).is_some_and(|slot| key.is(slot, &self.texts));
        self.table.find(key.hash, same).copied()
    }

    #[inline]
    fn about(&self, form: Form, severity: Option<u8>, truncated: bool) -> About {
        let severity = severity.map_or(0, |severity| u64::from(severity) + 1);
        u64::from(self.peer) << 32 | severity << 24 | u64::from(form.number()) << 8 | u64::from(truncated)
    }

    #[inline]
    fn hash(&self, bytes: &[u8], about: About, extra: Option<&Extra<'_>>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(bytes);
        hasher.write_u64(about);
        if let Some(extra) = extra {
            extra.hash(&mut hasher);
        }
        hasher.finish()
    }
}
