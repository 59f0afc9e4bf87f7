//! Looking at a store without changing it: what `mag status`, the dead letters and the admin API show.
//!
//! A look is one snapshot through a connection of its own, so it neither waits for the writer nor holds it up. It works
//! on the file of a running mag and of one that has stopped.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::rows::{read_labels, read_uint, uint};
use super::{OpenError, Stopped, alerts, audit, damage, file, schema, silences, start};
use crate::alerts::Alert;
use crate::limits;
use crate::message::{Labels, Millis};
use crate::silence::Silence;

/// Why nothing can be seen.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no such file, it is not mag's, or it is another version's.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Written by an earlier mag.
    #[error("the store {path} has schema {found}, this mag reads schema {wanted}: `mag run` brings it up to date")]
    Older {
        /// The database file.
        path: String,
        /// The file's schema.
        found: usize,
        /// What this mag reads.
        wanted: usize,
    },
    /// SQLite's own words.
    #[error("cannot read the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Its writer has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

type Looked<T> = Result<T, LookError>;

/// One row of the ledger: accepted is the sum of all other terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The route's identity.
    pub route: String,
    /// The sender; empty for a route that tells nobody.
    pub sender: String,
    /// Messages taken in.
    pub accepted: u64,
    /// Where they are, by the words of the ledger.
    pub terms: [(&'static str, u64); 7],
}

/// Groups of a route that are being counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRoute {
    /// The route's identity.
    pub route: String,
    /// Groups.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
}

/// A sender, as far as the store knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderLine {
    /// Its name.
    pub name: String,
    /// Groups that wait.
    pub queue_groups: u64,
    /// Messages in them.
    pub queue_messages: u64,
    /// Deliveries that wait for it to be free.
    pub queued: u64,
    /// Deliveries whose attempt is under way.
    pub sending: u64,
    /// Deliveries that wait for their next attempt.
    pub backoff: u64,
    /// Its dead letters.
    pub dead: u64,
    /// Deliveries told, ever.
    pub delivered: u64,
    /// When it last told something.
    pub last_delivered: Option<Millis>,
    /// When it last failed, with the failure's code and words.
    pub last_failed: Option<(Millis, String, String)>,
    /// Its destination wants to be left alone until then.
    pub paused_until: Option<Millis>,
}

/// What there is at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// The number of the last commit.
    pub commit: u64,
    /// By route.
    pub open: Vec<OpenRoute>,
    /// The ledger.
    pub accounts: Vec<Account>,
    /// Every sender that the store has heard of.
    pub senders: Vec<SenderLine>,
    /// What ended last, newest first.
    pub recent: Vec<Letter>,
}

/// A delivery in a list: dead letters, or what ended last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The notification's id.
    pub id: String,
    /// For whom.
    pub sender: String,
    /// The word for where it stands.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Groups, those summed up included.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
    /// When it was frozen.
    pub created: Millis,
    /// When it ended.
    pub finished: Option<Millis>,
    /// The last failure's code.
    pub code: Option<String>,
    /// The last failure in words.
    pub error: Option<String>,
    /// The beginning of its first group's text.
    pub text: Option<String>,
}

/// A part of the dead letters, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPage {
    /// They.
    pub letters: Vec<Letter>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A delivery with everything about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryLine {
    /// What a list shows.
    pub letter: Letter,
    /// When it will be tried again.
    pub next_attempt: Option<Millis>,
    /// Its attempts as far as they are kept, first one first.
    pub tries: Vec<AttemptLine>,
    /// Its groups, most important first, at most [`limits::SHOWN_GROUPS`].
    pub told: Vec<GroupLine>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLine {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started: Millis,
    /// When it ended; `None` while it is under way, or when a crash cut it off.
    pub finished: Option<Millis>,
    /// How it ended, in a word.
    pub outcome: Option<String>,
    /// The failure's code.
    pub code: Option<String>,
    /// The failure in words.
    pub error: Option<String>,
}

/// One group of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLine {
    /// The group's id.
    pub id: String,
    /// The route's identity; empty for a test.
    pub route: String,
    /// Its kind.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Its severity.
    pub severity: Option<String>,
    /// The labels its messages share.
    pub labels: Labels,
    /// Messages in the window that closed.
    pub count: u64,
    /// The earliest time of one of them.
    pub first_seen: Millis,
    /// The latest.
    pub last_seen: Millis,
    /// Whether it is only summed up.
    pub omitted: bool,
}

