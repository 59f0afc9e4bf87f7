//! The model: plain values, nothing clever.

use super::*;
use crate::group::{OverflowGroup, merge_samples};

/// A window that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) route: &'static str,
    pub(super) text: String,
    pub(super) count: u64,
    pub(super) severity: Option<Severity>,
    pub(super) opened: Millis,
}

/// An entry of the queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) sender: String,
    pub(super) group: Group,
    sweep: u64,
    /// Grows with each entry.
    place: u64,
    escalated: Escalated,
}

/// How many messages of a row were escalated, and the birth of the copy that holds the last of them.
#[derive(Clone, Copy, Debug, Default)]
struct Escalated {
    messages: u64,
    copy: Option<u64>,
}

impl Escalated {
    /// How many of a row's messages the fallback has not heard of; it has heard of them then, by the copy that it has not
    /// begun, if there is one.
    fn take_left(&mut self, count: u64, open: Option<u64>, copy: u64) -> Option<u64> {
        if self.messages == 0 && self.copy.is_some() && self.copy == open {
            self.messages = count;
        }
        let left = count.checked_sub(self.messages).filter(|left| *left > 0)?;
        *self = Self { messages: count, copy: Some(copy) };
        Some(left)
    }
}

/// A delivery with all that its rows say.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    /// Its id is empty as long as only the store knows it.
    pub(super) delivery: Delivery,
    pub(super) omitted: Vec<Group>,
    /// How many messages of each group were escalated; first those told, then those omitted.
    escalated: Vec<Escalated>,
    /// Grows with each delivery.
    birth: u64,
}

impl Frozen {
    fn rows(&self) -> impl Iterator<Item = &Group> {
        self.delivery.groups.iter().chain(&self.omitted)
    }

    /// The groups in it, each once.
    pub(super) fn groups(&self) -> BTreeSet<GroupId> {
        self.rows().map(|group| group.id).collect()
    }

    /// What the fallback has not heard of yet; it has heard of it then.
    fn left(&mut self, open: Option<u64>, copy: u64) -> Vec<Group> {
        let rows = self.delivery.groups.iter().chain(&self.omitted).zip(&mut self.escalated);
        rows.filter_map(|(group, escalated)| {
            let count = escalated.take_left(group.count, open, copy)?;
            Some(Group { count, ..group.clone() })
        })
        .collect()
    }
}

/// How a window closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) reason: Reason,
    pub(super) sweep: u64,
    pub(super) at: Millis,
}

/// Everything that a store holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) routing: BTreeMap<String, Vec<String>>,
    pub(super) windows: BTreeMap<i64, Open>,
    /// In the order of coming in.
    pub(super) waiting: Vec<Entry>,
    entries: u64,
    /// By id.
    pub(super) under_way: BTreeMap<String, Frozen>,
    /// In the order in which they were made first.
    pub(super) queued: Vec<Frozen>,
    /// Dead letters whose id is known.
    pub(super) letters: BTreeMap<String, Frozen>,
    births: u64,
    /// Held, told, dead, dropped.
    ended: BTreeMap<(String, String), [u64; 4]>,
    totals: BTreeMap<GroupId, u64>,
    pub(super) sweeping: BTreeSet<u64>,
    pub(super) armed: BTreeMap<String, Freeze>,
}

/// Accepted, open, held, waiting, frozen, told, dead, dropped.
pub(super) type Ledger = BTreeMap<(String, String), [u64; 8]>;

impl Model {
    pub(super) fn count(&mut self, row: i64, c: Counting, now: Millis) {
        let open = || Open { route: ROUTES[c.route], text: c.text(), count: 0, severity: None, opened: now };
        let window = self.windows.entry(row).or_insert_with(open);
        window.count += c.count;
        window.severity = window.severity.max(c.severity);
    }

    /// Closes a window and returns what is told of it.
    pub(super) fn close(&mut self, row: i64, how: Closing) -> Group {
        let window = self.windows.remove(&row).expect("an open window");
        let closed = Group {
            severity: window.severity,
            opened: window.opened,
            closed: how.at,
            reason: how.reason,
            ..group(window.route, &window.text, window.count)
        };
        *self.totals.entry(closed.id).or_default() += closed.count;
        let senders = self.routing[window.route].clone();
        if senders.is_empty() {
            self.end(window.route, "", 0, closed.count);
        }
        for sender in senders {
            self.queue(sender, closed.clone(), how.sweep);
        }
        closed
    }

