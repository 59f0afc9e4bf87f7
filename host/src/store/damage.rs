//! Whether a file that a run left can be gone on with; reads, and changes nothing.
//!
//! A file that is damaged must be found before anything of it counts: what cannot be is a wrong number, or an engine that
//! runs and does nothing.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use super::mark::{Compared, Left, Print, sync_folder};
use super::{OpenError, audit, is_busy, schema, start};
use crate::clock::Clock;
use crate::limits;
use crate::message::{Millis, counted};

/// What is known of a file before SQLite opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// There is none, or an empty one that nobody has used.
    New,
    /// It is, byte for byte, what an orderly stop left.
    Whole,
    /// It has to be looked at.
    Unknown,
}

/// Looks at the files themselves. SQLite would delete the log of a database that is empty.
pub(super) fn before(path: &Path, left: Option<&Left>) -> Result<Before, OpenError> {
    let log = log_bytes(path);
    let file_error = |source| OpenError::File { path: path.display().to_string(), source };
    let mut file = match File::options().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && log == 0 => {
            if left.is_some_and(|left| left.commit > 0) {
                tracing::warn!("the store {} is gone since the last run, a new one is begun", path.display());
            }
            return Ok(Before::New);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(damaged(path, "the file is gone, but its log, with -wal behind the name, is there"));
        }
        Err(source) => return Err(file_error(source)),
    };
    let mut head = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head).map_err(file_error)?;
    if head.is_empty() {
        let used = log > 0 || left.is_some_and(|left| left.commit > 0);
        return if used { Err(damaged(path, "the file is empty, and was not before")) } else { Ok(Before::New) };
    }
    // Of a first start that was cut off SQLite's journal knows what the beginning has to be.
    if head != MAGIC && journal_bytes(path) == 0 {
        return Err(match left {
            None => OpenError::NotADatabase { path: path.display().to_string() },
            Some(_) => damaged(path, "its first bytes are not those of a database"),
        });
    }
    let Some(was) = left.and_then(|left| left.stopped.as_ref()) else { return Ok(Before::Unknown) };
    match was.compare(&Print::of(path).map_err(file_error)?) {
        Compared::Same if log == 0 => Ok(Before::Whole),
        Compared::Unread if log == 0 => Ok(Before::Unknown),
        Compared::Rotten => {
            let delete = super::beside(path, ".mark");
            Err(damaged(path, format!("{} (to have only its counts checked, delete {})", ROTTEN, delete.display())))
        }
        Compared::Same | Compared::Unread | Compared::Written => {
            tracing::warn!("the store {} was written by another program since mag stopped", path.display());
            Ok(Before::Unknown)
        }
    }
}

/// What is said of a file whose time is that of the stop, and whose bytes are not.
pub(super) const ROTTEN: &str = "bytes of it changed since mag stopped, though nobody wrote it";

/// How every SQLite database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

fn begins_as_one(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    read.is_ok() && head == MAGIC
}

/// How much is in the log.
pub(super) fn log_bytes(path: &Path) -> u64 {
    bytes(path, "-wal")
}

/// How much is in the journal that SQLite keeps before there is a log.
pub(super) fn journal_bytes(path: &Path) -> u64 {
    bytes(path, "-journal")
}

fn bytes(path: &Path, ending: &str) -> u64 {
    fs::metadata(super::beside(path, ending)).map_or(0, |found| found.len())
}

/// What has to be known of a file before anything of it counts.
pub(super) fn look_at(
    conn: &Connection,
    path: Option<&Path>,
    before: Before,
    left: Option<&Left>,
) -> Result<(), OpenError> {
    let Some(path) = path else { return Ok(()) };
    let version = match (schema::check(conn), left) {
        (Err(OpenError::NotOurs { .. }), Some(_)) => return Err(damaged(path, "it is no longer marked as mag's")),
        (checked, _) => checked?,
    };
    if before == Before::Whole {
        return Ok(());
    }
    if version == 0 {
        let used = left.is_some_and(|left| left.commit > 0);
        return if used { Err(damaged(path, "its tables are gone")) } else { Ok(()) };
    }
    let mut wrong = look(conn, path, version)?;
    if let (None, Some(left)) = (&wrong, left) {
        wrong = tail(conn, path, left)?;
    }
    wrong.map_or(Ok(()), |what| Err(damaged(path, what)))
}

/// Looks into a file that is not known to be whole; returns what is wrong first.
fn look(conn: &Connection, path: &Path, version: usize) -> Result<Option<String>, OpenError> {
    let bytes = bytes(path, "");
    if let Some(wrong) = tables(conn, version)? {
        return Ok(Some(wrong));
    }
    let mut wrong = long(conn, bytes)?;
    // A page that could not be read may be as it should.
    if let Some(said) = wrong.iter().find_map(|line| unread(line)) {
        return Err(OpenError::Failed { path: path.display().to_string(), said: format!("it cannot be read: {said}") });
    }
    if wrong.is_empty() {
        wrong = values(conn, version)?;
    }
    if wrong.is_empty() {
        wrong = start::verify(conn)?;
    }
    Ok(wrong.into_iter().next())
}

