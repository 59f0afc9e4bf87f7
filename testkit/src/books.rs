//! mag's file, read as a person would read it: where every message is, and whether the ledger says the same.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags, Row};

/// The file. It may be read while mag runs; what is counted then is between two commits.
#[derive(Debug)]
pub struct Books {
    conn: Connection,
}

/// A delivery, with all its groups.
#[derive(Debug, Default)]
pub struct Delivery {
    /// Whom it is for.
    pub sender: String,
    /// The word in the file.
    pub state: String,
    /// When it ended.
    pub finished: Option<i64>,
    /// Count of each text that is told in full.
    pub told: BTreeMap<String, u64>,
    /// Count of each text that is only summed up.
    pub omitted: BTreeMap<String, u64>,
}

/// Messages by sender and text.
pub type Counts = BTreeMap<(String, String), u64>;

impl Books {
    /// Opens the file without changing it.
    ///
    /// # Errors
    /// It is no database.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("cannot open {}", file.display()))?;
        Ok(Self { conn })
    }

    /// One sentence for everything in the file that is not as it must be; only for a mag that has stopped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn mistakes(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong: Vec<String> = self.strings("PRAGMA quick_check")?;
        wrong.retain(|line| line != "ok");
        for sql in [UNBALANCED, NEGATIVE, NOT_ITS_ROWS] {
            wrong.extend(self.strings(sql)?);
        }
        Ok(wrong)
    }

    fn strings(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let mut statement = self.conn.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Messages that are not told yet and not given up: open, held, waiting and frozen, for all senders.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn under_way(&self) -> anyhow::Result<u64> {
        let sql = "SELECT coalesce(sum(open + held + waiting + frozen), 0) FROM ledger";
        self.conn.query_row(sql, [], |row| count(row, 0)).context("cannot read the ledger")
    }

    /// Rows that a table has.
    ///
    /// # Errors
    /// There is no such table.
    pub fn rows(&self, table: &str) -> anyhow::Result<u64> {
        self.conn
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| count(row, 0))
            .with_context(|| format!("cannot count the rows of {table}"))
    }

    /// Messages in open windows, for each sender that will be told of them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open_windows(&self) -> anyhow::Result<Counts> {
        self.counts(
            "SELECT s.value, w.text, w.count FROM windows w JOIN routes r ON r.route = w.route, json_each(r.senders) s",
        )
    }

    /// Messages that wait in the queue.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn waiting(&self) -> anyhow::Result<Counts> {
        self.counts("SELECT sender, text, count FROM queue")
    }

    fn counts(&self, sql: &str) -> anyhow::Result<Counts> {
        let mut counts = Counts::new();
        let mut statement = self.conn.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            *counts.entry((row.get(0)?, row.get(1)?)).or_insert(0) += count(row, 2)?;
        }
        Ok(counts)
    }

    /// Deliveries by id: those under way, and those that ended at this time or later.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn deliveries_since(&self, finished: i64) -> anyhow::Result<BTreeMap<String, Delivery>> {
        let mut statement = self.conn.prepare(
            "SELECT d.id, d.sender, d.state, d.finished, g.text, g.count, g.omitted
             FROM deliveries d JOIN delivery_groups g ON g.delivery = d.id
             WHERE d.finished IS NULL OR d.finished >= ?1",
        )?;
        let mut deliveries = BTreeMap::<String, Delivery>::new();
        let mut rows = statement.query([finished])?;
        while let Some(row) = rows.next()? {
            let delivery = deliveries.entry(row.get(0)?).or_default();
            (delivery.sender, delivery.state, delivery.finished) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let groups = if row.get(6)? { &mut delivery.omitted } else { &mut delivery.told };
            *groups.entry(row.get(4)?).or_insert(0) += count(row, 5)?;
        }
        Ok(deliveries)
    }

    /// When attempts of a sender began, in milliseconds, earliest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn attempts(&self, sender: &str) -> anyhow::Result<Vec<i64>> {
        let mut statement = self.conn.prepare("SELECT started FROM attempts WHERE sender = ?1 ORDER BY started")?;
        let rows = statement.query_map([sender], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// A number of messages or rows, which SQLite has as a signed one.
fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|_negative| rusqlite::Error::IntegralValueOutOfRange(column, count))
}

const UNBALANCED: &str = "
    SELECT 'route ' || route || ', sender ' || sender || ': accepted is ' || accepted || ', the rest adds up to '
           || (open + held + waiting + frozen + told + dead + dropped)
    FROM ledger WHERE accepted != open + held + waiting + frozen + told + dead + dropped";

const NEGATIVE: &str = "
    SELECT 'route ' || route || ', sender ' || sender || ': a term is less than nothing'
    FROM ledger WHERE min(open, held, waiting, frozen, told, dead, dropped) < 0";

const NOT_ITS_ROWS: &str = "
    SELECT 'route ' || l.route || ', sender ' || l.sender || ': the ledger is not what the rows hold'
    FROM ledger l
    WHERE waiting != (SELECT coalesce(sum(count), 0) FROM queue q WHERE q.route = l.route AND q.sender = l.sender)
       OR frozen != (SELECT coalesce(sum(g.count), 0) FROM deliveries d JOIN delivery_groups g ON g.delivery = d.id
                     WHERE d.sender = l.sender AND g.route = l.route AND d.finished IS NULL)
       OR (open > 0 AND open != (SELECT coalesce(sum(count), 0) FROM windows w WHERE w.route = l.route))";
