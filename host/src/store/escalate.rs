//! What one sender cannot tell, copied for another one: a delivery of its own, with reason `escalated` and the cause.
//!
//! The original stays where it is. Each row remembers how many of its messages were escalated already, so that none is
//! told twice by the fallback; the ledger counts the copy as accepted by the fallback. As long as the fallback has not
//! begun a copy, what comes later is added to it: a fallback that is down too is not told once for every minute of that.
//!
//! A dead letter that is replayed begins anew: what dies again is copied again, into a delivery of its own, since the
//! fallback's destination would take the same id for what it has heard already. Only where the fallback has not begun the
//! former copy yet, that one tells of both. Each copy is made in the commit that ends its original, so no crash makes two
//! of one death.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::Escalation;
use super::ledger::{Moves, Term};
use super::queue::merge;
use super::rows::{self, AFTER_GROUP, GROUP_COLUMNS, group_params, int};
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
    copy(conn, &[(&OF_DELIVERY, id)], escalation, now, moves)
}

/// Escalates everything that the sender has not told; returns how many notifications that makes or adds to.
pub(super) fn all(conn: &Connection, escalation: &Escalation, now: Millis, moves: &mut Moves) -> Result<usize> {
    let sender = escalation.sender.as_str();
    copy(conn, &[(&UNDER_WAY, sender), (&WAITING, sender)], escalation, now, moves)
}

/// A delivery begins anew: what was escalated of it in its former life counts for nothing. Which copy that was stays known.
pub(super) fn begin_anew(conn: &Connection, id: &str) -> Result<()> {
    conn.prepare_cached("UPDATE delivery_groups SET escalated = 0 WHERE delivery = ?1")?.execute([id])?;
    Ok(())
}

/// What is new to the fallback: messages, and that a group is over, which counts none and is escalated once.
const NEW: &str = "(count > escalated OR (resolved = 1 AND escalated = 0))";

/// Copies what is new to the fallback, and notes that it was; returns how many notifications that makes or adds to.
fn copy(
    conn: &Connection,
    from: &[(&Rows, &str)],
    escalation: &Escalation,
    now: Millis,
    moves: &mut Moves,
) -> Result<usize> {
    let open = open_copy(conn, escalation)?;
    let (mut left, mut held) = (Vec::new(), 0);
    for (rows, key) in from {
        if let Some(open) = &open {
            held += note_held(conn, rows, key, open)?;
        }
        left.extend(new_groups(conn, rows, key)?);
    }
    if left.is_empty() && held == 0 {
        return Ok(0);
    }
    let id = match open {
        Some(open) => open,
        None => new_copy(conn, escalation, now)?,
    };
    write_cause(conn, &id, escalation)?;
    if left.is_empty() {
        return Ok(0);
    }
    for (rows, key) in from {
        note_new(conn, rows, key, &id)?;
    }
    let mut copied = Copied::read(conn, &id)?;
    for group in left {
        // The fallback takes the messages over: accepted, and frozen at once.
        moves.accept(&group.route, &escalation.fallback, int(group.count));
        moves.shift(&group.route, &escalation.fallback, Term::Open, Term::Frozen, int(group.count));
        copied.add(group);
    }
    copied.write(conn, &id)?;
    Ok(1)
}

/// What of a former life stands in a copy that the fallback has not begun is not new to it.
fn note_held(conn: &Connection, from: &Rows, key: &str, open: &str) -> Result<usize> {
    let Rows { table, which, .. } = from;
    let sql =
        format!("UPDATE {table} SET escalated = max(count, 1) WHERE {which} AND escalated = 0 AND escalated_as = ?2");
    conn.prepare_cached(&sql)?.execute([key, open])
}

/// The messages that are new to the fallback.
fn new_groups(conn: &Connection, from: &Rows, key: &str) -> Result<Vec<Group>> {
    let Rows { table, which, total, age } = from;
    let columns = GROUP_COLUMNS.replace(" count,", " count - escalated,");
    let sql = format!("SELECT {columns}, {total} FROM {table} WHERE {which} AND {NEW} ORDER BY {age}");
    let mut statement = conn.prepare_cached(&sql)?;
    let groups = statement.query_map([key], |row| {
        let group = rows::read_group(row, 0)?;
        Ok(Group { total: rows::read_uint(row, AFTER_GROUP)?.max(group.count), ..group })
    })?;
    groups.collect()
}

