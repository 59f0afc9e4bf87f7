//! What a sender's task left behind, for the one that goes on with it while mag runs.
//!
//! Read from the same rows as at a start, so that a new config and a restart with it do the same.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::rows::{self, int};
use super::{Delivery, deliveries};
use crate::message::Millis;

/// What is left of a sender's work.
#[derive(Debug, Default)]
pub struct Left {
    /// Deliveries that go on, oldest first.
    pub deliveries: Vec<Delivery>,
    /// When the attempts of the last minutes began, oldest first.
    pub attempts: Vec<Millis>,
    /// Until when its destination wants to be left alone.
    pub paused_until: Option<Millis>,
    /// When it last delivered something.
    pub last_delivered: Option<Millis>,
}

/// Reads what `sender` left; attempts as far back and ahead as `budget` says.
pub(super) fn read(conn: &Connection, sender: &str, now: Millis, budget: u64) -> Result<Left> {
    let (from, to) = (now.saturating_sub(budget), now.saturating_add(budget));
    let mut statement = conn.prepare_cached(
        "SELECT started FROM attempts WHERE sender = ?1 AND started BETWEEN ?2 AND ?3 ORDER BY started",
    )?;
    let attempts = statement.query_map(params![sender, int(from), int(to)], |row| rows::read_uint(row, 0))?;
    let attempts = attempts.collect::<Result<_>>()?;
    let times = conn
        .prepare_cached("SELECT paused_until, last_delivered FROM senders WHERE sender = ?1")?
        .query_row([sender], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)))
        .optional()?;
    let (paused_until, last_delivered) = times.unwrap_or_default();
    Ok(Left {
        deliveries: deliveries::load_of(conn, sender)?,
        attempts,
        paused_until: paused_until.map(rows::uint).filter(|until| *until > now),
        last_delivered: last_delivered.map(rows::uint).filter(|last| *last <= now),
    })
}
