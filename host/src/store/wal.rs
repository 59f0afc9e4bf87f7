//! The write-ahead log as a file: makes certain what a former run left in it, and sees when it only grows.
//!
//! A failed sync is not undone by a later one: the system keeps the bytes in memory, takes them for written, and never
//! writes them. A start reads them from memory, so that a commit that nobody was answered comes back, which is allowed.
//! But commits after it are worth nothing if it is not on the disk: SQLite reads its log only up to the first gap. So
//! all of it is written once more, the same bytes at the same places, and synced, before anything is added to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// Read and written at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// Writes a log once more, if it is there. Nobody else may write to it meanwhile.
pub(super) fn rewrite(log: &Path) -> io::Result<()> {
    let mut file = match File::options().read(true).write(true).open(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        at += bytes.len() as u64;
    }
    if at > 0 { file.sync_all() } else { Ok(()) }
}

/// Between two looks at the log's size.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A reader that is busy for shorter is none to speak of.
const SAY_AFTER: Duration = Duration::from_secs(60);

/// Sees when somebody reads the store for so long that its log cannot be emptied into it.
#[derive(Debug)]
pub(super) struct Growth {
    log: Option<PathBuf>,
    looked: Instant,
    large_since: Option<Instant>,
    said: bool,
}

impl Growth {
    /// Of the log beside `store`, if that is a file.
    pub(super) fn new(store: Option<&Path>, now: Instant) -> Self {
        let log = store.map(|store| super::lock::beside(store, "-wal"));
        Self { log, looked: now, large_since: None, said: false }
    }

    /// The log's size, when it has been too large for too long; once, until it was small again.
    pub(super) fn look(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.looked) < LOOK_EVERY {
            return None;
        }
        self.looked = now;
        let bytes = std::fs::metadata(self.log.as_ref()?).map_or(0, |log| log.len());
        if bytes <= limits::WAL_LARGE_BYTES {
            (self.large_since, self.said) = (None, false);
            return None;
        }
        let since = *self.large_since.get_or_insert(now);
        let says = !self.said && now.saturating_duration_since(since) >= SAY_AFTER;
        self.said |= says;
        says.then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_stays_large_is_told_once_until_it_was_small_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("mag.db");
        let log = File::create(folder.path().join("mag.db-wal")).expect("a file");
        let start = Instant::now();
        let mut growth = Growth::new(Some(&store), start);
        let mut look = |bytes: u64, seconds: u64| {
            log.set_len(bytes).expect("a sparse file");
            growth.look(start + Duration::from_secs(seconds))
        };
        let large = limits::WAL_LARGE_BYTES + 1;
        assert_eq!([look(large, 20), look(large, 70), look(large, 75)], [None; 3], "not for long");
        assert_eq!([look(large, 81), look(large, 200)], [Some(large), None]);
        assert_eq!([look(large - 1, 300), look(large, 310), look(large, 400)], [None, None, Some(large)]);
    }

    #[test]
    fn the_log_is_the_same_afterwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("mag.db-wal");
        rewrite(&log).expect("there is no log");
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7] {
            let bytes: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            std::fs::write(&log, &bytes).expect("the file is written");
            rewrite(&log).expect("the log is written");
            assert!(std::fs::read(&log).expect("the file reads") == bytes, "{length} bytes");
        }
    }
}
