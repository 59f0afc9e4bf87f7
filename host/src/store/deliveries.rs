//! Deliveries from their first attempt to their end, and the history of attempts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::filling::fitting;
use super::ledger::{Moves, NO_ROUTE, Term};
use super::rows::{self, AFTER_GROUP, GROUP_COLUMNS, int};
use super::{Attempted, Delivery, Escalation, Freeze, Outcome, Tries, escalate, health, receipts, tested};
use crate::clock::as_millis;
use crate::message::{Millis, Reason};

/// Writes a delivery that was just frozen, with its first attempt begun; it holds so many messages that were not told
/// before.
pub(super) fn insert(conn: &Connection, delivery: &Delivery, messages: u64, living: bool, now: Millis) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
           living, previous) VALUES (?1, ?2, 'sending', 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        delivery.id,
        delivery.sender,
        int(delivery.groups.len() as u64 + delivery.omitted_groups),
        int(messages),
        int(delivery.omitted_groups),
        int(delivery.omitted_messages),
        int(now),
        living,
        delivery.previous,
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

/// Writes how an attempt ended; returns the senders that may have something to tell now.
pub(super) fn finish(conn: &Connection, attempted: &Attempted, now: Millis, moves: &mut Moves) -> Result<Vec<String>> {
    let Attempted { id, attempt, sender, outcome, tries, .. } = attempted;
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
    let mut woken = vec![sender.clone()];
    match outcome {
        Outcome::Backoff { .. } => back_off(conn, attempted)?,
        Outcome::Delivered { receipt, updated_in_place } => {
            end(conn, id, "delivered", now, None)?;
            settle(conn, id, sender, Term::Told, moves)?;
            receipts::keep(conn, id, receipt.as_deref(), *updated_in_place, now)?;
            pause(conn, sender, None)?;
        }
        Outcome::Dead { code, error } => {
            end(conn, id, "dead", now, Some((code, error)))?;
            // A person may have it told again.
            conn.prepare_cached("UPDATE deliveries SET unclear = ?2 WHERE id = ?1")?
                .execute(params![id, tries.unclear])?;
            settle(conn, id, sender, Term::Dead, moves)?;
            if let Some(fallback) = attempted.fallback.clone() {
                let (sender, code, error) = (sender.clone(), code.clone(), error.clone());
                let escalation = Escalation { sender, fallback, code, error };
                escalate::dead(conn, id, &escalation, now, moves)?;
                woken.push(escalation.fallback);
            }
        }
    }
    Ok(woken)
}

fn back_off(conn: &Connection, attempted: &Attempted) -> Result<()> {
    let Attempted { id, sender, outcome, tries, .. } = attempted;
    let Outcome::Backoff { next_attempt, pause: paused, code, error, progress } = outcome else { return Ok(()) };
    conn.prepare_cached(
        "UPDATE deliveries SET state = 'backoff', next_attempt = ?2, code = ?3, error = ?4,
           progress = coalesce(?5, progress), failures = ?6, limited = ?7, faults = ?8, tried_ms = ?9,
           unclear = ?10 WHERE id = ?1",
    )?
    .execute(params![
        id,
        int(*next_attempt),
        code,
        error,
        progress,
        tries.failures,
        tries.limited,
        tries.faults,
        int(as_millis(tries.trying)),
        tries.unclear
    ])?;
    if *paused { pause(conn, sender, Some(*next_attempt)) } else { Ok(()) }
}

/// Notes until when a destination wants to be left alone, for the next start.
fn pause(conn: &Connection, sender: &str, until: Option<Millis>) -> Result<()> {
    let sql = if until.is_some() {
        "INSERT INTO senders (sender, paused_until) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET paused_until = ?2"
    } else {
        "UPDATE senders SET paused_until = ?2 WHERE sender = ?1 AND paused_until IS NOT NULL"
    };
    conn.prepare_cached(sql)?.execute(params![sender, until.map(int)])?;
    Ok(())
}

/// Senders whose destination asked to be left alone for some time yet.
pub(super) fn paused(conn: &Connection, now: Millis) -> Result<Vec<(String, Millis)>> {
    times(conn, "SELECT sender, paused_until FROM senders WHERE paused_until > ?1", now)
}

/// When something was last delivered by each sender; what lies in the future, by a clock that was set back, says nothing.
pub(super) fn last_delivered(conn: &Connection, now: Millis) -> Result<Vec<(String, Millis)>> {
    times(conn, "SELECT sender, last_delivered FROM senders WHERE last_delivered <= ?1", now)
}

fn times(conn: &Connection, sql: &str, now: Millis) -> Result<Vec<(String, Millis)>> {
    let mut statement = conn.prepare(sql)?;
    let times = statement.query_map([int(now)], |row| Ok((row.get(0)?, rows::read_uint(row, 1)?)))?;
    times.collect()
}

/// Ends a delivery. A test that nobody was told of is no dead letter: whoever asked for it knows.
pub(super) fn end(
    conn: &Connection,
    id: &str,
    state: &str,
    now: Millis,
    why: Option<(&String, &String)>,
) -> Result<()> {
    let (code, error) = why.unzip();
    conn.prepare_cached(
        "UPDATE deliveries SET state = CASE WHEN ?2 = 'dead' AND reason IS 'test' THEN 'dropped' ELSE ?2 END,
           finished = ?3, next_attempt = NULL, code = ?4, error = ?5 WHERE id = ?1",
    )?
    .execute(params![id, state, int(now), code, error])?;
    Ok(())
}

/// Moves the messages of a delivery that ended to where they are now.
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

/// Deliveries that were under way when mag stopped, oldest first; one that was being sent may have arrived.
pub(super) fn load(conn: &Connection) -> Result<Vec<Delivery>> {
    let mut statement =
        conn.prepare("SELECT id FROM deliveries WHERE finished IS NULL AND state <> 'queued' ORDER BY id")?;
    let ids: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    ids.iter().map(|id| read(conn, id)).collect()
}

/// The same of one sender, while mag runs: nothing of it is being sent any more.
pub(super) fn load_of(conn: &Connection, sender: &str) -> Result<Vec<Delivery>> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM deliveries WHERE sender = ?1 AND finished IS NULL AND state <> 'queued' ORDER BY id",
    )?;
    let ids: Vec<String> = statement.query_map([sender], |row| row.get(0))?.collect::<Result<_>>()?;
    ids.iter().map(|id| read(conn, id)).collect()
}

