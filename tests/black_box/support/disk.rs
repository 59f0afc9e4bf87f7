//! A small file system of its own, which a test fills and frees.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted folder; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts a file system of so many bytes. `None` where the machine does not let this user mount, which is said, and
    /// which fails the test where all tests must run (`CI=true`).
    pub(crate) fn mount(folder: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(folder).expect("a folder");
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if mounted.as_ref().is_ok_and(|done| done.status.success()) {
            return Some(Self { folder: folder.to_owned() });
        }
        assert!(std::env::var("CI").is_err(), "cannot mount a file system: {mounted:?}");
        println!("skipped: this user cannot mount a file system ({mounted:?}); run it as root");
        None
    }

    /// Takes every byte that is left.
    pub(crate) fn fill(&self) {
        let mut file = File::options().append(true).create(true).open(self.filler()).expect("an entry of the folder");
        let block = [1; 64 * 1024];
        let mut step = block.len();
        while step > 0 {
            match file.write(&block[..step]) {
                Ok(0) => step /= 2,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => step /= 2,
                Err(error) => panic!("cannot fill the disk: {error}"),
            }
        }
    }

    /// Gives back what was taken.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).expect("the disk was filled");
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still has a file open keeps it until it ends.
        drop(Command::new("umount").arg("-l").arg(&self.folder).status());
    }
}
