//! `mag.lock` beside `mag.toml`: which plugins a person accepted, and which origins they asked for.
//!
//! Written by `mag sender lock` alone. A plugin that is another one since may not ask for more until a person accepts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Config, Sha256, source};
use crate::file::{self, Unread};

/// Its name.
pub(super) const FILE: &str = "mag.lock";
/// What this mag writes and reads.
const VERSION: u32 = 1;
/// The beginning of the file, for whoever opens it.
const HEAD: &str = "# The plugins that a person accepted, written by `mag sender lock`. One that is another file since may not ask for\n\
                    # more origins than stand here, until that command is typed again.\n";

/// What was accepted of a sender's plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The plugin's file.
    pub sha256: Sha256,
    /// Its name and version.
    pub version: String,
    /// The origins that it asked for.
    pub origins: Vec<String>,
}

/// The file as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    senders: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    sha256: String,
    version: String,
    origins: Vec<String>,
}

/// A lock that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It is no file, too long, or the operating system says so.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        error: Unread,
    },
    /// It is no lock.
    #[error("not a lock of this mag: {0}: remove it and write it anew with `mag sender lock`")]
    Bad(String),
}

/// What was accepted, by sender; nothing where there is no lock.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, Locked>, LockError> {
    let path = folder.join(FILE);
    let text = match file::read(&path, source::FILE_BYTES) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_bytes| LockError::Bad("not UTF-8".to_owned()))?,
        Err(error) if error.is_missing() => return Ok(BTreeMap::new()),
        Err(error) => return Err(LockError::File { what: "read", path, error }),
    };
    parse(&text).map_err(LockError::Bad)
}

fn parse(text: &str) -> Result<BTreeMap<String, Locked>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().replace('\n', " "))?;
    if file.version != VERSION {
        return Err(format!("it has version {}, this mag knows {VERSION}", file.version));
    }
    let entry = |(name, Entry { sha256, version, origins }): (String, Entry)| {
        let Ok(sha256) = sha256.parse() else { return Err(format!("sha256 of {name} is no hash")) };
        Ok((name, Locked { sha256, version, origins }))
    };
    file.senders.into_iter().map(entry).collect()
}

/// The file's text. What JSON quotes TOML reads.
fn text(locked: &BTreeMap<String, Locked>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = format!("{HEAD}version = {VERSION}\n");
    for (name, Locked { sha256, version, origins }) in locked {
        let origins: Vec<String> = origins.iter().map(|origin| quoted(origin)).collect();
        lines.push_str(&format!(
            "\n[senders.{}]\nsha256 = \"{sha256}\"\nversion = {}\norigins = [{}]\n",
            quoted(name),
            quoted(version),
            origins.join(", ")
        ));
    }
    lines
}

impl Config {
    /// Where the lock is, if there is one.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(FILE)
    }

    /// Writes the lock beside the file; whoever reads it meanwhile sees the old one or the new one.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write_lock(&self, locked: &BTreeMap<String, Locked>) -> Result<PathBuf, LockError> {
        let path = self.lock_path();
        let beside = path.with_extension("lock.new");
        let written = std::fs::write(&beside, text(locked)).and_then(|()| std::fs::rename(&beside, &path));
        match written {
            Ok(()) => Ok(path),
            Err(error) => Err(LockError::File { what: "write", path, error: error.into() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_everything_else_is_refused_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = super::super::Source { file: Some(folder.path().join("mag.toml")), text: String::new() };
        let config = Config::load(&source, &|_| None).expect("a good config");
        assert_eq!(read(folder.path()).expect("no lock is no mistake"), BTreeMap::new());
        let locked = Locked {
            sha256: Sha256([7; 32]),
            version: "own \"1\"".to_owned(),
            origins: vec!["https://example.org".to_owned()],
        };
        let locked = BTreeMap::from([("a.b".to_owned(), locked)]);
        config.write_lock(&locked).expect("the folder can be written");
        assert_eq!(read(folder.path()).expect("a lock"), locked);
        for (text, said) in [
            ("version = 2\n", "it has version 2, this mag knows 1"),
            ("version = 1\nmore = 1\n", "unknown field `more`"),
            ("version = 1\n[senders.a]\nsha256 = \"x\"\nversion = \"\"\norigins = []\n", "sha256 of a is no hash"),
            ("]", "mag sender lock"),
        ] {
            std::fs::write(config.lock_path(), text).expect("the folder can be written");
            let error = read(folder.path()).expect_err(text).to_string();
            assert!(error.contains(said) && error.starts_with("not a lock of this mag"), "{error}");
        }
        let error = || read(folder.path()).expect_err("no lock").to_string();
        let sparse = std::fs::File::create(config.lock_path()).expect("the folder can be written");
        sparse.set_len(3 << 30).expect("a file with nothing in it");
        assert!(error().ends_with("mag.lock: longer than 1048576 bytes"), "{}", error());
        std::fs::remove_file(config.lock_path()).expect("it is there");
        file::tests::pipe(&config.lock_path());
        assert!(error().ends_with("mag.lock: it is a pipe, not a regular file"), "{}", error());
    }
}
