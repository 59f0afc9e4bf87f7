//! Deliveries from their first attempt to their end, and the history of attempts.

use rusqlite::{Connection, Result, params};

use super::ledger::{Moves, NO_ROUTE, Term};
use super::rows::{self, GROUP_COLUMNS, int};
use super::{Attempted, Delivery, Outcome, health};
use crate::message::Millis;

/// Writes a delivery that was just frozen, with its first attempt begun.
pub(super) fn insert(conn: &Connection, delivery: &Delivery, now: Millis) -> Result<()> {
    let told: u64 = delivery.groups.iter().map(|group| group.count).sum();
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created)
         VALUES (?1, ?2, 'sending', 1, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        delivery.id,
        delivery.sender,
        int(delivery.groups.len() as u64 + delivery.omitted_groups),
        int(told.saturating_add(delivery.omitted_messages)),
        int(delivery.omitted_groups),
        int(delivery.omitted_messages),
        int(now),
    ])?;
    insert_attempt(conn, delivery, now)
}

fn insert_attempt(conn: &Connection, delivery: &Delivery, now: Millis) -> Result<()> {
    conn.prepare_cached("INSERT INTO attempts (delivery, attempt, sender, started) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![delivery.id, delivery.attempt, delivery.sender, int(now)])?;
    Ok(())
}

/// Begins the attempt that `delivery` now stands at.
pub(super) fn begin(conn: &Connection, delivery: &Delivery, now: Millis) -> Result<()> {
    conn.prepare_cached("UPDATE deliveries SET state = 'sending', attempt = ?2, next_attempt = NULL WHERE id = ?1")?
        .execute(params![delivery.id, delivery.attempt])?;
    insert_attempt(conn, delivery, now)
}

/// Writes how an attempt ended.
pub(super) fn finish(conn: &Connection, attempted: &Attempted, now: Millis, moves: &mut Moves) -> Result<()> {
    let Attempted { id, attempt, sender, outcome } = attempted;
    let (word, code, error) = match outcome {
        Outcome::Delivered { .. } => ("delivered", None, None),
        Outcome::Backoff { code, error, .. } => ("failed", Some(code), Some(error)),
        Outcome::Dead { code, error } => ("dead", Some(code), Some(error)),
    };
    conn.prepare_cached(
        "UPDATE attempts SET finished = ?3, outcome = ?4, code = ?5, error = ?6 WHERE delivery = ?1 AND attempt = ?2",
    )?
    .execute(params![id, attempt, int(now), word, code, error])?;
    health::note(conn, attempted, now)?;
    match outcome {
        Outcome::Backoff { next_attempt, progress, .. } => {
            conn.prepare_cached(
                "UPDATE deliveries SET state = 'backoff', next_attempt = ?2, code = ?3, error = ?4,
                   progress = coalesce(?5, progress) WHERE id = ?1",
            )?
            .execute(params![id, int(*next_attempt), code, error, progress])?;
        }
        Outcome::Delivered { receipt } => {
            end(conn, id, "delivered", now, None)?;
            settle(conn, id, sender, Term::Told, moves)?;
            if let Some(receipt) = receipt {
                keep_receipt(conn, id, sender, receipt, now)?;
            }
        }
        Outcome::Dead { code, error } => {
            end(conn, id, "dead", now, Some((code, error)))?;
            settle(conn, id, sender, Term::Dead, moves)?;
        }
    }
    Ok(())
}

pub(super) fn end(
    conn: &Connection,
    id: &str,
    state: &str,
    now: Millis,
    why: Option<(&String, &String)>,
) -> Result<()> {
    let (code, error) = why.unzip();
    conn.prepare_cached(
        "UPDATE deliveries SET state = ?2, finished = ?3, next_attempt = NULL, code = ?4, error = ?5 WHERE id = ?1",
    )?
    .execute(params![id, state, int(now), code, error])?;
    Ok(())
}

pub(super) fn settle(conn: &Connection, id: &str, sender: &str, to: Term, moves: &mut Moves) -> Result<()> {
    shift(conn, id, sender, (Term::Frozen, to), moves)
}

/// Moves a delivery's messages in the ledger; those of no route are in none of its rows.
pub(super) fn shift(
    conn: &Connection,
    id: &str,
    sender: &str,
    (from, to): (Term, Term),
    moves: &mut Moves,
) -> Result<()> {
    let mut statement = conn.prepare_cached(
        "SELECT route, sum(count) FROM delivery_groups WHERE delivery = ?1 AND route != ?2 GROUP BY route",
    )?;
    let mut rows = statement.query([id, NO_ROUTE])?;
    while let Some(row) = rows.next()? {
        let route: String = row.get(0)?;
        moves.shift(&route, sender, from, to, row.get(1)?);
    }
    Ok(())
}

fn keep_receipt(conn: &Connection, id: &str, sender: &str, receipt: &[u8], now: Millis) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO receipts (sender, group_id, delivery, receipt, updated)
         SELECT ?1, group_id, ?2, ?3, ?4 FROM delivery_groups WHERE delivery = ?2 AND omitted = 0
         ON CONFLICT DO UPDATE SET delivery = ?2, receipt = ?3, updated = ?4",
    )?
    .execute(params![sender, id, receipt, int(now)])?;
    Ok(())
}

