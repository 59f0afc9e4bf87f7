//! Open windows: what the engine says of them becomes rows, and at a start rows become windows again.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use super::ledger::{Moves, NOBODY, Term};
use super::queue;
use super::room::Room;
use super::rows::{self, int, labels_json, samples_json};
use super::{Changes, Clock, Closed, Routing, SavedClock, SavedWindow, WindowChange};
use super::{alerts, identities, silences};
use crate::group::Window;
use crate::message::{Group, GroupId, Message, Reason, Severity};
use crate::silence::Silences;

/// What is kept beside the rows while a transaction writes them.
pub(super) struct Books<'w> {
    pub(super) routing: &'w Routing,
    pub(super) moves: &'w mut Moves,
    pub(super) room: &'w mut Room,
    pub(super) silences: &'w Silences,
    /// Groups that a silence kept from being told.
    pub(super) held: Vec<GroupId>,
}

/// Writes what changed since the last commit. Rows come sorted by their number, so that the file is written in order.
///
/// Returns the senders for whom something new waits.
pub(super) fn apply(conn: &Connection, changes: &Changes, books: &mut Books<'_>) -> Result<Vec<String>> {
    write_windows(conn, &changes.windows)?;
    // Very many windows, very few routes.
    let mut added: BTreeMap<&str, i64> = BTreeMap::new();
    for change in &changes.windows {
        *added.entry(change.route()).or_default() += int(change.added());
    }
    for (route, added) in added {
        for sender in books.routing.senders(route) {
            books.moves.accept(route, sender, added);
        }
    }
    let mut woken = Vec::new();
    for group in &changes.refired {
        queue::fires_anew(conn, books.room, *group)?;
    }
    for closed in &changes.closed {
        close(conn, closed, 0, books, &mut woken)?;
    }
    if let Some(part) = &changes.sweep {
        // Nobody is woken for a part: the writer wakes all when the sweep is whole.
        let mut not_yet = Vec::new();
        for closed in &part.closed {
            close(conn, closed, part.number, books, &mut not_yet)?;
        }
    }
    for untold in &changes.untold {
        tell_untold(conn, untold, books, &mut woken)?;
    }
    for clock in &changes.clocks {
        write_clock(conn, clock)?;
    }
    identities::write(conn, changes)?;
    alerts::write(conn, changes)?;
    Ok(woken)
}

fn write_windows(conn: &Connection, windows: &[WindowChange]) -> Result<()> {
    let mut grew =
        conn.prepare_cached("UPDATE windows SET count = ?2, first_seen = ?3, last_seen = ?4 WHERE id = ?1")?;
    for change in windows {
        match change {
            WindowChange::Grew { row, count, first_seen, last_seen, .. } => {
                grew.execute(params![row, int(*count), int(*first_seen), int(*last_seen)])?;
            }
            WindowChange::Opened { window, route } => open_window(conn, window, route)?,
            WindowChange::Reshaped { window, .. } => reshape_window(conn, window)?,
        }
    }
    Ok(())
}

fn open_window(conn: &Connection, w: &Window, route: &str) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO windows (id, group_id, route, kind, source, text, severity, labels, count, first_seen,
           last_seen, opened, samples, resolved, annotations)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        w.row,
        w.group.to_string(),
        route,
        w.shared.kind.as_str(),
        w.shared.source.as_str(),
        w.shared.text,
        w.shared.severity.map(Severity::as_str),
        labels_json(&w.shared.labels),
        int(w.count),
        int(w.first_seen),
        int(w.last_seen),
        int(w.opened),
        samples_json(w.samples()),
        w.resolved().map(int),
        w.annotations().map(labels_json),
    ])?;
    Ok(())
}

fn reshape_window(conn: &Connection, w: &Window) -> Result<()> {
    conn.prepare_cached(
        "UPDATE windows SET count = ?2, first_seen = ?3, last_seen = ?4, kind = ?5, source = ?6,
           severity = ?7, labels = ?8, samples = ?9, resolved = ?10, annotations = ?11 WHERE id = ?1",
    )?
    .execute(params![
        w.row,
        int(w.count),
        int(w.first_seen),
        int(w.last_seen),
        w.shared.kind.as_str(),
        w.shared.source.as_str(),
        w.shared.severity.map(Severity::as_str),
        labels_json(&w.shared.labels),
        samples_json(w.samples()),
        w.resolved().map(int),
        w.annotations().map(labels_json),
    ])?;
    Ok(())
}

