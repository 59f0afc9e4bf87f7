//! What one sender cannot tell, copied for another one: a delivery of its own, with reason `escalated` and the cause.
//!
//! The original stays where it is. Each row remembers how many of its messages were escalated already, so that none is
//! told twice by the fallback; the ledger counts the copy as accepted by the fallback.

use rusqlite::{Connection, Result, params};

use super::Escalation;
use super::filling::ORDER;
use super::ledger::{Moves, Term};
use super::rows::{self, GROUP_COLUMNS, int};
use crate::message::{Cause, Millis, Reason};

/// Where rows come from: `?2` is a sender, or the id of a delivery.
struct Rows {
    table: &'static str,
    which: &'static str,
    total: &'static str,
    /// What decides between rows of the same importance: whoever waits longest.
    age: &'static str,
}

const OF_DELIVERY: Rows = Rows { table: "delivery_groups", which: "delivery = ?2", total: "total", age: "delivery, n" };
const UNDER_WAY: Rows = Rows {
    which: "delivery IN (SELECT id FROM deliveries WHERE sender = ?2 AND finished IS NULL AND reason IS NOT 'test')",
    ..OF_DELIVERY
};
const WAITING: Rows = Rows {
    table: "queue",
    which: "sender = ?2",
    total: "coalesce((SELECT total FROM groups g WHERE g.group_id = queue.group_id), count)",
    age: "id",
};

/// Escalates a delivery that just died.
pub(super) fn dead(
    conn: &Connection,
    id: &str,
    escalation: &Escalation,
    now: Millis,
    moves: &mut Moves,
) -> Result<usize> {
    let is_test: bool = conn
        .prepare_cached("SELECT reason IS 'test' FROM deliveries WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    if is_test { Ok(0) } else { copy(conn, &OF_DELIVERY, id, escalation, now, moves) }
}

/// Escalates everything that the sender has not told; returns how many notifications that makes.
pub(super) fn all(conn: &Connection, escalation: &Escalation, now: Millis, moves: &mut Moves) -> Result<usize> {
    let under_way = copy(conn, &UNDER_WAY, &escalation.sender, escalation, now, moves)?;
    Ok(under_way + copy(conn, &WAITING, &escalation.sender, escalation, now, moves)?)
}

fn copy(
    conn: &Connection,
    from: &Rows,
    key: &str,
    escalation: &Escalation,
    now: Millis,
    moves: &mut Moves,
) -> Result<usize> {
    let id = super::new_delivery_id(now);
    let Rows { table, which, total, age } = from;
    // The same columns, but only the messages that are new to the fallback.
    let left = GROUP_COLUMNS.replace(" count,", " count - escalated,");
    let sql = format!(
        "INSERT INTO delivery_groups (delivery, n, omitted, total, {GROUP_COLUMNS}, resolved)
         SELECT ?1, row_number() OVER (ORDER BY {ORDER}, {age}) - 1, 0, {total}, {left}, resolved FROM {table}
         WHERE {which} AND count > escalated"
    );
    let groups = conn.prepare_cached(&sql)?.execute([&id, key])?;
    if groups == 0 {
        return Ok(0);
    }
    // `?1` is bound for the sake of the numbering only.
    let sql = format!("UPDATE {table} SET escalated = count WHERE {which} AND count > escalated AND ?1 = ?1");
    conn.prepare_cached(&sql)?.execute([&id, key])?;
    let messages = accept(conn, &id, &escalation.fallback, moves)?;
    let Escalation { sender, fallback, code, error } = escalation;
    let cause = Cause { sender: sender.clone(), code: code.clone(), error: error.clone() };
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
           reason, cause) VALUES (?1, ?2, 'queued', 0, ?3, ?4, 0, 0, ?5, ?6, ?7)",
    )?
    .execute(params![
        id,
        fallback,
        int(groups as u64),
        messages,
        int(now),
        Reason::Escalated.as_str(),
        rows::cause_json(&cause)
    ])?;
    Ok(1)
}

/// The fallback takes the messages of the copy over: accepted, and frozen at once.
fn accept(conn: &Connection, id: &str, fallback: &str, moves: &mut Moves) -> Result<i64> {
    let mut statement =
        conn.prepare_cached("SELECT route, sum(count) FROM delivery_groups WHERE delivery = ?1 GROUP BY route")?;
    let mut rows = statement.query([id])?;
    let mut messages: i64 = 0;
    while let Some(row) = rows.next()? {
        let (route, count): (String, i64) = (row.get(0)?, row.get(1)?);
        moves.accept(&route, fallback, count);
        moves.shift(&route, fallback, Term::Open, Term::Frozen, count);
        messages = messages.saturating_add(count);
    }
    Ok(messages)
}
