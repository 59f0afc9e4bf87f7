//! One entry: a time and a record, and what of the record is text, severity and labels.

use std::borrow::Cow;

use super::super::labels::Labels;
use super::super::text::{cut, trim};
use super::super::{Extra, Parsed, Step};
use super::json;
use super::msgpack::{Head, Scan, head};
use crate::limits;
use crate::message::{Millis, Severity};

/// Keys whose value is the text; the first that is there.
const TEXTS: [&[u8]; 5] = [b"message", b"log", b"msg", b"text", b"MESSAGE"];
/// Keys whose value is the severity; the first that is there.
const SEVERITIES: [&[u8]; 2] = [b"severity", b"level"];
/// What keeps a severity that is none of mag's words.
const SEVERITY_LABEL: &str = "severity_text";
/// Keys that say once more when it was: they differ for equal messages.
const TIMES: [&[u8]; 3] = [b"time", b"timestamp", b"@timestamp"];
/// Maps inside a record that become labels of their own, `kubernetes.labels.app`; deeper ones are one label.
const DEPTH: usize = 4;
/// The label of the tag.
const TAG_LABEL: &str = "tag";
/// Fluentd's own type of a time.
const EVENT_TIME: i8 = 0;

/// When an entry happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time(Millis);

impl Time {
    /// Seconds, or seconds and nanoseconds; `None` for anything else.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (head, used) = head(value).ok()??;
        match head {
            Head::Unsigned(seconds) => seconds.checked_mul(1_000).map(Self),
            Head::Extension(EVENT_TIME, 8) => {
                let (seconds, nanos) = value.get(used..)?.split_first_chunk::<4>()?;
                let millis = u32::from_be_bytes(*nanos.first_chunk()?) / 1_000_000;
                Some(Self(u64::from(u32::from_be_bytes(*seconds)) * 1_000 + u64::from(millis)))
            }
            // Fluent Bit adds what it knows of an entry: `[time, {…}]`.
            Head::Array(1..) => {
                let value = value.get(used..)?;
                Self::read(value.get(..length(value)?)?)
            }
            _ => None,
        }
    }
}

/// How long the value at the front is.
fn length(bytes: &[u8]) -> Option<usize> {
    Scan::default().find(bytes).ok()?
}

/// The name of the chunk in its options.
pub(super) fn chunk(options: &[u8]) -> Option<&[u8]> {
    pairs(options)?.find_map(|(name, value)| (name == b"chunk").then(|| string(value)).flatten())
}

/// Reads `[time, record]`.
pub(super) fn read<'a>(value: &'a [u8], tag: &'a str, kept: &'a mut String, text_bytes: usize) -> Step<'a> {
    let parts = || {
        let (Head::Array(2..), used) = head(value).ok()?? else { return None };
        let rest = value.get(used..)?;
        rest.split_at_checked(length(rest)?)
    };
    match parts() {
        Some((time, rest)) => record(rest, Time::read(time), tag, kept, text_bytes),
        None => Step::Refused(String::new()),
    }
}

/// Reads a record.
pub(super) fn record<'a>(
    value: &'a [u8],
    time: Option<Time>,
    tag: &'a str,
    kept: &'a mut String,
    text_bytes: usize,
) -> Step<'a> {
    let Some(pairs) = pairs(value) else { return Step::Refused(String::new()) };
    let mut fields = Fields::default();
    fields.choose(pairs.clone());
    if !tag.is_empty() {
        fields.labels.add(TAG_LABEL, tag);
    }
    for (name, value) in pairs {
        fields.take(name, value);
    }
    let text = match fields.text {
        Some(text) => text,
        None => {
            kept.clear();
            json::write(value, text_bytes, kept);
            kept.as_bytes()
        }
    };
    let (text, truncated) = cut(trim(text), text_bytes);
    let ignored_keys = fields.labels.left_out();
    let extra = Extra { labels: fields.labels.into_pairs(), ..Extra::default() };
    Step::Message(Parsed {
        time: time.map(|Time(millis)| millis),
        ignored_keys,
        extra: (!extra.labels.is_empty()).then(|| Box::new(extra)),
        ..Parsed::plain(text, fields.severity, truncated)
    })
}

/// What of a record is what.
#[derive(Default)]
struct Fields<'a> {
    text: Option<&'a [u8]>,
    text_key: &'static [u8],
    severity: Option<Severity>,
    severity_key: &'static [u8],
    labels: Labels<'a>,
}

impl<'a> Fields<'a> {
    /// Finds out which keys are text and severity.
    fn choose(&mut self, pairs: Pairs<'a>) {
        let (mut text_rank, mut severity_rank) = (TEXTS.len(), SEVERITIES.len());
        for (name, value) in pairs {
            if let Some(rank) = TEXTS.iter().take(text_rank).position(|key| *key == name)
                && let Some(text) = string(value)
            {
                (self.text, text_rank) = (Some(text), rank);
                self.text_key = TEXTS.get(rank).copied().unwrap_or_default();
            }
            if let Some(rank) = SEVERITIES.iter().take(severity_rank).position(|key| *key == name)
                && let Some(word) = string(value)
            {
                severity_rank = rank;
                self.severity = str::from_utf8(word).ok().and_then(Severity::from_word);
                self.severity_key = SEVERITIES.get(rank).copied().unwrap_or_default();
            }
        }
    }

    /// Takes a pair of the record itself.
    fn take(&mut self, name: &'a [u8], value: &'a [u8]) {
        if self.text.is_some() && name == self.text_key || TIMES.contains(&name) {
            return;
        }
        if !self.severity_key.is_empty() && name == self.severity_key {
            if self.severity.is_none() {
                self.label(Cow::Borrowed(SEVERITY_LABEL), value);
            }
            return;
        }
        self.nested(String::from_utf8_lossy(name), value, 1);
    }

    fn nested(&mut self, name: Cow<'a, str>, value: &'a [u8], depth: usize) {
        match pairs(value).filter(|_| depth < DEPTH) {
            Some(inside) => {
                for (inner, value) in inside {
                    self.nested(Cow::Owned(format!("{name}.{}", String::from_utf8_lossy(inner))), value, depth + 1);
                }
            }
            None => self.label(name, value),
        }
    }

    fn label(&mut self, name: Cow<'a, str>, value: &'a [u8]) {
        let text = match string(value) {
            Some(bytes) => String::from_utf8_lossy(bytes),
            None if matches!(head(value), Ok(Some((Head::Nil, _)))) => return,
            None => {
                let mut text = String::new();
                json::write(value, limits::LABEL_VALUE_BYTES, &mut text);
                Cow::Owned(text)
            }
        };
        self.labels.add(name, text);
    }
}

/// The bytes of a text.
fn string(value: &[u8]) -> Option<&[u8]> {
    match head(value).ok()?? {
        (Head::Text(length) | Head::Bytes(length), start) => value.get(start..start.checked_add(length)?),
        _ => None,
    }
}

/// The pairs of a map whose names are texts.
#[derive(Clone)]
struct Pairs<'a> {
    rest: &'a [u8],
    left: usize,
}

fn pairs(value: &[u8]) -> Option<Pairs<'_>> {
    let (Head::Map(left), start) = head(value).ok()?? else { return None };
    Some(Pairs { rest: value.get(start..)?, left })
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (name, rest) = self.rest.split_at_checked(length(self.rest)?)?;
        let (value, rest) = rest.split_at_checked(length(rest)?)?;
        self.rest = rest;
        Some((string(name).unwrap_or_default(), value))
    }
}
