//! One event: the text that people read, and what of the rest says where it happened.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Head, Refusal, Take, lenient, parse, word};
use crate::limits;
use crate::message::{Millis, Severity};
use crate::protocol::json::{Text, elements, members, words};
use crate::protocol::labels::Labels;
use crate::protocol::text::cut;
use crate::protocol::time::{from_number, from_text};
use crate::protocol::{Extra, Identity, Parsed};

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    event_id: Raw<'a>,
    #[serde(borrow)]
    timestamp: Raw<'a>,
    #[serde(borrow)]
    level: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    logentry: Raw<'a>,
    #[serde(borrow)]
    exception: Raw<'a>,
    #[serde(borrow)]
    tags: Raw<'a>,
    #[serde(borrow)]
    release: Raw<'a>,
    #[serde(borrow)]
    environment: Raw<'a>,
    #[serde(borrow)]
    server_name: Raw<'a>,
    #[serde(borrow)]
    logger: Raw<'a>,
    #[serde(borrow)]
    platform: Raw<'a>,
    #[serde(borrow)]
    transaction: Raw<'a>,
    #[serde(borrow)]
    dist: Raw<'a>,
}

#[derive(Deserialize)]
struct LogEntry<'a> {
    #[serde(borrow)]
    formatted: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

#[derive(Deserialize)]
struct Exception<'a> {
    #[serde(borrow, rename = "type")]
    class: Raw<'a>,
    #[serde(borrow)]
    value: Raw<'a>,
    #[serde(borrow)]
    stacktrace: Option<StackTrace<'a>>,
}

#[derive(Deserialize)]
struct StackTrace<'a> {
    #[serde(borrow)]
    frames: Raw<'a>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    function: Raw<'a>,
    #[serde(borrow)]
    filename: Raw<'a>,
    #[serde(borrow)]
    module: Raw<'a>,
    #[serde(borrow)]
    lineno: Raw<'a>,
    in_app: Option<bool>,
}

/// Reads an event; `id` is its envelope's, when it has none of its own.
pub(super) fn read(
    head: &Head<'_>,
    payload: &[u8],
    id: Option<&str>,
    index: u64,
    take: &mut dyn Take,
) -> Result<(), Refusal> {
    let event: Event<'_> = parse(payload, "the event")?;
    if word(event.kind).is_some_and(|kind| !matches!(kind.as_ref(), "event" | "error" | "default")) {
        take.skip();
        return Ok(());
    }
    let id = word(event.event_id).or(id.map(Cow::Borrowed)).filter(|id| id.len() <= limits::ID_BYTES);
    if let Some(id) = &id {
        take.name(id);
    }
    let exception = raised(event.exception);
    let failure = exception.as_ref().and_then(failure);
    let message = message(&event);
    let Some(text) = message.as_deref().or(failure.as_deref()) else {
        take.refuse(index, "the event has neither a message nor an exception".to_owned());
        return Ok(());
    };
    let (text, truncated) = cut(text.as_bytes(), head.text_bytes);
    let mut labels = Labels::default();
    // The text says it already when there is no message.
    let told = message.as_ref().and(failure.as_deref()).map(Cow::Borrowed);
    let named = [
        ("release", word(event.release)),
        ("environment", word(event.environment)),
        ("server_name", word(event.server_name)),
        ("logger", word(event.logger)),
        ("platform", word(event.platform)),
        ("transaction", word(event.transaction)),
        ("dist", word(event.dist)),
        ("culprit", exception.as_ref().and_then(culprit).map(Cow::Owned)),
        ("exception", told),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            labels.add(name, value);
        }
    }
    tags(event.tags, &mut labels);
    let source = word(event.server_name).filter(|name| name.len() <= limits::WORD_BYTES);
    let ignored_keys = labels.left_out();
    take.message(Parsed {
        time: time(event.timestamp),
        ignored_keys,
        extra: Some(Box::new(Extra { kind: None, source, labels: labels.into_pairs() })),
        identity: id.map(|id| Box::new(Identity { id, line: index })),
        ..Parsed::plain(text, Some(severity(event.level)), truncated)
    });
    Ok(())
}

/// What somebody wrote: with its parameters filled in, where the SDK did so.
fn message<'a>(event: &Event<'a>) -> Option<Cow<'a, str>> {
    [event.logentry, event.message].into_iter().find_map(|entry| match lenient::<LogEntry<'a>>(entry) {
        Some(entry) => word(entry.formatted).or_else(|| word(entry.message)),
        None => lenient::<Text<'a>>(entry).map(|Text(text)| text).filter(|text| !text.is_empty()),
    })
}

/// The exception that was raised: the last of those that led to each other.
fn raised(exceptions: Raw<'_>) -> Option<Exception<'_>> {
    let all = match exceptions? {
        list if list.get().starts_with('[') => list,
        object => lenient::<Values<'_>>(Some(object))?.values,
    };
    let mut last = None;
    elements(all.get(), |exception| last = Some(exception)).ok()?;
    lenient(last)
}

fn failure(exception: &Exception<'_>) -> Option<String> {
    let (class, value) = (word(exception.class), word(exception.value));
    match (class, value) {
        (Some(class), Some(value)) => Some(format!("{class}: {value}")),
        (one, other) => one.or(other).map(Cow::into_owned),
    }
}

/// The innermost frame of the program's own, else the innermost: `checkout (shop/cart.py:42)`.
fn culprit(exception: &Exception<'_>) -> Option<String> {
    let frames = exception.stacktrace.as_ref()?.frames?;
    let (mut innermost, mut own) = (None, None);
    elements(frames.get(), |frame| {
        innermost = Some(frame);
        let is_own = lenient::<Frame<'_>>(Some(frame)).is_some_and(|frame| frame.in_app == Some(true));
        own = if is_own { Some(frame) } else { own };
    })
    .ok()?;
    let frame: Frame<'_> = lenient(own.or(innermost))?;
    let file = word(frame.filename).or_else(|| word(frame.module));
    let line = word(frame.lineno).map(|line| format!(":{line}")).unwrap_or_default();
    match (word(frame.function), file) {
        (Some(function), Some(file)) => Some(format!("{function} ({file}{line})")),
        (Some(function), None) => Some(function.into_owned()),
        (None, file) => file.map(|file| format!("{file}{line}")),
    }
}

/// An object, or a list of pairs.
fn tags<'a>(tags: Raw<'a>, labels: &mut Labels<'a>) {
    let Some(tags) = tags else { return };
    let whole = members(tags.get(), |name, value| {
        if let Some(value) = words(value) {
            labels.add(name, value);
        }
    });
    if whole.is_err() {
        let pairs = elements(tags.get(), |pair| {
            if let Some((Text(name), Some(value))) = lenient::<(Text<'a>, Raw<'a>)>(Some(pair))
                && let Some(value) = words(value)
            {
                labels.add(name, value);
            }
        });
        // Tags of any other form are none.
        drop(pairs);
    }
}

/// An event that says nothing of it is an error.
fn severity(level: Raw<'_>) -> Severity {
    word(level).and_then(|level| Severity::from_word(&level)).unwrap_or(Severity::Error)
}

/// RFC 3339, which older SDKs write without a zone, or Unix time in seconds.
fn time(timestamp: Raw<'_>) -> Option<Millis> {
    let time = word(timestamp)?;
    time.parse().ok().and_then(from_number).or_else(|| from_text(&time)).or_else(|| from_text(&format!("{time}Z")))
}
