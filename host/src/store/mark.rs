//! What a run leaves beside the database in `mag.db.mark`: which store it is, how far it came, and how it stopped.
//!
//! SQLite drops a log's tail without a word when a bit of it is wrong or its end is missing, and has no checksums in the
//! database itself. So the number of the last commit is written here after every commit, and the file's hash at an orderly
//! stop. What a power loss leaves of it must never accuse a store that is whole:
//!
//! - It is written after the commit's sync returned, so that it is never ahead of the store, only behind.
//! - The hash is of a file that is synced, and is taken back, and that synced, before anything writes the store again.
//! - A line that is torn or flipped does not fit its sum, and says nothing.
//! - On a full disk it falls behind, or is taken away: the store goes on, and less is known at the next start.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OpenError;
use super::full::is_full;
use crate::limits;

/// What a former run left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The store's own number, so that another file in its place is known.
    pub(super) store: i64,
    /// Its last commit.
    pub(super) commit: u64,
    /// The file as it was at an orderly stop.
    pub(super) stopped: Option<Print>,
}

/// What a file that nobody writes is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Print {
    bytes: u64,
    /// When it was written last, seconds and nanoseconds.
    pub(super) written: (i64, i64),
    /// `None` of a file that would take too long to read.
    hash: Option<String>,
}

/// How a file compares with what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// The same, byte for byte.
    Same,
    /// As large and as old, and too large to be read.
    Unread,
    /// Another program wrote it.
    Written,
    /// Its bytes are others, though nobody wrote it.
    Rotten,
}

impl Print {
    /// Reads the file.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let found = file.metadata()?;
        let hash = if found.len() <= limits::HASHED_STORE_BYTES { Some(hash(&mut file)?) } else { None };
        Ok(Self { bytes: found.len(), written: (found.mtime(), found.mtime_nsec()), hash })
    }

    /// Compares what was with what is.
    pub(super) fn compare(&self, now: &Self) -> Compared {
        let same = self.bytes == now.bytes && self.hash == now.hash;
        match (same, self.written == now.written) {
            (true, _) if self.hash.is_some() => Compared::Same,
            (true, true) => Compared::Unread,
            (false, true) => Compared::Rotten,
            (_, false) => Compared::Written,
        }
    }
}

fn hash(file: &mut File) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; 1024 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            read => drop(hasher.update(block.get(..read).unwrap_or_default())),
        }
    }
}

