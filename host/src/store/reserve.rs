//! Room kept for a full disk: a file beside the database that is given up step by step, so that deliveries go on while
//! nothing new is taken in, and that is made again before anything new is.
//!
//! It never fails a store: where it cannot be made, mag runs without it and says so once.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;

use super::full::Leaves;
use crate::limits;

/// The file, and how much of it is left.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    whole: u64,
    left: u64,
}

impl Reserve {
    /// For a store that needs none.
    pub(super) fn none() -> Self {
        Self { path: PathBuf::new(), whole: 0, left: 0 }
    }

    /// What a former run left of it, filled up as far as there is room.
    pub(super) fn at(path: PathBuf, whole: u64) -> Self {
        let left = fs::metadata(&path).map_or(0, |found| found.len().min(whole));
        let mut reserve = Self { path, whole, left };
        reserve.restore();
        reserve
    }

    /// Whether nothing of it is given up.
    pub(super) fn is_whole(&self) -> bool {
        self.left >= self.whole
    }

    /// Gives a step of it to whoever writes first; `false` when nothing is left of what may be given.
    pub(super) fn give(&mut self, leaves: Leaves) -> bool {
        let stays = match leaves {
            Leaves::All => self.whole,
            Leaves::Half => self.whole / 2,
            Leaves::Nothing => 0,
        };
        if self.left <= stays {
            return false;
        }
        let left = self.left.saturating_sub(limits::RESERVE_STEP_BYTES).max(stays);
        let cut = File::options().write(true).open(&self.path).and_then(|file| file.set_len(left));
        self.left = if cut.is_ok() { left } else { 0 };
        cut.is_ok()
    }

    /// Makes it whole again; `false` while there is no room for it.
    pub(super) fn restore(&mut self) -> bool {
        if self.is_whole() {
            return true;
        }
        match self.fill(self.whole) {
            Ok(()) => {
                self.left = self.whole;
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => false,
            Err(error) => {
                let file = self.path.display();
                tracing::warn!(%error, "cannot keep {file} in reserve; on a full disk deliveries will wait too");
                *self = Self::none();
                true
            }
        }
    }

    /// Whether there is a little room beside it: without that, what is taken in next would only find the disk full again.
    pub(super) fn has_more(&self) -> bool {
        if self.whole == 0 {
            return true;
        }
        let tried = self.fill(self.left + limits::RESERVE_STEP_BYTES);
        tried.and_then(|()| File::options().write(true).open(&self.path)?.set_len(self.left)).is_ok()
    }

    fn fill(&self, whole: u64) -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(false).open(&self.path)?;
        file.set_len(self.left)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(self.left))?;
        let mut step = vec![0; 64 * 1024];
        let mut missing = whole.saturating_sub(self.left);
        while missing > 0 {
            // Bytes that no file system stores as a hole or makes smaller.
            fastrand::fill(&mut step);
            let bytes = usize::try_from(missing).map_or(step.len(), |missing| missing.min(step.len()));
            if let Err(error) = file.write_all(step.get(..bytes).unwrap_or_default()) {
                // What is only half there is no room for anybody.
                file.set_len(self.left)?;
                return Err(error);
            }
            missing -= bytes as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_up_in_steps_and_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mag.db.reserve");
        let size = || fs::metadata(&path).expect("the file is there").len();
        let whole = 2 * limits::RESERVE_STEP_BYTES + 1;
        let mut reserve = Reserve::at(path.clone(), whole);
        assert!(reserve.is_whole());
        assert_eq!(size(), whole);
        assert!(reserve.give(Leaves::Nothing) && !reserve.is_whole());
        assert_eq!(size(), limits::RESERVE_STEP_BYTES + 1);
        assert!(
            reserve.give(Leaves::Nothing) && reserve.give(Leaves::Nothing) && !reserve.give(Leaves::Nothing),
            "three steps and no more"
        );
        assert_eq!(size(), 0);
        assert!(reserve.restore() && reserve.is_whole());
        assert_eq!(size(), whole);
        assert!(reserve.give(Leaves::Half) && !reserve.give(Leaves::All));
        assert!(reserve.give(Leaves::Half) && !reserve.give(Leaves::Half), "half of it is for what is there already");
        assert!(reserve.has_more());
        assert_eq!(size(), limits::RESERVE_STEP_BYTES, "what was tried is gone");
    }

    #[test]
    fn what_a_former_run_gave_up_is_made_again_at_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mag.db.reserve");
        let mut former = Reserve::at(path.clone(), limits::RESERVE_BYTES);
        former.give(Leaves::Nothing);
        assert!(Reserve::at(path, limits::RESERVE_BYTES).is_whole());
    }

    #[test]
    fn a_place_where_it_cannot_be_made_is_no_reason_to_stop() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut reserve = Reserve::at(folder.path().join("no/such/folder/reserve"), 1_000);
        assert!(reserve.is_whole() && !reserve.give(Leaves::Nothing) && reserve.restore());
    }
}
