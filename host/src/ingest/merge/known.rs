//! The messages that came before, so that one that comes again costs a look and a number.
//!
//! One hash a message, over the raw bytes, with a random seed: clients choose them. What is kept is bounded by bytes;
//! when they are used up, what is not known is left to whoever asks, until most of what comes is not known.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::hint::black_box;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::spelling::{Odd, Words, spell};
use crate::limits;
use crate::message::{Count, Message, Millis, Numbered, Origin, Times};
use crate::protocol::{Extra, Form, Parsed, Raw, Raws};

/// What every message that is known takes here and with whoever counts, beside its bytes: about.
pub(super) const KNOWN_BYTES: usize = size_of::<Slot>() + 48;

/// A line of the cache.
const LINE_BYTES: usize = 64;

/// No message has this number.
const NOBODY: u32 = u32::MAX;

/// Known messages, and how often each came since the last time.
#[derive(Debug)]
pub(super) struct Known {
    seed: RandomState,
    table: HashTable<Place>,
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
    /// Fewer of them make messages collide.
    #[cfg(test)]
    pub(super) hash_bits: u32,
}

/// A message in the table: its number, and enough of its hash to find it again.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    number: u32,
}

impl Place {
    /// What the table goes by: its buckets are chosen by the lowest bits, its tags are the highest.
    #[inline]
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

/// A known message. Its number is its place. Never in two lines of the cache: very many are counted in no order.
#[derive(Debug)]
#[repr(align(32))]
struct Slot {
    /// Where its bytes are in `texts`.
    start: u32,
    length: u32,
    about: About,
    /// Where its count is, if it came in this turn.
    turn: u32,
    at: u32,
    more: Option<Box<More>>,
}

/// What most messages do not have.
#[derive(Debug, Default)]
struct More {
    extra: Option<Extra<'static>>,
    replaced: bool,
    cut: bool,
}

/// Peer, severity, form, and whether it is cut: what must be equal beside the bytes.
type About = u64;

/// A message as it is looked up.
#[derive(Clone, Copy)]
struct Key<'k, 'p> {
    hash: u32,
    bytes: &'k [u8],
    about: About,
    extra: Option<&'k Extra<'p>>,
}

impl Key<'_, '_> {
    #[inline(always)]
    fn is(&self, slot: &Slot, texts: &[u8]) -> bool {
        slot.length as usize == self.bytes.len()
            && slot.about == self.about
            && slot.more.as_deref().and_then(|more| more.extra.as_ref()) == self.extra
            && slot.text(texts) == Some(self.bytes)
    }
}

impl Slot {
    #[inline]
    fn text<'t>(&self, texts: &'t [u8]) -> Option<&'t [u8]> {
        texts.get(self.start as usize..)?.get(..self.length as usize)
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
            #[cfg(test)]
            hash_bits: u32::MAX,
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