/// They count as escalated from now on.
fn note_new(conn: &Connection, from: &Rows, key: &str, copy: &str) -> Result<()> {
    let Rows { table, which, .. } = from;
    let sql = format!("UPDATE {table} SET escalated = max(count, 1), escalated_as = ?2 WHERE {which} AND {NEW}");
    conn.prepare_cached(&sql)?.execute([key, copy])?;
    Ok(())
}

/// The copy of what this sender could not tell that the fallback has not begun yet.
fn open_copy(conn: &Connection, escalation: &Escalation) -> Result<Option<String>> {
    conn.prepare_cached(
        "SELECT id FROM deliveries WHERE sender = ?1 AND finished IS NULL AND state = 'queued' AND attempt = 0
           AND reason = 'escalated' AND cause ->> 'sender' = ?2 ORDER BY id LIMIT 1",
    )?
    .query_row([&escalation.fallback, &escalation.sender], |row| row.get(0))
    .optional()
}

fn new_copy(conn: &Connection, escalation: &Escalation, now: Millis) -> Result<String> {
    let id = super::new_delivery_id(now);
    conn.prepare_cached(
        "INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
           reason) VALUES (?1, ?2, 'queued', 0, 0, 0, 0, 0, ?3, ?4)",
    )?
    .execute(params![id, escalation.fallback, int(now), Reason::Escalated.as_str()])?;
    Ok(id)
}

/// The last cause is the one that is told.
fn write_cause(conn: &Connection, copy: &str, escalation: &Escalation) -> Result<()> {
    let Escalation { sender, code, error, .. } = escalation.clone();
    let cause = rows::cause_json(&Cause { sender, code, error });
    conn.prepare_cached("UPDATE deliveries SET cause = ?2 WHERE id = ?1")?.execute([copy, cause.as_str()])?;
    Ok(())
}

/// The groups of a copy, each once, with how many of its messages were escalated further and in which copy.
#[derive(Default)]
struct Copied {
    groups: Vec<(Group, u64, Option<String>)>,
    /// That a group is over stands by itself.
    place: HashMap<(GroupId, bool), usize>,
}

impl Copied {
    fn read(conn: &Connection, id: &str) -> Result<Self> {
        let sql = format!(
            "SELECT {GROUP_COLUMNS}, total, escalated, escalated_as FROM delivery_groups WHERE delivery = ?1 ORDER BY n"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([id])?;
        let mut copied = Self::default();
        while let Some(row) = rows.next()? {
            let group = Group { total: rows::read_uint(row, AFTER_GROUP)?, ..rows::read_group(row, 0)? };
            copied.place.insert(place(&group), copied.groups.len());
            copied.groups.push((group, rows::read_uint(row, AFTER_GROUP + 1)?, row.get(AFTER_GROUP + 2)?));
        }
        Ok(copied)
    }

    fn add(&mut self, group: Group) {
        if let Some((there, ..)) = self.place.get(&place(&group)).and_then(|at| self.groups.get_mut(*at)) {
            merge(there, &group);
            // What stands for groups that found no room has no total of its own.
            there.total = there.total.max(group.total).max(there.count);
        } else {
            self.place.insert(place(&group), self.groups.len());
            self.groups.push((group, 0, None));
        }
    }

    /// Writes all of it, the most important first.
    fn write(mut self, conn: &Connection, id: &str) -> Result<()> {
        self.groups.sort_by_key(|(group, ..)| std::cmp::Reverse((group.severity, group.count)));
        conn.prepare_cached("DELETE FROM delivery_groups WHERE delivery = ?1")?.execute([id])?;
        let sql = format!(
            "INSERT INTO delivery_groups (delivery, n, omitted, total, escalated, escalated_as, resolved, {GROUP_COLUMNS})
             VALUES (?1, ?2, 0, ?3, ?4, ?5, ?19 = 'resolved',
               ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        );
        let mut insert = conn.prepare_cached(&sql)?;
        let mut messages: u64 = 0;
        for (n, (group, escalated, escalated_as)) in (0_u64..).zip(&self.groups) {
            messages = messages.saturating_add(group.count);
            insert.execute(group_params!(group, id, int(n), int(group.total), int(*escalated), escalated_as))?;
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
