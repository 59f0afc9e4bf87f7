//! `[store]`: the database file, and how long what was told stays in it.

use std::path::PathBuf;
use std::time::Duration;

use super::typed::Section;
use super::{Store, duration};

/// The path that keeps nothing.
const MEMORY: &str = ":memory:";
/// The file's name where none is given.
const FILE: &str = "mag.db";
/// 30 days.
const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Ids that are remembered: 45 MB when there are that many.
const IDS: usize = 1_000_000;
/// And how long: a client that comes back the next day.
const IDS_KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What `[store]` says; `state` gives the folder that a service manager made for mag, where the file names no path.
pub(super) fn read(root: &mut Section<'_>, state: impl FnOnce() -> Option<PathBuf>) -> Store {
    let (mut path, mut keep, mut ids, mut ids_keep, mut on_damage) = (None, None, None, None, None);
    if let Some(value) = root.take("store") {
        value.section("[store]", |section| {
            path = section.take("path").and_then(|value| value.filled("the path of a file, or \":memory:\""));
            keep = section.take("keep").and_then(|value| duration::read(&value, Duration::from_secs(1)));
            ids = section.take("ids").and_then(|value| value.count(1)).and_then(|ids| usize::try_from(ids).ok());
            ids_keep = section.take("ids_keep").and_then(|value| duration::read(&value, Duration::from_secs(1)));
            on_damage =
                section.take("on_damage").and_then(|value| value.parse("\"refuse\" or \"replace\"", on_damage_of));
        });
    }
    let folder = &root.file.folder;
    let path = match path {
        Some(MEMORY) => None,
        Some(path) => Some(folder.join(path)),
        None => Some(state().unwrap_or_else(|| folder.clone()).join(FILE)),
    };
    Store {
        path,
        keep: keep.unwrap_or(KEEP),
        ids: ids.unwrap_or(IDS),
        ids_keep: ids_keep.unwrap_or(IDS_KEEP),
        replace_damaged: on_damage.unwrap_or(false),
    }
}

/// Whether a damaged file is replaced.
fn on_damage_of(word: &str) -> Option<bool> {
    match word {
        "refuse" => Some(false),
        "replace" => Some(true),
        _ => None,
    }
}
