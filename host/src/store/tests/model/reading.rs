//! What the file holds, read by another connection.

use rusqlite::{Connection, Row};

use super::simple::Ledger;
use super::*;

/// Sender, group and count.
pub(super) type Waiting = (String, String, u64);
/// Id, sender, state, attempt, and how many groups it has.
pub(super) type UnderWay = (String, String, String, u32, u64);

fn all<T>(path: &Path, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
    let conn = Connection::open(path).expect("the file opens");
    let mut statement = conn.prepare(sql).expect("the tables are there");
    let rows = statement.query_map([], |row| read(row)).expect("the rows read");
    rows.collect::<rusqlite::Result<_>>().expect("the rows read")
}

pub(super) fn ledger(path: &Path) -> Ledger {
    let sql = "SELECT route, sender, accepted, open, held, waiting, frozen, told, dead, dropped FROM ledger WHERE accepted > 0";
    let row = |row: &Row<'_>| {
        let mut terms = [0_u64; 8];
        for (column, term) in (2..).zip(&mut terms) {
            *term = rows::read_uint(row, column)?;
        }
        Ok(((row.get(0)?, row.get(1)?), terms))
    };
    all(path, sql, row).into_iter().collect()
}

/// In the order in which entries came in.
pub(super) fn waiting(path: &Path) -> Vec<Waiting> {
    let sql = "SELECT sender, group_id, count FROM queue ORDER BY id";
    all(path, sql, |row| Ok((row.get(0)?, row.get(1)?, rows::read_uint(row, 2)?)))
}

/// In the order of freezing.
pub(super) fn under_way(path: &Path) -> Vec<UnderWay> {
    let sql = "SELECT id, sender, state, attempt, (SELECT count(*) FROM delivery_groups g WHERE g.delivery = d.id)
               FROM deliveries d WHERE finished IS NULL AND state != 'queued' ORDER BY id";
    all(path, sql, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, rows::read_uint(row, 4)?)))
}

/// Sender, attempt and messages of what is queued, in the order in which it will be taken.
pub(super) fn queued(path: &Path) -> Vec<(String, u32, u64)> {
    let sql = "SELECT sender, attempt, (SELECT sum(count) FROM delivery_groups g WHERE g.delivery = d.id)
               FROM deliveries d WHERE finished IS NULL AND state = 'queued' ORDER BY id";
    all(path, sql, |row| Ok((row.get(0)?, row.get(1)?, rows::read_uint(row, 2)?)))
}
