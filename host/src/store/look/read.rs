//! The queries of a look.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Account, AttemptLine, DeliveryLine, Facts, GroupLine, Letter, LetterPage, Looked, OpenRoute, Overview, Reader,
    SenderLine,
};
use crate::alerts::Alert;
use crate::limits;
use crate::silence::Silence;
use crate::store::mark::Left;
use crate::store::rows::{read_labels, read_uint, uint};
use crate::store::{alerts, audit, damage, schema, silences, start};

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
    pub(in crate::store) fn new(conn: &'c Connection) -> Self {
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
            alerts: self.all("SELECT count(*) FROM alerts", |row| read_uint(row, 0))?.into_iter().sum(),
            silences: self.all("SELECT starts, ends FROM silences ORDER BY ends", |row| {
                Ok((read_uint(row, 0)?, read_uint(row, 1)?))
            })?,
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

    /// Whether the commits that a run noted are there; else what is wrong.
    pub(in crate::store) fn tail(&self, path: &Path, left: &Left) -> Looked<Option<String>> {
        Ok(damage::tail(self.conn, path, left)?)
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
