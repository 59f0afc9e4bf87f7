//! What the engine tells the store, and what a start finds of it again: plain values, no SQL.

use std::sync::Arc;

use crate::alerts::Alert;
use crate::group::Window;
use crate::ids::SavedId;
use crate::message::{Group, GroupId, Labels, Message, Millis};

/// What the engine says after it counted and closed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Windows that are open and changed, by row.
    pub windows: Vec<WindowChange>,
    /// Windows that closed by count.
    pub closed: Vec<Closed>,
    /// Clocks that started or stopped.
    pub clocks: Vec<SavedClock>,
    /// Windows that a route's clock closed.
    pub sweep: Option<SweepPart>,
    /// Ids of messages that are counted in these changes.
    pub ids: Vec<SavedId>,
    /// Rows of ids before this one are no longer needed.
    pub first_id: i64,
    /// Alerts that are new or changed.
    pub alerts: Vec<Alert>,
    /// Rows of alerts that are over.
    pub alerts_gone: Vec<i64>,
    /// Groups that fire anew: whoever was not told yet that they were over need not hear it.
    pub refired: Vec<GroupId>,
    /// Groups that fire and are perhaps not told of, because a silence held them: counted and told unless they were told
    /// or one holds them still.
    pub untold: Vec<Closed>,
}

impl Changes {
    /// Whether there are messages or alerts in it that the store does not know; all else only moves rows that are there.
    pub(super) fn is_new(&self) -> bool {
        let swept = self.sweep.iter().flat_map(|part| &part.closed);
        !self.windows.is_empty()
            || !self.ids.is_empty()
            || !self.alerts.is_empty()
            || self.closed.iter().chain(&self.untold).chain(swept).any(|closed| closed.added > 0)
    }
}

/// Windows that one ring of a route's clock closed, or a part of them.
#[derive(Debug)]
pub struct SweepPart {
    /// The same for all parts.
    pub number: u64,
    /// The windows of this part.
    pub closed: Vec<Closed>,
    /// Whether this is the last part: only then may the sweep be told.
    pub whole: bool,
}

/// How an open window changed.
#[derive(Debug)]
pub enum WindowChange {
    /// The store has no row of it yet.
    Opened {
        /// Its route.
        route: Arc<str>,
        /// All of it.
        window: Window,
    },
    /// Only the count and the times moved: nearly always so.
    Grew {
        /// Its route.
        route: Arc<str>,
        /// Its row.
        row: i64,
        /// Messages since the last commit.
        added: u64,
        /// Messages in all.
        count: u64,
        /// The earliest time.
        first_seen: Millis,
        /// The latest time.
        last_seen: Millis,
    },
    /// What its messages share changed too.
    Reshaped {
        /// Its route.
        route: Arc<str>,
        /// All of it.
        window: Window,
    },
}

impl WindowChange {
    pub(super) fn route(&self) -> &str {
        match self {
            Self::Opened { route, .. } | Self::Grew { route, .. } | Self::Reshaped { route, .. } => route,
        }
    }

    /// The window's row: what the rows of a transaction are sorted by.
    #[must_use]
    pub fn row(&self) -> i64 {
        match self {
            Self::Opened { window, .. } | Self::Reshaped { window, .. } => window.row,
            Self::Grew { row, .. } => *row,
        }
    }

    /// Messages that the store does not know yet.
    #[must_use]
    pub fn added(&self) -> u64 {
        match self {
            Self::Opened { window, .. } | Self::Reshaped { window, .. } => window.unsaved(),
            Self::Grew { added, .. } => *added,
        }
    }
}

/// A window that closed.
#[derive(Debug)]
pub struct Closed {
    /// Its row, if it has one.
    pub row: i64,
    /// Messages that the store does not know yet; all of them when there is no row.
    pub added: u64,
    /// What is told.
    pub group: Group,
}

/// A route's clock, in wall-clock time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// When its first window opened.
    pub started: Millis,
    /// When all windows close.
    pub rings: Millis,
}

/// A route's clock as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedClock {
    /// The route.
    pub route: Arc<str>,
    /// `None` when no window is open.
    pub running: Option<Clock>,
}

/// A window as a former run left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedWindow {
    /// Its row.
    pub row: i64,
    /// The group's id.
    pub group: GroupId,
    /// The route's identity; the route may be gone.
    pub route: String,
    /// What its messages share.
    pub shared: Message,
    /// Messages so far.
    pub count: u64,
    /// The earliest time.
    pub first_seen: Millis,
    /// The latest time.
    pub last_seen: Millis,
    /// When it opened.
    pub opened: Millis,
    /// Other texts.
    pub samples: Vec<String>,
    /// Since when all its alerts are over.
    pub resolved: Option<Millis>,
    /// What was said about them.
    pub annotations: Labels,
}
