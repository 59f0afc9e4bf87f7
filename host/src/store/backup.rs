//! A copy of a store as it is at one moment, while mag runs or not. Reads only; never writes over anything.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::LookError;
use super::look::{connect, look, named};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Where the copy shall be.
    #[error("cannot write {path}, nothing must be there and its folder must be writable")]
    File {
        /// The copy.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The copy does not balance.
    #[error("the store does not balance, see `mag verify`; its copy was not kept")]
    Wrong,
}

/// Copies the store `from` into a new file; returns its bytes. Messages go on being written meanwhile: the copy holds
/// what was committed when it began.
///
/// # Errors
///
/// Something is there already, the store cannot be read, or it does not balance; no copy is left then.
pub fn backup(from: &Path, to: &Path) -> Result<u64, BackupError> {
    let file_error = |source| BackupError::File { path: to.display().to_string(), source };
    let copy = File::create_new(to).map_err(file_error)?;
    let copied = copy_into(from, to).and_then(|()| {
        copy.sync_all().map_err(file_error)?;
        Ok(copy.metadata().map_err(file_error)?.len())
    });
    if copied.is_err() {
        drop(fs::remove_file(to));
    }
    copied
}

fn copy_into(from: &Path, to: &Path) -> Result<(), BackupError> {
    let not_text = || io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8");
    let file_error = |source| BackupError::File { path: to.display().to_string(), source };
    let name = to.to_str().ok_or_else(|| file_error(not_text()))?;
    // An empty file is none for SQLite (https://www.sqlite.org/lang_vacuum.html).
    let copied = connect(from).and_then(|glass| {
        // It writes, but not the store.
        glass.pragma_update(None, "query_only", false)?;
        Ok(glass.execute("VACUUM INTO ?1", [name])?)
    });
    copied.map_err(|error| named(from, error))?;
    // Without the store's number the copy is one of its own: the mark beside the store knows of later commits.
    let unnamed = Connection::open(to).and_then(|copy| copy.execute("DELETE FROM meta WHERE key = 'store'", []));
    unnamed.map_err(LookError::from)?;
    let wrong = look(to, |reader| reader.verify())?;
    if wrong.is_empty() { Ok(()) } else { Err(BackupError::Wrong) }
}
