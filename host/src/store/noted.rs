//! What the mark beside a store says against it, for whoever only looks: the same as at a start, with nothing written.

use std::path::Path;

use super::damage;
use super::look::{Looked, Reader, holder};
use super::mark::{Compared, Left, Print};

/// What the mark said before the store was looked at: what is committed meanwhile can only be more.
#[derive(Clone, Debug, Default)]
pub struct Noted {
    left: Option<Left>,
    /// Whether the file changed since mag stopped, though nobody wrote it.
    rotten: bool,
}

impl Noted {
    /// Reads what a run left beside this store; what cannot be read says nothing.
    #[must_use]
    pub fn beside(path: &Path) -> Self {
        let Some(left) = Left::beside(path).ok().flatten() else { return Self::default() };
        let stopped = left.stopped.as_ref().filter(|_| damage::log_bytes(path) == 0);
        let compared = stopped.and_then(|was| Some(was.compare(&Print::of(path).ok()?)));
        // A mag that starts meanwhile writes the file.
        let rotten = compared == Some(Compared::Rotten) && holder(path).is_none();
        Self { left: Some(left), rotten }
    }

    /// What is wrong with a store, in sentences.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn against(&self, path: &Path, reader: &Reader<'_>) -> Looked<Vec<String>> {
        let mut wrong: Vec<String> =
            self.rotten.then(|| format!("the file is damaged: {}", damage::ROTTEN)).into_iter().collect();
        if let Some(left) = &self.left {
            wrong.extend(reader.tail(path, left)?);
        }
        Ok(wrong)
    }
}
