//! What a start, or a new config in a running mag, does with the file: routes and senders that came, changed or went.
//!
//! All of it is one transaction: either the file fits the config afterwards, or it is as it was.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Result, TransactionBehavior, params};

use super::ledger::NOBODY;
use super::rows::int;
use super::{Recovered, Routing, alerts, bury, deliveries, identities, ledger, windows};
use crate::clock::Clock;
use crate::ids::Memory;

/// Twice the minute that a destination's budget is promised for, so that no rounding can lose an attempt.
pub(super) const BUDGET_MILLIS: u64 = 120_000;

/// Fits the file to the routes and senders of the config and reads what goes on.
pub(super) fn recover(
    conn: &mut Connection,
    config: &Routing,
    known: &[String],
    ids: Memory,
    clock: &Clock,
) -> Result<(Routing, Recovered)> {
    let now = clock.now();
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let routing = fit(&transaction, config, known)?;
    let mut moves = ledger::Moves::default();
    let mut buried = 0;
    for sender in senders_with_work(&transaction)?.iter().filter(|sender| !known.contains(sender)) {
        buried += bury::bury(&transaction, sender, now, u64::MAX, &mut moves)?;
    }
    moves.write(&transaction)?;
    // The store's own number; a copy that `mag store backup` makes has none, and gets one when it is gone on with.
    transaction.execute("INSERT OR IGNORE INTO meta VALUES ('store', ?1)", [fastrand::i64(1..)])?;
    transaction.commit()?;
    let recovered = Recovered {
        windows: windows::load(conn)?,
        clocks: windows::load_clocks(conn)?,
        deliveries: deliveries::load(conn)?,
        attempts: deliveries::attempts_between(
            conn,
            now.saturating_sub(BUDGET_MILLIS),
            now.saturating_add(BUDGET_MILLIS),
        )?,
        paused: deliveries::paused(conn, now)?,
        last_delivered: deliveries::last_delivered(conn, now)?,
        buried,
        next_row: conn.query_row("SELECT coalesce(max(id), 0) + 1 FROM windows", [], |row| row.get(0))?,
        ids: identities::load(conn, ids)?,
        accepted: ledger::accepted(conn)?,
        alerts: alerts::load(conn)?,
    };
    Ok((routing, recovered))
}

/// Fits routes and ledger to the config; what goes on is told to whom the answer says.
pub(super) fn fit(conn: &Connection, config: &Routing, known: &[String]) -> Result<Routing> {
    let former = former_routes(conn)?;
    let open = open_by_route(conn)?;
    let routing = with_gone_routes(config, &open, &former, known);
    for (route, senders) in routing.iter() {
        fit_ledger(conn, route, senders, open.get(route).copied().unwrap_or(0))?;
        write_route(conn, route, senders)?;
    }
    for route in former.keys().filter(|route| !routing.knows(route)) {
        conn.execute("DELETE FROM routes WHERE route = ?1", [route])?;
    }
    Ok(routing)
}

fn former_routes(conn: &Connection) -> Result<BTreeMap<String, Vec<String>>> {
    let mut statement = conn.prepare("SELECT route, senders FROM routes")?;
    let rows = statement.query_map([], |row| {
        let senders: String = row.get(1)?;
        Ok((row.get(0)?, serde_json::from_str(&senders).unwrap_or_default()))
    })?;
    rows.collect()
}