impl Left {
    /// What a run left beside this database.
    pub(super) fn beside(database: &Path) -> io::Result<Option<Self>> {
        match read(&super::lock::beside(database, ".mark")) {
            Ok(bytes) => Ok(Self::read(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the first line of a mark; `None` when it says nothing that can be relied on.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (line, _) = text.split_once('\n')?;
        let (said, sum) = line.rsplit_once(' ')?;
        if sum != sum_of(said) {
            return None;
        }
        let mut words = said.split(' ');
        let mut field = |name: &str| words.next().filter(|word| *word == name).and_then(|_| words.next());
        let store = field("store").and_then(|word| i64::from_str_radix(word, 16).ok())?;
        let commit = field("commit")?.parse().ok()?;
        let stopped = match words.next()? {
            "running" => None,
            "stopped" => {
                let mut next = || words.next();
                let (bytes, seconds, nanos) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
                let hash = next().filter(|hash| *hash != UNREAD).map(str::to_owned);
                Some(Print { bytes, written: (seconds, nanos), hash })
            }
            _ => return None,
        };
        Some(Self { store, commit, stopped })
    }

    fn line(&self) -> String {
        let state = match &self.stopped {
            None => "running".to_owned(),
            Some(print) => {
                let (seconds, nanos) = print.written;
                format!("stopped {} {seconds} {nanos} {}", print.bytes, print.hash.as_deref().unwrap_or(UNREAD))
            }
        };
        let said = format!("store {:016x} commit {:020} {state}", self.store, self.commit);
        let sum = sum_of(&said);
        format!("{said} {sum}\n")
    }
}

/// Stands where no hash is.
const UNREAD: &str = "-";

/// Of a line, so that half of one is not taken for another one.
fn sum_of(said: &str) -> String {
    let mut hex = blake3::hash(said.as_bytes()).to_hex().to_string();
    hex.truncate(16);
    hex
}

/// What is done to the files past SQLite, each after it was done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// The log was written once more as it is, and synced.
    LogRewritten,
    /// The mark is a new file.
    MarkMade,
    /// It begins with these bytes now.
    MarkWritten,
    /// It is on the disk.
    MarkSynced,
    /// It is gone, and that is on the disk.
    MarkRemoved,
}

/// Who must hear of it, with the bytes that were written: a test's file system.
pub(super) type Watch = Arc<dyn Fn(Deed, &[u8]) + Send + Sync>;

/// The mark of the run that holds the lock; writes nothing for a store without a file.
pub(super) struct Mark {
    path: Option<PathBuf>,
    file: Option<File>,
    left: Option<Left>,
    watch: Watch,
}

impl Mark {
    /// Reads what a former run left beside this database.
    pub(super) fn beside(database: Option<&Path>, watch: Watch) -> Result<Self, OpenError> {
        let path = database.map(|database| super::lock::beside(database, ".mark"));
        let mut mark = Self { path, file: None, left: None, watch };
        if let Some(database) = database {
            mark.left = Left::beside(database).map_err(|source| mark.error(source))?;
        }
        Ok(mark)
    }

    /// What a former run left.
    pub(super) fn left(&self) -> Option<&Left> {
        self.left.as_ref()
    }

    /// The store is about to be written, so its bytes are no longer what they were at the stop.
    pub(super) fn unseal(&mut self) -> Result<(), OpenError> {
        let Some(left) = self.left.as_mut().filter(|left| left.stopped.is_some()) else { return Ok(()) };
        left.stopped = None;
        let unsealed = match self.write().and_then(|()| self.sync()) {
            // To remove it takes no room, and a mark that is gone accuses nobody.
            Err(error) if is_full(&error) => self.remove(),
            written => written,
        };
        unsealed.map_err(|source| self.error(source))
    }

    /// There is no store that it could be the mark of.
    pub(super) fn forget(&mut self) -> Result<(), OpenError> {
        self.left = None;
        self.remove().map_err(|source| self.error(source))
    }

    /// From now on the store runs. Where this cannot be written, less is known at the next start, and nothing is wrong.
    pub(super) fn begin(&mut self, store: i64, commit: u64) {
        self.left = Some(Left { store, commit, stopped: None });
        self.try_to_write();
    }

    /// A commit is on disk.
    pub(super) fn committed(&mut self, commit: u64) {
        if let Some(left) = &mut self.left {
            left.commit = commit;
            self.try_to_write();
        }
    }

    /// The store stopped in order, all of it is on the disk, and nobody has the file open any more.
    pub(super) fn stopped(&mut self, database: &Path) -> io::Result<()> {
        let Some(left) = &mut self.left else { return Ok(()) };
        left.stopped = Some(Print::of(database)?);
        self.write()
    }

    fn try_to_write(&mut self) {
        if let Err(error) = self.write() {
            tracing::debug!(%error, "cannot write how far the store came");
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let (Some(path), Some(left)) = (&self.path, &self.left) else { return Ok(()) };
        let file = match &self.file {
            Some(file) => file,
            None => {
                let (file, made) = open(path)?;
                if made {
                    (self.watch)(Deed::MarkMade, &[]);
                }
                self.file.insert(file)
            }
        };
        let line = left.line().into_bytes();
        file.write_all_at(&line, 0)?;
        (self.watch)(Deed::MarkWritten, &line);
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        let Some(path) = &self.path else { return Ok(()) };
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.and_then(|()| sync_folder(path))?,
        }
        (self.watch)(Deed::MarkRemoved, &[]);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(file) = &self.file {
            file.sync_all()?;
            (self.watch)(Deed::MarkSynced, &[]);
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> OpenError {
        OpenError::File { path: self.path.as_deref().unwrap_or(Path::new("")).display().to_string(), source }
    }
}

/// More than a line.
const READ_BYTES: u64 = 4 * 1024;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(READ_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file, and whether it is new.
fn open(path: &Path) -> io::Result<(File, bool)> {
    match File::options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok((File::options().write(true).open(path)?, false))
        }
        made => Ok((made?, true)),
    }
}

/// Makes the names in a file's folder certain.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let print = Print { bytes: 7, written: (-1, 5), hash: Some("ab".to_owned()) };
        for stopped in [None, Some(print.clone()), Some(Print { hash: None, ..print })] {
            let left = Left { store: 0x7fff_0000_0000_0001, commit: 42, stopped };
            assert_eq!(Left::read(&format!("{}what a longer line left", left.line())), Some(left));
        }
    }

    #[test]
    fn what_is_not_whole_says_nothing() {
        let line = Left { store: 1, commit: 42, stopped: None }.line();
        for cut in 0..line.len() {
            assert_eq!(Left::read(line.get(..cut).expect("ASCII")), None);
        }
        for (at, bit) in (0..line.len() - 1).flat_map(|at| (0..7).map(move |bit| (at, bit))) {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            assert_eq!(Left::read(&String::from_utf8_lossy(&bytes)), None, "bit {bit} of byte {at}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_room_what_an_orderly_stop_left_is_taken_away_before_the_store_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("mag.db");
        fs::write(&database, "abc").expect("a file");
        let read = || Mark::beside(Some(&database), Arc::new(|_deed, _bytes| {})).expect("it reads");
        let mut former = read();
        former.begin(7, 41);
        former.stopped(&database).expect("there is room");
        let mut mark = read();
        assert!(mark.left().is_some_and(|left| left.stopped.is_some()));
        let path = crate::store::beside(&database, ".mark");
        fs::remove_file(&path).expect("it is there");
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        mark.unseal().expect("a full disk is no reason not to start");
        assert!(fs::symlink_metadata(&path).is_err(), "nothing says any more how the store was left");
        mark.committed(42);
        let left = Left { store: 7, commit: 42, stopped: None };
        assert_eq!(read().left(), Some(&left), "when there is room it is made again");
    }

    #[test]
    fn a_file_that_changed_without_being_written_is_rotten() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "abc").expect("a file");
        let was = Print::of(&path).expect("it reads");
        assert_eq!(was.compare(&Print::of(&path).expect("it reads")), Compared::Same);
        let written = fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
        fs::write(&path, "abd").expect("a file");
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_modified(written).expect("a time");
        assert_eq!(was.compare(&Print::of(&path).expect("it reads")), Compared::Rotten);
        file.set_modified(written + std::time::Duration::from_secs(1)).expect("a time");
        assert_eq!(was.compare(&Print::of(&path).expect("it reads")), Compared::Written);
    }
}
