//! What one sender cannot tell, copied for another one: a delivery of its own, with reason `escalated` and the cause.
//!
//! The original stays where it is. Each row remembers how many of its messages were escalated already, so that none is
//! told twice by the fallback; the ledger counts the copy as accepted by the fallback. As long as the fallback has not
//! begun a copy, what comes later is added to it: a fallback that is down too is not told once for every minute of that.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::Escalation;
use super::ledger::{Moves, Term};
use super::queue::merge;
use super::rows::{self, GROUP_COLUMNS, group_params, int};
use crate::message::{Cause, Group, GroupId, Millis, Reason};

/// Where rows come from: `?1` is a sender, or the id of a delivery.
struct Rows {
    table: &'static str,
    which: &'static str,
    total: &'static str,
    /// Whoever waits longest comes first.
    age: &'static str,
}

const OF_DELIVERY: Rows = Rows { table: "delivery_groups", which: "delivery = ?1", total: "total", age: "delivery, n" };
const UNDER_WAY: Rows = Rows {
    which: "delivery IN (SELECT id FROM deliveries WHERE sender = ?1 AND finished IS NULL AND reason IS NOT 'test')",
    ..OF_DELIVERY
};
const WAITING: Rows = Rows {
    table: "queue",
    which: "sender = ?1",
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
    if is_test {
        return Ok(0);
    }
    let left = take_left(conn, &OF_DELIVERY, id)?;
    copy(conn, left, escalation, now, moves)
}

/// Escalates everything that the sender has not told; returns how many notifications that makes or adds to.
pub(super) fn all(conn: &Connection, escalation: &Escalation, now: Millis, moves: &mut Moves) -> Result<usize> {
    let mut left = take_left(conn, &UNDER_WAY, &escalation.sender)?;
    left.extend(take_left(conn, &WAITING, &escalation.sender)?);
    copy(conn, left, escalation, now, moves)
}

/// What is new to the fallback: messages, and that a group is over, which counts none and is escalated once.
const NEW: &str = "(count > escalated OR (resolved = 1 AND escalated = 0))";

/// The messages that are new to the fallback; they count as escalated from then on.
fn take_left(conn: &Connection, from: &Rows, key: &str) -> Result<Vec<Group>> {
    let Rows { table, which, total, age } = from;
    let columns = GROUP_COLUMNS.replace(" count,", " count - escalated,");
    let sql = format!("SELECT {columns}, {total} FROM {table} WHERE {which} AND {NEW} ORDER BY {age}");
    let mut statement = conn.prepare_cached(&sql)?;
    let groups = statement.query_map([key], |row| {
        let group = rows::read_group(row, 0)?;
        Ok(Group { total: rows::read_uint(row, 14)?.max(group.count), ..group })
    })?;
    let groups = groups.collect::<Result<Vec<_>>>()?;
    if !groups.is_empty() {
        let sql = format!("UPDATE {table} SET escalated = max(count, 1) WHERE {which} AND {NEW}");
        conn.prepare_cached(&sql)?.execute([key])?;
    }
    Ok(groups)
}

fn copy(conn: &Connection, left: Vec<Group>, escalation: &Escalation, now: Millis, moves: &mut Moves) -> Result<usize> {
    if left.is_empty() {
        return Ok(0);
    }
    for group in &left {
        // The fallback takes the messages over: accepted, and frozen at once.
        moves.accept(&group.route, &escalation.fallback, int(group.count));
        moves.shift(&group.route, &escalation.fallback, Term::Open, Term::Frozen, int(group.count));
    }
    let id = open_copy(conn, escalation, now)?;
    let mut copied = Copied::read(conn, &id)?;
    for group in left {
        copied.add(group);
    }
    copied.write(conn, &id)?;
    Ok(1)
}

/// The copy of what this sender could not tell that the fallback has not begun yet, else a new one; the cause is the last.
fn open_copy(conn: &Connection, escalation: &Escalation, now: Millis) -> Result<String> {
    let Escalation { sender, fallback, code, error } = escalation;
    let cause = rows::cause_json(&Cause { sender: sender.clone(), code: code.clone(), error: error.clone() });
    let open: Option<String> = conn
        .prepare_cached(
            "SELECT id FROM deliveries WHERE sender = ?1 AND finished IS NULL AND state = 'queued' AND attempt = 0
               AND reason = 'escalated' AND cause ->> 'sender' = ?2 ORDER BY id LIMIT 1",
        )?
        .query_row([fallback, sender], |row| row.get(0))
        .optional()?;
    if let Some(id) = open {
        conn.prepare_cached("UPDATE deliveries SET cause = ?2 WHERE id = ?1")?.execute([&id, &cause])?;
        return Ok(id);
    }
    let id = super::new_delivery_id(now);
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
           reason, cause) VALUES (?1, ?2, 'queued', 0, 0, 0, 0, 0, ?3, ?4, ?5)",
    )?
    .execute(params![id, fallback, int(now), Reason::Escalated.as_str(), cause])?;
    Ok(id)
}

/// The groups of a copy, each once, with how many of its messages were escalated further.
#[derive(Default)]
struct Copied {
    groups: Vec<(Group, u64)>,
    /// That a group is over stands by itself.
    place: HashMap<(GroupId, bool), usize>,
}

impl Copied {
    fn read(conn: &Connection, id: &str) -> Result<Self> {
        let sql =
            format!("SELECT {GROUP_COLUMNS}, total, escalated FROM delivery_groups WHERE delivery = ?1 ORDER BY n");
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([id])?;
        let mut copied = Self::default();
        while let Some(row) = rows.next()? {
            let group = Group { total: rows::read_uint(row, 14)?, ..rows::read_group(row, 0)? };
            copied.place.insert(place(&group), copied.groups.len());
            copied.groups.push((group, rows::read_uint(row, 15)?));
        }
        Ok(copied)
    }

    fn add(&mut self, group: Group) {
        if let Some((there, _)) = self.place.get(&place(&group)).and_then(|at| self.groups.get_mut(*at)) {
            merge(there, &group);
            // What stands for groups that found no room has no total of its own.
            there.total = there.total.max(group.total).max(there.count);
        } else {
            self.place.insert(place(&group), self.groups.len());
            self.groups.push((group, 0));
        }
    }

    /// Writes all of it, the most important first.
    fn write(mut self, conn: &Connection, id: &str) -> Result<()> {
        self.groups.sort_by_key(|(group, _)| std::cmp::Reverse((group.severity, group.count)));
        conn.prepare_cached("DELETE FROM delivery_groups WHERE delivery = ?1")?.execute([id])?;
        let sql = format!(
            "INSERT INTO delivery_groups (delivery, n, omitted, total, escalated, resolved, {GROUP_COLUMNS})
             VALUES (?1, ?2, 0, ?3, ?4, ?18 = 'resolved', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
        );
        let mut insert = conn.prepare_cached(&sql)?;
        let mut messages: u64 = 0;
        for (n, (group, escalated)) in (0_u64..).zip(&self.groups) {
            messages = messages.saturating_add(group.count);
            insert.execute(group_params!(group, id, int(n), int(group.total), int(*escalated)))?;
        }
        conn.prepare_cached("UPDATE deliveries SET groups = ?2, messages = ?3 WHERE id = ?1")?.execute(params![
            id,
            int(self.groups.len() as u64),
            int(messages)
        ])?;
        Ok(())
    }
}

fn place(group: &Group) -> (GroupId, bool) {
    (group.id, group.reason == Reason::Resolved)
}
