//! Messages that are told once, and from then on only counted by their numbers.
//!
//! Whoever merges keeps the messages it met and numbers them; whoever counts keeps what each number stands for. So a
//! message that comes again costs neither side more than a number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Message, Millis};

/// Who gives numbers to messages, from 0. What they stand for is forgotten when it is gone.
#[derive(Debug, Default)]
pub struct Origin {
    /// What the last batch was kept in: the next one needs as much.
    spare: Mutex<Vec<Count>>,
}

impl Origin {
    /// An empty list, with room if there was one before.
    #[must_use]
    pub fn spare(&self) -> Vec<Count> {
        std::mem::take(&mut self.spare.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives a list back, for its room.
    pub fn give_back(&self, mut counts: Vec<Count>) {
        counts.clear();
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }
}

/// How often a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The number of the message.
    pub number: u32,
    /// What came of it.
    pub times: Times,
}

/// How many messages, and between when and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// The earliest time one of them carries.
    pub first_seen: Millis,
    /// The latest time one of them carries.
    pub last_seen: Millis,
}

impl Times {
    /// As many messages at one time.
    #[must_use]
    pub fn at(time: Millis, count: u64) -> Self {
        Self { count, first_seen: time, last_seen: time }
    }

    /// Adds as many messages at one time.
    #[inline]
    pub fn add(&mut self, time: Millis, count: u64) {
        self.count = self.count.saturating_add(count);
        self.first_seen = self.first_seen.min(time);
        self.last_seen = self.last_seen.max(time);
    }
}

/// What one origin met: new messages, whose numbers go on from those before, and counts by number.
///
/// The batches of an origin are counted in the order in which it made them, and none is left out.
#[derive(Debug)]
pub struct Numbered {
    /// Whose numbers these are.
    pub origin: Arc<Origin>,
    /// Messages that were not told before; they may be kept as long as the origin is.
    pub new: Vec<Arc<Message>>,
    /// Each number once, in the order in which they came.
    pub counts: Vec<Count>,
}

/// What the numbers of all origins stand for.
#[derive(Debug)]
pub struct Learned<T> {
    /// By address, which is nobody else's as long as a [`Weak`] is kept.
    origins: BTreeMap<usize, (Weak<Origin>, T)>,
}

impl<T> Default for Learned<T> {
    fn default() -> Self {
        Self { origins: BTreeMap::new() }
    }
}

impl<T: Default> Learned<T> {
    /// What the numbers of `origin` stand for.
    pub fn of(&mut self, origin: &Arc<Origin>) -> &mut T {
        let (_, all) =
            self.origins.entry(Arc::as_ptr(origin).addr()).or_insert_with(|| (Arc::downgrade(origin), T::default()));
        all
    }

    /// What all numbers stand for.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.origins.values_mut().map(|(_, all)| all)
    }

    /// Forgets the origins that are gone.
    pub fn forget_gone(&mut self) {
        self.origins.retain(|_, (origin, _)| origin.strong_count() > 0);
    }
}

#[cfg(test)]
impl Learned<Vec<Arc<Message>>> {
    /// What is counted, as messages.
    pub(crate) fn entries(&mut self, numbered: Option<Numbered>) -> Vec<super::Entry> {
        let Some(Numbered { origin, new, counts }) = numbered else { return Vec::new() };
        let known = self.of(&origin);
        known.extend(new);
        let entry = |Count { number, times }: &Count| super::Entry {
            message: Message::clone(&known[*number as usize]),
            count: times.count,
            first_seen: times.first_seen,
            last_seen: times.last_seen,
        };
        let entries = counts.iter().map(entry).collect();
        origin.give_back(counts);
        entries
    }
}

#[cfg(test)]
impl super::Batch {
    /// How many messages it stands for, those with an id left out.
    pub(crate) fn messages(&self) -> u64 {
        let numbered = self.numbered.iter().flat_map(|numbered| &numbered.counts).map(|count| count.times.count);
        self.entries.iter().map(|entry| entry.count).chain(numbered).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Learned, Origin};

    #[test]
    fn what_numbers_stand_for_is_kept_apart_and_forgotten_with_their_origin() {
        let mut learned: Learned<Vec<char>> = Learned::default();
        let (first, second) = (Arc::new(Origin::default()), Arc::new(Origin::default()));
        learned.of(&first).push('a');
        learned.of(&second).push('b');
        drop(first);
        learned.forget_gone();
        assert_eq!((learned.origins.len(), learned.of(&second).clone()), (1, vec!['b']));
        assert!(learned.of(&Arc::new(Origin::default())).is_empty());
    }
}
