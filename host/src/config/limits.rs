//! `[limits]`: bounds that the operator may move.

use super::typed::Section;
use super::{Limits, size};
use crate::limits;

/// Connections at a time.
const CONNECTIONS: usize = 10_000;

/// Open groups: some tens of megabytes, and more than anybody reads.
const GROUPS: usize = 100_000;

/// Groups that wait for one sender: as many as may be open.
const QUEUE: u64 = 100_000;

/// A smaller file has room for little more than its tables.
const STORE_LEAST: u64 = 1024 * 1024;

/// What `[limits]` says.
pub(super) fn read(root: &mut Section<'_>) -> Limits {
    let default =
        Limits { connections: CONNECTIONS, line: limits::TEXT_BYTES, groups: GROUPS, queue: QUEUE, store: None };
    let Some(value) = root.take("limits") else { return default };
    let read = value.section("[limits]", |section| {
        section.not_yet(&["connections_per_address", "idle_timeout", "groups_per_source"]);
        let mut number = |key| section.take(key).and_then(|value| value.count(1)).and_then(|n| usize::try_from(n).ok());
        let (connections, groups) = (number("connections"), number("groups"));
        let queue = section.take("queue").and_then(|value| value.count(1));
        let store = section.take("store").and_then(|value| size::at_least(&value, STORE_LEAST));
        let line = section.take("line").and_then(|value| size::read(&value, limits::TEXT_BYTES));
        Limits {
            connections: connections.unwrap_or(default.connections),
            line: line.unwrap_or(default.line),
            groups: groups.unwrap_or(default.groups),
            queue: queue.unwrap_or(default.queue),
            store,
        }
    });
    read.unwrap_or(default)
}
