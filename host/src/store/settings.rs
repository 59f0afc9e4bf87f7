//! Where a store's file is and how it is used: what the config and tests decide before it is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::reserve::Reserve;
use super::{full, lock, rows};
use crate::ids::Memory;
use crate::limits;

/// Where the file is, and how it is used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Through which of SQLite's registered file systems the file is reached; `None` is SQLite's own choice. Tests put
    /// faults there.
    pub vfs: Option<String>,
    /// Pages in the WAL before a commit also copies them into the file.
    pub checkpoint_pages: u32,
    /// Between two tries while the disk is full.
    pub full_pause: Duration,
    /// Rows that may wait for one sender; what finds no room is counted together.
    pub queue: u64,
    /// Kept beside the file for deliveries on a full disk.
    pub reserve_bytes: u64,
    /// How large the file may become.
    pub max_bytes: Option<u64>,
    /// Says whether bytes are refused beside a file; tests have no quota to reach.
    pub refuses: fn(&Path) -> bool,
    /// Ids of messages that are remembered.
    pub ids: Memory,
    /// Whether a damaged file is moved aside and a new one begun; else it is refused.
    pub replace_damaged: bool,
}

impl Settings {
    /// The settings of a file, or of a store in memory.
    #[must_use]
    pub fn new(path: Option<&Path>) -> Self {
        Self {
            path: path.map(Path::to_owned),
            vfs: None,
            checkpoint_pages: limits::CHECKPOINT_PAGES,
            full_pause: limits::FULL_PAUSE,
            queue: u64::MAX,
            reserve_bytes: limits::RESERVE_BYTES,
            max_bytes: None,
            refuses: full::refuses_bytes,
            ids: Memory::default(),
            replace_damaged: false,
        }
    }

    pub(super) fn reserve(&self) -> Reserve {
        match &self.path {
            Some(path) if self.reserve_bytes > 0 => Reserve::at(lock::beside(path, ".reserve"), self.reserve_bytes),
            _ => Reserve::none(),
        }
    }

    /// Pages that the file may have.
    pub(super) fn pages(&self, conn: &Connection) -> rusqlite::Result<Option<u32>> {
        full::pages(conn, self.max_bytes)
    }

    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let Some(path) = &self.path else { return Connection::open_in_memory() };
        let conn = match &self.vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs.as_str())?,
            None => Connection::open(path)?,
        };
        conn.pragma_update(None, "wal_autocheckpoint", self.checkpoint_pages)?;
        conn.pragma_update(None, "journal_size_limit", rows::int(limits::WAL_BYTES))?;
        Ok(conn)
    }
}
