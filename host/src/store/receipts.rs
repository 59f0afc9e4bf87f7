//! Living messages: what a sender gave back for a group, and how much of the group that message shows.
//!
//! Receipts of other deliveries are kept too, but nothing is brought up to date by them: such a message may tell of many
//! groups. They never take the place of a living message's.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::Freeze;
use super::rows::{self, int};
use crate::clock::as_millis;
use crate::message::{Group, GroupId, Millis};

/// A message at the destination that can still be brought up to date.
pub(super) struct Shown {
    /// What finds it again.
    pub(super) receipt: Vec<u8>,
    /// Messages that it tells of.
    pub(super) count: u64,
    /// Since when.
    pub(super) since: Millis,
}

/// The living message of a group, if it was posted after `oldest`.
pub(super) fn find(conn: &Connection, sender: &str, group: GroupId, oldest: Millis) -> Result<Option<Shown>> {
    conn.prepare_cached(
        "SELECT receipt, count, opened FROM receipts
         WHERE sender = ?1 AND group_id = ?2 AND posted > 0 AND posted >= ?3",
    )?
    .query_row(params![sender, group.to_string(), int(oldest)], |row| {
        Ok(Shown { receipt: row.get(0)?, count: rows::read_uint(row, 1)?, since: rows::read_uint(row, 2)? })
    })
    .optional()
}

/// Adds what a living message shows already, so that it tells of all of it.
pub(super) fn add_shown(group: &mut Group, count: u64, since: Option<Millis>) {
    group.count = group.count.saturating_add(count);
    group.opened = since.map_or(group.opened, |since| since.min(group.opened));
}

/// Makes a living delivery that was frozen some time ago show what its message shows by now, and what is new in it.
pub(super) fn show_anew(conn: &Connection, delivery: &str, freeze: &Freeze, now: Millis) -> Result<()> {
    let group = conn
        .prepare_cached(
            "SELECT g.group_id FROM delivery_groups g JOIN deliveries d ON d.id = g.delivery
             WHERE d.id = ?1 AND d.living",
        )?
        .query_row([delivery], |row| rows::read_group_id(row, 0))
        .optional()?;
    let Some(group) = group else { return Ok(()) };
    let shown = match freeze.living {
        Some(repeat_after) => find(conn, &freeze.sender, group, now.saturating_sub(as_millis(repeat_after)))?,
        None => None,
    };
    let (count, since) = shown.as_ref().map_or((0, None), |shown| (shown.count, Some(int(shown.since))));
    conn.prepare_cached("UPDATE delivery_groups SET shown = ?2, shown_since = ?3 WHERE delivery = ?1")?
        .execute(params![delivery, int(count), since])?;
    conn.prepare_cached("UPDATE deliveries SET previous = ?2 WHERE id = ?1")?
        .execute(params![delivery, shown.map(|shown| shown.receipt)])?;
    Ok(())
}

/// Keeps what a delivery gave back, for each group that it told in full.
pub(super) fn keep(
    conn: &Connection,
    delivery: &str,
    receipt: Option<&[u8]>,
    updated_in_place: bool,
    now: Millis,
) -> Result<()> {
    if updated_in_place {
        conn.prepare_cached(
            "UPDATE receipts SET delivery = ?1, receipt = coalesce(?2, receipt), updated = ?3, count = g.shown + g.count
             FROM delivery_groups g JOIN deliveries d ON d.id = g.delivery
             WHERE g.delivery = ?1 AND g.omitted = 0 AND d.living AND receipts.sender = d.sender
               AND receipts.group_id = g.group_id",
        )?
        .execute(params![delivery, receipt, int(now)])?;
    } else if let Some(receipt) = receipt {
        conn.prepare_cached(
            "INSERT INTO receipts (sender, group_id, delivery, receipt, updated, posted, opened, count)
             SELECT d.sender, g.group_id, ?1, ?2, ?3, iif(d.living, ?3, 0),
               min(g.opened, coalesce(g.shown_since, g.opened)), g.shown + g.count
             FROM delivery_groups g JOIN deliveries d ON d.id = g.delivery WHERE g.delivery = ?1 AND g.omitted = 0
             ON CONFLICT DO UPDATE SET delivery = excluded.delivery, receipt = excluded.receipt,
               updated = excluded.updated, posted = excluded.posted, opened = excluded.opened, count = excluded.count
             WHERE excluded.posted > 0 OR posted = 0",
        )?
        .execute(params![delivery, receipt, int(now)])?;
    }
    Ok(())
}
