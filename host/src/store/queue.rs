//! What waits to be told: at most one row for each sender and group.

use rusqlite::{Connection, Result, params};

use super::room::Room;
use super::rows::{self, GROUP_COLUMNS, group_params, int, labels_json, samples_json};
use crate::group::merge_samples;
use crate::message::{DEFAULT_KIND, Group, GroupId, Reason, Severity};

/// Queues a closed window for a sender, or adds it to the entry of its group that still waits. When too much waits, what
/// has no entry is added to the one that stands for the rest of its route.
pub(super) fn add(conn: &Connection, room: &mut Room, sender: &str, group: &Group, sweep: u64) -> Result<()> {
    if !room.is_full(conn, sender)? || is_waiting(conn, sender, group)? {
        return insert_or_add(conn, room, sender, group, sweep);
    }
    let other = room.overflow(sender, group);
    insert_or_add(conn, room, sender, &other, sweep)
}

/// Queues that a group is over, behind whatever waits of it. It is no message, so what finds no room is not counted
/// elsewhere.
pub(super) fn add_resolved(conn: &Connection, room: &mut Room, sender: &str, group: &Group) -> Result<()> {
    if room.is_full(conn, sender)? {
        room.no_room(sender);
        return Ok(());
    }
    let inserted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO queue (sender, sweep, resolved, group_id, route, kind, source, text, severity, labels,
               count, first_seen, last_seen, opened, closed, samples, reason, annotations)
             VALUES (?1, 0, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(group_params!(group, sender))?;
    if inserted > 0 {
        room.added(sender);
    }
    Ok(())
}

/// A group fires anew: whoever was not told yet that it was over need not hear it. It counts as told to fire.
pub(super) fn fires_anew(conn: &Connection, room: &mut Room, group: GroupId) -> Result<()> {
    let group = group.to_string();
    let senders: Vec<String> = conn
        .prepare_cached("DELETE FROM queue WHERE group_id = ?1 AND resolved = 1 RETURNING sender")?
        .query_map([&group], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for sender in &senders {
        room.taken_from(sender);
    }
    if !senders.is_empty() {
        conn.prepare_cached("UPDATE groups SET alerting = 1 WHERE group_id = ?1")?.execute([&group])?;
    }
    Ok(())
}

fn is_waiting(conn: &Connection, sender: &str, group: &Group) -> Result<bool> {
    conn.prepare_cached("SELECT 1 FROM queue WHERE sender = ?1 AND group_id = ?2 AND resolved = 0")?
        .exists(params![sender, group.id.to_string()])
}

fn insert_or_add(conn: &Connection, room: &mut Room, sender: &str, group: &Group, sweep: u64) -> Result<()> {
    let inserted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO queue (sender, sweep, group_id, route, kind, source, text, severity, labels, count,
               first_seen, last_seen, opened, closed, samples, reason, annotations)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(group_params!(group, sender, int(sweep)))?;
    if inserted == 0 {
        return add_to_waiting(conn, sender, group);
    }
    room.added(sender);
    Ok(())
}

fn add_to_waiting(conn: &Connection, sender: &str, later: &Group) -> Result<()> {
    let sql = format!("SELECT {GROUP_COLUMNS} FROM queue WHERE sender = ?1 AND group_id = ?2 AND resolved = 0");
    let mut group =
        conn.prepare_cached(&sql)?.query_row(params![sender, later.id.to_string()], |row| rows::read_group(row, 0))?;
    merge(&mut group, later);
    conn.prepare_cached(
        "UPDATE queue SET kind = ?3, source = ?4, severity = ?5, labels = ?6, count = ?7, first_seen = ?8,
           last_seen = ?9, opened = ?10, closed = ?11, samples = ?12, reason = ?13, annotations = ?14
         WHERE sender = ?1 AND group_id = ?2 AND resolved = 0",
    )?
    .execute(params![
        sender,
        group.id.to_string(),
        group.kind,
        group.source,
        group.severity.map(Severity::as_str),
        labels_json(&group.labels),
        int(group.count),
        int(group.first_seen),
        int(group.last_seen),
        int(group.opened),
        int(group.closed),
        samples_json(&group.samples),
        group.reason.as_str(),
        labels_json(&group.annotations),
    ])?;
    Ok(())
}

/// Two closed windows of one group as one: the earliest opening, the latest closing, what both share.
pub(super) fn merge(group: &mut Group, later: &Group) {
    if group.kind != later.kind {
        DEFAULT_KIND.clone_into(&mut group.kind);
    }
    if group.source != later.source {
        group.source = None;
    }
    group.severity = group.severity.max(later.severity);
    group.labels.keep_shared(&later.labels);
    group.annotations.keep_shared(&later.annotations);
    group.count = group.count.saturating_add(later.count);
    group.first_seen = group.first_seen.min(later.first_seen);
    group.last_seen = group.last_seen.max(later.last_seen);
    group.opened = group.opened.min(later.opened);
    group.closed = group.closed.max(later.closed);
    merge_samples(group, later);
    if group.reason != later.reason {
        group.reason = Reason::Time;
    }
}
