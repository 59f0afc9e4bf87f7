//! Looking at a store without changing it: what `mag status`, the dead letters and the admin API show.
//!
//! A look is one snapshot through a connection of its own, so it neither waits for the writer nor holds it up. It works
//! on the file of a running mag and of one that has stopped.

use std::fs::{File, TryLockError};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{OpenError, Stopped, damage, file, schema};

mod read;
mod seen;

pub use seen::{
    Account, AttemptLine, DeliveryLine, Facts, GroupLine, Letter, LetterPage, OpenRoute, Overview, SenderLine,
};

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

/// What came of a look.
pub type Looked<T> = Result<T, LookError>;

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
    let looked = connect(path).and_then(|glass| {
        // One snapshot for all that is read.
        let snapshot = glass.unchecked_transaction()?;
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

/// A connection that only reads, and leaves no file behind.
pub(super) struct Glass {
    conn: Connection,
    path: PathBuf,
}

impl Deref for Glass {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.conn
    }
}

impl Drop for Glass {
    /// Whoever is the last to close a store takes its log away, if that is empty: nothing of it goes into the file.
    fn drop(&mut self) {
        if damage::log_bytes(&self.path) == 0
            && let Err(error) = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        {
            tracing::debug!(%error, "an empty log may be left beside the store");
        }
    }
}

/// Looks at a store of today's schema.
pub(super) fn connect(path: &Path) -> Looked<Glass> {
    file::check_kind(path)?;
    if !path.exists() {
        let path = path.display().to_string();
        return Err(OpenError::Failed { path, said: "there is no such file".to_owned() }.into());
    }
    let conn = open(path).map_err(OpenError::from)?;
    let glass = Glass { conn, path: path.to_path_buf() };
    let (found, wanted) = (schema::check(&glass)?, schema::VERSION);
    if found < wanted {
        return Err(LookError::Older { path: path.display().to_string(), found, wanted });
    }
    Ok(glass)
}

/// To read a store SQLite needs a log and its index beside it, even an empty one, and only who may write takes them away
/// again. Where there is something to recover nobody may write: that is for the next start.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let whole = damage::log_bytes(path) == 0 && damage::journal_bytes(path) == 0;
    let flags = if whole { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let conn = Connection::open_with_flags(path, flags)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.busy_timeout(BUSY)?;
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
