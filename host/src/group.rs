//! What is the same: the key of a message on a route, and the windows that count.
//!
//! No I/O, no clock, no async, and nothing here can fail: whoever calls brings the time and gets values back.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use crate::limits;
use crate::matcher::Field;
use crate::message::{DEFAULT_KIND, Group, GroupId, Message, Millis, Reason, RouteIndex, Times};

mod overflow;

pub use overflow::{OverflowGroup, sentence};

/// An open count: from the first message after the last flush until the next flush.
///
/// What counting touches stands together, in one line of the cache or two: very many windows are counted in no order.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Window {
    /// Its row in the store: numbers in the order of opening, so that new rows go to the end of the file.
    pub row: i64,
    /// Where it counts.
    pub route: RouteIndex,
    /// Messages so far.
    pub count: u64,
    /// How many of them the store has; 0 means that it has no row yet.
    pub saved: u64,
    /// The earliest time a message carried.
    pub first_seen: Millis,
    /// The latest time a message carried.
    pub last_seen: Millis,
    /// What its messages share; the text is the first one's, the severity the highest. An empty source is none.
    ///
    /// Shared, because whoever counts by number keeps it too.
    pub shared: Arc<Message>,
    /// Whether more than the count and the times changed since the store last heard of it.
    pub reshaped: bool,
    /// The group's id, computed once, when the window opens.
    pub group: GroupId,
    /// When it opened.
    pub opened: Millis,
    /// Other texts, newest last.
    pub samples: Vec<String>,
    /// Since when all its alerts are over: that is told when it was told that they fire.
    pub resolved: Option<Millis>,
}

impl Window {
    fn open(row: i64, route: RouteIndex, group: GroupId, (message, times): Came<'_>, now: Millis) -> Self {
        Self {
            row,
            group,
            route,
            shared: Arc::clone(message),
            count: times.count,
            saved: 0,
            first_seen: times.first_seen,
            last_seen: times.last_seen,
            opened: now,
            samples: Vec::new(),
            reshaped: false,
            resolved: None,
        }
    }

    /// The window for everything past a limit of open groups: its text says that, what came stands in its samples.
    fn open_overflow(row: i64, key: Key<'_>, past: Past, came: Came<'_>, now: Millis) -> Self {
        let mut window = Self::open(row, key.index, past.what.id(key.route), came, now);
        add_sample(&mut window.samples, &came.0.text);
        Arc::make_mut(&mut window.shared).text = past.what.text(past.limit as u64);
        window
    }

    /// Adds messages that the window has met: nothing but numbers changes.
    #[inline]
    pub fn grow(&mut self, times: Times) {
        self.count = self.count.saturating_add(times.count);
        self.first_seen = self.first_seen.min(times.first_seen);
        self.last_seen = self.last_seen.max(times.last_seen);
    }

    fn add(&mut self, (new, times): Came<'_>) {
        self.grow(times);
        // Nearly always the very same message again: one comparison, nothing to do.
        if self.shared == *new {
            return;
        }
        self.reshaped = true;
        let shared = Arc::make_mut(&mut self.shared);
        shared.severity = shared.severity.max(new.severity);
        if shared.kind != new.kind {
            DEFAULT_KIND.clone_into(&mut shared.kind);
        }
        if shared.source != new.source {
            shared.source.clear();
        }
        if shared.labels != new.labels {
            shared.labels.keep_shared(&new.labels);
        }
        if shared.text != new.text {
            add_sample(&mut self.samples, &new.text);
        }
    }

    /// Messages that the store does not know yet.
    #[must_use]
    pub fn unsaved(&self) -> u64 {
        self.count.saturating_sub(self.saved)
    }

    /// What is told of it once it is closed. `total` is only known to the store.
    #[must_use]
    pub fn close(self, route: Arc<str>, opened: Millis, closed: Millis, reason: Reason) -> Group {
        let Message { text, kind, severity, labels, source } = Arc::unwrap_or_clone(self.shared);
        Group {
            id: self.group,
            route,
            kind,
            source: Some(source).filter(|source| !source.is_empty()),
            text,
            severity,
            labels,
            count: self.count,
            total: self.count,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            opened,
            closed,
            samples: self.samples,
            reason,
        }
    }
}