    fn queue(&mut self, sender: String, group: Group, sweep: u64) {
        let waits = |entry: &&Entry| entry.sender == sender;
        let known = self.waiting.iter().filter(waits).any(|entry| entry.group.id == group.id);
        let group =
            if known || (self.waiting.iter().filter(waits).count() as u64) < QUEUE { group } else { other(&group) };
        let same = |entry: &&mut Entry| entry.sender == sender && entry.group.id == group.id;
        let Some(Entry { group: waiting, .. }) = self.waiting.iter_mut().find(same) else {
            self.entries += 1;
            self.waiting.push(Entry { sender, group, sweep, place: self.entries, escalated: Escalated::default() });
            return;
        };
        merge(waiting, &group);
    }

    fn end(&mut self, route: &str, sender: &str, term: usize, count: u64) {
        self.ended.entry((route.to_owned(), sender.to_owned())).or_default()[term] += count;
    }

    /// What stands for groups that found no room has no total.
    fn total(&self, group: &Group) -> u64 {
        self.totals.get(&group.id).map_or(group.count, |total| group.count.max(*total))
    }

    fn birth(&mut self) -> u64 {
        self.births += 1;
        self.births
    }

    /// What an armed sender must have been given by now; the id of something new is empty.
    pub(super) fn freeze(&mut self, sender: &str, now: Millis) -> Option<Frozen> {
        let freeze = self.armed.get(sender)?.clone();
        let frozen = self.take_queued(&freeze).or_else(|| self.take_waiting(&freeze, now))?;
        self.armed.remove(sender);
        Some(frozen)
    }

    fn take_queued(&mut self, freeze: &Freeze) -> Option<Frozen> {
        let busy = self.groups_under_way(&freeze.sender);
        let free = |f: &Frozen| f.delivery.sender == freeze.sender && !f.rows().any(|group| busy.contains(&group.id));
        let mut frozen = self.queued.remove(self.queued.iter().position(free)?);
        if frozen.delivery.attempt == 0 {
            let told = frozen.delivery.groups.len().min(usize::try_from(freeze.max_groups).expect("few"));
            frozen.omitted = frozen.delivery.groups.split_off(told);
            frozen.delivery.omitted_groups = frozen.omitted.len() as u64;
            frozen.delivery.omitted_messages = frozen.omitted.iter().map(|group| group.count).sum();
        }
        frozen.delivery.attempt += 1;
        frozen.delivery.next_attempt = None;
        Some(frozen)
    }

    fn take_waiting(&mut self, freeze: &Freeze, now: Millis) -> Option<Frozen> {
        let sender = freeze.sender.as_str();
        let mut busy = self.groups_under_way(sender);
        let queued = self.queued.iter().filter(|f| f.delivery.sender == sender);
        busy.extend(queued.flat_map(Frozen::rows).map(|group| group.id));
        let (mut ready, rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|e| e.sender == sender && !busy.contains(&e.group.id) && !self.sweeping.contains(&e.sweep));
        self.waiting = rest;
        if ready.is_empty() {
            return None;
        }
        ready.sort_by_key(|e| std::cmp::Reverse((e.group.severity, e.group.count)));
        let mut later = ready.split_off(ready.len().min(usize::try_from(freeze.max_groups).expect("few")));
        if freeze.split {
            self.waiting.append(&mut later);
            self.waiting.sort_by_key(|e| e.place);
        }
        let escalated = ready.iter().chain(&later).map(|e| e.escalated).collect();
        let total = |e: Entry| Group { total: self.total(&e.group), ..e.group };
        let groups = ready.into_iter().map(total).collect();
        let omitted: Vec<Group> = later.into_iter().map(total).collect();
        let delivery = Delivery {
            groups,
            omitted_groups: omitted.len() as u64,
            omitted_messages: omitted.iter().map(|group: &Group| group.count).sum(),
            ..Delivery::begin(String::new(), sender.to_owned(), now)
        };
        Some(Frozen { delivery, omitted, escalated, birth: self.birth() })
    }

