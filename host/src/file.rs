//! Reading files that a person named, without ever waiting for them without end.
//!
//! **Invariant:** only regular files are read, as far as they may be long; whoever asks has an answer within a limit,
//! also when the folder lies on a network that does not answer. A path that does not is not asked a second time while
//! the first is waited for, so no more threads hang than there are paths.

use std::collections::BTreeSet;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::limits;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The operating system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is something that may never end, or never begin.
    #[error("it is {0}, not a regular file")]
    NoFile(&'static str),
    /// It is something else than what is looked for.
    #[error("longer than {0} bytes")]
    TooLong(u64),
    /// Its folder does not answer.
    #[error("it did not answer within {} s; is it on a network folder that is away?", .0.as_secs())]
    Late(Duration),
    /// It has not answered for longer.
    #[error("it does not answer; is it on a network folder that is away?")]
    Silent,
}

impl Unread {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// The whole of a regular file of at most `most` bytes.
///
/// # Errors
///
/// It is no such file, cannot be read, or does not answer.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let limit = Duration::from_secs(limits::FILE_SECONDS + most / limits::FILE_BYTES_PER_SECOND);
    let own = path.to_owned();
    within(path, limit, move || read_now(&own, most))?
}

/// What the system says of a file, if there is one.
///
/// # Errors
///
/// It does not answer.
pub fn look(path: &Path) -> Result<Option<Metadata>, Unread> {
    let own = path.to_owned();
    within(path, Duration::from_secs(limits::FILE_SECONDS), move || std::fs::metadata(own).ok())
}

fn read_now(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    // The handle is looked at, not the path, behind which something else may stand a moment later. Without waiting, because
    // opening a pipe would wait for somebody who writes.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(Unread::NoFile(kind(found.file_type())));
    }
    take(&file, found.len(), most)
}

fn take(file: &File, len: u64, most: u64) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::with_capacity(usize::try_from(len.min(most)).unwrap_or_default());
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(Unread::TooLong(most)) } else { Ok(bytes) }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The paths that somebody still waits for, after whoever asked has given up.
static SILENT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Does something with a file that may never come back, on a thread of its own.
fn within<T: Send + 'static>(
    path: &Path,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unread> {
    let silent = || SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = {
        let silent = silent();
        if silent.contains(path) {
            return Err(Unread::Silent);
        }
        // Many files may lie in the folder that is away: only the first of them is waited for so long.
        if silent.is_empty() { limit } else { Duration::from_secs(limits::FILE_NEXT_SECONDS) }
    };
    let (tell, told) = mpsc::sync_channel(1);
    let own = path.to_owned();
    let work = move || {
        #[cfg(test)]
        tests::wait_while_held(&own);
        let done = work();
        let mut silent = silent();
        // Nobody listens any more when it took too long.
        drop(tell.send(done));
        silent.remove(&own);
    };
    thread::Builder::new().name("file".to_owned()).spawn(work)?;
    match told.recv_timeout(limit) {
        Ok(done) => return Ok(done),
        Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("reading it broke off").into()),
        Err(RecvTimeoutError::Timeout) => {}
    }
    let mut silent = silent();
    // It may have come just now; while this is locked it cannot.
    told.try_recv().map_err(|_nothing| {
        silent.insert(path.to_owned());
        Unread::Late(limit)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Condvar;

    use super::*;

    /// Makes a pipe that nobody writes to.
    #[track_caller]
    pub(crate) fn pipe(path: &Path) {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    }

    /// Paths whose folder does not answer.
    static HELD: (Mutex<BTreeSet<PathBuf>>, Condvar) = (Mutex::new(BTreeSet::new()), Condvar::new());

    /// While it lives, the file does not answer, as one on a network folder that is away.
    pub(crate) struct Held(PathBuf);

    impl Held {
        pub(crate) fn new(path: &Path) -> Self {
            HELD.0.lock().unwrap().insert(path.to_owned());
            Self(path.to_owned())
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            HELD.0.lock().unwrap().remove(&self.0);
            HELD.1.notify_all();
        }
    }

    pub(super) fn wait_while_held(path: &Path) {
        drop(HELD.1.wait_while(HELD.0.lock().unwrap(), |held| held.contains(path)));
    }

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let said = |path: &Path| read(path, 4).map_err(|error| error.to_string());
        assert!(read(&path, 4).unwrap_err().is_missing());
        std::fs::write(&path, "four").unwrap();
        assert_eq!(said(&path), Ok(b"four".to_vec()));
        std::fs::write(&path, "four5").unwrap();
        assert_eq!(said(&path), Err("longer than 4 bytes".to_owned()));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(said(&link), Ok(b"abc".to_vec()));
        let fifo = folder.path().join("pipe");
        pipe(&fifo);
        assert_eq!(said(&fifo), Err("it is a pipe, not a regular file".to_owned()));
        assert_eq!(said(folder.path()), Err("it is a folder, not a regular file".to_owned()));
        assert_eq!(said(Path::new("/dev/zero")), Err("it is a device, not a regular file".to_owned()));
    }

    #[test]
    fn what_does_not_answer_is_given_up_and_not_asked_again_until_it_does() {
        let path = Path::new("/nowhere/that/answers");
        let held = Held::new(path);
        let late = within(path, Duration::from_millis(20), || ());
        assert!(matches!(late, Err(Unread::Late(_))), "{late:?}");
        let again = within(path, Duration::from_secs(600), || panic!("it is not asked"));
        assert!(matches!(again, Err(Unread::Silent)), "{again:?}");
        drop(held);
        let answers = std::iter::repeat_with(|| within(path, Duration::from_secs(600), || 7)).find(|found| {
            thread::yield_now();
            found.is_ok()
        });
        assert_eq!(answers.unwrap().unwrap(), 7);
    }
}
