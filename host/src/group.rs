//! What is the same: the key of a message on a route, and the windows that count.
//!
//! No I/O, no clock, no async, and nothing here can fail: whoever calls brings the time and gets values back.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use crate::matcher::Field;
use crate::message::{GroupId, Message, Millis, RouteIndex, Times};

mod overflow;
mod window;

pub use overflow::{OverflowGroup, sentence};
pub use window::{Rare, Window, merge_samples};

/// The stable id of the group that `message` belongs to on the route `route`.
#[must_use]
pub fn group_id(route: &str, group_by: &[Field], message: &Message) -> GroupId {
    let names: Vec<String> = group_by.iter().map(Field::to_string).collect();
    let fields =
        names.iter().zip(group_by).flat_map(|(name, field)| [name.as_bytes(), field.value(message).as_bytes()]);
    hash_parts(std::iter::once(route.as_bytes()).chain(fields))
}

fn hash_parts<'p>(parts: impl Iterator<Item = &'p [u8]>) -> GroupId {
    let mut hasher = blake3::Hasher::new();
    // Lengths keep ("ab", "c") and ("a", "bc") apart.
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    GroupId(u64::from_be_bytes(first))
}

/// What decides, on a route, which messages are the same.
#[derive(Clone, Copy, Debug)]
pub struct Key<'r> {
    /// The route, for this run.
    pub index: RouteIndex,
    /// The route's identity, for ever.
    pub route: &'r str,
    /// What the messages of a group have in common.
    pub group_by: &'r [Field],
}

/// What came, and how often.
pub type Came<'m> = (&'m Arc<Message>, Times);

/// A window's place in [`Windows`] while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(u32);

/// What one entry did to the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Where it went.
    pub slot: Slot,
    /// What the window holds now.
    pub count: u64,
    /// Whether the store knew all of it before: the first change since the last commit.
    pub clean: bool,
    /// Whether it went into the overflow window of its route, which only the clock closes: a flood of different texts
    /// must not become a flood of notifications.
    pub overflow: bool,
}

/// Where a message counts that its window has met, until that window closes.
///
/// While it is open no other window has its row, so a place never leads to another one.
///
/// Row and slot in one number: there is a place for every message that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(NonZeroU64);

impl Place {
    /// More windows than so many bits can number are not told apart by a place, and need to be looked at.
    const SLOT_BITS: u32 = 24;

    fn new(slot: Slot, row: i64) -> Option<Self> {
        let (slot, row) = (u64::from(slot.0), u64::try_from(row).ok()?);
        let fits = slot >> Self::SLOT_BITS == 0 && row >> (u64::BITS - Self::SLOT_BITS) == 0;
        NonZeroU64::new(row << Self::SLOT_BITS | slot).filter(|_| fits).map(Self)
    }

    /// The window's.
    #[must_use]
    #[inline]
    pub fn slot(self) -> Slot {
        Slot(u32::try_from(self.0.get() & ((1 << Self::SLOT_BITS) - 1)).unwrap_or(u32::MAX))
    }

    #[inline]
    fn row(self) -> u64 {
        self.0.get() >> Self::SLOT_BITS
    }
}

/// How many windows may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub groups: usize,
    /// By messages of one source; `None`: any number.
    pub per_source: Option<usize>,
}

impl From<usize> for Limits {
    fn from(groups: usize) -> Self {
        Self { groups, per_source: None }
    }
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug)]
struct Past {
    what: OverflowGroup,
    limit: usize,
}

/// All open windows: found by route and key through a hash with a random seed, because peers choose the keys.
#[derive(Debug)]
pub struct Windows {
    slots: Vec<Option<Open>>,
    free: Vec<Slot>,
    table: HashTable<Slot>,
    seed: RandomState,
    next_row: i64,
    /// Windows in `table` at most; what would open another one goes into an overflow window of its route.
    limits: Limits,
    /// The overflow windows: one of a kind for a route at most, and never in `table`.
    overflow: BTreeMap<(RouteIndex, OverflowGroup), Slot>,
    /// How many windows in `table` each source opened, by its hash; counted only where that is limited.
    per_source: HashMap<u64, usize, RandomState>,
    /// Open windows of each route that has any.
    per_route: BTreeMap<RouteIndex, usize>,
}

/// A window with its hash, which the table needs again when it grows.
#[derive(Debug)]
#[repr(C)]
struct Open {
    window: Window,
    hash: u64,
}

impl Slot {
    fn place(self) -> usize {
        self.0 as usize
    }
}

