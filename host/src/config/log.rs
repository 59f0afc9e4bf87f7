//! `[log]`: how mag speaks about itself.

use tracing::Level;

use super::Log;
use super::report::did_you_mean;
use super::typed::{Section, Value};

/// The words for levels, the least talkative first.
const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// What `[log]` says.
pub(super) fn read(root: &mut Section<'_>) -> Log {
    let default = Log { json: false, level: Level::INFO };
    let Some(value) = root.take("log") else { return default };
    let read = value.section("[log]", |section| {
        let json = section.take("format").and_then(|value| {
            choice(&value, &["text", "json"], |word| match word {
                "text" => Some(false),
                "json" => Some(true),
                _ => None,
            })
        });
        let level = section.take("level").and_then(|value| choice(&value, &LEVELS.map(|(word, _)| word), level));
        Log { json: json.unwrap_or(default.json), level: level.unwrap_or(default.level) }
    });
    read.unwrap_or(default)
}

/// The level that is called `word`.
pub(super) fn level(word: &str) -> Option<Level> {
    LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// One of a few words.
pub(super) fn choice<T>(value: &Value<'_>, words: &[&str], read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let word = value.string(&format!("one of {}", words.join(", ")))?;
    let found = read(word);
    if found.is_none() {
        value.wrong(format!("`{}`: unknown word {word:?}{}", value.name, did_you_mean(word, words)));
    }
    found
}