fn read(conn: &Connection, id: &str) -> Result<Delivery> {
    let mut delivery = conn
        .prepare_cached(
            "SELECT id, sender, attempt, omitted_groups, omitted_messages, created, next_attempt, progress, reason, cause,
               previous, failures, limited, faults, tried_ms, unclear OR state = 'sending' FROM deliveries WHERE id = ?1",
        )?
        .query_row([id], |row| {
            let next_attempt: Option<i64> = row.get(6)?;
            let reason: Option<String> = row.get(8)?;
            Ok(Delivery {
                id: row.get(0)?,
                sender: row.get(1)?,
                attempt: row.get(2)?,
                omitted_groups: rows::read_uint(row, 3)?,
                omitted_messages: rows::read_uint(row, 4)?,
                created: rows::read_uint(row, 5)?,
                next_attempt: next_attempt.map(rows::uint),
                progress: row.get(7)?,
                reason: reason.as_deref().and_then(Reason::from_word),
                cause: rows::read_cause(row, 9)?,
                previous: row.get(10)?,
                tries: Tries {
                    failures: row.get(11)?,
                    limited: row.get(12)?,
                    faults: row.get(13)?,
                    trying: Duration::from_millis(rows::read_uint(row, 14)?),
                    unclear: row.get(15)?,
                },
                groups: Vec::new(),
            })
        })?;
    let sql = format!(
        "SELECT {GROUP_COLUMNS}, total, shown, shown_since FROM delivery_groups
         WHERE delivery = ?1 AND omitted = 0 ORDER BY n"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let groups = statement.query_map([id], |row| {
        let mut group = rows::read_group(row, 0)?;
        group.total = rows::read_uint(row, AFTER_GROUP)?;
        let since: Option<i64> = row.get(AFTER_GROUP + 2)?;
        receipts::add_shown(&mut group, rows::read_uint(row, AFTER_GROUP + 1)?, since.map(rows::uint));
        Ok(group)
    })?;
    delivery.groups = groups.collect::<Result<_>>()?;
    Ok(delivery)
}

