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
    /// By id, with the omitted groups beside it.
    pub(super) under_way: BTreeMap<String, (Delivery, Vec<Group>)>,
    /// Held, told, dead.
    ended: BTreeMap<(String, String), [u64; 3]>,
    totals: BTreeMap<GroupId, u64>,
    pub(super) sweeping: BTreeSet<u64>,
    pub(super) armed: BTreeMap<String, Freeze>,
}

/// Accepted, open, held, waiting, frozen, told, dead.
pub(super) type Ledger = BTreeMap<(String, String), [u64; 7]>;

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
            self.waiting.push(Entry { sender, group, sweep, place: self.entries });
            return;
        };
        waiting.count += group.count;
        waiting.severity = waiting.severity.max(group.severity);
        waiting.opened = waiting.opened.min(group.opened);
        waiting.closed = waiting.closed.max(group.closed);
        merge_samples(waiting, &group);
        if waiting.reason != group.reason {
            waiting.reason = Reason::Time;
        }
    }

    fn end(&mut self, route: &str, sender: &str, term: usize, count: u64) {
        self.ended.entry((route.to_owned(), sender.to_owned())).or_default()[term] += count;
    }

    /// What an armed sender must have been given by now, without its id.
    pub(super) fn freeze(&mut self, sender: &str, now: Millis) -> Option<(Delivery, Vec<Group>)> {
        let freeze = self.armed.get(sender)?.clone();
        let busy: BTreeSet<GroupId> = self.groups_under_way(sender).into_iter().collect();
        let (mut ready, rest): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|e| e.sender == sender && !busy.contains(&e.group.id) && !self.sweeping.contains(&e.sweep));
        self.waiting = rest;
        if ready.is_empty() {
            return None;
        }
        ready.sort_by_key(|e| std::cmp::Reverse((e.group.severity, e.group.count)));
        let later = ready.split_off(ready.len().min(usize::try_from(freeze.max_groups).expect("few")));
        let mut omitted = Vec::new();
        if freeze.split {
            self.waiting.extend(later);
            self.waiting.sort_by_key(|e| e.place);
        } else {
            omitted = later.into_iter().map(|e| e.group).collect();
        }
        let total =
            |e: Entry| Group { total: self.totals.get(&e.group.id).copied().unwrap_or(e.group.count), ..e.group };
        let delivery = Delivery {
            groups: ready.into_iter().map(total).collect(),
            omitted_groups: omitted.len() as u64,
            omitted_messages: omitted.iter().map(|group: &Group| group.count).sum(),
            ..Delivery::begin(String::new(), sender.to_owned(), now)
        };
        self.armed.remove(sender);
        Some((delivery, omitted))
    }

    /// The ids of all groups in unfinished deliveries of a sender; none may stand there twice.
    pub(super) fn groups_under_way(&self, sender: &str) -> Vec<GroupId> {
        let of_sender = self.under_way.values().filter(|(delivery, _)| delivery.sender == sender);
        of_sender.flat_map(|(delivery, omitted)| delivery.groups.iter().chain(omitted)).map(|group| group.id).collect()
    }

    pub(super) fn finish(&mut self, id: &str, outcome: &Outcome) {
        let term = match outcome {
            Outcome::Delivered { .. } => 1,
            Outcome::Dead { .. } => 2,
            Outcome::Backoff { next_attempt, .. } => {
                self.under_way.get_mut(id).expect("it is under way").0.next_attempt = Some(*next_attempt);
                return;
            }
        };
        let (delivery, omitted) = self.under_way.remove(id).expect("it is under way");
        for group in delivery.groups.iter().chain(&omitted) {
            self.end(&group.route, &delivery.sender, term, group.count);
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
        let gone = |sender: &str| !known.contains(&sender);
        let ids: Vec<String> =
            self.under_way.iter().filter(|(_, (d, _))| gone(&d.sender)).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.finish(id, &dead());
        }
        let (lost, rest): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|entry| gone(&entry.sender));
        self.waiting = rest;
        for entry in &lost {
            self.end(&entry.group.route, &entry.sender, 2, entry.group.count);
        }
        let senders: BTreeSet<&str> = lost.iter().map(|entry| entry.sender.as_str()).collect();
        (ids.len() + senders.len()) as u64
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
        for (delivery, omitted) in self.under_way.values() {
            for group in delivery.groups.iter().chain(omitted) {
                add(&group.route, &delivery.sender, 4, group.count);
            }
        }
        for ((route, sender), [held, told, dead]) in &self.ended {
            add(route, sender, 2, *held);
            add(route, sender, 5, *told);
            add(route, sender, 6, *dead);
        }
        ledger.retain(|_, row| row[0] > 0);
        ledger
    }
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
