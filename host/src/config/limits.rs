//! `[limits]`: bounds that the operator may move.

use super::typed::Section;
use super::{Limits, size};
use crate::limits;

/// Connections at a time.
const CONNECTIONS: usize = 10_000;

/// What `[limits]` says.
pub(super) fn read(root: &mut Section<'_>) -> Limits {
    let default = Limits { connections: CONNECTIONS, line: limits::TEXT_BYTES };
    let Some(value) = root.take("limits") else { return default };
    let read = value.section("[limits]", |section| {
        section.not_yet(&["connections_per_address", "idle_timeout", "groups", "groups_per_source", "queue", "store"]);
        let connections = section.take("connections").and_then(|value| value.count(1));
        let line = section.take("line").and_then(|value| size::read(&value, limits::TEXT_BYTES));
        Limits {
            connections: connections.and_then(|n| usize::try_from(n).ok()).unwrap_or(default.connections),
            line: line.unwrap_or(default.line),
        }
    });
    read.unwrap_or(default)
}