/// Whether the commits that the last run noted are in the file.
pub(super) fn tail(conn: &Connection, path: &Path, left: &Left) -> rusqlite::Result<Option<String>> {
    let (store, commit) = (store_number(conn)?, last_commit(conn)?);
    // A backup has no number.
    if store != Some(left.store) || commit >= left.commit {
        return Ok(None);
    }
    Ok(Some(format!(
        "its last {} commits are missing, so its log is damaged or gone (if you put an older copy there on purpose, \
         delete {})",
        left.commit - commit,
        super::beside(path, ".mark").display()
    )))
}

/// The number that this store was given when it was made.
pub(super) fn store_number(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    conn.query_row("SELECT value FROM meta WHERE key = 'store'", [], |row| row.get(0)).optional()
}

/// The number of the last commit.
pub(super) fn last_commit(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row("SELECT value FROM meta WHERE key = 'commit_seq'", [], |row| super::rows::read_uint(row, 0))
}

/// Tables, columns and indexes against those that the schema has; more than those are the operator's own.
fn tables(conn: &Connection, version: usize) -> Result<Option<String>, OpenError> {
    let found = shape(conn)?;
    let mut model = Connection::open_in_memory()?;
    schema::migrate_to(&mut model, version)?;
    let missing = shape(&model)?.into_iter().find(|part| !found.contains(part));
    Ok(missing.map(|part| format!("its tables are not those of schema {version}: no {part}")))
}

fn shape(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT 'column ' || t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || c.pk
         FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table'
         UNION ALL SELECT 'index ' || sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
    )?;
    let parts = statement.query_map([], |row| row.get(0))?;
    parts.collect()
}