    /// Copies what a sender has not told for another one; returns how many notifications that makes.
    pub(super) fn escalate(&mut self, from: &str, to: &str, now: Millis) -> usize {
        let (open, copy) = self.births_of_copies(from, to);
        let mut all: Vec<&mut Frozen> = self.under_way.values_mut().chain(&mut self.queued).collect();
        all.retain(|frozen| frozen.delivery.sender == from);
        all.sort_by_key(|frozen| frozen.birth);
        let mut left: Vec<Group> = all.into_iter().flat_map(|frozen| frozen.left(open, copy)).collect();
        for entry in self.waiting.iter_mut().filter(|e| e.sender == from) {
            let count = entry.group.count;
            let total = self.totals.get(&entry.group.id).map_or(count, |total| count.max(*total));
            if let Some(count) = entry.escalated.take_left(count, open, copy) {
                left.push(Group { count, total, ..entry.group.clone() });
            }
        }
        usize::from(self.copy(from, to, left, now))
    }

    /// The birth of the copy that the fallback has not begun, and that of the one which takes in what is new.
    fn births_of_copies(&self, from: &str, to: &str) -> (Option<u64>, u64) {
        let open = self.queued.iter().find(|f| is_open_copy(f, from, to)).map(|f| f.birth);
        (open, open.unwrap_or(self.births + 1))
    }

    /// Adds to the copy that the fallback has not begun, or makes one.
    fn copy(&mut self, from: &str, to: &str, left: Vec<Group>, now: Millis) -> bool {
        if left.is_empty() {
            return false;
        }
        let escalation = escalation(from, to);
        let cause = Some(Cause { sender: from.to_owned(), code: escalation.code, error: escalation.error });
        let at = self.queued.iter().position(|f| is_open_copy(f, from, to)).unwrap_or_else(|| {
            let new = Delivery::begin(String::new(), to.to_owned(), now);
            let delivery = Delivery { attempt: 0, reason: Some(Reason::Escalated), cause: cause.clone(), ..new };
            let birth = self.birth();
            self.queued.push(Frozen { delivery, omitted: Vec::new(), escalated: Vec::new(), birth });
            self.queued.len() - 1
        });
        let copy = &mut self.queued[at];
        let groups = std::mem::take(&mut copy.delivery.groups);
        let mut rows: Vec<(Group, Escalated)> = groups.into_iter().zip(std::mem::take(&mut copy.escalated)).collect();
        for group in left {
            match rows.iter_mut().find(|(there, _)| there.id == group.id) {
                Some((there, _)) => {
                    merge(there, &group);
                    there.total = there.total.max(group.total).max(there.count);
                }
                None => rows.push((group, Escalated::default())),
            }
        }
        rows.sort_by_key(|(group, _)| std::cmp::Reverse((group.severity, group.count)));
        (copy.delivery.groups, copy.escalated) = rows.into_iter().unzip();
        true
    }

    /// A person replays a dead letter, or drops it.
    pub(super) fn letter(&mut self, id: &str, deed: Deed) {
        let mut frozen = self.letters.remove(id).expect("a letter");
        for group in frozen.rows() {
            let ended = self.ended.get_mut(&(group.route.to_string(), frozen.delivery.sender.clone()));
            let ended = ended.expect("it is dead");
            ended[2] -= group.count;
            ended[3] += if deed == Deed::Drop { group.count } else { 0 };
        }
        if deed == Deed::Replay {
            frozen.escalated.iter_mut().for_each(|escalated| escalated.messages = 0);
            self.queued.push(frozen);
            self.queued.sort_by_key(|frozen| frozen.birth);
        }
    }

    /// The ids of all groups in deliveries of a sender that are under way; none may stand there twice, except in copies of
    /// several deliveries.
    pub(super) fn groups_under_way(&self, sender: &str) -> Vec<GroupId> {
        let of_sender = self.under_way.values().filter(|frozen| frozen.delivery.sender == sender);
        of_sender.flat_map(Frozen::rows).map(|group| group.id).collect()
    }

    pub(super) fn finish(&mut self, id: &str, outcome: &Outcome, fallback: Option<&str>, now: Millis) {
        let term = match outcome {
            Outcome::Delivered { .. } => 1,
            Outcome::Dead { .. } => 2,
            Outcome::Backoff { next_attempt, .. } => {
                self.under_way.get_mut(id).expect("it is under way").delivery.next_attempt = Some(*next_attempt);
                return;
            }
        };
        let mut frozen = self.under_way.remove(id).expect("it is under way");
        let sender = frozen.delivery.sender.clone();
        for group in frozen.rows() {
            self.end(&group.route, &sender, term, group.count);
        }
        if let (2, Some(fallback)) = (term, fallback) {
            let (open, copy) = self.births_of_copies(&sender, fallback);
            let left = frozen.left(open, copy);
            self.copy(&sender, fallback, left, now);
        }
        if term == 2 {
            frozen.delivery.next_attempt = None;
            self.letters.insert(id.to_owned(), frozen);
        }
    }

