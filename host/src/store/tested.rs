//! Tests of senders: a person asks for one and waits; when they have gone, it is not told any more.
//!
//! A test is a delivery in state `queued`, which its sender's task takes as soon as it is free. No ledger counts it.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, Result, params};

use super::ledger::NO_ROUTE;
use super::rows::int;
use super::{LetterError, new_delivery_id};
use crate::clock::as_millis;
use crate::group::group_id;
use crate::matcher::Field;
use crate::message::{DEFAULT_KIND, Labels, Message, Millis, Reason, Word};

/// What a test notification says.
pub const TEST_TEXT: &str = "Test notification from mag";

/// Queues a test for a sender that is waited for so long; gives its id.
///
/// Its one group belongs to no route, so no row of the ledger counts it, now or when it ends.
pub(super) fn queue(
    conn: &Connection,
    sender: &str,
    wait: Duration,
    known: &HashSet<String>,
    now: Millis,
) -> Result<std::result::Result<String, LetterError>> {
    if !known.contains(sender) {
        return Ok(Err(LetterError::SenderGone { sender: sender.to_owned() }));
    }
    let id = new_delivery_id(now);
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
           reason, expires) VALUES (?1, ?2, 'queued', 0, 1, 1, 0, 0, ?3, ?4, ?5)",
    )?
    .execute(params![id, sender, int(now), Reason::Test.as_str(), int(now.saturating_add(as_millis(wait)))])?;
    let message = Message {
        text: TEST_TEXT.to_owned(),
        kind: DEFAULT_KIND.into(),
        severity: None,
        labels: Labels::default(),
        source: Word::default(),
    };
    conn.prepare_cached(
        "INSERT INTO delivery_groups (delivery, n, omitted, total, group_id, route, kind, text, labels, count, first_seen,
           last_seen, opened, closed, samples, reason, resolved)
         VALUES (?1, 0, 0, 1, ?2, ?3, ?4, ?5, '{}', 1, ?6, ?6, ?6, ?6, '[]', ?7, 0)",
    )?
    .execute(params![
        id,
        group_id(NO_ROUTE, &[Field::Text], &message).to_string(),
        NO_ROUTE,
        message.kind.as_str(),
        message.text,
        int(now),
        Reason::Test.as_str(),
    ])?;
    Ok(Ok(id))
}

/// Drops the tests of a sender, or of all, that were not begun while somebody waited for them.
pub(super) fn drop_late(conn: &Connection, sender: Option<&str>, now: Millis) -> Result<()> {
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'dropped', finished = ?2, code = 'too-late', error = 'nobody waits for this test any more'
         WHERE finished IS NULL AND state = 'queued' AND (?1 IS NULL OR sender = ?1) AND expires <= ?2",
    )?
    .execute(params![sender, int(now)])?;
    Ok(())
}

/// Whether it is a test that is not begun.
pub(super) fn is_queued(conn: &Connection, id: &str) -> Result<bool> {
    conn.prepare_cached("SELECT 1 FROM deliveries WHERE id = ?1 AND state = 'queued' AND reason = 'test'")?.exists([id])
}
