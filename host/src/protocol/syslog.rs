//! Syslog over a stream, RFC 3164 and RFC 5424: finds where each message ends, by its octet count or by its line end,
//! frame by frame (RFC 6587).
//!
//! Never holds more of a frame than [`limits::SYSLOG_FRAME_BYTES`]; of a longer one the beginning is the message.

use memchr::memchr2;

use super::{Form, Last, Parsed, Raw, Raws, Step};
use crate::limits;

mod data;
mod date;
mod envelope;
mod message;

pub use envelope::{Envelope, Opened};
pub use message::message;

/// Digits of an octet count.
const COUNT_DIGITS: usize = 9;

/// State between two reads of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes at the front of the next input that hold no line end.
    scanned: usize,
    skips: Skips,
}

/// What goes by of a frame whose beginning was too long already.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Skips {
    #[default]
    Nothing,
    Octets(usize),
    Line,
}

/// What the digits at the front of a frame are.
enum Count {
    /// A frame of so many octets, which begins after the digits and their space.
    Octets { start: usize, octets: usize },
    /// More bytes are needed to tell.
    Unknown,
    /// The beginning of a line.
    Text,
}

impl Decoder {
    /// A decoder at the beginning of a frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        if self.skips != Skips::Nothing {
            return self.skip(input);
        }
        match input.first() {
            None => (0, Step::NeedMore),
            Some(b'\n' | b'\r' | 0) => (1, Step::Nothing),
            Some(b'0'..=b'9') => match count(input) {
                Count::Octets { start, octets } => self.octets(input, start, octets),
                Count::Unknown => (0, Step::NeedMore),
                Count::Text => self.line(input),
            },
            Some(_) => self.line(input),
        }
    }

    /// Whole messages, at the front.
    #[inline]
    pub fn raws<'a>(&self, input: &'a [u8], raws: &mut Raws<'a>) {
        if self.skips == Skips::Nothing {
            raws.fill(input, self.scanned, raw);
        }
    }

    /// Those messages are taken.
    #[inline]
    pub fn pass(&mut self) {
        self.scanned = 0;
    }

    /// A last line counts without its end; a counted frame that is not whole does not.
    pub fn finish<'a>(&self, rest: &'a [u8]) -> Last<'a> {
        if self.skips != Skips::Nothing || rest.is_empty() {
            return Last::Nothing;
        }
        match count(rest) {
            Count::Text => Last::Message(message(rest)),
            Count::Octets { .. } | Count::Unknown => Last::Partial,
        }
    }

    fn line<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        let known = self.scanned.min(input.len());
        let found = input.get(known..).and_then(|new| memchr2(b'\n', 0, new)).map(|at| known + at);
        self.scanned = 0;
        match found {
            Some(at) if at <= limits::SYSLOG_FRAME_BYTES => {
                let line = input.get(..at).unwrap_or(input);
                (at + 1, Step::Message(message(line)))
            }
            _ if input.len() > limits::SYSLOG_FRAME_BYTES => {
                self.skips = Skips::Line;
                (limits::SYSLOG_FRAME_BYTES, Self::beginning(input, 0))
            }
            _ => {
                self.scanned = input.len();
                (0, Step::NeedMore)
            }
        }
    }

    fn octets<'a>(&mut self, input: &'a [u8], start: usize, octets: usize) -> (usize, Step<'a>) {
        let taken = octets.min(limits::SYSLOG_FRAME_BYTES);
        let end = start + taken;
        let Some(frame) = input.get(start..end) else { return (0, Step::NeedMore) };
        if taken < octets {
            self.skips = Skips::Octets(octets - taken);
            return (end, Self::beginning(input, start));
        }
        (end, Step::Message(message(frame)))
    }

    /// The message of a frame that is too long.
    fn beginning<'a>(input: &'a [u8], start: usize) -> Step<'a> {
        let frame = input.get(start..start + limits::SYSLOG_FRAME_BYTES).unwrap_or(input);
        Step::Message(Parsed { truncated: true, ..message(frame) })
    }

    fn skip<'a>(&mut self, input: &[u8]) -> (usize, Step<'a>) {
        let used = match self.skips {
            Skips::Octets(left) if left > input.len() => {
                self.skips = Skips::Octets(left - input.len());
                return (input.len(), Step::NeedMore);
            }
            Skips::Octets(left) => left,
            Skips::Line => match memchr2(b'\n', 0, input) {
                Some(at) => at + 1,
                None => return (input.len(), Step::NeedMore),
            },
            Skips::Nothing => 0,
        };
        self.skips = Skips::Nothing;
        (used, Step::Nothing)
    }
}

/// A whole message, at the front; so many bytes hold no line end.
#[inline]
fn raw(input: &[u8], scanned: usize) -> Option<Raw<'_>> {
    let (start, end, used) = match input.first()? {
        b'<' => {
            let end = scanned + memchr2(b'\n', 0, input.get(scanned..)?)?;
            (0, end, end + 1)
        }
        b'0'..=b'9' => match count(input) {
            Count::Octets { start, octets } => (start, start + octets, start + octets),
            Count::Unknown | Count::Text => return None,
        },
        _ => return None,
    };
    let frame = input.get(start..end).filter(|frame| frame.len() <= limits::SYSLOG_FRAME_BYTES)?;
    let (envelope, time, bytes) = message::front(frame);
    Some(Raw { bytes, form: Form::Syslog(envelope), time, used })
}

/// Digits and a space are a count only where a message with a priority follows, so that a line may begin with a number.
fn count(input: &[u8]) -> Count {
    let digits = input.iter().take(COUNT_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > COUNT_DIGITS || input.first() == Some(&b'0') {
        return Count::Text;
    }
    match input.get(digits..digits + 2) {
        Some(b" <") => {
            let number = input.get(..digits).unwrap_or_default();
            let octets = number.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            Count::Octets { start: digits + 1, octets }
        }
        Some(_) => Count::Text,
        None if matches!(input.get(digits), None | Some(b' ')) => Count::Unknown,
        None => Count::Text,
    }
}
