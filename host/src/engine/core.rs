//! The engine's rules without its waiting: what counts where, what closes when, what the store must be told.
//!
//! Synchronous and told the time, so that a test drives it step by step. It never does I/O.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::alerts::Alerts;
use crate::clock::as_millis;
use crate::group::{Came, Key, Limits, Rare, Slot, Window, Windows};
use crate::ids::{Ids, SavedId};
use crate::limits;
use crate::message::{Ack, Batch, GroupId, Learned, Millis, Reason, RouteIndex};
use crate::route::{Route, Routes};
use crate::store::{Changes, Clock, Closed, Committed, Recovered, SavedClock, SavedWindow, SweepPart, WindowChange};

mod alerting;
mod firing;
mod numbered;
mod reroute;

use firing::Firing;
use numbered::Known;
pub use reroute::{Bounds, Rerouted};

/// A route's clock while it runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    started: Millis,
    rings: Instant,
}

/// What is worth a number or a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// Messages that went into overflow groups.
    pub overflowed: u64,
    /// Entries that count once because their route has counted all that can be counted.
    pub saturated: u64,
    /// Messages that came before, by their ids.
    pub known: u64,
    /// Messages refused because another one came under their id.
    pub refused: u64,
    /// Alerts that were posted again.
    pub refreshed: u64,
    /// Alerts that found no room, and count each time they are posted.
    pub past_alerts: u64,
}

/// What a start went on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Windows.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
}

/// Windows that the clock closed together and that are not all with the store yet.
#[derive(Debug)]
struct Sweep {
    number: u64,
    left: VecDeque<Closed>,
}

/// All windows, all clocks, and what the store does not know of them yet.
#[derive(Debug)]
pub struct Core {
    routes: Routes,
    windows: Windows,
    clocks: BTreeMap<RouteIndex, Running>,
    /// Windows that changed since the last commit; a slot may have been closed, or given to another window, since.
    changed: Vec<Slot>,
    /// Closed by count, or left over from routes that are gone.
    closed: Vec<Closed>,
    /// What the store did not know of windows when their route's clock rang. It is written before the first of them is
    /// closed, so that every commit holds all that came before it, however long a sweep takes.
    swept: Vec<WindowChange>,
    /// Messages that each route ever counted, about: so that no sum of them overflows.
    accepted: Vec<u64>,
    ids: Ids,
    /// Ids of messages that are counted in what the store does not know yet.
    fresh_ids: Vec<SavedId>,
    alerts: Alerts,
    /// The groups of alerts that fire.
    firing: HashMap<GroupId, Firing>,
    /// Groups that fire anew since the last commit: nobody has to hear any more that they were over.
    refired: Vec<GroupId>,
    /// Groups that fire and may not have been told because of a silence: their alerts are looked at when they are posted
    /// again.
    held: HashSet<GroupId>,
    /// Of these, those that are for the store to look at.
    untold: Vec<Closed>,
    sweeps: VecDeque<Sweep>,
    last_sweep: u64,
    /// Routes whose clock started or stopped since the last commit, and when it rings if it runs.
    clocks_changed: BTreeMap<RouteIndex, Millis>,
    acks: Vec<Ack>,
    /// One of them wants a commit though there is nothing new: it asks whether the store can be written.
    commit_wanted: bool,
    /// Open groups at most, and of those that a clock closed and the store does not have yet.
    groups: usize,
    noticed: Noticed,
    /// What the connections' numbers stand for.
    learned: Learned<Known>,
    /// Kept between messages, so that routing one allocates nothing.
    taken: Vec<RouteIndex>,
}

impl Core {
    /// No windows yet; at most so many will be open at a time.
    #[must_use]
    pub fn new(routes: Routes, next_row: i64, groups: impl Into<Limits>) -> Self {
        let groups = groups.into();
        Self {
            accepted: vec![0; routes.iter().count()],
            routes,
            windows: Windows::new(next_row, groups),
            clocks: BTreeMap::new(),
            changed: Vec::new(),
            closed: Vec::new(),
            swept: Vec::new(),
            ids: Ids::default(),
            fresh_ids: Vec::new(),
            alerts: Alerts::default(),
            firing: HashMap::new(),
            refired: Vec::new(),
            held: HashSet::new(),
            untold: Vec::new(),
            sweeps: VecDeque::new(),
            last_sweep: 0,
            clocks_changed: BTreeMap::new(),
            acks: Vec::new(),
            commit_wanted: false,
            groups: groups.groups,
            noticed: Noticed::default(),
            learned: Learned::default(),
            taken: Vec::new(),
        }
    }

