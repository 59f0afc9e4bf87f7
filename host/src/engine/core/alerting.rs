//! Alerts: which of those that are posted count, and when all of a group are over.
//!
//! A group is over when the last of its alerts is. That is told behind what was told of it: at once when nothing of the
//! group is being counted, else when its window closes.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Core, key};
use crate::alerts::{Alert, Alerts, Verdict};
use crate::group::{Slot, Windows, group_id};
use crate::message::{Group, GroupId, Message, Millis, Posted, Reason, Times};
use crate::route::Route;
use crate::store::Closed;

/// A group in which alerts fire.
#[derive(Debug)]
pub(super) struct Firing {
    alerts: u64,
    /// What they share; the text is the first one's.
    shared: Message,
    /// The first of them began.
    since: Millis,
    /// The last of those ended that are over.
    until: Millis,
}

/// Tells of a group that was just told that its alerts are over since `at`; it counts no message.
pub(super) fn over(group: &Group, at: Millis) -> Closed {
    let opened = group.first_seen.min(at);
    let group = Group { count: 0, opened, closed: at, reason: Reason::Resolved, samples: Vec::new(), ..group.clone() };
    Closed { row: 0, added: 0, group }
}

impl Firing {
    fn over(self, route: &Route, id: GroupId) -> Closed {
        let (until, opened) = (self.until, self.since.min(self.until));
        let Message { text, kind, severity, labels, source } = self.shared;
        let group = Group {
            id,
            route: route.id.clone(),
            kind: kind.into(),
            source: Some(source).filter(|source| !source.is_empty()).map(Into::into),
            text,
            severity,
            labels,
            count: 0,
            total: 0,
            first_seen: opened,
            last_seen: until,
            opened,
            closed: until,
            samples: Vec::new(),
            reason: Reason::Resolved,
        };
        Closed { row: 0, added: 0, group }
    }
}

impl Core {
    /// Goes on with alerts that a former run left; `alerts` is empty and brings its key.
    pub fn restore_alerts(&mut self, mut alerts: Alerts, saved: Vec<Alert>, now: Millis, at: Instant) {
        for alert in saved {
            self.join(&alert.message, alert.starts);
            alerts.restore(alert, now, at);
        }
        // What waits to be told of them is as they left it.
        self.refired.clear();
        self.alerts = alerts;
    }

    /// Counts a posted alert if it is new, and closes its group if it was the last one that fired there.
    pub(super) fn post(&mut self, posted: Posted, now: Millis, at: Instant) {
        match self.alerts.take(posted, now, at) {
            Verdict::Fires { message, starts, replaced } => {
                self.join(&message, starts);
                if let Some(replaced) = replaced {
                    // Its group goes on with the new one.
                    self.leave(&replaced, now);
                }
                let times = Times { first_seen: starts.min(now), ..Times::at(now, 1) };
                self.count_on_routes((&Arc::new(message), times), now, at);
            }
            Verdict::Fired => self.noticed.refreshed += 1,
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

    /// An alert fires in its groups.
    pub(super) fn join(&mut self, message: &Message, starts: Millis) {
        let mut taken = std::mem::take(&mut self.taken);
        self.routes.of(message, &mut taken);
        for index in &taken {
            let route = self.routes.get(*index);
            let id = group_id(&route.id, &route.group_by, message);
            match self.firing.get_mut(&id) {
                Some(firing) => firing.add(message, starts),
                None => {
                    self.refired.push(id);
                    let slot = self.windows.open_of(key(*index, route), message);
                    mark(&mut self.windows, &mut self.changed, slot, None);
                    self.firing.insert(id, Firing { alerts: 1, shared: message.clone(), since: starts, until: 0 });
                }
            }
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
            firing.alerts -= 1;
            firing.until = firing.until.max(alert.ends.min(now));
            if firing.alerts > 0 {
                continue;
            }
            let Some(firing) = self.firing.remove(&id) else { continue };
            let slot = self.windows.open_of(key(*index, route), message);
            mark(&mut self.windows, &mut self.changed, slot, Some(firing.until));
            if slot.is_none() {
                self.closed.push(firing.over(route, id));
            }
        }
        self.taken = taken;
    }
}

/// Says of a window that is open whether its alerts are over.
fn mark(windows: &mut Windows, changed: &mut Vec<Slot>, slot: Option<Slot>, resolved: Option<Millis>) {
    let Some(slot) = slot else { return };
    if let Some(window) = windows.get_mut(slot)
        && window.resolved() != resolved
    {
        window.rare_mut().resolved = resolved;
        window.reshaped = true;
        changed.push(slot);
    }
}

impl Firing {
    fn add(&mut self, message: &Message, starts: Millis) {
        self.alerts += 1;
        self.since = self.since.min(starts);
        let shared = &mut self.shared;
        shared.severity = shared.severity.max(message.severity);
        if shared.source != message.source {
            shared.source.set("");
        }
        if shared.labels != message.labels {
            shared.labels.keep_shared(&message.labels);
        }
    }
}