/// The file and its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The file; `None` for `:memory:`.
    pub path: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// The size of its write-ahead log.
    pub wal_bytes: u64,
    /// Its schema.
    pub schema: usize,
    /// The number of its last commit.
    pub commit: u64,
    /// Rows by table.
    pub rows: Vec<(&'static str, u64)>,
    /// When the oldest delivery that is kept ended.
    pub oldest: Option<Millis>,
}

/// What is seen; one snapshot.
#[derive(Debug)]
pub struct Reader<'c> {
    conn: &'c Connection,
    path: Option<&'c Path>,
}

/// Looks at a file, whether a mag runs on it or not; changes nothing.
///
/// # Errors
///
/// The file cannot be read, or is not one that this mag knows.
pub fn look<T>(path: &Path, looking: impl FnOnce(&Reader<'_>) -> Looked<T>) -> Looked<T> {
    let looked = connect(path).and_then(|conn| {
        // One snapshot for all that is read; it ends with the connection.
        let snapshot = conn.unchecked_transaction()?;
        looking(&Reader { conn: &snapshot, path: Some(path) })
    });
    looked.map_err(|error| named(path, error))
}

/// An error, said of a file.
pub(super) fn named(path: &Path, error: LookError) -> LookError {
    match error {
        LookError::Open(error) => LookError::Open(damage::explain(Some(path), error)),
        LookError::Sqlite(error) => LookError::Open(damage::explain(Some(path), OpenError::Sqlite(error))),
        error => error,
    }
}

/// A connection that only reads, to a store of today's schema.
pub(super) fn connect(path: &Path) -> Looked<Connection> {
    file::check_place(path)?;
    if !path.exists() {
        let path = path.display().to_string();
        return Err(OpenError::Failed { path, said: "there is no such file".to_owned() }.into());
    }
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(OpenError::from)?;
    conn.busy_timeout(BUSY).map_err(OpenError::from)?;
    let (found, wanted) = (schema::check(&conn)?, schema::VERSION);
    if found < wanted {
        return Err(LookError::Older { path: path.display().to_string(), found, wanted });
    }
    Ok(conn)
}

/// While a crashed mag's log is taken over, everybody else waits.
const BUSY: Duration = Duration::from_secs(5);

/// Who has the store, if a mag runs on it: its process id, as far as it can be read.
#[must_use]
pub fn holder(path: &Path) -> Option<String> {
    let lock = super::lock::beside(path, ".lock");
    let file = File::options().read(true).open(&lock).ok()?;
    let held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    held.then(|| std::fs::read_to_string(&lock).unwrap_or_default().trim().to_owned())
}

/// The columns that [`read_letter`] reads.
const LETTER: &str = "id, sender, state, attempt, groups, messages, created, finished, code, error,
    (SELECT substr(text, 1, 1000) FROM delivery_groups g WHERE g.delivery = deliveries.id ORDER BY n LIMIT 1)";

fn read_letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        id: row.get(0)?,
        sender: row.get(1)?,
        state: row.get(2)?,
        attempts: row.get(3)?,
        groups: read_uint(row, 4)?,
        messages: read_uint(row, 5)?,
        created: read_uint(row, 6)?,
        finished: row.get::<_, Option<i64>>(7)?.map(uint),
        code: row.get(8)?,
        error: row.get(9)?,
        text: row.get(10)?,
    })
}