/// What takes the longer the more history there is: SQLite's own check, and what has ended. Of a large file SQLite takes
/// the tables that matter most first, and all of it as far as time allows.
fn long(conn: &Connection, bytes: u64) -> rusqlite::Result<Vec<String>> {
    if bytes <= limits::CHECKED_STORE_BYTES {
        let wrong = audit::pages(conn, &limits::DAMAGES.to_string())?;
        return if wrong.is_empty() { audit::ended(conn) } else { Ok(wrong) };
    }
    let interrupt = conn.get_interrupt_handle();
    let (done, over) = mpsc::sync_channel::<()>(1);
    let watch = thread::spawn(move || {
        if over.recv_timeout(CHECK_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let checked = by_table(conn);
    drop(done);
    if watch.join().is_err() {
        tracing::debug!("whoever limits the check broke off");
    }
    match checked {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            tracing::info!("the store is large, only a part of it was checked at this start; `mag verify` checks all");
            Ok(Vec::new())
        }
        checked => checked,
    }
}

/// What goes on first, then the history.
const TABLES: [&str; 11] = [
    "meta",
    "routes",
    "ledger",
    "windows",
    "queue",
    "deliveries",
    "receipts",
    "delivery_groups",
    "groups",
    "attempts",
    "ids",
];

/// A large file is checked for this long at a start.
const CHECK_LIMIT: Duration = Duration::from_millis(400);

fn by_table(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    for table in TABLES {
        let wrong = audit::pages(conn, table)?;
        if !wrong.is_empty() {
            return Ok(wrong);
        }
    }
    audit::ended(conn)
}

/// What SQLite's check says of a page that could not be read: the disk did not give it, or there was no memory for it.
fn unread(line: &str) -> Option<&str> {
    line.split("; ").find(|said| match said.rsplit_once("error code=") {
        // All but SQLITE_CORRUPT.
        Some((_, code)) => code.parse::<u32>().is_ok_and(|code| code & 0xff != 11),
        None => said.contains("failed to get page"),
    })
}

/// What no run of mag writes into a group's columns.
const NO_GROUP: &str = "first_seen < 0 OR last_seen < 0 OR opened NOT BETWEEN 0 AND 253402300799999
    OR length(group_id) <> 16 OR group_id GLOB '*[^0-9a-f]*' OR NOT json_valid(labels) OR NOT json_valid(samples)
    OR severity NOT IN ('trace', 'debug', 'info', 'notice', 'warning', 'error', 'critical')";

/// And when it is closed. That a group is over counts no message.
const NO_CLOSED: &str = "count < 1 - resolved OR closed NOT BETWEEN 0 AND 253402300799999 OR resolved NOT IN (0, 1)
    OR reason NOT IN ('count', 'time', 'resolved', 'escalated', 'test')";

/// Values that no run of mag writes, in rows that go on.
fn values(conn: &Connection, version: usize) -> rusqlite::Result<Vec<String>> {
    // A former schema has no such column.
    let said = if version < 5 { "" } else { " OR NOT json_valid(annotations)" };
    let checks = [
        ("windows", format!("SELECT count(*) FROM windows WHERE id < 1 OR count < 1 OR {NO_GROUP}{said}")),
        ("queue", format!("SELECT count(*) FROM queue WHERE {NO_GROUP} OR {NO_CLOSED}{said}")),
        (
            "delivery_groups",
            format!(
                "SELECT count(*) FROM delivery_groups WHERE delivery IN (SELECT id FROM deliveries WHERE finished IS NULL)
                 AND (n < 0 OR total < count OR {NO_GROUP} OR {NO_CLOSED}{said})"
            ),
        ),
        (
            "deliveries",
            "SELECT count(*) FROM deliveries WHERE finished IS NULL AND (state NOT IN ('sending', 'backoff', 'queued')
             OR attempt < 0 OR groups < 1 OR messages < 0 OR omitted_groups < 0 OR omitted_messages < 0)"
                .to_owned(),
        ),
        (
            "ledger",
            "SELECT count(*) FROM ledger WHERE min(accepted, open, held, waiting, frozen, told, dead, dropped) < 0"
                .to_owned(),
        ),
        (
            "routes",
            "SELECT count(*) FROM routes WHERE NOT json_valid(senders) OR (clock_started IS NULL) <> (clock_rings IS NULL)"
                .to_owned(),
        ),
        ("meta", "SELECT count(*) = 0 FROM meta WHERE key = 'commit_seq' AND value >= 0".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (table, sql) in checks {
        let rows: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
        if rows > 0 {
            let rows = counted(rows.unsigned_abs(), "row");
            wrong.push(format!("table {table}: {rows} with values that mag never writes"));
        }
    }
    Ok(wrong)
}

/// Says it for a person.
pub(super) fn damaged(path: &Path, what: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.display().to_string(), what: what.into() }
}

/// What an error of SQLite means, said of a file that it was met in.
pub(super) fn explain(path: Option<&Path>, error: OpenError) -> OpenError {
    let Some(path) = path else { return error };
    let error = match error {
        OpenError::Sqlite(error) => error,
        OpenError::NotOurs { .. } => return OpenError::NotOurs { path: path.display().to_string() },
        OpenError::Newer { found, known, .. } => {
            return OpenError::Newer { path: path.display().to_string(), found, known };
        }
        error => return error,
    };
    use rusqlite::Error;
    match &error {
        Error::SqliteFailure(failure, said) => match failure.code {
            ErrorCode::NotADatabase if !begins_as_one(path) => {
                OpenError::NotADatabase { path: path.display().to_string() }
            }
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown | ErrorCode::TypeMismatch => {
                damaged(path, said.clone().unwrap_or_else(|| failure.to_string()))
            }
            ErrorCode::DiskFull => OpenError::Full { path: path.display().to_string() },
            _ if is_busy(&error) => OpenError::Failed { path: path.display().to_string(), said: held_words(&error) },
            _ => OpenError::Failed { path: path.display().to_string(), said: error.to_string() },
        },
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::SqlInputError { .. }
        | Error::QueryReturnedNoRows => damaged(path, error.to_string()),
        _ => OpenError::Failed { path: path.display().to_string(), said: error.to_string() },
    }
}

fn held_words(error: &rusqlite::Error) -> String {
    format!("another program holds it, try again when that has ended ({error})")
}

/// Moves a damaged store out of the way, with what belongs to it; returns where the database lies now.
pub(super) fn move_aside(path: &Path, clock: &Clock) -> Result<PathBuf, OpenError> {
    let path = path.canonicalize().unwrap_or_else(|_gone| path.to_path_buf());
    let stamp = stamp(clock.now());
    let aside = (1..)
        .map(|n| if n == 1 { format!(".damaged-{stamp}") } else { format!(".damaged-{stamp}-{n}") })
        .map(|ending| super::beside(&path, &ending))
        .find(|aside| !aside.exists())
        .unwrap_or_default();
    // The mark goes last: without it less is found.
    for ending in ["", "-wal", "-shm", "-journal", ".mark"] {
        let (from, mut to) = (super::beside(&path, ending), aside.clone().into_os_string());
        to.push(ending);
        match fs::rename(&from, &to) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(OpenError::File { path: from.display().to_string(), source });
            }
            _ => {}
        }
    }
    sync_folder(&path).map_err(|source| OpenError::File { path: path.display().to_string(), source })?;
    Ok(aside)
}

/// A time as it stands in a file's name: `20261124T081500Z`.
fn stamp(now: Millis) -> String {
    let now = i64::try_from(now).ok().and_then(|now| jiff::Timestamp::from_millisecond(now).ok()).unwrap_or_default();
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}
