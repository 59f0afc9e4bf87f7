//! NDJSON: one object a line, with acks for whoever asks.
//!
//! A line is taken whole or refused whole with a reason; a refused one never ends the connection.

use std::borrow::Cow;

use memchr::memchr;

use super::text::cut;
use super::{Extra, Form, Identity, Last, Parsed, Raw, Raws, Step};
use crate::limits;

mod fields;
mod object;
mod time;
mod value;

use fields::{Fields, Line};

/// State between two reads of one connection.
#[derive(Debug)]
pub struct Decoder {
    text_bytes: usize,
    /// Lines begun so far: the number of the one at hand, counted from 1.
    line: u64,
    /// Bytes at the front of the next input that hold no LF.
    scanned: usize,
    /// Inside a line that is too long and already answered.
    skipping: bool,
    /// A text with escapes, once it has none.
    text: String,
    /// A line that was not UTF-8, once it is.
    clean: String,
}

impl Decoder {
    /// A decoder that cuts texts at `text_bytes`.
    #[must_use]
    pub fn new(text_bytes: usize) -> Self {
        Self { text_bytes, line: 0, scanned: 0, skipping: false, text: String::new(), clean: String::new() }
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        // What the last step borrowed from here is used; an idle connection must not hold a large line.
        self.text = String::new();
        self.clean = String::new();
        let known = self.scanned.min(input.len());
        let found = input.get(known..).and_then(|new| memchr(b'\n', new)).map(|at| known + at);
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
                (input.len(), self.read(input))
            }
            None => {
                self.scanned = input.len();
                (0, Step::NeedMore)
            }
        }
    }

    /// Whole lines, at the front.
    #[inline]
    pub fn raws<'a>(&self, input: &'a [u8], raws: &mut Raws<'a>) {
        if !self.skipping {
            raws.fill(input, self.scanned, raw);
        }
    }

    /// So many lines are taken.
    #[inline]
    pub fn pass(&mut self, lines: usize) {
        self.scanned = 0;
        self.line = self.line.saturating_add(lines as u64);
    }

    /// A last line without its LF counts when it is a whole object: half of one never is.
    pub fn finish<'a>(&'a mut self, rest: &'a [u8]) -> Last<'a> {
        if self.skipping {
            return Last::Nothing;
        }
        self.read(rest).last()
    }

    fn read<'a>(&'a mut self, line: &'a [u8]) -> Step<'a> {
        let line_number = self.line.saturating_add(1);
        self.line = line_number;
        if line.len() > limits::NDJSON_LINE_BYTES {
            return refusal(&format!("the line is longer than {} bytes", limits::NDJSON_LINE_BYTES), line_number);
        }
        let (line, replaced) = match str::from_utf8(line) {
            Ok(line) => (line, false),
            Err(_) => {
                self.clean = String::from_utf8_lossy(line).into_owned();
                (self.clean.as_str(), true)
            }
        };
        if line.trim_ascii().is_empty() {
            return Step::Nothing;
        }
        match fields::read(line) {
            Ok(Line::Ack) => Step::AckWanted,
            Ok(Line::Message(fields)) => {
                let mut message = parsed(fields, &mut self.text, self.text_bytes, replaced);
                if let Some(identity) = &mut message.identity {
                    identity.line = line_number;
                }
                Step::Message(message)
            }
            Err(error) => refusal(&error, line_number),
        }
    }
}

/// A whole line, at the front; so many bytes hold no LF.
#[inline]
fn raw(input: &[u8], scanned: usize) -> Option<Raw<'_>> {
    let at = scanned + memchr(b'\n', input.get(scanned..)?)?;
    Some(Raw { bytes: input.get(..at)?, form: Form::Line, time: None, used: at + 1 })
}

/// Reads one object that stands by itself, such as an element of an array; `Ok(None)` for a wish for acks.
///
/// # Errors
///
/// What is wrong with it, in one sentence.
pub fn object<'a>(
    object: &'a str,
    number: u64,
    kept: &'a mut String,
    text_bytes: usize,
) -> Result<Option<Parsed<'a>>, String> {
    let Line::Message(fields) = fields::read(object)? else { return Ok(None) };
    let mut message = parsed(fields, kept, text_bytes, false);
    if let Some(identity) = &mut message.identity {
        identity.line = number;
    }
    Ok(Some(message))
}

fn parsed<'a>(fields: Fields<'a>, kept: &'a mut String, text_bytes: usize, replaced: bool) -> Parsed<'a> {
    let text = match fields.text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => {
            *kept = text;
            kept.as_str()
        }
    };
    let (text, truncated) = cut(text.as_bytes(), text_bytes);
    let extra = Extra { kind: fields.kind, labels: fields.labels, source: fields.source };
    Parsed {
        text,
        severity: fields.severity,
        truncated,
        replaced,
        count: fields.count,
        time: fields.time,
        ignored_keys: fields.ignored,
        extra: (extra != Extra::default()).then(|| Box::new(extra)),
        envelope: None,
        identity: fields.id.map(|id| Box::new(Identity { id, line: 0 })),
    }
}

/// The answer to a line that is not taken.
fn refusal<'a>(error: &str, line: u64) -> Step<'a> {
    Step::Refused(format!("{}\n", serde_json::json!({ "error": error, "line": line })))
}
