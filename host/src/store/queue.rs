//! What waits to be told: at most one row for each sender and group, and the step from waiting to frozen.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::ledger::{Moves, Term};
use super::room::Room;
use super::rows::{self, GROUP_COLUMNS, int, labels_json, samples_json};
use super::{Delivery, Freeze, receipts};
use crate::clock::as_millis;
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
pub(super) const ORDER: &str = "CASE severity WHEN 'critical' THEN 7 WHEN 'error' THEN 6 WHEN 'warning' THEN 5 \
    WHEN 'notice' THEN 4 WHEN 'info' THEN 3 WHEN 'debug' THEN 2 WHEN 'trace' THEN 1 ELSE 0 END DESC, \
    count DESC";

/// The next delivery of a sender, with its attempt begun: one that is queued already, else one made of what is ready in
/// the queue; `None` when there is neither.
pub(super) fn freeze(
    conn: &Connection,
    freeze: &Freeze,
    sweeping: &HashSet<u64>,
    now: Millis,
    moves: &mut Moves,
) -> Result<Option<Delivery>> {
    if let Some(queued) = super::deliveries::next_queued(conn, freeze, now)? {
        return Ok(Some(queued));
    }
    let mut picked = pick(conn, freeze, sweeping)?;
    let Some(first) = picked.first_mut() else { return Ok(None) };
    let mut delivery = Delivery::begin(super::new_delivery_id(now), freeze.sender.clone(), now);
    if let (Some(repeat_after), Some(group)) = (freeze.living, &mut first.told) {
        let oldest = now.saturating_sub(as_millis(repeat_after));
        if let Some(shown) = receipts::find(conn, &freeze.sender, group.id, oldest)? {
            receipts::add_shown(group, shown.count, Some(shown.since));
            first.shown = Some((shown.count, shown.since));
            delivery.previous = Some(shown.receipt);
        }
    }
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
    super::deliveries::insert(conn, &delivery, freeze.living.is_some(), now)?;
    Ok(Some(delivery))
}

struct Picked {
    queue_row: i64,
    route: Arc<str>,
    count: u64,
    total: u64,
    /// What a living message shows of the group already, and since when.
    shown: Option<(u64, Millis)>,
    /// `None` when it is only summed up: there may be very many of those.
    told: Option<Group>,
}

fn pick(conn: &Connection, freeze: &Freeze, sweeping: &HashSet<u64>) -> Result<Vec<Picked>> {
    let sql = format!("SELECT {GROUP_COLUMNS}, id, sweep FROM queue WHERE {READY} ORDER BY {ORDER}, id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([&freeze.sender])?;
    // A living message tells of one group.
    let (max_groups, split) = if freeze.living.is_some() { (1, true) } else { (freeze.max_groups, freeze.split) };
    let mut picked = Vec::new();
    let mut filling = Filling::new(max_groups);
    while let Some(row) = rows.next()? {
        if sweeping.contains(&rows::read_uint(row, 15)?) {
            continue;
        }
        let mut group = rows::read_group(row, 0)?;
        let fits = filling.takes(&group);
        if !fits && split {
            break;
        }
        group.total = total(conn, &group)?.max(group.count);
        picked.push(Picked {
            queue_row: row.get(14)?,
            route: group.route.clone(),
            count: group.count,
            total: group.total,
            shown: None,
            told: fits.then_some(group),
        });
    }
    Ok(picked)
}

/// How full one notification is.
struct Filling {
    groups: u32,
    told: u32,
    bytes: usize,
}

impl Filling {
    fn new(groups: u32) -> Self {
        Self { groups, told: 0, bytes: 0 }
    }

    /// Whether the next group is told in full; the first one always is.
    fn takes(&mut self, group: &Group) -> bool {
        self.bytes = self.bytes.saturating_add(size(group));
        let fits = self.told < self.groups && (self.told == 0 || self.bytes <= limits::NOTIFICATION_BYTES);
        self.told += u32::from(fits);
        fits
    }
}

/// How many of these groups, from the first, one notification takes.
pub(super) fn fitting(groups: &[Group], max_groups: u32) -> usize {
    let mut filling = Filling::new(max_groups);
    groups.iter().take_while(|group| filling.takes(group)).count()
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
        "INSERT INTO delivery_groups (delivery, n, omitted, total, shown, shown_since, {GROUP_COLUMNS}, resolved, escalated)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, {GROUP_COLUMNS}, resolved, escalated FROM queue WHERE id = ?7"
    );
    let (shown, since) = entry.shown.unzip();
    conn.prepare_cached(&sql)?.execute(params![
        delivery,
        int(n as u64),
        entry.told.is_none(),
        int(entry.total),
        int(shown.unwrap_or_default()),
        since.map(int),
        entry.queue_row
    ])?;
    conn.prepare_cached("DELETE FROM queue WHERE id = ?1")?.execute([entry.queue_row])?;
    Ok(())
}
