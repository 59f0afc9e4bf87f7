//! A group in which alerts fire: what they share, and what is said about them.
//!
//! What a client last said about an alert that fires stands with [`Alerts`]; here is which of them a window counts, and
//! what was said about those that are over.

use std::collections::BTreeSet;

use crate::alerts::{Alert, Alerts};
use crate::message::{Group, GroupId, Labels, Message, Millis, Reason};
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
    /// Rows of those that nobody was told of yet.
    untold: BTreeSet<i64>,
    /// What was said about all of those that are over and that nobody was told of yet.
    untold_over: Said,
    /// What was said about all that are over.
    all_over: Said,
}

/// Whether an alert counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joins {
    /// It is new.
    New,
    /// It was counted before, perhaps in the window that is open.
    Again,
}

/// What was said about several alerts, as far as it is the same; `None` while there is no alert.
#[derive(Debug, Default)]
struct Said(Option<Labels>);

impl Said {
    fn add(&mut self, annotations: &Labels) {
        match &mut self.0 {
            Some(said) => said.keep_shared(annotations),
            None => self.0 = Some(annotations.clone()),
        }
    }
}

impl Firing {
    /// Nothing fires yet. `said` is what a window has to say that is open and whose alerts were over.
    pub(super) fn new(message: &Message, since: Millis, said: Option<Labels>) -> Self {
        Self {
            alerts: 0,
            shared: message.clone(),
            since,
            until: 0,
            untold: BTreeSet::new(),
            untold_over: Said(said),
            all_over: Said::default(),
        }
    }

    pub(super) fn add(&mut self, message: &Message, (n, starts): (i64, Millis), untold: bool) {
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
        if untold {
            self.untold.insert(n);
        }
    }

    /// Whether there are alerts in it that nobody was told of.
    pub(super) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// One of them is over; whether it was the last one.
    pub(super) fn end(&mut self, alert: &Alert, now: Millis) -> bool {
        self.alerts -= 1;
        self.until = self.until.max(alert.ends.min(now));
        self.all_over.add(&alert.annotations);
        if self.untold.remove(&alert.n) {
            self.untold_over.add(&alert.annotations);
        }
        self.alerts == 0
    }

    /// What is said about those that nobody was told of, who are told now.
    pub(super) fn tell(&mut self, alerts: &Alerts) -> Labels {
        let mut said = std::mem::take(&mut self.untold_over);
        for alert in std::mem::take(&mut self.untold).into_iter().filter_map(|n| alerts.get(n)) {
            said.add(&alert.annotations);
        }
        said.0.unwrap_or_default()
    }

    /// When the last one was over, and what is to be said of those that nobody was told of: for the window that counts
    /// them.
    pub(super) fn into_window(self) -> (Millis, Labels) {
        (self.until, self.untold_over.0.unwrap_or_default())
    }

    /// That it is over, for whoever was told that it fires.
    pub(super) fn over(self, route: &Route, id: GroupId) -> Closed {
        let (times, annotations) = ((self.since.min(self.until), self.until), self.all_over.0.unwrap_or_default());
        let group = group(self.shared, route, id, times, (0, Reason::Resolved));
        Closed { row: 0, added: 0, group: Group { annotations, ..group } }
    }

    /// Nobody was told that it fires: the alert that is posted again counts once more.
    pub(super) fn still(&self, route: &Route, id: GroupId, now: Millis, annotations: Labels) -> Closed {
        let group = group(self.shared.clone(), route, id, (self.since.min(now), now), (1, Reason::Count));
        Closed { row: 0, added: 1, group: Group { annotations, ..group } }
    }
}

/// A group of alerts outside of any window.
fn group(
    shared: Message,
    route: &Route,
    id: GroupId,
    (began, ended): (Millis, Millis),
    (count, reason): (u64, Reason),
) -> Group {
    let Message { text, kind, severity, labels, source } = shared;
    Group {
        id,
        route: route.id.clone(),
        kind: kind.into(),
        source: Some(source).filter(|source| !source.is_empty()).map(Into::into),
        text,
        severity,
        labels,
        annotations: Labels::default(),
        count,
        total: count,
        first_seen: began,
        last_seen: ended,
        opened: began,
        closed: ended,
        samples: Vec::new(),
        reason,
    }
}
