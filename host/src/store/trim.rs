//! Forgetting what ended long ago: a few rows in each transaction, so that nobody waits long for it.
//!
//! It goes over the tables once and knows how far it came: what stays, such as dead letters and groups that are in use, is
//! not looked at again in every step.

use rusqlite::{Connection, Result, Row, params};

use super::rows::int;
use crate::limits;
use crate::message::Millis;

/// What a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Rows that are forgotten: deliveries with all that belongs to them, groups, receipts.
    pub forgot: usize,
    /// Whether there is more to look at.
    pub more: bool,
}

/// How far it came: everything before this key is looked at.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// When a delivery ended, and its id.
    Deliveries(i64, String),
    /// A group's id.
    Groups(String),
    /// A sender, and a group's id.
    Receipts(String, String),
}

impl Default for Place {
    fn default() -> Self {
        Self::Deliveries(i64::MIN, String::new())
    }
}

/// What one step may still do.
struct Left {
    look: usize,
    forget: usize,
}

impl Left {
    /// Goes over rows that are in the order of their keys; gives those that may go, and the key that was looked at last
    /// if there may be more.
    fn take<K: Clone>(&mut self, rows: impl Iterator<Item = Result<(K, bool)>>) -> Result<(Vec<K>, Option<K>)> {
        let mut old = Vec::new();
        for row in rows {
            let (key, goes) = row?;
            self.look = self.look.saturating_sub(1);
            if goes {
                self.forget = self.forget.saturating_sub(1);
                old.push(key.clone());
            }
            if self.look == 0 || self.forget == 0 {
                return Ok((old, Some(key)));
            }
        }
        Ok((old, None))
    }
}

/// Forgets what was over well before `before`, at most so many rows: deliveries that ended, with their attempts and groups,
/// then groups that were not seen since, then receipts. Dead letters stay, a person decides about them.
pub(super) fn step(conn: &Connection, before: Millis, at_most: u32, place: &mut Place) -> Result<Trimmed> {
    let mut left = Left { look: limits::TRIM_LOOKED, forget: usize::try_from(at_most).unwrap_or(usize::MAX) };
    let mut forgot = 0;
    loop {
        let (found, next) = match place {
            Place::Deliveries(ended, id) => deliveries(conn, before, (*ended, id), &mut left)?,
            Place::Groups(id) => groups(conn, before, id, &mut left)?,
            Place::Receipts(sender, group) => receipts(conn, before, (sender, group), &mut left)?,
        };
        forgot += found;
        let table = next.unwrap_or_else(|| match place {
            Place::Deliveries(..) => Place::Groups(String::new()),
            Place::Groups(_) => Place::Receipts(String::new(), String::new()),
            Place::Receipts(..) => Place::default(),
        });
        let whole = matches!((&*place, &table), (Place::Receipts(..), Place::Deliveries(..)));
        *place = table;
        if whole || left.look == 0 || left.forget == 0 {
            return Ok(Trimmed { forgot, more: !whole });
        }
    }
}

/// How many were forgotten, and where to go on in the same table.
type Went = (usize, Option<Place>);

fn deliveries(conn: &Connection, before: Millis, after: (i64, &str), left: &mut Left) -> Result<Went> {
    let mut statement = conn.prepare_cached(
        "SELECT finished, id, state IN ('delivered', 'dropped') FROM deliveries INDEXED BY deliveries_finished
         WHERE finished IS NOT NULL AND (finished, id) > (?2, ?3) AND finished < ?1 ORDER BY finished, id",
    )?;
    let key = |row: &Row<'_>| Ok(((row.get::<_, i64>(0)?, row.get::<_, String>(1)?), row.get(2)?));
    let (old, last) = left.take(statement.query_map(params![int(before), after.0, after.1], key)?)?;
    for (_, id) in &old {
        for sql in [
            "DELETE FROM delivery_groups WHERE delivery = ?1",
            "DELETE FROM attempts WHERE delivery = ?1",
            "DELETE FROM deliveries WHERE id = ?1",
        ] {
            conn.prepare_cached(sql)?.execute([id])?;
        }
    }
    Ok((old.len(), last.map(|(ended, id)| Place::Deliveries(ended, id))))
}

fn groups(conn: &Connection, before: Millis, after: &str, left: &mut Left) -> Result<Went> {
    let mut statement =
        conn.prepare_cached("SELECT group_id, updated < ?1 FROM groups WHERE group_id > ?2 ORDER BY group_id")?;
    let key = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    let (old, last) = left.take(statement.query_map(params![int(before), after], key)?)?;
    for id in &old {
        conn.prepare_cached("DELETE FROM groups WHERE group_id = ?1")?.execute([id])?;
    }
    Ok((old.len(), last.map(Place::Groups)))
}

fn receipts(conn: &Connection, before: Millis, after: (&str, &str), left: &mut Left) -> Result<Went> {
    let mut statement = conn.prepare_cached(
        "SELECT sender, group_id, updated < ?1 FROM receipts WHERE (sender, group_id) > (?2, ?3)
         ORDER BY sender, group_id",
    )?;
    let key = |row: &Row<'_>| Ok(((row.get::<_, String>(0)?, row.get::<_, String>(1)?), row.get(2)?));
    let (old, last) = left.take(statement.query_map(params![int(before), after.0, after.1], key)?)?;
    for (sender, group) in &old {
        conn.prepare_cached("DELETE FROM receipts WHERE sender = ?1 AND group_id = ?2")?.execute([sender, group])?;
    }
    Ok((old.len(), last.map(|(sender, group)| Place::Receipts(sender, group))))
}
