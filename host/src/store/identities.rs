//! The ids of messages that came before, so that they are known after a restart too.
//!
//! Rows come at the end of the table and go from its beginning; nothing is looked up in it while mag runs.

use rusqlite::{Connection, Result, params};

use super::rows::{self, int};
use super::{Changes, Memory};
use crate::ids::Ids;
use crate::limits;

/// Writes the ids of what is counted in these changes, and forgets a few of those that are no longer needed.
pub(super) fn write(conn: &Connection, changes: &Changes) -> Result<()> {
    if changes.ids.is_empty() {
        return Ok(());
    }
    let mut insert =
        conn.prepare_cached("INSERT INTO ids (n, source, id, content, seen) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for saved in &changes.ids {
        insert.execute(params![saved.n, saved.source, saved.id, saved.content.cast_signed(), int(saved.seen)])?;
    }
    // More than came, so that the rest of a larger memory goes too, but never so many that somebody waits for it.
    let at_most = changes.ids.len().saturating_add(limits::TRIM_IDS);
    conn.prepare_cached("DELETE FROM ids WHERE n IN (SELECT n FROM ids WHERE n < ?1 ORDER BY n LIMIT ?2)")?
        .execute(params![changes.first_id, int(at_most as u64)])?;
    Ok(())
}

/// The newest ids, as many as are remembered.
pub(super) fn load(conn: &Connection, memory: Memory) -> Result<Ids> {
    let last: i64 = conn.query_row("SELECT coalesce(max(n), 0) FROM ids", [], |row| row.get(0))?;
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the system has a source of random numbers, TLS needs one too");
    let mut ids = Ids::new(key, memory, last.saturating_add(1));
    let forgotten = last.saturating_sub(int(memory.ids as u64));
    let mut statement = conn.prepare("SELECT n, source, id, content, seen FROM ids WHERE n > ?1 ORDER BY n")?;
    let mut rows = statement.query([forgotten])?;
    while let Some(row) = rows.next()? {
        let (source, id) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
        let content: i64 = row.get(3)?;
        ids.restore(row.get(0)?, source, id, content.cast_unsigned(), rows::read_uint(row, 4)?);
    }
    Ok(ids)
}
