//! The database of a mag that has stopped, read as a person would read it, and its ledger checked.

use std::sync::Arc;

use mag_testkit::books::Books;
use rusqlite::{Connection, OpenFlags, Row};
use tempfile::TempDir;

/// A database file that nobody writes.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    /// Where it lies; kept, because the folder goes away with the last who has it.
    folder: Arc<TempDir>,
}

/// One row of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) route: String,
    pub(crate) sender: String,
    pub(crate) accepted: i64,
    pub(crate) open: i64,
    pub(crate) held: i64,
    pub(crate) waiting: i64,
    pub(crate) frozen: i64,
    pub(crate) told: i64,
    pub(crate) dead: i64,
    pub(crate) dropped: i64,
}

/// The life of one notification, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) sender: String,
    pub(crate) state: String,
    pub(crate) attempt: i64,
    pub(crate) messages: i64,
    pub(crate) code: Option<String>,
    pub(crate) error: Option<String>,
}

impl Store {
    /// Opens the file without changing it.
    #[track_caller]
    pub(super) fn open(folder: &Arc<TempDir>) -> Self {
        let path = folder.path().join("mag.db");
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database");
        Self { connection, folder: Arc::clone(folder) }
    }

    fn rows<T>(&self, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let mut statement = self.connection.prepare(sql).expect("a statement that fits the tables");
        let rows = statement.query_map([], read).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("columns as documented")
    }

    /// Every row of the ledger.
    pub(crate) fn ledger(&self) -> Vec<Account> {
        let sql = "SELECT route, sender, accepted, open, held, waiting, frozen, told, dead, dropped FROM ledger";
        self.rows(sql, |row| {
            Ok(Account {
                route: row.get(0)?,
                sender: row.get(1)?,
                accepted: row.get(2)?,
                open: row.get(3)?,
                held: row.get(4)?,
                waiting: row.get(5)?,
                frozen: row.get(6)?,
                told: row.get(7)?,
                dead: row.get(8)?,
                dropped: row.get(9)?,
            })
        })
    }

    /// The ledger's row of a route and a sender of it; all zeros when there is none.
    pub(crate) fn account(&self, route: &str, sender: &str) -> Account {
        let found = self.ledger().into_iter().find(|account| account.route == route && account.sender == sender);
        found.unwrap_or_default()
    }

    /// Texts and counts of the open windows, by text.
    pub(crate) fn open_windows(&self) -> Vec<(String, i64)> {
        self.rows("SELECT text, sum(count) FROM windows GROUP BY text ORDER BY text", |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    /// Texts and counts of what is to be told and is not told yet, in the queue and in deliveries under way.
    pub(crate) fn waiting(&self) -> Vec<(String, i64)> {
        self.rows(
            "SELECT text, count FROM queue UNION ALL SELECT text, count FROM delivery_groups g
             JOIN deliveries d ON g.delivery = d.id WHERE d.finished IS NULL",
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// A column of the only open window, as text.
    #[track_caller]
    pub(crate) fn only_window(&self, column: &str) -> Option<String> {
        let mut values = self.rows(&format!("SELECT CAST({column} AS TEXT) FROM windows"), |row| row.get(0));
        assert_eq!(values.len(), 1, "open windows: {:?}", self.open_windows());
        values.remove(0)
    }

    /// Every delivery, oldest first.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        let sql = "SELECT id, sender, state, attempt, messages, code, error FROM deliveries ORDER BY id";
        self.rows(sql, |row| {
            Ok(Delivery {
                id: row.get(0)?,
                sender: row.get(1)?,
                state: row.get(2)?,
                attempt: row.get(3)?,
                messages: row.get(4)?,
                code: row.get(5)?,
                error: row.get(6)?,
            })
        })
    }

    /// For each sender whose delivery waits, how long after the start of its last attempt the next one may begin.
    pub(crate) fn pauses(&self) -> Vec<(String, i64)> {
        self.rows(
            "SELECT d.sender, max(coalesce(d.next_attempt, 0), coalesce(s.paused_until, 0)) - a.started
             FROM deliveries d JOIN attempts a ON a.delivery = d.id AND a.attempt = d.attempt
             LEFT JOIN senders s ON s.sender = d.sender WHERE d.finished IS NULL",
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Messages that are neither told nor given up.
    pub(crate) fn under_way(&self) -> i64 {
        self.ledger().iter().map(|account| account.open + account.held + account.waiting + account.frozen).sum()
    }

    /// When each attempt began, in milliseconds, earliest first.
    pub(crate) fn attempts_began(&self) -> Vec<i64> {
        self.rows("SELECT started FROM attempts ORDER BY started", |row| row.get(0))
    }

    /// The only delivery there is.
    #[track_caller]
    pub(crate) fn only_delivery(&self) -> Delivery {
        let mut deliveries = self.deliveries();
        assert_eq!(deliveries.len(), 1, "{deliveries:#?}");
        deliveries.remove(0)
    }

    /// Changes the file as somebody does who should not.
    pub(crate) fn spoilt_by(self, sql: &str) {
        let writer = Connection::open(self.folder.path().join("mag.db")).expect("a database");
        writer.execute(sql, []).expect("a statement that fits the tables");
    }

    /// Keeps everybody else from writing until it is dropped.
    pub(crate) fn held_by_somebody_else(self) -> Connection {
        let writer = Connection::open(self.folder.path().join("mag.db")).expect("a database");
        writer.execute_batch("PRAGMA busy_timeout = 30000; BEGIN IMMEDIATE").expect("nobody writes for long");
        writer
    }

    /// Makes every attempt that waits for its time due at once, as if that time had passed.
    pub(crate) fn let_the_waiting_be_over(self) {
        let writer = Connection::open(self.folder.path().join("mag.db")).expect("a database");
        writer.execute("UPDATE deliveries SET next_attempt = 1 WHERE next_attempt > 1", []).expect("a column of it");
        writer.execute("UPDATE senders SET paused_until = NULL", []).expect("a column of it");
    }

    /// Checks that the file is whole, that every row of the ledger balances, and that its terms are what the rows hold.
    #[track_caller]
    pub(crate) fn must_balance(&self) {
        assert_eq!(self.rows("PRAGMA integrity_check", |row| row.get::<_, String>(0)), ["ok"]);
        let books = Books::open(&self.folder.path().join("mag.db")).expect("a database");
        assert_eq!(books.mistakes().expect("tables as documented"), [""; 0], "{:#?}", self.ledger());
    }
}
