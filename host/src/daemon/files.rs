//! Notices that the config file or a plugin's file is another one, and has the config read again.
//!
//! It looks once a second instead of asking the system for events: editors and package managers put a new file in the
//! place of the old one, links are pointed elsewhere, network folders send no events, and all of that looks the same here.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::Reload;
use crate::config::{Config, Plugin};
use crate::file::{self, Unread};
use crate::limits;

/// What tells one state of a file from another: device, inode, size and time of the last change; nothing for a file that
/// is not there.
type Look = Option<(u64, u64, u64, i64, i64)>;

/// The files of a config that says that they are to be watched.
pub(super) fn of(config: &Config) -> Vec<PathBuf> {
    if !config.reload.watch {
        return Vec::new();
    }
    let plugins = config.senders.iter().filter_map(|sender| match &sender.plugin {
        Plugin::Path(path) => Some(path.clone()),
        Plugin::Bundled(_) => None,
    });
    config.file.iter().cloned().chain([config.lock_path()]).chain(plugins).collect()
}

/// Watches until `stop`.
pub(super) async fn run(
    mut files: watch::Receiver<Vec<PathBuf>>,
    reload: mpsc::Sender<Reload>,
    stop: CancellationToken,
) {
    let mut watch = Watch::default();
    loop {
        let named = files.borrow_and_update().clone();
        let changed = tokio::select! {
            () = stop.cancelled() => return,
            changed = files.changed(), if named.is_empty() => changed.is_ok(),
            () = tokio::time::sleep(Duration::from_millis(limits::RELOAD_LOOK_MILLIS)), if !named.is_empty() => true,
        };
        if !changed {
            return;
        }
        // A folder that does not answer holds up nobody else, and says nothing of its files.
        let looking = tokio::task::spawn_blocking(move || looks(named));
        let Some(looks) = stop.run_until_cancelled(looking).await else { return };
        let Ok(Ok(looks)) = looks else { continue };
        if watch.settled(looks) && reload.send(Reload { answer: None, quiet: true }).await.is_err() {
            return;
        }
    }
}

fn looks(files: Vec<PathBuf>) -> Result<BTreeMap<PathBuf, Look>, Unread> {
    let look = |path: PathBuf| {
        let found = file::look(&path)?;
        let look = found.map(|found| (found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()));
        Ok((path, look))
    };
    files.into_iter().map(look).collect()
}

/// What was seen, and what is read already.
#[derive(Debug, Default)]
struct Watch {
    read: BTreeMap<PathBuf, Look>,
    last: BTreeMap<PathBuf, Look>,
}

impl Watch {
    /// Whether files are to be read that were not read as they are: two looks in a row found them so, because one look may
    /// fall into the middle of their being written.
    ///
    /// That goes for files that are new here too: they may have changed since they were read.
    fn settled(&mut self, looks: BTreeMap<PathBuf, Look>) -> bool {
        let settled = looks == self.last && looks != self.read;
        if settled {
            self.read.clone_from(&looks);
        }
        self.last = looks;
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_stay_as_they_are_and_not_again() {
        let mut watch = Watch::default();
        let looks = |size: Option<u64>| -> BTreeMap<PathBuf, Look> {
            [(PathBuf::from("mag.toml"), size.map(|size| (1, 1, size, 0, 0)))].into()
        };
        for (size, settled) in [
            (Some(1), false),
            (Some(1), true),
            (Some(1), false),
            // It is being written: not before it is whole.
            (Some(0), false),
            (Some(5), false),
            (Some(9), false),
            (Some(9), true),
            // It goes away for a moment while another one is put there.
            (None, false),
            (Some(9), false),
            (Some(9), false),
            (None, false),
            (None, true),
            (None, false),
            (Some(9), false),
            (Some(9), true),
        ] {
            assert_eq!(watch.settled(looks(size)), settled, "{size:?}");
        }
    }
}