    /// Goes on with what a former run left. Windows whose route is gone, or groups in another way now, close at once.
    pub fn restore(&mut self, recovered: &mut Recovered, now: Millis, at: Instant) -> Restored {
        let mut restored = Restored::default();
        self.ids = std::mem::take(&mut recovered.ids);
        for (route, accepted) in std::mem::take(&mut recovered.accepted) {
            let index = self.routes.find(&route);
            if let Some(place) = index.and_then(|index| self.accepted.get_mut(index.place())) {
                *place = accepted;
            }
        }
        for saved in recovered.windows.drain(..) {
            restored.groups += 1;
            restored.messages = restored.messages.saturating_add(saved.count);
            self.restore_window(saved, now);
        }
        for saved in recovered.clocks.drain(..) {
            let (Some(route), Some(running)) = (self.routes.find(&saved.route), saved.running) else { continue };
            if self.windows.has_route(route) {
                let limit = self.routes.get(route).time_limit;
                let left = Duration::from_millis(running.rings.saturating_sub(now)).min(limit);
                self.clocks.insert(route, Running { started: running.started.min(now), rings: at + left });
            }
        }
        self.start_missing_clocks(now, at);
        restored
    }

    fn restore_window(&mut self, saved: SavedWindow, now: Millis) {
        let route = self.routes.find(&saved.route);
        let window = Window {
            row: saved.row,
            group: saved.group,
            route: route.unwrap_or_else(|| self.routes.root_index()),
            shared: Arc::new(saved.shared),
            count: saved.count,
            saved: saved.count,
            first_seen: saved.first_seen,
            last_seen: saved.last_seen,
            opened: saved.opened,
            reshaped: false,
            rare: Rare::new(saved.samples, saved.resolved, saved.annotations),
        };
        let refused = match route {
            Some(index) => self.windows.restore(key(index, self.routes.get(index)), window).err(),
            None => Some(Box::new(window)),
        };
        if let Some(window) = refused {
            self.close_left_over(*window, saved.route.into(), now);
        }
    }

    /// Counts a batch. A window that reaches its route's `max_messages` closes.
    pub fn count(&mut self, mut batch: Batch, now: Millis, at: Instant) {
        if !batch.ids.is_empty() {
            let settled = self.ids.settle(&mut batch, now);
            self.fresh_ids.extend(settled.fresh);
            self.noticed.known += settled.known;
            self.noticed.refused += settled.refused;
        }
        for entry in batch.entries {
            let times = entry.times();
            // Nothing is left of an entry whose messages all came before.
            if times.count > 0 {
                self.count_on_routes((&Arc::new(entry.message), times), now, at);
            }
        }
        if let Some(numbered) = batch.numbered {
            self.count_numbered(numbered, now, at);
        }
        self.commit_wanted |= batch.alerts.is_empty() && batch.ack.is_some();
        for posted in batch.alerts.iter() {
            self.post(posted, &batch.alerts.source, now, at);
        }
        self.acks.extend(batch.ack);
    }

    /// Counts messages in a window of every route that takes them. When that is one that stays open, and stands for
    /// these messages alone, its slot is given back.
    fn count_on_routes(&mut self, came: Came<'_>, now: Millis, at: Instant) -> Option<Slot> {
        let mut taken = std::mem::take(&mut self.taken);
        self.routes.of(came.0, &mut taken);
        let mut only = None;
        for index in &taken {
            let slot = self.count_on(*index, came, now, at);
            only = slot.filter(|_| taken.len() == 1);
        }
        self.taken = taken;
        only
    }

