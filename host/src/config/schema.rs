//! `mag config schema`: the keys of `mag.toml` as a JSON Schema, for editors and for programs that write such files.
//!
//! One table says every key that the readers beside this file take. Tests hold the two against each other: the same keys,
//! the same types, and defaults that really are the defaults. A key of a later version is in neither.

use serde_json::{Map, Value, json};

mod keys;
#[cfg(test)]
mod tests;

use keys::SECTIONS;

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Any text.
    Text,
    /// Any text, or a section.
    TextOr(&'static str),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Truth,
    /// A whole number of so many or more.
    Count(u64),
    /// A time like `30s`.
    Duration,
    /// A size like `64KiB`.
    Size,
    /// A list of texts.
    Texts,
    /// A table of texts whose keys the operator chooses.
    TextTable,
    /// A table that somebody else checks.
    Free,
    /// A section.
    One(&'static str),
    /// A list of sections.
    Many(&'static str),
    /// Sections whose names the operator chooses.
    Named(&'static str),
}

/// One key.
#[derive(Clone, Copy, Debug)]
struct Key {
    name: &'static str,
    kind: Kind,
    /// As JSON; `None` where the file must say it, or where what is absent is nothing.
    default: Option<&'static str>,
    required: bool,
    about: &'static str,
}

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, default: None, required: false, about }
}

impl Key {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// A table of the file.
#[derive(Clone, Copy, Debug)]
struct Section {
    name: &'static str,
    keys: &'static [Key],
    /// Exactly one of these keys must be there, unless there are none.
    one_of: &'static [&'static str],
}

/// The JSON Schema (draft 2020-12) of `mag.toml`.
#[must_use]
pub fn schema() -> Value {
    let mut sections = SECTIONS.iter();
    let mut whole = sections.next().map(object).unwrap_or_default();
    let definitions: Map<String, Value> =
        sections.map(|section| (section.name.to_owned(), object(section).into())).collect();
    whole.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    whole.insert("title".to_owned(), format!("mag.toml of mag {}", env!("CARGO_PKG_VERSION")).into());
    whole.insert("$defs".to_owned(), definitions.into());
    whole.into()
}

fn object(section: &Section) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("type".to_owned(), "object".into());
    object
        .insert("properties".to_owned(), section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect());
    object.insert("additionalProperties".to_owned(), false.into());
    let required: Vec<&str> = section.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    if !required.is_empty() {
        object.insert("required".to_owned(), required.into());
    }
    if !section.one_of.is_empty() {
        let ways = section.one_of.iter().map(|key| json!({ "required": [key] })).collect();
        object.insert("oneOf".to_owned(), Value::Array(ways));
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = of(key.kind);
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), key.about.into());
        // The table is checked by a test: every default is JSON.
        let default = key.default.and_then(|default| serde_json::from_str::<Value>(default).ok());
        property.extend(default.map(|default| ("default".to_owned(), default)));
    }
    property
}

fn of(kind: Kind) -> Value {
    let section = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::TextOr(name) => json!({ "anyOf": [{ "type": "string" }, section(name)] }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Truth => json!({ "type": "boolean" }),
        Kind::Count(least) => json!({ "type": "integer", "minimum": least }),
        Kind::Duration => json!({ "type": "string", "examples": ["30s", "5m", "1h 30m"] }),
        Kind::Size => json!({ "type": "string", "examples": ["64KiB", "1 MB"] }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::TextTable => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Free => json!({ "type": "object" }),
        Kind::One(name) => section(name),
        Kind::Many(name) => json!({ "type": "array", "items": section(name) }),
        Kind::Named(name) => {
            json!({ "type": "object", "additionalProperties": section(name), "propertyNames": { "pattern": NAMES } })
        }
    }
}

/// About what `typed::is_name` takes, in the words that all dialects of regular expressions share.
const NAMES: &str = r"^[^\s/\[\]=,;:#]+$";
