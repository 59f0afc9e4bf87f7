//! What happens to the work of a sender that is no longer in the config: it goes to the dead letters, with that reason.

use std::collections::HashSet;

use rusqlite::{Connection, Result};

use super::ledger::{Moves, Term};
use super::{Freeze, deliveries, freeze};
use crate::message::Millis;

/// Moves what waits for a sender that is gone, and what was under way to it, to the dead letters: so many notifications
/// at most.
pub(super) fn bury(conn: &Connection, sender: &str, now: Millis, at_most: u64, moves: &mut Moves) -> Result<u64> {
    const CODE: &str = "sender-gone";
    let error = format!("sender {sender} is no longer in the config");
    let mut buried = 0;
    let under_way: Vec<String> = conn
        .prepare_cached("SELECT id FROM deliveries WHERE sender = ?1 AND finished IS NULL")?
        .query_map([sender], |row| row.get(0))?
        .collect::<Result<_>>()?;
    conn.prepare_cached("UPDATE deliveries SET unclear = 1 WHERE sender = ?1 AND state = 'sending'")?
        .execute([sender])?;
    for id in under_way {
        if buried >= at_most {
            return Ok(buried);
        }
        deliveries::end(conn, &id, "dead", now, Some((&CODE.to_owned(), &error)))?;
        deliveries::settle(conn, &id, sender, Term::Dead, moves)?;
        buried += 1;
    }
    let everything = Freeze { sender: sender.to_owned(), max_groups: u32::MAX, split: true, living: None };
    while buried < at_most
        && let Some(delivery) = freeze::next(conn, &everything, &HashSet::new(), now, moves, false)?
    {
        conn.prepare_cached("DELETE FROM attempts WHERE delivery = ?1")?.execute([&delivery.id])?;
        conn.prepare_cached("UPDATE deliveries SET attempt = 0 WHERE id = ?1")?.execute([&delivery.id])?;
        deliveries::end(conn, &delivery.id, "dead", now, Some((&CODE.to_owned(), &error)))?;
        deliveries::settle(conn, &delivery.id, sender, Term::Dead, moves)?;
        buried += 1;
    }
    Ok(buried)
}
