//! What waits to be told: at most one row for each sender and group, and the step from waiting to frozen.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::ledger::{Moves, Term};
use super::room::Room;
use super::rows::{self, GROUP_COLUMNS, int, labels_json, samples_json};
use super::{Delivery, Freeze};
use crate::group::merge_samples;
use crate::limits;
use crate::message::{DEFAULT_KIND, Group, Millis, Reason, Severity};

/// Queues a closed window for a sender, or adds it to the entry of its group that still waits. When too much waits, what
/// has no entry is added to the one that stands for the rest of its route.
pub(super) fn add(conn: &Connection, room: &mut Room, sender: &str, group: &Group, sweep: u64) -> Result<()> {
    if !room.is_full(conn, sender)? || is_waiting(conn, sender, group)? {
        return insert_or_add(conn, room, sender, group, sweep);
    }
    let other = room.overflow(sender, group);
    insert_or_add(conn, room, sender, &other, sweep)
}

fn is_waiting(conn: &Connection, sender: &str, group: &Group) -> Result<bool> {
    conn.prepare_cached("SELECT 1 FROM queue WHERE sender = ?1 AND group_id = ?2 AND resolved = 0")?
        .exists(params![sender, group.id.to_string()])
}

fn insert_or_add(conn: &Connection, room: &mut Room, sender: &str, group: &Group, sweep: u64) -> Result<()> {
    let inserted = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO queue (sender, sweep, group_id, route, kind, source, text, severity, labels, count,
               first_seen, last_seen, opened, closed, samples, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            sender,
            int(sweep),
            group.id.to_string(),
            &*group.route,
            group.kind,
            group.source,
            group.text,
            group.severity.map(Severity::as_str),
            labels_json(&group.labels),
            int(group.count),
            int(group.first_seen),
            int(group.last_seen),
            int(group.opened),
            int(group.closed),
            samples_json(&group.samples),
            group.reason.as_str(),
        ])?;
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
           last_seen = ?9, opened = ?10, closed = ?11, samples = ?12, reason = ?13
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
    ])?;
    Ok(())
}

/// Two closed windows of one group as one: the earliest opening, the latest closing, what both share.
fn merge(group: &mut Group, later: &Group) {
    if group.kind != later.kind {
        DEFAULT_KIND.clone_into(&mut group.kind);
    }
    if group.source != later.source {
        group.source = None;
    }
    group.severity = group.severity.max(later.severity);
    group.labels.keep_shared(&later.labels);
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

/// Entries that may be frozen now: their sweep is whole, and their group is in no delivery that is still under way.
const READY: &str = "sender = ?1 AND group_id NOT IN (
    SELECT g.group_id FROM deliveries d JOIN delivery_groups g ON g.delivery = d.id
    WHERE d.sender = ?1 AND d.finished IS NULL)";

/// The most important first: severity, then count, then whoever waits longest.
const ORDER: &str = "CASE severity WHEN 'critical' THEN 7 WHEN 'error' THEN 6 WHEN 'warning' THEN 5 \
    WHEN 'notice' THEN 4 WHEN 'info' THEN 3 WHEN 'debug' THEN 2 WHEN 'trace' THEN 1 ELSE 0 END DESC, \
    count DESC, id";

/// Takes what is ready out of the queue and makes a delivery of it, with attempt 1 begun; `None` when nothing is ready.
pub(super) fn freeze(
    conn: &Connection,
    freeze: &Freeze,
    sweeping: &HashSet<u64>,
    now: Millis,
    moves: &mut Moves,
) -> Result<Option<Delivery>> {
    let picked = pick(conn, freeze, sweeping)?;
    if picked.is_empty() {
        return Ok(None);
    }
    let id = super::new_delivery_id(now);
    let mut delivery = Delivery::begin(id, freeze.sender.clone(), now);
    for (n, entry) in picked.into_iter().enumerate() {
        take(conn, &delivery.id, n, &entry)?;
        moves.shift(&entry.route, &freeze.sender, Term::Waiting, Term::Frozen, int(entry.count));
        if let Some(group) = entry.told {
            delivery.groups.push(group);
        } else {
            delivery.omitted_groups += 1;
            delivery.omitted_messages = delivery.omitted_messages.saturating_add(entry.count);
        }
    }
    super::deliveries::insert(conn, &delivery, now)?;
    Ok(Some(delivery))
}

struct Picked {
    queue_row: i64,
    route: Arc<str>,
    count: u64,
    total: u64,
    /// `None` when it is only summed up: there may be very many of those.
    told: Option<Group>,
}

fn pick(conn: &Connection, freeze: &Freeze, sweeping: &HashSet<u64>) -> Result<Vec<Picked>> {
    let sql = format!("SELECT {GROUP_COLUMNS}, id, sweep FROM queue WHERE {READY} ORDER BY {ORDER}");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([&freeze.sender])?;
    let mut picked = Vec::new();
    let (mut told, mut bytes) = (0_u32, 0_usize);
    while let Some(row) = rows.next()? {
        if sweeping.contains(&rows::read_uint(row, 15)?) {
            continue;
        }
        let mut group = rows::read_group(row, 0)?;
        bytes = bytes.saturating_add(size(&group));
        let fits = told < freeze.max_groups && (told == 0 || bytes <= limits::NOTIFICATION_BYTES);
        if !fits && freeze.split {
            break;
        }
        told += u32::from(fits);
        group.total = total(conn, &group)?.max(group.count);
        picked.push(Picked {
            queue_row: row.get(14)?,
            route: group.route.clone(),
            count: group.count,
            total: group.total,
            told: fits.then_some(group),
        });
    }
    Ok(picked)
}

/// About what a group takes in the record that the plugin gets.
fn size(group: &Group) -> usize {
    let labels: usize = group.labels.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    let samples: usize = group.samples.iter().map(|sample| sample.len() + 8).sum();
    let source = group.source.as_ref().map_or(0, String::len);
    256 + group.text.len() + group.route.len() + group.kind.len() + source + labels + samples
}

fn total(conn: &Connection, group: &Group) -> Result<u64> {
    let total: Option<i64> = conn
        .prepare_cached("SELECT total FROM groups WHERE group_id = ?1")?
        .query_row([group.id.to_string()], |row| row.get(0))
        .optional()?;
    Ok(total.map_or(0, rows::uint))
}

fn take(conn: &Connection, delivery: &str, n: usize, entry: &Picked) -> Result<()> {
    let sql = format!(
        "INSERT INTO delivery_groups (delivery, n, omitted, total, {GROUP_COLUMNS}, resolved)
         SELECT ?1, ?2, ?3, ?4, {GROUP_COLUMNS}, resolved FROM queue WHERE id = ?5"
    );
    conn.prepare_cached(&sql)?.execute(params![
        delivery,
        int(n as u64),
        entry.told.is_none(),
        int(entry.total),
        entry.queue_row
    ])?;
    conn.prepare_cached("DELETE FROM queue WHERE id = ?1")?.execute([entry.queue_row])?;
    Ok(())
}
