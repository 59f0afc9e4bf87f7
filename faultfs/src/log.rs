//! What is remembered of every operation. Plain values.

use std::sync::Arc;

/// Which file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The database file.
    Database,
    /// Its write-ahead log.
    Wal,
    /// Its rollback journal.
    Journal,
    /// What the program keeps beside it past SQLite.
    Mark,
    /// SQLite's temporary files: they can fail, but nothing of them outlives a crash.
    Temporary,
}

impl Part {
    /// The parts that a crash can leave behind.
    pub const LASTING: [Self; 4] = [Self::Database, Self::Wal, Self::Journal, Self::Mark];

    /// What SQLite adds to the database's name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Database | Self::Temporary => "",
            Self::Wal => "-wal",
            Self::Journal => "-journal",
            Self::Mark => ".mark",
        }
    }
}

/// What SQLite asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opened; `created` when the file was not there before.
    Open {
        /// Which file.
        part: Part,
        /// Whether it is new.
        created: bool,
    },
    /// Read; what came back is not kept.
    Read {
        /// Which file.
        part: Part,
        /// From where.
        offset: u64,
        /// How many bytes.
        length: usize,
    },
    /// Written, but not synced.
    Write {
        /// Which file.
        part: Part,
        /// Where to.
        offset: u64,
        /// What.
        bytes: Arc<[u8]>,
    },
    /// Synced.
    Sync {
        /// Which file.
        part: Part,
        /// Whether the folder was synced with it.
        folder: bool,
    },
    /// A sync that was made to fail: what it should have written may never reach the disk, even when later ones succeed.
    FailedSync {
        /// Which file.
        part: Part,
    },
    /// Written once more as it is, and synced, by somebody else than SQLite.
    Rewrite {
        /// Which file.
        part: Part,
    },
    /// Cut or grown to a size.
    Truncate {
        /// Which file.
        part: Part,
        /// Bytes from now on.
        size: u64,
    },
    /// Removed.
    Delete {
        /// Which file.
        part: Part,
        /// Whether the folder was synced after it.
        folder: bool,
    },
    /// A lock on the file.
    Lock,
    /// A lock on the WAL's index.
    ShmLock,
    /// A piece of the WAL's index.
    ShmMap,
    /// Whether a file is there, or how large it is.
    Look,
}

/// The kinds of operations, for counting and failing them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named like the operations")]
pub enum Kind {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    Delete,
    Lock,
    ShmLock,
    ShmMap,
    Look,
}

impl Operation {
    /// Whether the files on the disk may differ after it.
    #[must_use]
    pub fn changes_files(&self) -> bool {
        match self {
            Self::Open { created, .. } => *created,
            Self::Write { .. }
            | Self::Sync { .. }
            | Self::FailedSync { .. }
            | Self::Rewrite { .. }
            | Self::Truncate { .. }
            | Self::Delete { .. } => true,
            Self::Read { .. } | Self::Lock | Self::ShmLock | Self::ShmMap | Self::Look => false,
        }
    }
}