fn close(conn: &Connection, closed: &Closed, sweep: u64, books: &mut Books<'_>, woken: &mut Vec<String>) -> Result<()> {
    let group = &closed.group;
    let route: &str = &group.route;
    let silenced = silences::silences(conn, books.silences, group)?;
    if group.reason == Reason::Resolved {
        return resolve(conn, group, silenced, books, woken);
    }
    if silenced {
        books.held.push(group.id);
    }
    if closed.added < group.count {
        conn.prepare_cached("DELETE FROM windows WHERE id = ?1")?.execute([closed.row])?;
    }
    let senders = books.routing.senders(route);
    conn.prepare_cached(
        "INSERT INTO groups (group_id, route, text, total, first_seen, last_seen, updated, alerting)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET total = min(total + ?4, 9223372036854775807), first_seen = min(first_seen, ?5),
           last_seen = max(last_seen, ?6), updated = ?7, alerting = max(alerting, ?8)",
    )?
    .execute(params![
        group.id.to_string(),
        route,
        group.text,
        int(group.count),
        int(group.first_seen),
        int(group.last_seen),
        int(group.closed),
        !silenced && senders.iter().any(|sender| sender != NOBODY)
    ])?;
    let (added, count) = (int(closed.added), int(group.count));
    for sender in senders {
        books.moves.accept(route, sender, added);
        if silenced || sender == NOBODY {
            books.moves.shift(route, sender, Term::Open, Term::Held, count);
            continue;
        }
        books.moves.shift(route, sender, Term::Open, Term::Waiting, count);
        queue::add(conn, books.room, sender, group, sweep)?;
        wake(woken, sender);
    }
    Ok(())
}

/// A group that fires and that a silence may have held: nothing is counted while one does, or when it was told before.
fn tell_untold(conn: &Connection, untold: &Closed, books: &mut Books<'_>, woken: &mut Vec<String>) -> Result<()> {
    let group = &untold.group;
    let told = conn
        .prepare_cached("SELECT 1 FROM groups WHERE group_id = ?1 AND alerting = 1")?
        .exists([group.id.to_string()])?;
    if told {
        return Ok(());
    }
    if silences::find_for(books.silences, group).is_some() {
        books.held.push(group.id);
        return Ok(());
    }
    close(conn, untold, 0, books, woken)
}

/// All alerts of a group are over: told to whoever was told that they fire.
fn resolve(
    conn: &Connection,
    group: &Group,
    silenced: bool,
    books: &mut Books<'_>,
    woken: &mut Vec<String>,
) -> Result<()> {
    let told = conn
        .prepare_cached("UPDATE groups SET alerting = 0 WHERE group_id = ?1 AND alerting = 1")?
        .execute([group.id.to_string()])?;
    if told == 0 || silenced {
        return Ok(());
    }
    for sender in books.routing.senders(&group.route).iter().filter(|sender| *sender != NOBODY) {
        queue::add_resolved(conn, books.room, sender, group)?;
        wake(woken, sender);
    }
    Ok(())
}

fn wake(woken: &mut Vec<String>, sender: &str) {
    if !woken.iter().any(|there| there == sender) {
        woken.push(sender.to_owned());
    }
}

fn write_clock(conn: &Connection, clock: &SavedClock) -> Result<()> {
    let (started, rings) = clock.running.map(|running| (int(running.started), int(running.rings))).unzip();
    conn.prepare_cached("UPDATE routes SET clock_started = ?2, clock_rings = ?3 WHERE route = ?1")?
        .execute(params![&*clock.route, started, rings])?;
    Ok(())
}

/// Every window that was open when mag stopped, in the order of opening.
pub(super) fn load(conn: &Connection) -> Result<Vec<SavedWindow>> {
    let mut statement = conn.prepare(
        "SELECT id, group_id, route, kind, source, text, severity, labels, count, first_seen, last_seen, opened,
           samples, resolved, annotations FROM windows ORDER BY id",
    )?;
    let windows = statement.query_map([], |row| {
        Ok(SavedWindow {
            row: row.get(0)?,
            group: rows::read_group_id(row, 1)?,
            route: row.get(2)?,
            shared: Message {
                kind: row.get::<_, String>(3)?.into(),
                source: row.get::<_, String>(4)?.into(),
                text: row.get(5)?,
                severity: rows::read_severity(row, 6)?,
                labels: rows::read_labels(row, 7)?,
            },
            count: rows::read_uint(row, 8)?,
            first_seen: rows::read_uint(row, 9)?,
            last_seen: rows::read_uint(row, 10)?,
            opened: rows::read_uint(row, 11)?,
            samples: rows::read_samples(row, 12)?,
            resolved: row.get::<_, Option<i64>>(13)?.map(rows::uint),
            annotations: rows::read_some_labels(row, 14)?,
        })
    })?;
    windows.collect()
}

/// The clocks that were running when mag stopped.
pub(super) fn load_clocks(conn: &Connection) -> Result<Vec<SavedClock>> {
    let mut statement =
        conn.prepare("SELECT route, clock_started, clock_rings FROM routes WHERE clock_rings IS NOT NULL")?;
    let clocks = statement.query_map([], |row| {
        let route: String = row.get(0)?;
        let running = Clock { started: rows::read_uint(row, 1)?, rings: rows::read_uint(row, 2)? };
        Ok(SavedClock { route: route.into(), running: Some(running) })
    })?;
    clocks.collect()
}
