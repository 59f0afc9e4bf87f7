//! How much may wait for each sender, and what stands for the rest: one entry a route, honest about what it is.

use std::collections::HashMap;

use rusqlite::{Connection, Result};
use tokio::time::Instant;

use super::rows;
use crate::clock::Episode;
use crate::group::{OverflowGroup, merge_samples};
use crate::message::Group;
use crate::telemetry::metrics::{BySender, Metrics};

/// The rows that wait for each sender, as far as they had to be counted, and what went past the limit.
///
/// A copy goes with each transaction and is kept when that is committed.
#[derive(Clone, Debug)]
pub(super) struct Room {
    limit: u64,
    rows: HashMap<String, u64>,
    /// Senders and messages that found no room in this transaction.
    past: Vec<(String, u64)>,
}

impl Room {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, rows: HashMap::new(), past: Vec::new() }
    }

    /// So much may wait for each sender from now on.
    pub(super) fn rebound(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Whether nothing new may wait for a sender. Counts the rows once; from then on they are known.
    pub(super) fn is_full(&mut self, conn: &Connection, sender: &str) -> Result<bool> {
        let rows = match self.rows.get(sender) {
            Some(rows) => *rows,
            None => {
                let mut statement = conn.prepare_cached("SELECT count(*) FROM queue WHERE sender = ?1")?;
                let rows = statement.query_row([sender], |row| rows::read_uint(row, 0))?;
                self.rows.insert(sender.to_owned(), rows);
                rows
            }
        };
        Ok(rows >= self.limit)
    }

    /// A row more waits.
    pub(super) fn added(&mut self, sender: &str) {
        if let Some(rows) = self.rows.get_mut(sender) {
            *rows += 1;
        }
    }

    /// Rows were taken out, whoever knows how many: they are counted again when that matters.
    pub(super) fn taken_from(&mut self, sender: &str) {
        self.rows.remove(sender);
    }

    /// Something that is no message found no room.
    pub(super) fn no_room(&mut self, sender: &str) {
        self.past.push((sender.to_owned(), 0));
    }

    /// What stands in the queue for a group that found no room.
    pub(super) fn overflow(&mut self, sender: &str, group: &Group) -> Group {
        self.past.push((sender.to_owned(), group.count));
        let mut other = Group {
            id: OverflowGroup::Queue.id(&group.route),
            text: OverflowGroup::Queue.text(self.limit),
            samples: Vec::new(),
            ..group.clone()
        };
        merge_samples(&mut other, group);
        other
    }
}

/// What is said and counted of groups that found no room, once it is on disk.
#[derive(Debug, Default)]
pub(super) struct RoomLog {
    episodes: HashMap<String, Episode>,
}

impl RoomLog {
    /// Takes note of what a transaction could not queue.
    pub(super) fn note(&mut self, room: &mut Room, metrics: &Metrics, now: Instant) {
        for (sender, messages) in room.past.drain(..) {
            metrics.queue_overflowed.get_or_create(&BySender { sender: sender.clone() }).inc_by(messages);
            if self.episodes.entry(sender.clone()).or_default().begins(now) {
                tracing::warn!(
                    limit = room.limit,
                    "sender {sender}: too many groups wait, further ones are counted together: see [limits] queue"
                );
            }
        }
    }
}
