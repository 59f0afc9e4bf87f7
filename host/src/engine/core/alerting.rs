//! Alerts: which of those that are posted count, and when all of a group are over.
//!
//! A group is over when the last of its alerts is. That is told behind what was told of it: at once when nothing of the
//! group is being counted, else when its window closes.

use std::sync::Arc;

use tokio::time::Instant;

use super::firing::{Firing, Joins};
use super::{Core, key};
use crate::alerts::{Alert, Alerts, Verdict};
use crate::group::{Slot, Windows, group_id};
use crate::message::{Group, GroupId, Labels, Message, Millis, Posted, Reason, Times, Word};
use crate::store::Closed;

/// Tells of a group that was just told that its alerts are over since `at`; it counts no message.
pub(super) fn over(group: &Group, at: Millis) -> Closed {
    let opened = group.first_seen.min(at);
    let group = Group { count: 0, opened, closed: at, reason: Reason::Resolved, samples: Vec::new(), ..group.clone() };
    Closed { row: 0, added: 0, group }
}

impl Core {
    /// Goes on with alerts that a former run left; `alerts` is empty and brings its bounds.
    pub fn restore_alerts(&mut self, mut alerts: Alerts, saved: Vec<Alert>, now: Millis, at: Instant) {
        for alert in saved {
            self.join(&alert.message, (alert.n, alert.starts), Joins::Again);
            alerts.restore(alert, now, at);
        }
        // What waits to be told of them is as they left it.
        self.refired.clear();
        self.all_may_be_untold();
        self.alerts = alerts;
    }

    /// Counts a posted alert if it is new, and closes its group if it was the last one that fired there.
    pub(super) fn post(&mut self, posted: Posted<'_>, source: &Word, now: Millis, at: Instant) {
        match self.alerts.take(posted, source, now, at) {
            Verdict::Fires { n, message, starts, replaced } => {
                self.join(&message, (n, starts), Joins::New);
                if let Some(replaced) = replaced {
                    // Its group goes on with the new one.
                    self.leave(&replaced, now);
                }
                let times = Times { first_seen: starts.min(now), ..Times::at(now, 1) };
                self.count_on_routes((&Arc::new(message), times), now, at);
            }
            Verdict::Fired(n) => {
                self.noticed.refreshed += 1;
                if !self.held.is_empty() {
                    self.look_at_held(n, now);
                }
            }
            Verdict::Unknown => {}
            Verdict::Over(alerts) => {
                for alert in alerts {
                    self.leave(&alert, now);
                }
            }
            Verdict::NoRoom(message) => {
                self.noticed.past_alerts += 1;
                self.count_on_routes((&Arc::new(message), Times::at(now, 1)), now, at);
            }
        }
    }

    /// What is said about the alerts of a group that is told now.
    pub(super) fn say(&mut self, group: &mut Group) {
        if let Some(firing) = self.firing.get_mut(&group.id) {
            group.annotations = firing.tell(&self.alerts);
        }
    }

    /// Silences kept these groups from being told.
    pub(super) fn note_held(&mut self, groups: Vec<GroupId>) {
        self.held.extend(groups.into_iter().filter(|id| self.firing.contains_key(id)));
    }

    /// The store knows which were told; it is asked when their alerts are posted again.
    pub(super) fn all_may_be_untold(&mut self) {
        self.held = self.firing.keys().copied().collect();
    }

    /// An alert is posted again whose groups a silence may have held: it may be over.
    fn look_at_held(&mut self, n: i64, now: Millis) {
        let Some(alert) = self.alerts.get(n) else { return };
        let (message, annotations) = (alert.message.clone(), alert.annotations.clone());
        let mut taken = std::mem::take(&mut self.taken);
        self.routes.of(&message, &mut taken);
        for index in &taken {
            let route = self.routes.get(*index);
            let id = group_id(&route.id, &route.group_by, &message);
            // A window that is open will be told, or held again.
            if self.held.remove(&id) && self.windows.open_of(key(*index, route), &message).is_none() {
                let still = |firing: &Firing| firing.still(route, id, now, annotations.clone());
                self.untold.extend(self.firing.get(&id).map(still));
            }
        }
        self.taken = taken;
    }

    /// When the next alert is over that nobody posts again.
    #[must_use]
    pub fn next_end(&self) -> Option<Instant> {
        self.alerts.next_end()
    }

    /// Some alerts are over, because nobody posted them again.
    pub fn end_alerts(&mut self, now: Millis, at: Instant) {
        for alert in self.alerts.over(at) {
            self.leave(&alert, now);
        }
    }

    /// For so long nothing was taken in: alerts could not be posted again.
    pub fn took_nothing_in(&mut self, time: std::time::Duration) {
        self.alerts.wait(time);
    }

    /// An alert fires in its groups: its row, and since when.
    pub(super) fn join(&mut self, message: &Message, alert: (i64, Millis), joins: Joins) {
        let mut taken = std::mem::take(&mut self.taken);
        self.routes.of(message, &mut taken);
        for index in &taken {
            let route = self.routes.get(*index);
            let id = group_id(&route.id, &route.group_by, message);
            if let Some(firing) = self.firing.get_mut(&id) {
                // Which of those that fired before are in the window that is open, nobody knows any more: all are.
                let untold = joins == Joins::New || firing.has_untold();
                firing.add(message, alert, untold);
                continue;
            }
            self.refired.push(id);
            let slot = self.windows.open_of(key(*index, route), message);
            let said = mark(&mut self.windows, &mut self.changed, slot, None);
            let mut firing = Firing::new(message, alert.1, said);
            firing.add(message, alert, joins == Joins::New || slot.is_some());
            self.firing.insert(id, firing);
        }
        self.taken = taken;
    }

    /// An alert no longer fires.
    fn leave(&mut self, alert: &Alert, now: Millis) {
        let message = &alert.message;
        let mut taken = std::mem::take(&mut self.taken);
        self.routes.of(message, &mut taken);
        for index in &taken {
            let route = self.routes.get(*index);
            let id = group_id(&route.id, &route.group_by, message);
            let Some(firing) = self.firing.get_mut(&id) else { continue };
            if !firing.end(alert, now) {
                continue;
            }
            let Some(firing) = self.firing.remove(&id) else { continue };
            self.held.remove(&id);
            let slot = self.windows.open_of(key(*index, route), message);
            if slot.is_none() {
                self.closed.push(firing.over(route, id));
            } else {
                mark(&mut self.windows, &mut self.changed, slot, Some(firing.into_window()));
            }
        }
        self.taken = taken;
    }
}

/// Says of a window that is open whether its alerts are over, since when, and what was said about them; returns what it
/// had to say of that before, if they were over.
fn mark(
    windows: &mut Windows,
    changed: &mut Vec<Slot>,
    slot: Option<Slot>,
    over: Option<(Millis, Labels)>,
) -> Option<Labels> {
    let slot = slot?;
    let window = windows.get_mut(slot)?;
    let was = window.resolved();
    let (resolved, annotations) = over.map(|(at, said)| (Some(at), said)).unwrap_or_default();
    if was.is_none() && resolved.is_none() {
        return None;
    }
    let rare = window.rare_mut();
    rare.resolved = resolved;
    let said = std::mem::replace(&mut rare.annotations, annotations);
    window.reshaped = true;
    changed.push(slot);
    was.map(|_at| said)
}
