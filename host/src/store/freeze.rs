//! The step from waiting to frozen: the next delivery of a sender, with its first attempt begun.
//!
//! What was frozen before and is only queued comes first; then what is ready in the queue.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::filling::{Filling, ORDER};
use super::ledger::{Moves, Term};
use super::rows::{self, AFTER_GROUP, GROUP_COLUMNS, int};
use super::{Delivery, Freeze, deliveries, receipts};
use crate::clock::as_millis;
use crate::limits;
use crate::message::{Group, Millis};

/// Entries that may be frozen now: their sweep is whole, their group is in no delivery that is still under way, and that a
/// group is over waits behind what it had to tell.
const READY: &str = "sender = ?1 AND group_id NOT IN (
    SELECT g.group_id FROM deliveries d JOIN delivery_groups g ON g.delivery = d.id
    WHERE d.sender = ?1 AND d.finished IS NULL)
  AND (resolved = 0 OR NOT EXISTS (SELECT 1 FROM queue q
    WHERE q.sender = ?1 AND q.group_id = queue.group_id AND q.resolved = 0))";

/// The next delivery of a sender, with its attempt begun: one that is queued already, else one made of what is ready in
/// the queue, of fewer groups where room is `scarce`; `None` when there is neither.
pub(super) fn next(
    conn: &Connection,
    freeze: &Freeze,
    sweeping: &HashSet<u64>,
    now: Millis,
    moves: &mut Moves,
    scarce: bool,
) -> Result<Option<Delivery>> {
    if let Some(queued) = deliveries::next_queued(conn, freeze, now)? {
        return Ok(Some(queued));
    }
    let mut picked = pick(conn, freeze, sweeping, if scarce { limits::FULL_GROUPS } else { usize::MAX })?;
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
    let messages = picked.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.count));
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
    deliveries::insert(conn, &delivery, messages, freeze.living.is_some(), now)?;
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

fn pick(conn: &Connection, freeze: &Freeze, sweeping: &HashSet<u64>, at_most: usize) -> Result<Vec<Picked>> {
    let sql = format!("SELECT {GROUP_COLUMNS}, id, sweep FROM queue WHERE {READY} ORDER BY {ORDER}, id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([&freeze.sender])?;
    // A living message tells of one group.
    let (max_groups, split) = if freeze.living.is_some() { (1, true) } else { (freeze.max_groups, freeze.split) };
    let mut picked = Vec::new();
    let mut filling = Filling::new(max_groups);
    while picked.len() < at_most
        && let Some(row) = rows.next()?
    {
        if sweeping.contains(&rows::read_uint(row, AFTER_GROUP + 1)?) {
            continue;
        }
        let mut group = rows::read_group(row, 0)?;
        let fits = filling.takes(&group);
        if !fits && split {
            break;
        }
        group.total = total(conn, &group)?.max(group.count);
        picked.push(Picked {
            queue_row: row.get(AFTER_GROUP)?,
            route: group.route.clone(),
            count: group.count,
            total: group.total,
            shown: None,
            told: fits.then_some(group),
        });
    }
    Ok(picked)
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
        "INSERT INTO delivery_groups (delivery, n, omitted, total, shown, shown_since, {GROUP_COLUMNS}, resolved, escalated,
           escalated_as)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, {GROUP_COLUMNS}, resolved, escalated, escalated_as FROM queue WHERE id = ?7"
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
