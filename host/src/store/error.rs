//! Why a store could not be opened, in words for a person: each names the file once and says what to do.

use std::io;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another mag has it.
    #[error(
        "the store {path} is in use by another mag, pid {pid}: stop that one or give this one its own `[store] path`"
    )]
    Locked {
        /// The database file.
        path: String,
        /// The holder's process id, as far as it can be read.
        pid: String,
    },
    /// The lock file or its folder.
    #[error("cannot use {path} for the store, its folder must be there and writable")]
    File {
        /// What was touched.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else's database.
    #[error("{path} is a database, but not one of mag's: give another `[store] path`")]
    NotOurs {
        /// The file.
        path: String,
    },
    /// Written by a later mag.
    #[error(
        "the store {path} has schema {found}, this mag knows schemas up to {known}: use the mag that wrote it, or a \
         later one"
    )]
    Newer {
        /// The database file.
        path: String,
        /// The file's schema.
        found: usize,
        /// The newest that this mag knows.
        known: usize,
    },
    /// A folder, a pipe or a device.
    #[error("{path} is {what}: `[store] path` names the file that the store is, or will be")]
    NotAFile {
        /// What is there.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A file that has a second name, under which another mag could use it: what keeps that out stands beside one name.
    #[error(
        "the store {path} has {links} names (hard links), so another mag could write to it unseen: keep one of them, or \
         put a copy in its place"
    )]
    Linked {
        /// The database file.
        path: String,
        /// How many names it has.
        links: u64,
    },
    /// A file of another kind.
    #[error("{path} is not a database: give another `[store] path`, or move the file away")]
    NotADatabase {
        /// The file.
        path: String,
    },
    /// What is in it cannot be relied on.
    #[error(
        "the store {path} is damaged: {what}; it was left as it is: put a backup in its place, or have it moved aside \
         and a new one begun, by `mag run --repair` once or `[store] on_damage = \"replace\"` always"
    )]
    Damaged {
        /// The database file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// Not even a start can be written.
    #[error("the disk of the store {path} is full: free some room and start again")]
    Full {
        /// The database file.
        path: String,
    },
    /// Something else.
    #[error("cannot use the store {path}: {said}")]
    Failed {
        /// The database file.
        path: String,
        /// SQLite's own words.
        said: String,
    },
    /// SQLite's own words, before anybody said of which file.
    #[error("cannot use the store: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
