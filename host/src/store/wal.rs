//! Makes certain what a former run left in the write-ahead log.
//!
//! A failed sync is not undone by a later one: the system keeps the bytes in memory, takes them for written, and never
//! writes them. A start reads them from memory, so that a commit that nobody was answered comes back, which is allowed.
//! But commits after it are worth nothing if it is not on the disk: SQLite reads its log only up to the first gap. So
//! all of it is written once more, the same bytes at the same places, and synced, before anything is added to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::*;

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
