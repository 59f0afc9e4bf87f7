//! The files of a database at one moment, as bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::Part;

/// What is on the disk: each file's bytes. A file that is not in it is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image(pub BTreeMap<Part, Vec<u8>>);

impl Image {
    /// Reads the files beside a database's path; the index of the WAL is no part of it, a crash never leaves it.
    ///
    /// # Errors
    ///
    /// A file is there and cannot be read.
    pub fn read(database: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for part in Part::LASTING {
            match fs::read(path(database, part.suffix())) {
                Ok(bytes) => drop(files.insert(part, bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(files))
    }

    /// Makes the files beside a database's path what this says, and removes the rest of what a database leaves.
    ///
    /// # Errors
    ///
    /// A file cannot be written or removed.
    pub fn write(&self, database: &Path) -> io::Result<()> {
        remove(&path(database, "-shm"))?;
        for part in Part::LASTING {
            let path = path(database, part.suffix());
            match self.0.get(&part) {
                Some(bytes) => fs::write(path, bytes)?,
                None => remove(&path)?,
            }
        }
        Ok(())
    }
}

/// A folder for a test's databases, in memory where the machine has such a place: thousands of states are written there,
/// and what a disk would do to them is decided by [`crate::Disk`], not by a disk.
///
/// # Panics
///
/// No folder can be made.
#[must_use]
pub fn folder() -> tempfile::TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_no_such_place| tempfile::tempdir()).expect("a folder for temporary files")
}

fn path(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