/// Puts a text at the end of the samples, cut to its bound; the oldest goes, and none stands twice.
fn add_sample(samples: &mut Vec<String>, text: &str) {
    let sample = text.get(..text.floor_char_boundary(limits::SAMPLE_BYTES)).unwrap_or_default();
    samples.retain(|kept| kept != sample);
    if samples.len() >= limits::SAMPLES {
        samples.remove(0);
    }
    samples.push(sample.to_owned());
}

/// Adds the texts of a later window of the same group to the samples of an earlier one, whose own text is no sample.
pub fn merge_samples(group: &mut Group, later: &Group) {
    for text in std::iter::once(&later.text).chain(&later.samples) {
        if *text != group.text {
            add_sample(&mut group.samples, text);
        }
    }
}

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
pub struct Slot(usize);

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The window's.
    pub slot: Slot,
    row: i64,
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
    /// The hash of the source that opened it.
    source: u64,
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
        Some(Place { slot, row: window.row })
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
        self.get_mut(place.slot).filter(|window| window.row == place.row)
    }

    /// Closes a window: takes it out of the table.
    pub fn take(&mut self, slot: Slot) -> Option<Window> {
        let open = self.slots.get_mut(slot.0)?.take()?;
        let route = open.window.route;
        let overflows = [OverflowGroup::Groups, OverflowGroup::Source].map(|what| (route, what));
        if let Some(overflow) = overflows.iter().find(|overflow| self.overflow.get(overflow) == Some(&slot)) {
            self.overflow.remove(overflow);
        } else if let Ok(entry) = self.table.find_entry(open.hash, |candidate| *candidate == slot) {
            entry.remove();
            self.forget_source(open.source);
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
        let of_route = |(at, open): (usize, &Option<Open>)| {
            open.as_ref().is_some_and(|open| open.window.route == route).then_some(Slot(at))
        };
        let slots: Vec<Slot> = self.slots.iter().enumerate().filter_map(of_route).collect();
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
        self.slots.get_mut(slot.0)?.as_mut().map(|open| &mut open.window)
    }

    fn get(&self, slot: Slot) -> Option<&Window> {
        self.slots.get(slot.0)?.as_ref().map(|open| &open.window)
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
            self.slots.get(slot.0).and_then(Option::as_ref).is_some_and(|open| {
                let window = &open.window;
                window.route == key.index && key.group_by.iter().all(|f| f.value(&window.shared) == f.value(message))
            })
        };
        self.table.find(hash, same).copied()
    }

    fn insert(&mut self, hash: u64, window: Window) -> Slot {
        let source = self.limits.per_source.map_or(0, |_| self.seed.hash_one(&window.shared.source));
        let slot = self.place(hash, window);
        if let Some(open) = self.slots.get_mut(slot.0).and_then(Option::as_mut)
            && self.limits.per_source.is_some()
        {
            open.source = source;
            *self.per_source.entry(source).or_default() += 1;
        }
        let slots = &self.slots;
        self.table
            .insert_unique(hash, slot, |slot| slots.get(slot.0).and_then(Option::as_ref).map_or(0, |open| open.hash));
        slot
    }

    fn place(&mut self, hash: u64, window: Window) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot(self.slots.len() - 1)
        });
        *self.per_route.entry(window.route).or_default() += 1;
        let place = self.slots.get_mut(slot.0).expect("a free slot is one that was pushed before");
        *place = Some(Open { hash, source: 0, window });
        slot
    }

    fn forget_source(&mut self, source: u64) {
        if let Some(open) = self.per_source.get_mut(&source) {
            *open -= 1;
            if *open == 0 {
                self.per_source.remove(&source);
            }
        }
    }
}