    /// Starts with another config; returns how many notifications went to the dead letters.
    pub(super) fn reopen(&mut self, (routes, known): Config) -> u64 {
        let owned = |senders: &[&str]| senders.iter().map(|&sender| sender.to_owned()).collect::<Vec<_>>();
        let former = std::mem::take(&mut self.routing);
        self.routing = routes.iter().map(|(route, senders)| ((*route).to_owned(), owned(senders))).collect();
        for window in self.windows.values() {
            let mut left = former[window.route].clone();
            left.retain(|sender| known.contains(&sender.as_str()));
            let senders = if left.is_empty() { self.routing["root"].clone() } else { left };
            self.routing.entry(window.route.to_owned()).or_insert(senders);
        }
        self.sweeping.clear();
        self.armed.clear();
        for frozen in self.under_way.values_mut().filter(|frozen| frozen.delivery.next_attempt.is_none()) {
            frozen.delivery.tries.unclear = true;
        }
        let gone = |sender: &str| !known.contains(&sender);
        let ids: Vec<String> =
            self.under_way.iter().filter(|(_, f)| gone(&f.delivery.sender)).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.finish(id, &dead(), None, 0);
        }
        let (copies, rest): (Vec<Frozen>, Vec<Frozen>) =
            std::mem::take(&mut self.queued).into_iter().partition(|frozen| gone(&frozen.delivery.sender));
        self.queued = rest;
        let buried = ids.len() + copies.len();
        for frozen in copies {
            for group in frozen.rows() {
                self.end(&group.route, &frozen.delivery.sender, 2, group.count);
            }
            if !frozen.delivery.id.is_empty() {
                self.letters.insert(frozen.delivery.id.clone(), frozen);
            }
        }
        let (lost, rest): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|entry| gone(&entry.sender));
        self.waiting = rest;
        for entry in &lost {
            self.end(&entry.group.route, &entry.sender, 2, entry.group.count);
        }
        let senders: BTreeSet<&str> = lost.iter().map(|entry| entry.sender.as_str()).collect();
        (buried + senders.len()) as u64
    }

    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new();
        let mut add = |route: &str, sender: &str, term: usize, count: u64| {
            let row = ledger.entry((route.to_owned(), sender.to_owned())).or_default();
            row[0] += count;
            row[term] += count;
        };
        for window in self.windows.values() {
            let senders = &self.routing[window.route];
            if senders.is_empty() {
                add(window.route, "", 1, window.count);
            }
            senders.iter().for_each(|sender| add(window.route, sender, 1, window.count));
        }
        for entry in &self.waiting {
            add(&entry.group.route, &entry.sender, 3, entry.group.count);
        }
        for frozen in self.under_way.values().chain(&self.queued) {
            for group in frozen.rows() {
                add(&group.route, &frozen.delivery.sender, 4, group.count);
            }
        }
        for ((route, sender), [held, told, dead, dropped]) in &self.ended {
            add(route, sender, 7, *dropped);
            add(route, sender, 2, *held);
            add(route, sender, 5, *told);
            add(route, sender, 6, *dead);
        }
        ledger.retain(|_, row| row[0] > 0);
        ledger
    }
}

/// Whether it is a copy that nobody has begun to tell.
fn is_open_copy(Frozen { delivery, .. }: &Frozen, from: &str, to: &str) -> bool {
    let from_there = delivery.cause.as_ref().is_some_and(|cause| cause.sender == from);
    delivery.sender == to && delivery.attempt == 0 && from_there
}

/// What stands for a group that found no room.
fn other(group: &Group) -> Group {
    let mut other =
        Group { id: OverflowGroup::Queue.id(&group.route), text: OverflowGroup::Queue.text(QUEUE), ..group.clone() };
    merge_samples(&mut other, group);
    other
}

impl Counting {
    pub(super) fn text(&self) -> String {
        format!("text {}", self.text)
    }
}

fn merge(group: &mut Group, later: &Group) {
    group.count += later.count;
    group.severity = group.severity.max(later.severity);
    group.opened = group.opened.min(later.opened);
    group.closed = group.closed.max(later.closed);
    merge_samples(group, later);
    if group.reason != later.reason {
        group.reason = Reason::Time;
    }
}