/// The oldest delivery that is queued for a sender, with its next attempt begun: content that was frozen before, such
/// as a dead letter that is replayed or a copy of what another sender could not tell. A living message is brought up to
/// date from what it shows by now.
///
/// One that shares a group with a delivery under way waits for it.
pub(super) fn next_queued(conn: &Connection, freeze: &Freeze, now: Millis) -> Result<Option<Delivery>> {
    tested::drop_late(conn, Some(&freeze.sender), now)?;
    let id: Option<String> = conn
        .prepare_cached(
            "SELECT id FROM deliveries WHERE sender = ?1 AND finished IS NULL AND state = 'queued'
               AND NOT EXISTS (SELECT 1 FROM delivery_groups g WHERE g.delivery = deliveries.id AND g.group_id IN (
                 SELECT o.group_id FROM deliveries d JOIN delivery_groups o ON o.delivery = d.id
                 WHERE d.sender = ?1 AND d.finished IS NULL AND d.state <> 'queued'))
             ORDER BY id LIMIT 1",
        )?
        .query_row([&freeze.sender], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    receipts::show_anew(conn, &id, freeze, now)?;
    let mut delivery = read(conn, &id)?;
    if delivery.attempt == 0 {
        sum_up(conn, &mut delivery, freeze)?;
    }
    delivery.attempt += 1;
    let unclear = delivery.tries.unclear;
    (delivery.next_attempt, delivery.tries) = (None, Tries { unclear, ..Tries::default() });
    conn.prepare_cached("UPDATE deliveries SET failures = 0, limited = 0, faults = 0, tried_ms = 0 WHERE id = ?1")?
        .execute([&id])?;
    begin(conn, &delivery, now)?;
    Ok(Some(delivery))
}

/// Fits content that was made without knowing the sender's limits: what is too much is summed up.
fn sum_up(conn: &Connection, delivery: &mut Delivery, freeze: &Freeze) -> Result<()> {
    let told = fitting(&delivery.groups, freeze.max_groups);
    let omitted = delivery.groups.split_off(told);
    if omitted.is_empty() {
        return Ok(());
    }
    delivery.omitted_groups = omitted.len() as u64;
    delivery.omitted_messages = omitted.iter().fold(0, |sum: u64, group| sum.saturating_add(group.count));
    conn.prepare_cached("UPDATE delivery_groups SET omitted = 1 WHERE delivery = ?1 AND n >= ?2")?
        .execute(params![delivery.id, int(told as u64)])?;
    conn.prepare_cached("UPDATE deliveries SET omitted_groups = ?2, omitted_messages = ?3 WHERE id = ?1")?
        .execute(params![delivery.id, int(delivery.omitted_groups), int(delivery.omitted_messages)])?;
    Ok(())
}

/// When attempts began, oldest first: what a destination's budget has spent already. What began long after now, by a
/// clock that was set back since, says nothing about it.
pub(super) fn attempts_between(conn: &Connection, from: Millis, to: Millis) -> Result<Vec<(String, Millis)>> {
    let mut statement =
        conn.prepare("SELECT sender, started FROM attempts WHERE started BETWEEN ?1 AND ?2 ORDER BY started")?;
    let attempts = statement.query_map([int(from), int(to)], |row| Ok((row.get(0)?, rows::read_uint(row, 1)?)))?;
    attempts.collect()
}
