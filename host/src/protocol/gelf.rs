//! GELF: one JSON object a message, ended by NUL on a stream, whole or in chunks in datagrams.
//!
//! Nobody who sends GELF reads an answer, so what is not taken is only counted.

use std::borrow::Cow;

use memchr::memchr;

use super::json::{members, text, words};
use super::labels::Labels;
use super::text::cut;
use super::time::from_number;
use super::{Extra, Last, Parsed, Step};
use crate::limits;
use crate::message::Severity;

mod datagram;

pub use datagram::{Came, Chunks};

/// What the names of additional fields begin with.
const ADDITIONAL: char = '_';

/// State between two reads of one connection.
#[derive(Debug)]
pub struct Decoder {
    text_bytes: usize,
    /// Bytes at the front of the next input that hold no NUL.
    scanned: usize,
    /// Inside a message that is too long and already refused.
    skipping: bool,
    /// What the message at hand says, where it does not stand so in its bytes.
    kept: String,
    /// A message that was not UTF-8, once it is.
    clean: String,
}

impl Decoder {
    /// A decoder that cuts texts at `text_bytes`.
    #[must_use]
    pub fn new(text_bytes: usize) -> Self {
        Self { text_bytes, scanned: 0, skipping: false, kept: String::new(), clean: String::new() }
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        // What the last step borrowed from here is used; an idle connection must not hold a large message.
        self.kept = String::new();
        self.clean = String::new();
        let known = self.scanned.min(input.len());
        let found = input.get(known..).and_then(|new| memchr(0, new)).map(|at| known + at);
        self.scanned = 0;
        match found {
            Some(at) if self.skipping => {
                self.skipping = false;
                (at + 1, Step::Nothing)
            }
            None if self.skipping => (input.len(), Step::NeedMore),
            Some(at) => (at + 1, self.read(input.get(..at).unwrap_or(input))),
            None if input.len() > limits::NDJSON_LINE_BYTES => {
                self.skipping = true;
                (input.len(), refused())
            }
            None => {
                self.scanned = input.len();
                (0, Step::NeedMore)
            }
        }
    }

    /// A last message without its NUL counts when it is a whole object: half of one never is.
    pub fn finish<'a>(&'a mut self, rest: &'a [u8]) -> Last<'a> {
        if self.skipping {
            return Last::Nothing;
        }
        self.read(rest).last()
    }

    fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Step<'a> {
        if bytes.trim_ascii().is_empty() {
            return Step::Nothing;
        }
        if bytes.len() > limits::NDJSON_LINE_BYTES {
            return refused();
        }
        match read(bytes, &mut self.clean, &mut self.kept, self.text_bytes) {
            Ok(message) => Step::Message(message),
            Err(_) => refused(),
        }
    }
}

/// Counted, and answered with nothing.
fn refused<'a>() -> Step<'a> {
    Step::Refused(String::new())
}

/// Reads one message.
///
/// # Errors
///
/// What is wrong with it, in one sentence.
pub fn read<'a>(
    bytes: &'a [u8],
    clean: &'a mut String,
    kept: &'a mut String,
    text_bytes: usize,
) -> Result<Parsed<'a>, String> {
    let (json, replaced) = match str::from_utf8(bytes) {
        Ok(json) => (json, false),
        Err(_) => {
            *clean = String::from_utf8_lossy(bytes).into_owned();
            (clean.as_str(), true)
        }
    };
    let said = said(json)?;
    let text = match said.text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => {
            *kept = text;
            kept.as_str()
        }
    };
    let (text, truncated) = cut(text.as_bytes(), text_bytes);
    let ignored_keys = said.labels.left_out();
    let extra = Extra { kind: None, labels: said.labels.into_pairs(), source: said.host };
    Ok(Parsed {
        time: said.time.and_then(from_number),
        replaced,
        ignored_keys,
        extra: (extra != Extra::default()).then(|| Box::new(extra)),
        ..Parsed::plain(text, said.severity, truncated)
    })
}

#[derive(Default)]
struct Said<'a> {
    text: Cow<'a, str>,
    host: Option<Cow<'a, str>>,
    severity: Option<Severity>,
    time: Option<f64>,
    labels: Labels<'a>,
}

fn said(json: &str) -> Result<Said<'_>, String> {
    let mut said = Said::default();
    let mut full = None;
    members(json, |name, value| match name.as_ref() {
        "version" => {}
        "short_message" => said.text = text(value).unwrap_or_default(),
        "full_message" => full = text(value),
        "host" => said.host = text(value).filter(|host| !host.is_empty() && host.len() <= limits::WORD_BYTES),
        "level" => said.severity = words(value).and_then(|level| severity(&level)),
        "timestamp" => said.time = words(value).and_then(|time| time.parse().ok()),
        _ => {
            if let Some(value) = words(value) {
                said.labels.add(bare(name), value);
            }
        }
    })
    .map_err(|error| format!("this is no GELF message: {error}"))?;
    match full {
        Some(full) if said.text.is_empty() => said.text = full,
        Some(full) if full != said.text => said.labels.add("full_message", full),
        _ => {}
    }
    if said.text.is_empty() { Err("`short_message` is missing".to_owned()) } else { Ok(said) }
}

/// The name of a field without the sign of additional ones.
fn bare(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.strip_prefix(ADDITIONAL).unwrap_or(name)),
        Cow::Owned(name) => Cow::Owned(name.strip_prefix(ADDITIONAL).map(str::to_owned).unwrap_or(name)),
    }
}

/// Syslog's levels.
fn severity(level: &str) -> Option<Severity> {
    Some(match level {
        "0" | "1" | "2" => Severity::Critical,
        "3" => Severity::Error,
        "4" => Severity::Warning,
        "5" => Severity::Notice,
        "6" => Severity::Info,
        "7" => Severity::Debug,
        word => return Severity::from_word(word),
    })
}