impl<'c> Reader<'c> {
    /// Reads through the connection of a store without a file.
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self { conn, path: None }
    }

    /// What there is.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn overview(&self) -> Looked<Overview> {
        let recent = format!(
            "SELECT {LETTER} FROM deliveries WHERE finished IS NOT NULL ORDER BY finished DESC, id DESC LIMIT {}",
            limits::SHOWN_DELIVERIES
        );
        Ok(Overview {
            commit: self.commit()?,
            open: self.all("SELECT route, count(*), sum(count) FROM windows GROUP BY route ORDER BY route", |row| {
                Ok(OpenRoute { route: row.get(0)?, groups: read_uint(row, 1)?, messages: read_uint(row, 2)? })
            })?,
            accounts: self.accounts()?,
            senders: self.senders()?,
            recent: self.all(&recent, read_letter)?,
        })
    }

    /// The alerts that fire, in the order of coming.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn alerts(&self) -> Looked<Vec<Alert>> {
        Ok(alerts::load(self.conn)?)
    }

    /// All silences, those that end last first.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn silences(&self) -> Looked<Vec<Silence>> {
        Ok(silences::all(self.conn)?)
    }

    /// One silence.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn silence(&self, id: &str) -> Looked<Option<Silence>> {
        Ok(silences::find(self.conn, id)?)
    }

    /// The ledger, by route and sender.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn accounts(&self) -> Looked<Vec<Account>> {
        const TERMS: [&str; 7] = ["open", "held", "waiting", "frozen", "told", "dead", "dropped"];
        let sql = format!("SELECT route, sender, accepted, {} FROM ledger ORDER BY route, sender", TERMS.join(", "));
        self.all(&sql, |row| {
            let mut terms = TERMS.map(|term| (term, 0));
            for (at, (_, messages)) in terms.iter_mut().enumerate() {
                *messages = read_uint(row, at + 3)?;
            }
            Ok(Account { route: row.get(0)?, sender: row.get(1)?, accepted: read_uint(row, 2)?, terms })
        })
    }

    fn senders(&self) -> Looked<Vec<SenderLine>> {
        self.all(
            "WITH names AS (SELECT sender FROM ledger WHERE sender != '' UNION SELECT sender FROM queue
                UNION SELECT sender FROM deliveries WHERE finished IS NULL
                UNION SELECT sender FROM deliveries INDEXED BY deliveries_dead WHERE state = 'dead'
                UNION SELECT sender FROM senders),
              waiting AS (SELECT sender, count(*) AS groups, sum(count) AS messages FROM queue GROUP BY sender),
              live AS (SELECT sender, count(*) FILTER (WHERE state = 'queued') AS queued,
                  count(*) FILTER (WHERE state = 'sending') AS sending, count(*) FILTER (WHERE state = 'backoff') AS backoff
                FROM deliveries WHERE finished IS NULL GROUP BY sender),
              dead AS (SELECT sender, count(*) AS letters FROM deliveries INDEXED BY deliveries_dead
                WHERE state = 'dead' GROUP BY sender)
             SELECT sender, coalesce(w.groups, 0), coalesce(w.messages, 0), coalesce(l.queued, 0), coalesce(l.sending, 0),
               coalesce(l.backoff, 0), coalesce(d.letters, 0), coalesce(s.delivered, 0), s.last_delivered, s.last_failed,
               s.code, s.error, s.paused_until
             FROM names LEFT JOIN waiting w USING (sender) LEFT JOIN live l USING (sender) LEFT JOIN dead d USING (sender)
               LEFT JOIN senders s USING (sender) ORDER BY sender",
            |row| {
                let failed: Option<i64> = row.get(9)?;
                let (code, error): (Option<String>, Option<String>) = (row.get(10)?, row.get(11)?);
                Ok(SenderLine {
                    name: row.get(0)?,
                    queue_groups: read_uint(row, 1)?,
                    queue_messages: read_uint(row, 2)?,
                    queued: read_uint(row, 3)?,
                    sending: read_uint(row, 4)?,
                    backoff: read_uint(row, 5)?,
                    dead: read_uint(row, 6)?,
                    delivered: read_uint(row, 7)?,
                    last_delivered: row.get::<_, Option<i64>>(8)?.map(uint),
                    last_failed: failed.map(|at| (uint(at), code.unwrap_or_default(), error.unwrap_or_default())),
                    paused_until: row.get::<_, Option<i64>>(12)?.map(uint),
                })
            },
        )
    }

    /// A page of the dead letters, newest first: of one sender or of all, older than `before`.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn letters(&self, sender: Option<&str>, before: Option<&str>, at_most: u32) -> Looked<LetterPage> {
        let at_most = at_most.clamp(1, limits::LETTER_PAGE);
        let sql = format!(
            "SELECT {LETTER} FROM deliveries INDEXED BY deliveries_dead WHERE state = 'dead'
             AND (?1 IS NULL OR sender = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3"
        );
        let mut statement = self.conn.prepare(&sql)?;
        // One more than a page tells whether there is another one.
        let letters = statement.query_map(params![sender, before, at_most + 1], read_letter)?;
        let mut letters = letters.collect::<rusqlite::Result<Vec<_>>>()?;
        let more = letters.len() > at_most as usize;
        letters.truncate(at_most as usize);
        let next = letters.last().filter(|_| more).map(|letter| letter.id.clone());
        let total = self.conn.query_row(
            "SELECT count(*) FROM deliveries INDEXED BY deliveries_dead WHERE state = 'dead' AND (?1 IS NULL OR sender = ?1)",
            [sender],
            |row| read_uint(row, 0),
        )?;
        Ok(LetterPage { letters, total, next })
    }

    /// Everything about one delivery, dead or not.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn delivery(&self, id: &str) -> Looked<Option<DeliveryLine>> {
        let found = self
            .conn
            .prepare(&format!("SELECT {LETTER}, next_attempt FROM deliveries WHERE id = ?1"))?
            .query_row([id], |row| Ok((read_letter(row)?, row.get::<_, Option<i64>>(11)?)))
            .optional()?;
        let Some((letter, next_attempt)) = found else { return Ok(None) };
        let tries = self
            .conn
            .prepare(
                "SELECT attempt, started, finished, outcome, code, error FROM attempts WHERE delivery = ?1 ORDER BY attempt",
            )?
            .query_map([id], |row| {
                Ok(AttemptLine {
                    number: row.get(0)?,
                    started: read_uint(row, 1)?,
                    finished: row.get::<_, Option<i64>>(2)?.map(uint),
                    outcome: row.get(3)?,
                    code: row.get(4)?,
                    error: row.get(5)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let told = self.groups(id)?;
        Ok(Some(DeliveryLine { letter, next_attempt: next_attempt.map(uint), tries, told }))
    }

    fn groups(&self, id: &str) -> Looked<Vec<GroupLine>> {
        let mut statement = self.conn.prepare(
            "SELECT group_id, route, kind, text, severity, labels, count, first_seen, last_seen, omitted
             FROM delivery_groups WHERE delivery = ?1 ORDER BY n LIMIT ?2",
        )?;
        let groups = statement.query_map(params![id, limits::SHOWN_GROUPS], |row| {
            Ok(GroupLine {
                id: row.get(0)?,
                route: row.get(1)?,
                kind: row.get(2)?,
                text: row.get(3)?,
                severity: row.get(4)?,
                labels: read_labels(row, 5)?,
                count: read_uint(row, 6)?,
                first_seen: read_uint(row, 7)?,
                last_seen: read_uint(row, 8)?,
                omitted: row.get(9)?,
            })
        })?;
        Ok(groups.collect::<rusqlite::Result<_>>()?)
    }

    /// The file and its tables; counts every row, so it takes its time on a large file.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn facts(&self) -> Looked<Facts> {
        const TABLES: [&str; 12] = [
            "windows",
            "alerts",
            "silences",
            "queue",
            "deliveries",
            "delivery_groups",
            "attempts",
            "groups",
            "receipts",
            "ledger",
            "ids",
            "senders",
        ];
        let mut rows = Vec::new();
        for table in TABLES {
            let count = self.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| read_uint(row, 0))?;
            rows.push((table, count));
        }
        let oldest: Option<i64> =
            self.conn
                .query_row("SELECT min(finished) FROM deliveries WHERE finished IS NOT NULL", [], |row| row.get(0))?;
        let (bytes, wal_bytes) = self.sizes()?;
        Ok(Facts {
            path: self.path.map(Path::to_path_buf),
            bytes,
            wal_bytes,
            schema: schema::check(self.conn)?,
            commit: self.commit()?,
            rows,
            oldest: oldest.map(uint),
        })
    }

    /// The sizes of the file, or of its pages when it is none, and of its write-ahead log.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn sizes(&self) -> Looked<(u64, u64)> {
        let Some(path) = self.path else {
            let pages: i64 = self.conn.query_row(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
                [],
                |row| row.get(0),
            )?;
            return Ok((uint(pages), 0));
        };
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        Ok((size(path), size(Path::new(&wal))))
    }

    /// Checks the file and the ledger against its rows: one sentence for each thing that is wrong.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn verify(&self) -> Looked<Vec<String>> {
        let mut wrong = audit::integrity(self.conn)?;
        wrong.extend(start::verify(self.conn)?);
        wrong.extend(audit::ended(self.conn)?);
        Ok(wrong)
    }

    fn commit(&self) -> Looked<u64> {
        Ok(self.conn.query_row("SELECT value FROM meta WHERE key = 'commit_seq'", [], |row| read_uint(row, 0))?)
    }

    fn all<T>(&self, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Looked<Vec<T>> {
        let mut statement = self.conn.prepare(sql)?;
        let rows = statement.query_map([], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
