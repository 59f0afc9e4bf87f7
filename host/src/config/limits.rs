//! `[limits]`: bounds that the operator may move.

use std::time::Duration;

use super::typed::Section;
use super::{Limits, duration, size};
use crate::limits;

/// Connections at a time.
const CONNECTIONS: usize = 10_000;

/// Open groups: some tens of megabytes, and more than anybody reads.
const GROUPS: usize = 100_000;

/// Connections of one address that is not the loopback.
const PER_ADDRESS: usize = 256;

/// Groups that wait for one sender: as many as may be open.
const QUEUE: u64 = 100_000;

/// What connections have read and the engine has not counted: enough for ten of them to be at work at a time.
const IN_FLIGHT: usize = 128 * 1024 * 1024;
/// With less, one connection at a time is at work.
const IN_FLIGHT_LEAST: u64 = 16 * 1024 * 1024;

/// Alerts that fire: some tens of megabytes, and far more than anybody can look after.
const ALERTS: usize = 10_000;

/// A smaller file has room for little more than its tables.
const STORE_LEAST: u64 = 1024 * 1024;

/// What `[limits]` says.
pub(super) fn read(root: &mut Section<'_>) -> Limits {
    let default = Limits {
        connections: CONNECTIONS,
        line: limits::TEXT_BYTES,
        groups: GROUPS,
        queue: QUEUE,
        in_flight: IN_FLIGHT,
        alerts: ALERTS,
        store: None,
        connections_per_address: PER_ADDRESS,
        groups_per_source: None,
        idle_timeout: None,
    };
    let Some(value) = root.take("limits") else { return default };
    let read = value.section("[limits]", |section| {
        let idle_timeout =
            section.take("idle_timeout").and_then(|value| duration::read(&value, Duration::from_secs(1)));
        let mut number = |key| section.take(key).and_then(|value| value.count(1)).and_then(|n| usize::try_from(n).ok());
        let (connections, groups, alerts) = (number("connections"), number("groups"), number("alerts"));
        let connections_per_address = number("connections_per_address");
        let groups_per_source = number("groups_per_source");
        let queue = section.take("queue").and_then(|value| value.count(1));
        let in_flight = section.take("in_flight").and_then(|value| size::at_least(&value, IN_FLIGHT_LEAST));
        let in_flight = in_flight.and_then(|bytes| usize::try_from(bytes).ok());
        let store = section.take("store").and_then(|value| size::at_least(&value, STORE_LEAST));
        let line = section.take("line").and_then(|value| size::read(&value, limits::TEXT_BYTES));
        Limits {
            connections: connections.unwrap_or(default.connections),
            line: line.unwrap_or(default.line),
            groups: groups.unwrap_or(default.groups),
            queue: queue.unwrap_or(default.queue),
            in_flight: in_flight.unwrap_or(default.in_flight),
            alerts: alerts.unwrap_or(default.alerts),
            store,
            connections_per_address: connections_per_address.unwrap_or(default.connections_per_address),
            groups_per_source,
            idle_timeout,
        }
    });
    read.unwrap_or(default)
}