impl Windows {
    /// No window; the first one gets the row `next_row`. What is past a limit shares one overflow window a route.
    #[must_use]
    pub fn new(next_row: i64, limits: Limits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            table: HashTable::new(),
            seed: RandomState::default(),
            next_row,
            limits,
            overflow: BTreeMap::new(),
            per_source: HashMap::default(),
            per_route: BTreeMap::new(),
        }
    }

    /// Other limits, for windows that open from now on.
    pub fn rebound(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len() + self.overflow.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts messages on a route: in its open window, in a new one, or past the limit in the route's overflow window.
    ///
    /// A window that will not stay open, because these messages alone reach the route's `max_messages`, needs no room.
    pub fn count(&mut self, key: Key<'_>, came: Came<'_>, max_messages: u64, now: Millis) -> Counted {
        let hash = self.hash(key, came.0);
        let slot = self.find(hash, key, came.0);
        if let Some(slot) = slot
            && let Some(window) = self.get_mut(slot)
        {
            let clean = window.count == window.saved;
            window.add(came);
            return Counted { slot, count: window.count, clean, overflow: false };
        }
        if came.1.count < max_messages
            && let Some(past) = self.past(&came.0.source)
        {
            return self.count_overflow(key, past, came, now);
        }
        let group = group_id(key.route, key.group_by, came.0);
        let window = Window::open(self.next_row, key.index, group, came, now);
        self.next_row += 1;
        let slot = self.insert(hash, window);
        Counted { slot, count: came.1.count, clean: true, overflow: false }
    }

    /// The limit that keeps a message of `source` from opening a window.
    fn past(&self, source: &str) -> Option<Past> {
        if self.table.len() >= self.limits.groups {
            return Some(Past { what: OverflowGroup::Groups, limit: self.limits.groups });
        }
        let limit = self.limits.per_source?;
        let open = self.per_source.get(&self.seed.hash_one(source)).copied().unwrap_or_default();
        (open >= limit).then_some(Past { what: OverflowGroup::Source, limit })
    }

    fn count_overflow(&mut self, key: Key<'_>, past: Past, came: Came<'_>, now: Millis) -> Counted {
        if let Some(slot) = self.overflow.get(&(key.index, past.what)).copied()
            && let Some(window) = self.get_mut(slot)
        {
            let clean = window.count == window.saved;
            window.add(came);
            return Counted { slot, count: window.count, clean, overflow: true };
        }
        let window = Window::open_overflow(self.next_row, key, past, came, now);
        self.next_row += 1;
        let slot = self.place(0, window);
        self.overflow.insert((key.index, past.what), slot);
        Counted { slot, count: came.1.count, clean: true, overflow: true }
    }

    /// Takes in a window that the store kept over a restart; its row keeps its number.
    ///
    /// Gives it back when the route now groups in another way, so that the window is not the group it was.
    ///
    /// # Errors
    ///
    /// The window, unchanged, when its id is no longer what its route would give it.
    pub fn restore(&mut self, key: Key<'_>, window: Window) -> Result<(), Box<Window>> {
        self.next_row = self.next_row.max(window.row + 1);
        for what in [OverflowGroup::Groups, OverflowGroup::Source] {
            if window.group == what.id(key.route) && !self.overflow.contains_key(&(key.index, what)) {
                let slot = self.place(0, window);
                self.overflow.insert((key.index, what), slot);
                return Ok(());
            }
        }
        let hash = self.hash(key, &window.shared);
        let taken = self.find(hash, key, &window.shared).is_some();
        if taken || group_id(key.route, key.group_by, &window.shared) != window.group {
            return Err(Box::new(window));
        }
        self.insert(hash, window);
        Ok(())
    }

    /// Where `message` counts from now on without being looked at: in this window, if it holds what the message says so
    /// far that more of them change nothing but its numbers.
    ///
    /// What a window shares only ever shrinks, but its samples are in the order of coming: a message with another text is
    /// looked at each time.
    #[must_use]
    pub fn place_of(&self, slot: Slot, message: &Message) -> Option<Place> {
        let window = self.get(slot).filter(|window| window.shared.text == message.text)?;
        Place::new(slot, window.row)
    }

    /// The message of a window, if it is this one: so that it is kept once.
    #[must_use]
    pub fn same_message(&self, slot: Slot, message: &Message) -> Option<Arc<Message>> {
        let window = self.get(slot).filter(|window| *window.shared == *message)?;
        Some(Arc::clone(&window.shared))
    }

    /// The window of a place, as long as it is open.
    #[inline]
    pub fn at_mut(&mut self, place: Place) -> Option<&mut Window> {
        self.get_mut(place.slot()).filter(|window| window.row.cast_unsigned() == place.row())
    }

    /// Reads of all these windows what counting will read: what waits for the memory then waits for all of them at once.
    pub fn touch(&self, places: impl Iterator<Item = Place>) {
        let windows = places.filter_map(|place| self.get(place.slot()));
        black_box(windows.fold(0, |read, window| read ^ window.row.cast_unsigned() ^ u64::from(window.reshaped)));
    }

    /// Closes a window: takes it out of the table.
    pub fn take(&mut self, slot: Slot) -> Option<Window> {
        let open = self.slots.get_mut(slot.place())?.take()?;
        let route = open.window.route;
        let overflows = [OverflowGroup::Groups, OverflowGroup::Source].map(|what| (route, what));
        if let Some(overflow) = overflows.iter().find(|overflow| self.overflow.get(overflow) == Some(&slot)) {
            self.overflow.remove(overflow);
        } else if let Ok(entry) = self.table.find_entry(open.hash, |candidate| *candidate == slot) {
            entry.remove();
            self.forget_source(&open.window);
        }
        self.free.push(slot);
        if let Some(windows) = self.per_route.get_mut(&route) {
            *windows -= 1;
            if *windows == 0 {
                self.per_route.remove(&route);
            }
        }
        Some(open.window)
    }

    /// Closes every window of a route, in the order of opening.
    pub fn take_route(&mut self, route: RouteIndex) -> Vec<Window> {
        let of_route = |(at, open): (u32, &Option<Open>)| {
            open.as_ref().is_some_and(|open| open.window.route == route).then_some(Slot(at))
        };
        let slots: Vec<Slot> = (0..).zip(&self.slots).filter_map(of_route).collect();
        let mut windows: Vec<Window> = slots.into_iter().filter_map(|slot| self.take(slot)).collect();
        windows.sort_by_key(|window| window.row);
        windows
    }

    /// Takes every window out, in the order of opening.
    pub fn take_all(&mut self) -> Vec<Window> {
        self.table.clear();
        self.free.clear();
        self.overflow.clear();
        self.per_source.clear();
        self.per_route.clear();
        let mut windows: Vec<Window> = self.slots.drain(..).flatten().map(|open| open.window).collect();
        windows.sort_by_key(|window| window.row);
        windows
    }

    /// The open window that a message would count in.
    #[must_use]
    pub fn open_of(&self, key: Key<'_>, message: &Message) -> Option<Slot> {
        self.find(self.hash(key, message), key, message)
    }

    /// An open window, to change what the store knows of it.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Window> {
        self.slots.get_mut(slot.place())?.as_mut().map(|open| &mut open.window)
    }

    fn get(&self, slot: Slot) -> Option<&Window> {
        self.slots.get(slot.place())?.as_ref().map(|open| &open.window)
    }

    /// Whether a route has an open window.
    #[must_use]
    pub fn has_route(&self, route: RouteIndex) -> bool {
        self.per_route.contains_key(&route)
    }

    fn hash(&self, key: Key<'_>, message: &Message) -> u64 {
        let mut hasher = self.seed.build_hasher();
        key.index.hash(&mut hasher);
        for field in key.group_by {
            field.value(message).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn find(&self, hash: u64, key: Key<'_>, message: &Message) -> Option<Slot> {
        let same = |slot: &Slot| {
            self.slots.get(slot.place()).and_then(Option::as_ref).is_some_and(|open| {
                let window = &open.window;
                window.route == key.index && key.group_by.iter().all(|f| f.value(&window.shared) == f.value(message))
            })
        };
        self.table.find(hash, same).copied()
    }

    fn insert(&mut self, hash: u64, mut window: Window) -> Slot {
        if self.limits.per_source.is_some() {
            let source = self.seed.hash_one(&window.shared.source);
            window.rare_mut().source = Some(source);
            *self.per_source.entry(source).or_default() += 1;
        }
        let slot = self.place(hash, window);
        let slots = &self.slots;
        let hash_of = |slot: &Slot| slots.get(slot.place()).and_then(Option::as_ref).map_or(0, |open| open.hash);
        self.table.insert_unique(hash, slot, hash_of);
        slot
    }

    fn place(&mut self, hash: u64, window: Window) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot(u32::try_from(self.slots.len() - 1).expect("so many windows do not fit into any memory"))
        });
        *self.per_route.entry(window.route).or_default() += 1;
        let place = self.slots.get_mut(slot.place()).expect("a free slot is one that was pushed before");
        *place = Some(Open { hash, window });
        slot
    }

    fn forget_source(&mut self, window: &Window) {
        let Some(source) = window.rare.as_deref().and_then(|rare| rare.source) else { return };
        if let Some(open) = self.per_source.get_mut(&source) {
            *open -= 1;
            if *open == 0 {
                self.per_source.remove(&source);
            }
        }
    }
}
