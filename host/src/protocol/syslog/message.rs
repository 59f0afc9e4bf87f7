//! The front of a syslog message: its priority and its date. All else is left closed.
//!
//! A storm is equal messages with different dates: what stands behind the date is taken apart only once for all of them
//! ([`Envelope::open`]). Nothing is refused: what is no header is text. Never allocates.

use super::super::Parsed;
use super::super::text::is_blank;
use super::date;
use super::envelope::{Envelope, Shape, trim_start, word};
use crate::message::Millis;

/// The highest priority: facility 23, severity 7.
const HIGHEST_PRIORITY: u8 = 191;

/// Reads one whole message, without its frame.
#[must_use]
pub fn message(bytes: &[u8]) -> Parsed<'_> {
    let (envelope, time, rest) = front(bytes);
    Parsed { time, envelope: Some(envelope), ..Parsed::plain(rest, envelope.severity(), false) }
}

/// What is read of every message: when it was, and what stands behind its date.
#[inline]
pub(super) fn front(bytes: &[u8]) -> (Envelope, Option<Millis>, &[u8]) {
    let bytes = trim_end(bytes);
    let (priority, rest) = priority(bytes);
    let (shape, time, rest) = match ietf(rest) {
        Some((time, rest)) if priority.is_some() => (Shape::Ietf, time, rest),
        _ => {
            let rest = trim_start(rest);
            match date::read(rest) {
                Some((time, rest)) => (Shape::Dated, time, trim_start(rest)),
                None => (Shape::Undated, None, rest),
            }
        }
    };
    (Envelope { shape, priority }, time, rest)
}

/// The priority at the front, and what follows it; a number that is none is text.
fn priority(bytes: &[u8]) -> (Option<u8>, &[u8]) {
    let digits = match bytes {
        [b'<', _, b'>', ..] => bytes.get(1..2),
        [b'<', _, _, b'>', ..] => bytes.get(1..3),
        [b'<', _, _, _, b'>', ..] => bytes.get(1..4),
        _ => None,
    };
    let Some(digits) = digits else { return (None, bytes) };
    let number = digits.iter().try_fold(0_u8, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(digit)
    });
    match number.filter(|number| *number <= HIGHEST_PRIORITY) {
        Some(number) => (Some(number), bytes.get(digits.len() + 2..).unwrap_or_default()),
        None => (None, bytes),
    }
}

/// The time of RFC 5424, after its version, and what follows: `1 2003-10-11T22:14:15.003Z …`.
fn ietf(bytes: &[u8]) -> Option<(Option<Millis>, &[u8])> {
    let ([b'0'..=b'9', b' ', rest @ ..] | [b'0'..=b'9', b'0'..=b'9', b' ', rest @ ..]) = bytes else { return None };
    let (stamp, rest) = word(rest);
    let time = if stamp == b"-" { None } else { date::iso(stamp)? };
    Some((time, trim_start(rest)))
}

/// Without blanks and NULs at the end.
fn trim_end(bytes: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| is_blank(*byte) || *byte == 0;
    match bytes {
        [.., last] if is_end(last) => {
            let end = bytes.iter().rposition(|byte| !is_end(byte)).map_or(0, |at| at + 1);
            bytes.get(..end).unwrap_or(bytes)
        }
        _ => bytes,
    }
}
