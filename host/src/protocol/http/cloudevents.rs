//! CloudEvents 1.0 over HTTP at `POST /api/v1/events`: binary, structured and batched, answered as mag's own messages are.
//!
//! A request or an element of a batch that is no event is refused by its number.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;

use super::{Head, Refusal, Take};
use crate::limits;
use crate::message::Severity;
use crate::protocol::json::{elements, members, text, words};
use crate::protocol::labels::Labels;
use crate::protocol::text::cut;
use crate::protocol::time::from_text;
use crate::protocol::{Extra, Identity, Parsed};

/// What the fields of a binary event begin with.
const FIELD: &str = "ce-";
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// One event. Attributes that mean something to mag have a place, all others are labels.
#[derive(Debug, Default)]
struct Event<'a> {
    version: Cow<'a, str>,
    id: Cow<'a, str>,
    source: Cow<'a, str>,
    kind: Cow<'a, str>,
    time: Cow<'a, str>,
    severity: Option<Severity>,
    labels: Labels<'a>,
    data: Data<'a>,
}

#[derive(Debug, Default)]
enum Data<'a> {
    #[default]
    None,
    Json(&'a str),
    Text(Cow<'a, [u8]>),
}

/// Reads an event, or a batch of them.
pub(super) fn read(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let kind = head.media_type();
    match kind.as_str() {
        STRUCTURED => {
            let event = structured(json(body)?)?;
            give(head, event, 0, take);
        }
        BATCH => {
            let mut index = 0;
            elements(json(body)?, |element: &RawValue| {
                match structured(element.get()) {
                    Ok(event) => give(head, event, index, take),
                    Err(refusal) => take.refuse(index, refusal.why),
                }
                index += 1;
            })
            .map_err(|error| Refusal::bad(format!("the body is no batch of CloudEvents: {error}")))?;
        }
        _ if head.headers.contains_key("ce-specversion") => give(head, binary(head, &kind, body), 0, take),
        other => {
            return Err(Refusal::unknown_kind(format!(
                "Content-Type {other:?} without a field ce-specversion is no CloudEvent: use {STRUCTURED}, {BATCH}, or fields \
                 that begin with ce-"
            )));
        }
    }
    Ok(())
}

fn json(body: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(body).map_err(|error| Refusal::bad(format!("the body is not UTF-8: {error}")))
}

/// An event whose attributes are header fields and whose data is the body.
fn binary<'a>(head: &Head<'a>, kind: &str, body: &'a [u8]) -> Event<'a> {
    let mut event = Event::default();
    for (name, value) in head.headers {
        let (Some(name), Ok(value)) = (name.as_str().strip_prefix(FIELD), value.to_str()) else { continue };
        event.put(Cow::Borrowed(name), percent_decode_str(value).decode_utf8_lossy());
    }
    event.data = match str::from_utf8(body) {
        _ if body.is_empty() => Data::None,
        Ok(json) if kind == "application/json" || kind.ends_with("+json") => Data::Json(json),
        _ => Data::Text(Cow::Borrowed(body)),
    };
    event
}

/// An event that is one JSON object.
fn structured(json: &str) -> Result<Event<'_>, Refusal> {
    let mut event = Event::default();
    members(json, |name, value| match name.as_ref() {
        "data" if value.get() == "null" => {}
        "data" => event.data = Data::Json(value.get()),
        "data_base64" => {
            if let Some(bytes) = text(value).and_then(|data| STANDARD.decode(data.as_bytes()).ok()) {
                event.data = Data::Text(Cow::Owned(bytes));
            }
        }
        _ => {
            if let Some(value) = words(value) {
                event.put(name, value);
            }
        }
    })
    .map_err(|error| Refusal::bad(format!("this is no CloudEvent in JSON: {error}")))?;
    Ok(event)
}

impl<'a> Event<'a> {
    fn put(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        match name.as_ref() {
            "specversion" => self.version = value,
            "id" => self.id = value,
            "source" => self.source = value,
            "time" => self.time = value,
            "datacontenttype" => {}
            "type" => {
                self.kind = value.clone();
                self.labels.add(name, value);
            }
            "severitytext" => match Severity::from_word(&value) {
                Some(severity) => self.severity = Some(severity),
                None => self.labels.add(name, value),
            },
            _ => self.labels.add(name, value),
        }
    }

    /// What is missing of what every event must have.
    fn mistake(&self) -> Option<String> {
        if !self.version.starts_with("1.") {
            return Some(format!("`specversion` must be \"1.0\", not {:?}", shown(&self.version)));
        }
        let needed = [("id", &self.id), ("source", &self.source), ("type", &self.kind)];
        let missing = needed.into_iter().find(|(_, value)| value.is_empty());
        missing.map(|(name, _)| format!("`{name}` is missing"))
    }
}

fn shown(word: &str) -> &str {
    word.get(..word.floor_char_boundary(64)).unwrap_or(word)
}

fn give(head: &Head<'_>, event: Event<'_>, index: u64, take: &mut dyn Take) {
    if let Some(why) = event.mistake() {
        take.refuse(index, why);
        return;
    }
    if event.id.len() > limits::ID_BYTES || event.source.len() > limits::WORD_BYTES {
        let (id, source) = (limits::ID_BYTES, limits::WORD_BYTES);
        take.refuse(index, format!("`id` may have {id} bytes and `source` {source}"));
        return;
    }
    let Said { text, severity } = said(&event.data, &event.kind);
    let (text, truncated) = cut(&text, head.text_bytes);
    let ignored_keys = event.labels.left_out();
    let extra = Extra { kind: None, source: Some(event.source), labels: event.labels.into_pairs() };
    take.message(Parsed {
        time: from_text(&event.time),
        ignored_keys,
        extra: Some(Box::new(extra)),
        identity: Some(Box::new(Identity { id: event.id, line: index })),
        ..Parsed::plain(text, event.severity.or(severity), truncated)
    });
}

struct Said<'a> {
    text: Cow<'a, [u8]>,
    severity: Option<Severity>,
}

/// Data in words: a string, the `message` or `text` of an object, else the JSON as it stands; without data the type.
fn said<'e>(data: &'e Data<'_>, kind: &'e str) -> Said<'e> {
    let plain = |text: Cow<'e, str>| match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let json = match data {
        Data::Json(json) => *json,
        Data::Text(text) if !text.is_empty() => return Said { text: Cow::Borrowed(text), severity: None },
        Data::Text(_) | Data::None => return Said { text: Cow::Borrowed(kind.as_bytes()), severity: None },
    };
    let (mut message, mut other, mut severity) = (None, None, None);
    let object = members(json, |name, value| match name.as_ref() {
        "message" => message = text(value),
        "text" => other = text(value),
        "severity" | "level" => severity = text(value).and_then(|word| Severity::from_word(&word)).or(severity),
        _ => {}
    });
    // A string is no object, and says what it is.
    let whole = || serde_json::from_str::<&RawValue>(json).ok().and_then(words).unwrap_or(Cow::Borrowed(json));
    let found = object.ok().and(message.or(other)).filter(|text| !text.is_empty());
    let text = found.unwrap_or_else(whole);
    let text = if text.is_empty() { Cow::Borrowed(kind) } else { text };
    Said { text: plain(text), severity }
}

#[cfg(test)]
mod tests;
