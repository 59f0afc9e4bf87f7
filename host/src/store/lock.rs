//! The lock that keeps a second mag out, and the names of the files beside the database.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::OpenError;
use super::full::is_full;

/// How often the lock is tried again…
const LOCK_TRIES: u32 = 3;
/// …after this long.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A file that belongs to the store; the same store by another name has the same.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.canonicalize().unwrap_or_else(|_not_there_yet| path.to_path_buf()).into_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// A file of its own, because SQLite's locks come and go with its transactions.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
}

impl Lock {
    /// Of a file that is somebody else's nothing is left beside it.
    pub(super) fn undo(self) {
        if self.made
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "cannot remove {}", self.path.display());
        }
    }
}

/// Keeps every other mag out for as long as it lives.
pub(super) fn take(path: &Path) -> Result<Lock, OpenError> {
    let lock_path = beside(path, ".lock");
    let made = !lock_path.exists();
    let file_error = |source| OpenError::File { path: lock_path.display().to_string(), source };
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&lock_path).map_err(file_error)?;
    let mut locked = file.try_lock();
    // Somebody may only look whether a mag runs.
    for _ in 0..LOCK_TRIES {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        thread::sleep(LOCK_PAUSE);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid);
            let pid = read.ok().map(|_| pid.trim().to_owned()).filter(|pid| !pid.is_empty());
            return Err(OpenError::Locked {
                path: path.display().to_string(),
                pid: pid.unwrap_or_else(|| "unknown".to_owned()),
            });
        }
        Err(TryLockError::Error(source)) => return Err(file_error(source)),
    }
    name_holder(&mut file).map_err(file_error)?;
    Ok(Lock { _file: file, path: lock_path, made })
}

/// Says who holds it; where there is no room for that, it is held all the same.
fn name_holder(file: &mut File) -> io::Result<()> {
    let name = format!("{}\n", std::process::id());
    // Over the former name, whose room is there.
    match file.rewind().and_then(|()| file.write_all(name.as_bytes())) {
        Err(error) if is_full(&error) => {
            tracing::debug!(%error, "cannot say who holds the store");
            Ok(())
        }
        written => written.and_then(|()| file.set_len(name.len() as u64)),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_keeps_nobody_from_holding_a_store() {
        let mut full = File::options().write(true).open("/dev/full").expect("a device");
        name_holder(&mut full).expect("it is held");
    }
}