/// Deliveries that were under way when mag stopped, oldest first; one that was being sent may have arrived.
pub(super) fn load(conn: &Connection) -> Result<Vec<Delivery>> {
    let mut statement = conn.prepare(
        "SELECT id, sender, attempt, omitted_groups, omitted_messages, created, next_attempt, progress
         FROM deliveries WHERE finished IS NULL ORDER BY id",
    )?;
    let deliveries = statement.query_map([], |row| {
        let next_attempt: Option<i64> = row.get(6)?;
        Ok(Delivery {
            id: row.get(0)?,
            sender: row.get(1)?,
            attempt: row.get(2)?,
            omitted_groups: rows::read_uint(row, 3)?,
            omitted_messages: rows::read_uint(row, 4)?,
            created: rows::read_uint(row, 5)?,
            next_attempt: next_attempt.map(rows::uint),
            progress: row.get(7)?,
            groups: Vec::new(),
        })
    })?;
    let mut deliveries = deliveries.collect::<Result<Vec<_>>>()?;
    let sql =
        format!("SELECT {GROUP_COLUMNS}, total FROM delivery_groups WHERE delivery = ?1 AND omitted = 0 ORDER BY n");
    let mut statement = conn.prepare(&sql)?;
    for delivery in &mut deliveries {
        let groups = statement.query_map([&delivery.id], |row| {
            let mut group = rows::read_group(row, 0)?;
            group.total = rows::read_uint(row, 14)?;
            Ok(group)
        })?;
        delivery.groups = groups.collect::<Result<_>>()?;
    }
    Ok(deliveries)
}

/// When attempts began, oldest first: what a destination's budget has spent already. What began long after now, by a
/// clock that was set back since, says nothing about it.
pub(super) fn attempts_between(conn: &Connection, from: Millis, to: Millis) -> Result<Vec<(String, Millis)>> {
    let mut statement =
        conn.prepare("SELECT sender, started FROM attempts WHERE started BETWEEN ?1 AND ?2 ORDER BY started")?;
    let attempts = statement.query_map([int(from), int(to)], |row| Ok((row.get(0)?, rows::read_uint(row, 1)?)))?;
    attempts.collect()
}

/// Forgets deliveries that ended well before `before`, a few at a time, with their attempts and groups. Groups
/// that were not seen since and their receipts go too; dead letters stay, a person decides about them.
pub(super) fn trim(conn: &Connection, before: Millis, at_most: u32) -> Result<usize> {
    let old: Vec<String> = conn
        .prepare_cached("SELECT id FROM deliveries WHERE finished < ?1 AND state IN ('delivered', 'dropped') LIMIT ?2")?
        .query_map(params![int(before), at_most], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for id in &old {
        for table in ["delivery_groups", "attempts"] {
            conn.prepare_cached(&format!("DELETE FROM {table} WHERE delivery = ?1"))?.execute([id])?;
        }
        conn.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id])?;
    }
    let mut trimmed = old.len();
    for sql in [
        "DELETE FROM groups WHERE group_id IN (SELECT group_id FROM groups WHERE updated < ?1 LIMIT ?2)",
        "DELETE FROM receipts WHERE (sender, group_id) IN
           (SELECT sender, group_id FROM receipts WHERE updated < ?1 LIMIT ?2)",
    ] {
        trimmed += conn.prepare_cached(sql)?.execute(params![int(before), at_most])?;
    }
    Ok(trimmed)
}
