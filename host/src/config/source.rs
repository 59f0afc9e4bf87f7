//! Which file is read, or that there is none.

use std::path::{Path, PathBuf};

use super::{Config, Env};
use crate::file::{self, Unread};

/// The file that is taken when none is named.
const FILE: &str = "mag.toml";

/// A longer file is something else than a configuration.
pub(super) const FILE_BYTES: u64 = 1024 * 1024;

/// A configuration before it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file as it was named; `None` for the shipped defaults.
    pub file: Option<PathBuf>,
    /// What it says; nothing for the shipped defaults.
    pub text: String,
}

impl Source {
    /// What a person should know who named no file: one line.
    #[must_use]
    pub fn notice(&self) -> Option<&'static str> {
        let defaults = "no mag.toml in this folder: running with the shipped defaults, port 3050 and sender console";
        self.file.is_none().then_some(defaults)
    }

    /// What relative paths are resolved against.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.file.as_deref().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
    }
}

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is no file, too long for a configuration, or the operating system says so.
    #[error("cannot read config file {} (named by {by}): {error}", path.display())]
    Unread {
        /// As it was named.
        path: PathBuf,
        /// Who named it.
        by: &'static str,
        /// Why.
        error: Unread,
    },
    /// It holds something else than text.
    #[error("{}:{line}: error: not UTF-8, save the file as UTF-8 text", path.display())]
    Encoding {
        /// As it was named.
        path: PathBuf,
        /// The first line that is not UTF-8.
        line: usize,
    },
}

impl Config {
    /// Finds and reads the file: `--config`, else `MAG_CONFIG`, else `mag.toml` in the current folder, else none.
    ///
    /// # Errors
    ///
    /// When a file that was named is missing, or a file that is there cannot be read.
    pub fn find(flag: Option<&Path>, env: &Env<'_>) -> Result<Source, SourceError> {
        find_in(Path::new(""), flag, env)
    }
}

/// As [`Config::find`], with `current` as the current folder.
pub(super) fn find_in(current: &Path, flag: Option<&Path>, env: &Env<'_>) -> Result<Source, SourceError> {
    if let Some(path) = flag {
        return read(path, path, "--config");
    }
    if let Some(path) = env("MAG_CONFIG").filter(|path| !path.is_empty()) {
        return read(Path::new(&path), Path::new(&path), "MAG_CONFIG");
    }
    match read(&current.join(FILE), Path::new(FILE), "the current folder") {
        Err(SourceError::Unread { error, .. }) if error.is_missing() => Ok(Source::default()),
        other => other,
    }
}

fn read(path: &Path, named: &Path, by: &'static str) -> Result<Source, SourceError> {
    let file = named.to_path_buf();
    let bytes = match file::read(path, FILE_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return Err(SourceError::Unread { path: file, by, error }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { file: Some(file), text }),
        Err(error) => {
            let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            let line = 1 + good.filter(|byte| **byte == b'\n').count();
            Err(SourceError::Encoding { path: file, line })
        }
    }
}