    fn count_on(&mut self, index: RouteIndex, (message, times): Came<'_>, now: Millis, at: Instant) -> Option<Slot> {
        let route = self.routes.get(index);
        let mut times = times;
        if let Some(accepted) = self.accepted.get_mut(index.place()) {
            if *accepted >= limits::ROUTE_MESSAGES {
                self.noticed.saturated += 1;
                times.count = 1;
            } else {
                *accepted = accepted.saturating_add(times.count);
            }
        }
        let counted = self.windows.count(key(index, route), (message, times), route.max_messages, now);
        let full = counted.count >= route.max_messages && !counted.overflow;
        if counted.overflow {
            self.noticed.overflowed = self.noticed.overflowed.saturating_add(times.count);
        }
        if counted.clean {
            self.changed.push(counted.slot);
        }
        if full {
            self.close_full(counted.slot, index, now);
            return None;
        }
        if !self.clocks.contains_key(&index) {
            self.start_clock(index, now, at);
        }
        Some(counted.slot).filter(|_| !counted.overflow)
    }

    fn close_full(&mut self, slot: Slot, route: RouteIndex, now: Millis) {
        if let Some(window) = self.windows.take(slot) {
            let opened = window.opened;
            let closed = self.close(window, opened, now, Reason::Count);
            self.closed.extend(closed);
        }
        if self.clocks.contains_key(&route) && !self.windows.has_route(route) {
            self.clocks.remove(&route);
            self.clocks_changed.insert(route, now);
        }
    }

    /// A window that closes, and behind it that its alerts are over, if they are.
    fn close(
        &mut self,
        window: Window,
        opened: Millis,
        now: Millis,
        reason: Reason,
    ) -> impl Iterator<Item = Closed> + use<> {
        let route = self.routes.get(window.route).id.clone();
        let (row, added, resolved) = (window.row, window.unsaved(), window.resolved());
        let mut group = window.close(route, opened, now, reason);
        self.say(&mut group);
        let over = resolved.map(|at| alerting::over(&group, at));
        std::iter::once(Closed { row, added, group }).chain(over)
    }

    fn start_clock(&mut self, route: RouteIndex, now: Millis, at: Instant) {
        let limit = self.routes.get(route).time_limit;
        self.clocks.insert(route, Running { started: now, rings: at + limit });
        self.clocks_changed.insert(route, now.saturating_add(as_millis(limit)));
    }

    /// The next route whose clock rings, and when.
    #[must_use]
    pub fn next_ring(&self) -> Option<(Instant, RouteIndex)> {
        self.clocks.iter().map(|(route, running)| (running.rings, *route)).min()
    }

    /// A route's clock rings: all its open windows close together.
    pub fn ring(&mut self, route: RouteIndex, now: Millis) {
        let Some(running) = self.clocks.remove(&route) else { return };
        self.clocks_changed.insert(route, now);
        self.sweep(route, running.started, now);
    }

    fn sweep(&mut self, route: RouteIndex, started: Millis, now: Millis) {
        let mut left = VecDeque::new();
        for mut window in self.windows.take_route(route) {
            self.swept.extend(unsaved_change(&mut window, &self.routes.get(route).id));
            left.extend(self.close(window, started, now, Reason::Time));
        }
        if !left.is_empty() {
            self.last_sweep += 1;
            self.sweeps.push_back(Sweep { number: self.last_sweep, left });
        }
    }

    /// Closes what must be told before mag stops.
    pub fn flush_on_stop(&mut self, now: Millis) {
        let flushed: Vec<(RouteIndex, Running)> = self
            .clocks
            .iter()
            .filter(|(route, _)| self.routes.get(**route).flush_on_stop)
            .map(|(route, running)| (*route, *running))
            .collect();
        for (route, _) in flushed {
            self.ring(route, now);
        }
    }