    /// Counts the messages at the front of `raws` that are known by exactly these bytes, until one is not; says how many.
    ///
    /// With many known messages nothing of them is in a cache, and the time goes into waiting for the memory: each of
    /// these steps is done for all messages before the next one, so that the walks of all go on side by side.
    pub(super) fn recall(&mut self, raws: &[Raw<'_>], now: Millis) -> usize {
        let mut looks = [(0, NOBODY); Raws::MOST];
        for ((hash, _), raw) in looks.iter_mut().zip(raws) {
            *hash = self.hash(raw.bytes, self.about(raw.form, None, false), None);
        }
        // The number of the first message with this hash: nearly always it is the one.
        for (hash, number) in looks.iter_mut().take(raws.len()) {
            let place = self.table.find(Place::spread(*hash), |place| place.hash == *hash);
            *number = place.map_or(NOBODY, |place| place.number);
        }
        self.touch(looks.iter().take(raws.len()).map(|(_, number)| *number));
        let mut known = 0;
        for (&(hash, number), raw) in looks.iter().zip(raws) {
            let about = self.about(raw.form, None, false);
            let Some(number) = self.number_of(&Key { hash, bytes: raw.bytes, about, extra: None }, number) else {
                break;
            };
            self.count(number, Times::at(raw.time.unwrap_or(now), 1));
            known += 1;
        }
        known
    }

    /// Reads a byte of every line of the cache that comparing will read first; a longer text is read on in order, which
    /// the processor foresees.
    #[inline]
    fn touch(&self, numbers: impl Iterator<Item = u32>) {
        let mut read = 0;
        for slot in numbers.filter_map(|number| self.slots.get(number as usize)) {
            let text = slot.text(&self.texts).unwrap_or_default();
            let byte = |at: usize| text.get(at).copied().unwrap_or_default();
            read ^= byte(0) ^ byte(LINE_BYTES) ^ byte(text.len().saturating_sub(1));
        }
        black_box(read);
    }

    /// The number of this message, which is nearly always this one.
    #[inline]
    fn number_of(&self, key: &Key<'_, '_>, number: u32) -> Option<u32> {
        if self.slots.get(number as usize).is_some_and(|slot| key.is(slot, &self.texts)) {
            return Some(number);
        }
        if number == NOBODY { None } else { self.find(key) }
    }

    /// Counts a message, and knows it from now on if there is room; else it is given back.
    ///
    /// With `line`, these bytes say it all: the message is known by them.
    pub(super) fn add<'p>(
        &mut self,
        message: Parsed<'p>,
        line: Option<&[u8]>,
        (words, text_bytes): (&mut Words, usize),
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
        let hash = self.hash(bytes, about, extra);
        if let Some(number) = self.find(&Key { hash, bytes, about, extra }) {
            self.count(number, times);
            return None;
        }
        let labels = message.extra.iter().flat_map(|extra| &extra.labels);
        let label_bytes: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
        let size = KNOWN_BYTES + bytes.len() + label_bytes;
        let has_room = self.bytes.saturating_add(size) <= self.room;
        let ends = [self.slots.len(), self.texts.len(), self.texts.len() + bytes.len()].map(u32::try_from);
        let ([Ok(number), Ok(start), Ok(end)], true) = (ends, has_room) else {
            self.met.1 += 1;
            return Some(message);
        };
        self.bytes += size;
        self.new_bytes += limits::MERGE_ENTRY_BYTES + label_bytes + message.text.len();
        let extra = extra.map(|extra| extra.clone().into_owned());
        self.texts.extend_from_slice(bytes);
        let spelled = spell(message, words, text_bytes);
        let more = More { extra, replaced: spelled.replaced, cut: spelled.cut };
        let has_more = more.extra.is_some() || more.replaced || more.cut;
        let more = has_more.then(|| Box::new(more));
        self.new.push(Arc::new(spelled.message));
        self.table.insert_unique(Place::spread(hash), Place { hash, number }, |place| Place::spread(place.hash));
        self.slots.push(Slot { start, length: end - start, about, turn: 0, at: 0, more });
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
        self.end_turn(peer);
        Some(numbered)
    }

    /// Counts nothing of what came. What is new is told all the same, with what comes next: it has its number. So much
    /// that it would have to be told at once is forgotten with all else: there is nothing to tell it with.
    pub(super) fn withdraw(&mut self, peer: &str) {
        self.counts.clear();
        self.odd = Odd::default();
        if self.is_full() {
            return self.begin_anew(peer);
        }
        self.end_turn(peer);
    }

    fn end_turn(&mut self, peer: &str) {
        self.turn = self.turn.wrapping_add(1);
        let (known, unknown) = self.met;
        let outworn = known.saturating_add(unknown) >= self.slots.len() as u64 && unknown > known;
        // After the last turn there is an old one that looks like the next.
        if outworn || self.turn == 0 {
            self.begin_anew(peer);
        }
    }

    fn begin_anew(&mut self, peer: &str) {
        *self = Self::new(self.room);
        self.enter(peer);
    }

    #[inline]
    fn count(&mut self, number: u32, times: Times) {
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        if self.met.1 > 0 {
            self.met.0 += 1;
        }
        if let Some(More { replaced, cut, .. }) = slot.more.as_deref() {
            self.odd.replaced += if *replaced { times.count } else { 0 };
            self.odd.truncated += if *cut { times.count } else { 0 };
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
        let same = |place: &Place| {
            place.hash == key.hash
                && self.slots.get(place.number as usize).is_some_and(|slot| key.is(slot, &self.texts))
        };
        self.table.find(Place::spread(key.hash), same).map(|place| place.number)
    }

    #[inline]
    fn about(&self, form: Form, severity: Option<u8>, truncated: bool) -> About {
        let severity = severity.map_or(0, |severity| u64::from(severity) + 1);
        u64::from(self.peer) << 32 | severity << 24 | u64::from(form.number()) << 8 | u64::from(truncated)
    }

    #[inline]
    fn hash(&self, bytes: &[u8], about: About, extra: Option<&Extra<'_>>) -> u32 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(bytes);
        hasher.write_u64(about);
        if let Some(extra) = extra {
            extra.hash(&mut hasher);
        }
        // Any half of it is as random as the other.
        (hasher.finish() >> 32) as u32 & self.hash_bits()
    }

    #[cfg(not(test))]
    fn hash_bits(&self) -> u32 {
        u32::MAX
    }

    #[cfg(test)]
    fn hash_bits(&self) -> u32 {
        self.hash_bits
    }
}
