//! `[reload]`: when a running mag reads its config again by itself.

use super::Reload;
use super::typed::Section;

/// What `[reload]` says.
pub(super) fn read(root: &mut Section<'_>) -> Reload {
    let mut watch = None;
    if let Some(value) = root.take("reload") {
        value.section("[reload]", |section| {
            watch = section.take("watch").and_then(|value| value.bool());
        });
    }
    Reload { watch: watch.unwrap_or(false) }
}