    /// Whether the store does not know everything yet.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.is_new_to_store() || !self.acks.is_empty()
    }

    /// Acks for nothing but alerts that the store was told of already; none while there is anything that it was not.
    pub fn take_acks_of_known(&mut self) -> Vec<Ack> {
        if self.is_new_to_store() { Vec::new() } else { std::mem::take(&mut self.acks) }
    }

    fn is_new_to_store(&self) -> bool {
        !self.changed.is_empty()
            || !self.closed.is_empty()
            || !self.swept.is_empty()
            || !self.sweeps.is_empty()
            || !self.clocks_changed.is_empty()
            || !self.refired.is_empty()
            || !self.untold.is_empty()
            || !self.fresh_ids.is_empty()
            || self.commit_wanted
            || self.alerts.has_changes()
    }

    /// A commit is on disk; returns how long it took. Forgets what numbers stand for that nobody will use again.
    pub fn written(&mut self, committed: Committed) -> Duration {
        self.learned.forget_gone();
        self.note_held(committed.held);
        committed.took
    }

    /// Whether so much waits for the store that reading on must wait too: it may be long in coming, on a full disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let closing: usize = self.sweeps.iter().map(|sweep| sweep.left.len()).sum();
        self.closed.len() >= limits::PENDING_CLOSED
            || closing > self.groups
            || self.fresh_ids.len() >= limits::PENDING_IDS
            || self.acks.len() >= limits::PENDING_ACKS
    }

    /// Groups that may be open at a time.
    #[must_use]
    pub fn groups_limit(&self) -> usize {
        self.groups
    }

    /// What happened since the last time that is worth a number or a word.
    pub fn take_noticed(&mut self) -> Noticed {
        std::mem::take(&mut self.noticed)
    }

    /// Whether somebody waits for the next commit: a client for its ack, a person for what closed.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        !self.acks.is_empty() || !self.closed.is_empty() || !self.untold.is_empty() || !self.sweeps.is_empty()
    }

    /// What the next transaction holds, and who is to be told when it is on disk.
    ///
    /// It holds every message that was counted, with its id. Of a long sweep it closes so many at most: what is left stays
    /// open for the store.
    pub fn changes(&mut self, sweep: usize) -> (Changes, Vec<Ack>) {
        let mut changes = Changes {
            closed: std::mem::take(&mut self.closed),
            windows: std::mem::take(&mut self.swept),
            ids: std::mem::take(&mut self.fresh_ids),
            first_id: self.ids.first(),
            refired: std::mem::take(&mut self.refired),
            untold: std::mem::take(&mut self.untold),
            ..Changes::default()
        };
        // In the order of the memory, which is nearly that of the rows.
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        // No more than that: what is given back at its full size leaves no holes.
        changes.windows.reserve_exact(changed.len());
        for slot in changed {
            changes.windows.extend(self.change_of(slot));
        }
        changes.windows.sort_unstable_by_key(WindowChange::row);
        for (route, rings) in std::mem::take(&mut self.clocks_changed) {
            let running = self.clocks.get(&route).map(|running| Clock { started: running.started, rings });
            changes.clocks.push(SavedClock { route: self.routes.get(route).id.clone(), running });
        }
        changes.sweep = self.part_of_sweep(sweep);
        (changes.alerts, changes.alerts_gone) = self.alerts.changes();
        self.commit_wanted = false;
        (changes, std::mem::take(&mut self.acks))
    }

    fn part_of_sweep(&mut self, at_most: usize) -> Option<SweepPart> {
        let sweep = self.sweeps.front_mut()?;
        let number = sweep.number;
        let closed = sweep.left.drain(..sweep.left.len().min(at_most)).collect();
        let whole = sweep.left.is_empty();
        if whole {
            self.sweeps.pop_front();
        }
        Some(SweepPart { number, closed, whole })
    }

    fn change_of(&mut self, slot: Slot) -> Option<WindowChange> {
        let window = self.windows.get_mut(slot)?;
        unsaved_change(window, &self.routes.get(window.route).id)
    }
}

/// What the store does not know of a window; afterwards it counts as known.
fn unsaved_change(window: &mut Window, route: &Arc<str>) -> Option<WindowChange> {
    if window.unsaved() == 0 && !window.reshaped {
        return None;
    }
    let route = Arc::clone(route);
    let change = if window.saved == 0 {
        WindowChange::Opened { route, window: window.clone() }
    } else if window.reshaped {
        WindowChange::Reshaped { route, window: window.clone() }
    } else {
        WindowChange::Grew {
            route,
            row: window.row,
            added: window.unsaved(),
            count: window.count,
            first_seen: window.first_seen,
            last_seen: window.last_seen,
        }
    };
    window.saved = window.count;
    window.reshaped = false;
    Some(change)
}

fn key(index: RouteIndex, route: &Route) -> Key<'_> {
    Key { index, route: &route.id, group_by: &route.group_by }
}
