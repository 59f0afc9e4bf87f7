//! What `mag verify` checks beyond the ledger of what is under way: the file itself, and what has ended.

use rusqlite::{Connection, Result};

use crate::limits;

/// SQLite's own check of every page and index.
pub(super) fn integrity(conn: &Connection) -> Result<Vec<String>> {
    let said = pages(conn, &limits::DAMAGES.to_string())?;
    Ok(said.into_iter().map(|line| format!("the file is damaged: {line}")).collect())
}

/// The same of one table, or of everything up to so many lines, in SQLite's words.
pub(super) fn pages(conn: &Connection, what: &str) -> Result<Vec<String>> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({what})"))?;
    let mut said = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>>>()?;
    said.retain(|line| line != "ok");
    // Under a heading of its own for each database, of which there is one.
    Ok(said.into_iter().map(|line| line.trim_start_matches("*** in database main ***\n").replace('\n', "; ")).collect())
}

/// What has ended: dead letters are kept until a person decides, so that their rows hold exactly what the ledger says;
/// of what was told or dropped the rows may be forgotten, so they hold at most that.
pub(super) fn ended(conn: &Connection) -> Result<Vec<String>> {
    let mut statement = conn.prepare(
        "WITH ended AS (
           SELECT g.route, d.sender, sum(g.count) FILTER (WHERE d.state = 'delivered') AS told,
             sum(g.count) FILTER (WHERE d.state = 'dead') AS dead,
             sum(g.count) FILTER (WHERE d.state = 'dropped') AS dropped
           FROM deliveries d JOIN delivery_groups g ON g.delivery = d.id WHERE d.finished IS NOT NULL GROUP BY 1, 2)
         SELECT l.route, l.sender, l.told, l.dead, l.dropped, coalesce(e.told, 0), coalesce(e.dead, 0),
           coalesce(e.dropped, 0), min(accepted, open, held, waiting, frozen, l.told, l.dead, l.dropped) < 0
         FROM ledger l LEFT JOIN ended e ON e.route = l.route AND e.sender = l.sender",
    )?;
    let mut rows = statement.query([])?;
    let mut wrong = Vec::new();
    while let Some(row) = rows.next()? {
        let (route, sender): (String, String) = (row.get(0)?, row.get(1)?);
        let mut check = |term: &str, ledger: i64, rows: i64, exact: bool| {
            if rows > ledger || (exact && rows != ledger) {
                wrong.push(format!("route {route}, sender {sender}: {term} is {ledger}, its rows hold {rows}"));
            }
        };
        check("told", row.get(2)?, row.get(5)?, false);
        check("dead", row.get(3)?, row.get(6)?, true);
        check("dropped", row.get(4)?, row.get(7)?, false);
        if row.get(8)? {
            wrong.push(format!("route {route}, sender {sender}: a term is less than nothing"));
        }
    }
    Ok(wrong)
}
