//! Other routes for windows that are open: what a restart with the new config would do, without one.
//!
//! Windows whose route is still there, and groups as it did, go on; the others close at once, to the senders that they
//! had. The store knows of everything that the old routes counted before any of this happens.

use std::sync::Arc;

use tokio::time::Instant;

use super::firing::Joins;
use super::numbered::Known;
use super::{Core, Running, alerting, key};
use crate::alerts;
use crate::clock::as_millis;
use crate::group::{self, Window};
use crate::ids::Memory;
use crate::message::{Millis, Reason, RouteIndex};
use crate::route::Routes;
use crate::store::Closed;

/// How much the engine and the store hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Open windows.
    pub groups: group::Limits,
    /// Alerts, and how long they live.
    pub alerts: alerts::Bounds,
    /// Ids of messages.
    pub ids: Memory,
    /// Groups that wait for a sender.
    pub queue: u64,
}

/// What became of the windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rerouted {
    /// Groups that go on.
    pub kept: u64,
    /// Groups that closed, because their route is gone or groups in another way.
    pub closed: u64,
}

impl Core {
    /// Takes other bounds for what comes from now on: nothing that is there goes because of them. What each source has
    /// open is counted by the [`Self::reroute`] that follows.
    pub fn rebound(&mut self, bounds: &Bounds) {
        self.groups = bounds.groups.groups;
        self.windows.rebound(bounds.groups);
        self.alerts.rebound(bounds.alerts);
        self.ids.rebound(bounds.ids);
    }

    /// Takes other routes; `accepted` is what each route took in so far. Nothing may wait for the store.
    pub fn reroute(&mut self, routes: Routes, accepted: &[(String, u64)], now: Millis, at: Instant) -> Rerouted {
        debug_assert!(!self.has_changes(), "the store does not know everything of the old routes");
        let old = std::mem::replace(&mut self.routes, routes);
        self.accepted = vec![0; self.routes.iter().count()];
        for (route, messages) in accepted {
            let index = self.routes.find(route);
            if let Some(place) = index.and_then(|index| self.accepted.get_mut(index.place())) {
                *place = *messages;
            }
        }
        // What came before may go elsewhere now.
        self.learned.all_mut().for_each(Known::forget_places);
        let mut rerouted = Rerouted::default();
        for mut window in self.windows.take_all() {
            let id = Arc::clone(&old.get(window.route).id);
            let refused = match self.routes.find(&id) {
                Some(index) => {
                    window.route = index;
                    self.windows.restore(key(index, self.routes.get(index)), window).err()
                }
                None => Some(Box::new(window)),
            };
            match refused {
                None => rerouted.kept += 1,
                Some(window) => {
                    rerouted.closed += 1;
                    self.close_left_over(*window, id, now);
                }
            }
        }
        let clocks = std::mem::take(&mut self.clocks);
        for (former, running) in clocks {
            if let Some(index) = self.routes.find(&old.get(former).id) {
                self.move_clock(index, running, now, at);
            }
        }
        self.start_missing_clocks(now, at);
        self.refire();
        rerouted
    }

    /// A window that no route goes on with.
    pub(super) fn close_left_over(&mut self, window: Window, route: Arc<str>, now: Millis) {
        let (row, added, opened, resolved) = (window.row, window.unsaved(), window.opened, window.resolved());
        let mut group = window.close(route, opened, now, Reason::Time);
        self.say(&mut group);
        let over = resolved.map(|at| alerting::over(&group, at));
        self.closed.push(Closed { row, added, group });
        self.closed.extend(over);
    }

    /// A clock goes on, with no more left than its route gives it now.
    fn move_clock(&mut self, route: RouteIndex, running: Running, now: Millis, at: Instant) {
        if !self.windows.has_route(route) {
            self.clocks_changed.insert(route, now);
            return;
        }
        let left = running.rings.saturating_duration_since(at).min(self.routes.get(route).time_limit);
        self.clocks.insert(route, Running { started: running.started, rings: at + left });
        self.clocks_changed.insert(route, now.saturating_add(as_millis(left)));
    }

    /// Routes with windows and no clock get one.
    pub(super) fn start_missing_clocks(&mut self, now: Millis, at: Instant) {
        let indexes: Vec<RouteIndex> = self.routes.iter().map(|(index, _)| index).collect();
        for route in indexes {
            if self.windows.has_route(route) && !self.clocks.contains_key(&route) {
                self.start_clock(route, now, at);
            }
        }
    }

    /// Alerts fire in the groups that the routes now put them in.
    fn refire(&mut self) {
        self.firing.clear();
        let alerts = std::mem::take(&mut self.alerts);
        for alert in alerts.iter() {
            self.join(&alert.message, (alert.n, alert.starts), Joins::Again);
        }
        self.alerts = alerts;
        // What waits to be told of them is as it was.
        self.refired.clear();
        self.all_may_be_untold();
    }
}
