//! What is remembered of each sender, so that a look at it costs one row whatever its history: table `senders`.

use rusqlite::{Connection, Result, params};

use super::rows::int;
use super::{Attempted, Outcome};
use crate::message::Millis;

/// Remembers how an attempt ended.
pub(super) fn note(conn: &Connection, attempted: &Attempted, now: Millis) -> Result<()> {
    match &attempted.outcome {
        Outcome::Delivered { .. } => {
            conn.prepare_cached(
                "INSERT INTO senders (sender, delivered, last_delivered) VALUES (?1, 1, ?2)
                 ON CONFLICT DO UPDATE SET delivered = delivered + 1, last_delivered = ?2",
            )?
            .execute(params![attempted.sender, int(now)])?;
        }
        Outcome::Backoff { code, error, .. } | Outcome::Dead { code, error } => {
            conn.prepare_cached(
                "INSERT INTO senders (sender, last_failed, code, error) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET last_failed = ?2, code = ?3, error = ?4",
            )?
            .execute(params![attempted.sender, int(now), code, error])?;
        }
    }
    Ok(())
}
