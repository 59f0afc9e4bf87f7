//! `conformance.toml`: what a plugin is tried with, and what its provider would answer. Read and checked; nothing is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::file::{self, Unread};
use crate::limits;

/// The file's name, beside a plugin or in a folder above it.
pub const FILE_NAME: &str = "conformance.toml";
/// How far above a component its file is looked for: it may lie in `target/wasm32-wasip2/release`.
const FOLDERS_ABOVE: usize = 4;

/// Everything that a run has to know of one plugin. Every part may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// `config` as in `[senders.NAME]`: one that the plugin accepts.
    pub config: serde_json::Map<String, Value>,
    /// Its secrets, made up.
    pub secrets: BTreeMap<String, String>,
    /// What the provider answers when all is well, the first that fits; else 200 with `{}`.
    pub answers: Vec<Scripted>,
    /// What the provider answers when a message is to be changed that is not there any more.
    pub gone: Option<Scripted>,
    /// At this provider nothing is ever gone: what is changed is shown, whatever became of it.
    pub never_gone: bool,
    /// Answers that only this provider gives, and what they mean.
    pub cases: Vec<Case>,
    /// Configs that the plugin must refuse, beyond those that follow from its schema.
    pub mistakes: Vec<Mistake>,
    /// Where this provider's documentation gives an answer another meaning than the contract recommends: by the case's name.
    pub expect: BTreeMap<String, String>,
    /// Texts that would act at this provider, mentions above all: no request may hold them as a message wrote them.
    pub never: Vec<String>,
    /// Characters that a field of a request's body may have, by its JSON pointer.
    pub most_chars: BTreeMap<String, usize>,
}

/// An answer, and the requests that it is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// Any method without it.
    pub method: Option<String>,
    /// Without query; `*` stands for any characters. Any path without it.
    pub path: Option<String>,
    /// 200 without it.
    #[serde(default = "ok")]
    pub status: u16,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text is sent as it is, anything else as JSON.
    #[serde(default)]
    pub body: Option<Value>,
}

/// An answer of this provider alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Shown in the table.
    pub name: String,
    /// The outcome in the table's words: `delivered`, `retry`, `retry, maybe delivered`, `rate-limited`, `permanent`,
    /// `misconfigured`; `rate-limited, after 7 s` where the answer says so.
    pub expect: String,
    /// What is answered, and to which requests; others get their usual answers.
    pub answer: Scripted,
}

/// A config that the plugin must refuse.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mistake {
    /// Keys that are set differently.
    pub config: serde_json::Map<String, Value>,
    /// Where the plugin must say that the mistake is.
    pub pointer: String,
}

fn ok() -> u16 {
    200
}

/// Why there is no script.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: Unread,
    },
    /// It does not say what it should.
    #[error("{place}: {message}")]
    Wrong {
        /// The file, or whose it is.
        place: String,
        /// Where in it and why.
        message: String,
    },
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no such script.
    pub fn read(path: &Path) -> Result<Self, ScriptError> {
        let bytes = file::read(path, limits::SCRIPT_BYTES);
        let bytes = bytes.map_err(|error| ScriptError::Read { path: path.to_owned(), error })?;
        let place = path.display().to_string();
        let text = String::from_utf8(bytes).map_err(|error| {
            let message = format!("it is no text: {}", error.utf8_error());
            ScriptError::Wrong { place: place.clone(), message }
        })?;
        Self::parse(&text, &place)
    }

    /// Reads a text; `place` says where it is from.
    ///
    /// # Errors
    ///
    /// When it is no such script.
    pub fn parse(text: &str, place: &str) -> Result<Self, ScriptError> {
        let wrong = |message: String| ScriptError::Wrong { place: place.to_owned(), message };
        let script: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let words = script.expect.values().chain(script.cases.iter().map(|case| &case.expect));
        match words.into_iter().find(|word| !super::answers::is_outcome(word)) {
            Some(word) => {
                Err(wrong(format!("`{word}` is no outcome; there are {}", super::answers::OUTCOMES.join(", "))))
            }
            None => Ok(script),
        }
    }

    /// The script beside a component, or in a folder above it; `None` where there is none.
    #[must_use]
    pub fn beside(component: &Path) -> Option<PathBuf> {
        let component = std::path::absolute(component).ok()?;
        let above = component.ancestors().skip(1).take(FOLDERS_ABOVE + 1).map(|folder| folder.join(FILE_NAME));
        above.into_iter().find(|path| path.is_file())
    }
}

impl Scripted {
    /// Whether it is for a request.
    pub(super) fn fits(&self, method: &str, path: &str) -> bool {
        let method_fits = self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        method_fits && self.path.as_deref().is_none_or(|wanted| is_like(path, wanted))
    }
}

/// Whether a text is like a pattern in which `*` stands for any characters.
fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FILE_NAME, Script, is_like};

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, fits) in
            [("/a/b", true), ("/a", false), ("/a/*", true), ("*b", true), ("/*/b", true), ("/*/c*", false)]
        {
            assert_eq!(is_like("/a/b", pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn a_script_says_what_it_does_not_understand_and_where() {
        let error = |text| Script::parse(text, "my.toml").unwrap_err().to_string();
        assert!(error("[expect]\n404 = \"later\"").starts_with("my.toml: `later` is no outcome; there are delivered"));
        let said = error("[confi]\n");
        assert!(said.contains("my.toml") && said.contains("line 1") && said.contains("confi"), "{said}");
    }

    #[test]
    fn a_script_is_a_regular_file_of_text() {
        let error = |path: &Path| Script::read(path).unwrap_err().to_string();
        assert_eq!(error(Path::new("/dev/zero")), "cannot read /dev/zero: it is a device, not a regular file");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, b"never = [\"\xff\"]").unwrap();
        assert!(
            error(&path).ends_with("it is no text: invalid utf-8 sequence of 1 bytes from index 10"),
            "{}",
            error(&path)
        );
    }

    #[test]
    fn a_script_is_found_in_a_folder_above_the_component() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("target/wasm32-wasip2/release");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(Script::beside(&deep.join("a.wasm")), None);
        let file = dir.path().join("conformance.toml");
        std::fs::write(&file, "never = []").unwrap();
        assert_eq!(Script::beside(&deep.join("a.wasm")), Some(file));
    }
}
