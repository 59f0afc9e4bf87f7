//! The members of one line, by what they mean to mag; the JSON is read here and nowhere else.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::value::{Name, Read, Value};

/// What a line said, before it is checked.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    pub(super) text: Option<Value<'a>>,
    pub(super) message: Option<Value<'a>>,
    pub(super) msg: Option<Value<'a>>,
    pub(super) severity: Option<Value<'a>>,
    pub(super) level: Option<Value<'a>>,
    pub(super) kind: Option<Value<'a>>,
    pub(super) labels: Option<Value<'a>>,
    pub(super) time: Option<Value<'a>>,
    pub(super) source: Option<Value<'a>>,
    pub(super) count: Option<Value<'a>>,
    pub(super) id: Option<Value<'a>>,
    pub(super) ack: Option<Value<'a>>,
    /// Members with any other name.
    pub(super) others: u64,
    /// All members.
    pub(super) members: u64,
}

impl<'a> Object<'a> {
    fn slot(&mut self, name: &str) -> Option<&mut Option<Value<'a>>> {
        Some(match name {
            "text" => &mut self.text,
            "message" => &mut self.message,
            "msg" => &mut self.msg,
            "severity" => &mut self.severity,
            "level" => &mut self.level,
            "kind" => &mut self.kind,
            "labels" => &mut self.labels,
            "time" => &mut self.time,
            "source" => &mut self.source,
            "count" => &mut self.count,
            "id" => &mut self.id,
            "ack" => &mut self.ack,
            _ => return None,
        })
    }
}

/// Reads a line; the error says what is wrong with it.
pub(super) fn read(line: &str) -> Result<Object<'_>, String> {
    if !line.trim_ascii_start().starts_with('{') {
        return Err(r#"a line must be a JSON object, such as {"text":"disk full"}"#.to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(line);
    let object = json.deserialize_map(Members).map_err(|error| explain(&error))?;
    json.end().map_err(|error| explain(&error))?;
    Ok(object)
}

/// The reason alone for what a line means; for broken JSON also where, as people count columns.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    if error.is_data() { reason.to_owned() } else { format!("not valid JSON: {reason} at column {}", error.column()) }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut object = Object::default();
        while let Some(name) = map.next_key_seed(Name)? {
            let value = map.next_value_seed(if name == "labels" { Read::object() } else { Read::member() })?;
            object.members += 1;
            match object.slot(&name) {
                None => object.others += 1,
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => return Err(Error::custom(format_args!("`{name}` is there twice"))),
            }
        }
        Ok(object)
    }
}
