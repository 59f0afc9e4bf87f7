//! The ledger: for every route and sender of it, accepted = open + held + waiting + frozen + told + dead + dropped.
//!
//! A term only ever changes in the transaction that changes what it counts; callers collect moves while they write the
//! rows, and the sum of them is written once, just before the commit.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

/// The name of the row that counts for a route without senders.
pub(super) const NOBODY: &str = "";
/// The route of groups that no message made, as in a test: no row of the ledger counts them.
pub(super) const NO_ROUTE: &str = "";

/// A term of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    Open,
    Held,
    Waiting,
    Frozen,
    Told,
    Dead,
    Dropped,
}

#[derive(Clone, Copy, Default)]
struct Delta {
    accepted: i64,
    open: i64,
    held: i64,
    waiting: i64,
    frozen: i64,
    told: i64,
    dead: i64,
    dropped: i64,
}

impl Delta {
    fn term(&mut self, term: Term) -> &mut i64 {
        match term {
            Term::Open => &mut self.open,
            Term::Held => &mut self.held,
            Term::Waiting => &mut self.waiting,
            Term::Frozen => &mut self.frozen,
            Term::Told => &mut self.told,
            Term::Dead => &mut self.dead,
            Term::Dropped => &mut self.dropped,
        }
    }
}

/// What one transaction changes; sorted, so that rows are written in the order of the file.
#[derive(Default)]
pub(super) struct Moves(BTreeMap<(String, String), Delta>);

impl Moves {
    fn of(&mut self, route: &str, sender: &str) -> &mut Delta {
        self.0.entry((route.to_owned(), sender.to_owned())).or_default()
    }

    /// Messages that came in and count in an open window.
    pub(super) fn accept(&mut self, route: &str, sender: &str, messages: i64) {
        let delta = self.of(route, sender);
        delta.accepted += messages;
        delta.open += messages;
    }

    /// Messages that go from one term to another.
    pub(super) fn shift(&mut self, route: &str, sender: &str, from: Term, to: Term, messages: i64) {
        let delta = self.of(route, sender);
        *delta.term(from) -= messages;
        *delta.term(to) += messages;
    }

    /// Writes what was collected.
    pub(super) fn write(self, conn: &Connection) -> Result<()> {
        let mut statement = conn.prepare_cached(
            "INSERT INTO ledger (route, sender, accepted, open, held, waiting, frozen, told, dead, dropped)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET accepted = accepted + ?3, open = open + ?4, held = held + ?5,
               waiting = waiting + ?6, frozen = frozen + ?7, told = told + ?8, dead = dead + ?9,
               dropped = dropped + ?10",
        )?;
        for ((route, sender), d) in self.0 {
            let Delta { accepted, open, held, waiting, frozen, told, dead, dropped } = d;
            statement.execute(params![route, sender, accepted, open, held, waiting, frozen, told, dead, dropped])?;
        }
        Ok(())
    }
}

/// Messages that each route took in, for whichever of its senders that were most.
pub(super) fn accepted(conn: &Connection) -> Result<Vec<(String, u64)>> {
    let mut statement = conn.prepare("SELECT route, max(accepted) FROM ledger GROUP BY route")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, super::rows::read_uint(row, 1)?)))?;
    rows.collect()
}