/// Messages in the open windows of each route that has any: one look at a table without an index, however many routes
/// there are.
fn open_by_route(conn: &Connection) -> Result<BTreeMap<String, i64>> {
    let mut statement = conn.prepare("SELECT route, sum(count) FROM windows GROUP BY route")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Routes that are gone but still have windows tell the senders they had, as far as those are left, else the root's.
fn with_gone_routes(
    config: &Routing,
    open: &BTreeMap<String, i64>,
    former: &BTreeMap<String, Vec<String>>,
    known: &[String],
) -> Routing {
    let mut routing = config.clone();
    for route in open.keys().filter(|route| !config.knows(route)) {
        let had = former.get(route).map(Vec::as_slice).unwrap_or_default();
        let left: Vec<String> = had.iter().filter(|sender| known.contains(sender)).cloned().collect();
        let senders = if left.is_empty() { config.root().to_vec() } else { left };
        routing.add(route.as_str().into(), senders);
    }
    routing
}

/// Makes the ledger's open messages of a route count for exactly the senders that will be told of them.
///
/// A sender that left the route has not accepted what is still open; one that came accepts it now.
fn fit_ledger(conn: &Connection, route: &str, senders: &[String], open: i64) -> Result<()> {
    let rows: BTreeSet<String> = conn
        .prepare_cached("SELECT sender FROM ledger WHERE route = ?1")?
        .query_map([route], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for sender in rows.iter().filter(|sender| !senders.contains(sender)) {
        conn.prepare_cached("UPDATE ledger SET accepted = accepted - open, open = 0 WHERE route = ?1 AND sender = ?2")?
            .execute([route, sender])?;
    }
    for sender in senders {
        conn.prepare_cached(
            "INSERT INTO ledger (route, sender, accepted, open) VALUES (?1, ?2, ?3, ?3)
             ON CONFLICT DO UPDATE SET accepted = accepted + ?3 - open, open = ?3",
        )?
        .execute(params![route, sender, open])?;
    }
    Ok(())
}

fn write_route(conn: &Connection, route: &str, senders: &[String]) -> Result<()> {
    let named: Vec<&String> = senders.iter().filter(|sender| *sender != NOBODY).collect();
    let senders = serde_json::Value::from(named.into_iter().map(String::as_str).collect::<Vec<_>>()).to_string();
    conn.prepare_cached("INSERT INTO routes (route, senders) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET senders = ?2")?
        .execute(params![route, senders])?;
    Ok(())
}

fn senders_with_work(conn: &Connection) -> Result<Vec<String>> {
    let mut statement =
        conn.prepare("SELECT sender FROM queue UNION SELECT sender FROM deliveries WHERE finished IS NULL")?;
    let senders = statement.query_map([], |row| row.get(0))?;
    senders.collect()
}

/// Checks the promise of the ledger on the file itself: each term against the rows it counts.
///
/// Returns one sentence for each row that does not balance.
pub(super) fn verify(conn: &Connection) -> Result<Vec<String>> {
    let mut statement = conn.prepare(
        "WITH w AS (SELECT route, sum(count) AS n FROM windows GROUP BY 1),
           q AS (SELECT route, sender, sum(count) AS n FROM queue GROUP BY 1, 2),
           f AS (SELECT g.route, d.sender, sum(g.count) AS n FROM deliveries d INDEXED BY deliveries_unfinished
                 CROSS JOIN delivery_groups g ON g.delivery = d.id WHERE d.finished IS NULL GROUP BY 1, 2)
         SELECT l.route, l.sender, accepted, open + held + waiting + frozen + told + dead + dropped,
           open, coalesce(w.n, 0), waiting, coalesce(q.n, 0), frozen, coalesce(f.n, 0),
           EXISTS (SELECT 1 FROM routes r WHERE r.route = l.route AND ((l.sender = '' AND r.senders = '[]')
                    OR l.sender IN (SELECT value FROM json_each(r.senders))))
         FROM ledger l LEFT JOIN w ON w.route = l.route LEFT JOIN q ON q.route = l.route AND q.sender = l.sender
           LEFT JOIN f ON f.route = l.route AND f.sender = l.sender",
    )?;
    let mut rows = statement.query([])?;
    let mut wrong = Vec::new();
    while let Some(row) = rows.next()? {
        let (route, sender): (String, String) = (row.get(0)?, row.get(1)?);
        let mut check = |what: &str, ledger: i64, counted: i64| {
            if ledger != counted {
                wrong.push(format!("route {route}, sender {sender}: {what} is {ledger}, its rows hold {counted}"));
            }
        };
        check("accepted", row.get(2)?, row.get(3)?);
        let current: bool = row.get(10)?;
        check("open", row.get(4)?, if current { row.get(5)? } else { 0 });
        check("waiting", row.get(6)?, row.get(7)?);
        check("frozen", row.get(8)?, row.get(9)?);
    }
    Ok(wrong)
}

/// The next commit's number; one sequence orders all acks.
pub(super) fn next_commit(conn: &Connection) -> Result<u64> {
    let seq: i64 = conn
        .prepare_cached("UPDATE meta SET value = value + 1 WHERE key = 'commit_seq' RETURNING value")?
        .query_row([], |row| row.get(0))?;
    Ok(super::rows::uint(seq).min(int(u64::MAX).unsigned_abs()))
}
