//! The Go service's protocol: a command line, then its payload, again and again.
//!
//! Never holds more of a line than the text limit, however long the line is.

use memchr::memchr;

use super::go_quote::quote;
use super::text::{cut, is_blank, trim, trim_start};
use super::{Form, Last, Parsed, Raw, Raws, Step};
use crate::limits;
use crate::message::Severity;

/// What nearly every message begins with.
const COMMON: &[u8] = b"STRING\n";
/// Bytes kept beyond the limit, so that the cut can be made at a character.
const BEYOND_BYTES: usize = 4;

/// State between two reads of one connection.
#[derive(Debug)]
pub struct Decoder {
    text_bytes: usize,
    expects: Expects,
    /// Bytes at the front of the next input that hold no LF, so that a trickled line is not searched again and again.
    scanned: usize,
    /// The beginning of a text that is longer than the limit, while its rest goes by.
    head: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Expects {
    Command,
    Text(Option<Severity>),
    /// The rest of a text of which `head` holds the beginning; `more` when that rest is not only blanks.
    Rest {
        severity: Option<Severity>,
        more: bool,
    },
    /// The last message was given out of `head`.
    Clear,
    Nothing,
}

impl Decoder {
    /// A decoder that cuts texts at `text_bytes`.
    #[must_use]
    pub fn new(text_bytes: usize) -> Self {
        Self { text_bytes, expects: Expects::Command, scanned: 0, head: Vec::new() }
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        // The common case in one go; whatever is not common is left to the state machine.
        if matches!(self.expects, Expects::Command)
            && let Some(raw) = raw(input, self.text_bytes)
        {
            self.pass();
            return (raw.used, Step::Message(Parsed::plain(raw.bytes, None, false)));
        }
        match self.expects {
            Expects::Command => self.command(input),
            Expects::Text(severity) => self.text(input, severity),
            Expects::Rest { severity, more } => self.rest(input, severity, more),
            Expects::Clear => {
                self.head = Vec::new();
                self.expects = Expects::Command;
                (0, Step::Nothing)
            }
            Expects::Nothing => (input.len(), Step::NeedMore),
        }
    }

    /// Whole messages that say nothing but their text, at the front.
    #[inline]
    pub fn raws<'a>(&self, input: &'a [u8], raws: &mut Raws<'a>) {
        if matches!(self.expects, Expects::Command) {
            raws.fill(input, 0, |input, _| raw(input, self.text_bytes));
        }
    }

    /// Those messages are taken.
    #[inline]
    pub fn pass(&mut self) {
        self.scanned = 0;
    }

    /// What the bytes come to that were left when the client stopped sending.
    pub fn finish(&mut self, rest: &[u8]) -> Last<'static> {
        match self.expects {
            Expects::Text(_) | Expects::Rest { .. } => Last::Partial,
            Expects::Command if !trim(rest).is_empty() => Last::Partial,
            Expects::Command | Expects::Clear | Expects::Nothing => Last::Nothing,
        }
    }

    fn command<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        let Some((line, used)) = self.line(input) else {
            return if input.len() > limits::COMMAND_BYTES { self.refuse(input) } else { (0, Step::NeedMore) };
        };
        if line.len() > limits::COMMAND_BYTES {
            return self.refuse(input);
        }
        self.expects = match trim(line) {
            b"STRING" => Expects::Text(None),
            b"ERROR" => Expects::Text(Some(Severity::Error)),
            _ => return self.refuse(line),
        };
        (used, Step::Nothing)
    }

    fn refuse<'a>(&mut self, line: &[u8]) -> (usize, Step<'a>) {
        self.expects = Expects::Nothing;
        let command = trim(line.get(..limits::COMMAND_BYTES).unwrap_or(line));
        (line.len(), Step::Close(format!("Command {} is not registered.\n\n", quote(command))))
    }

    fn text<'a>(&mut self, input: &'a [u8], severity: Option<Severity>) -> (usize, Step<'a>) {
        if let Some((line, used)) = self.line(input) {
            self.expects = Expects::Command;
            let (text, truncated) = cut(trim(line), self.text_bytes);
            return (used, Step::Message(Parsed::plain(text, severity, truncated)));
        }
        let full = self.text_bytes + BEYOND_BYTES;
        let text = trim_start(input);
        if let Some((head, rest)) = text.split_at_checked(full) {
            self.head = head.to_vec();
            self.scanned = 0;
            self.expects = Expects::Rest { severity, more: !trim(rest).is_empty() };
            return (input.len(), Step::NeedMore);
        }
        let blanks = input.len() - text.len();
        self.scanned = text.len();
        (blanks, Step::NeedMore)
    }

    fn rest<'a>(&'a mut self, input: &'a [u8], severity: Option<Severity>, more: bool) -> (usize, Step<'a>) {
        let end = memchr(b'\n', input);
        let line = end.and_then(|at| input.get(..at)).unwrap_or(input);
        let more = more || line.iter().any(|byte| !is_blank(*byte));
        let Some(at) = end else {
            self.expects = Expects::Rest { severity, more };
            return (input.len(), Step::NeedMore);
        };
        self.expects = Expects::Clear;
        let (text, truncated) = cut(if more { &self.head } else { trim(&self.head) }, self.text_bytes);
        (at + 1, Step::Message(Parsed::plain(text, severity, truncated)))
    }

    /// The line at the front without its LF, and how many bytes it takes with it.
    fn line<'a>(&mut self, input: &'a [u8]) -> Option<(&'a [u8], usize)> {
        let known = self.scanned.min(input.len());
        let found = input.get(known..).and_then(|new| memchr(b'\n', new));
        self.scanned = if found.is_some() { 0 } else { input.len() };
        let at = known + found?;
        Some((input.get(..at)?, at + 1))
    }
}

/// A whole message that says nothing but its text, at the front.
#[inline]
fn raw(input: &[u8], text_bytes: usize) -> Option<Raw<'_>> {
    let rest = input.strip_prefix(COMMON)?;
    let at = memchr(b'\n', rest).filter(|at| *at <= text_bytes)?;
    Some(Raw { bytes: trim(rest.get(..at)?), form: Form::Text, time: None, used: COMMON.len() + at + 1 })
}
