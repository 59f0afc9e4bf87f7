//! The date at the front of a message, in the many ways it is written.
//!
//! Only one with a zone becomes a time: the others would need the sender's zone, and most of them the year.

use jiff::Timestamp;

use crate::message::Millis;

/// Reads the date at the front, and what follows it.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Option<(Option<Millis>, &[u8])> {
    match common(bytes) {
        Some(rest) => Some((None, rest)),
        None => other(bytes),
    }
}

/// `Oct 11 22:14:15 `, the form of nearly all, in a few steps.
#[inline]
fn common(bytes: &[u8]) -> Option<&[u8]> {
    /// 1 where a digit stands, and the day may have a space for its first one.
    const DIGITS: u128 = u128::from_le_bytes([0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0]);
    const SPACE: u128 = 0x10 << (4 * 8);
    const SIGNS: u128 = u128::from_le_bytes([0, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255]);
    const SIGNS_ARE: u128 = SIGNS & u128::from_le_bytes(*b"   \x20  \x20  :  :  \x20");
    let date = u128::from_le_bytes(*bytes.first_chunk()?);
    let digits = (date | SPACE) & (DIGITS * 0xFF);
    let are_digits =
        digits & (DIGITS * 0xF0) == DIGITS * 0x30 && (digits + DIGITS * 6) & (DIGITS * 0xF0) == DIGITS * 0x30;
    // A year may follow.
    let ends = !matches!(bytes.get(16), Some(b'1' | b'2'));
    (are_digits && date & SIGNS == SIGNS_ARE && ends && is_month(bytes)).then(|| bytes.get(15..)).flatten()
}

fn is_month(bytes: &[u8]) -> bool {
    let Some([a, b, c]) = bytes.first_chunk() else { return false };
    matches!(
        &[a | 0x20, b | 0x20, c | 0x20],
        b"jan" | b"feb" | b"mar" | b"apr" | b"may" | b"jun" | b"jul" | b"aug" | b"sep" | b"oct" | b"nov" | b"dec"
    )
}

fn other(bytes: &[u8]) -> Option<(Option<Millis>, &[u8])> {
    match bytes.first()? {
        b'A'..=b'Z' | b'a'..=b'z' => plain(bytes).or_else(|| numbered(bytes)),
        b'0'..=b'9' => with_zone(bytes).or_else(|| numbered(bytes)),
        // A Cisco clock that is not in step.
        b'*' | b'.' => plain(bytes.get(1..)?),
        _ => None,
    }
}

/// The same with all that some write otherwise.
fn plain(bytes: &[u8]) -> Option<(Option<Millis>, &[u8])> {
    let rest = bytes.get(3..).filter(|_| is_month(bytes))?;
    // The day stands in two places or in one.
    let ([b' ', b' ' | b'0'..=b'9', b'0'..=b'9', b' ', rest @ ..] | [b' ', b'0'..=b'9', b' ', rest @ ..]) = rest else {
        return None;
    };
    let rest = year(rest).and_then(|rest| rest.strip_prefix(b" ")).unwrap_or(rest);
    let rest = fraction(clock(rest)?);
    let rest = rest.strip_prefix(b" ").and_then(year).unwrap_or(rest);
    Some((None, end(zone_word(rest))?))
}

/// A date ends with a space, a colon, or the message.
fn end(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] | [b' ', ..] => Some(rest),
        [b':', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Cisco's numbers and names before the date: `29: `, `29: switch: `.
fn numbered(bytes: &[u8]) -> Option<(Option<Millis>, &[u8])> {
    let mut rest = bytes;
    for _ in 0..2 {
        let at = rest.iter().take(64).position(|byte| matches!(byte, b':' | b' '))?;
        rest = rest.get(at..)?.strip_prefix(b": ")?;
        let unmarked = rest.strip_prefix(b"*").or_else(|| rest.strip_prefix(b".")).unwrap_or(rest);
        if let Some(found) = plain(unmarked) {
            return Some(found);
        }
    }
    None
}

/// ISO 8601, also with a space between date and time.
fn with_zone(bytes: &[u8]) -> Option<(Option<Millis>, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let (first, rest) = bytes.split_at_checked(end)?;
    if first.len() == 10 && is_date(first) {
        return Some((None, self::end(fraction(clock(rest.strip_prefix(b" ")?)?))?));
    }
    Some((iso(first.strip_suffix(b":").unwrap_or(first))?, rest))
}

/// A word of ISO 8601: `None` when it is none, `Some(None)` when it has no zone.
pub(super) fn iso(word: &[u8]) -> Option<Option<Millis>> {
    let is_iso = is_date(word) && word.get(10..)?.strip_prefix(b"T").and_then(clock).is_some();
    if !is_iso {
        return None;
    }
    let time = str::from_utf8(word).ok().and_then(|word| word.parse::<Timestamp>().ok());
    Some(time.and_then(|time| Millis::try_from(time.as_millisecond()).ok()))
}

fn is_date(word: &[u8]) -> bool {
    word.first_chunk::<10>().is_some_and(|date| {
        date.iter()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
    })
}

/// After `22:14:15`.
fn clock(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b'0'..=b'2', b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9', b':', b'0'..=b'6', b'0'..=b'9', rest @ ..] => {
            Some(rest)
        }
        _ => None,
    }
}

/// After `.123`, where it is there.
fn fraction(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b'.', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 { bytes } else { rest.get(digits..).unwrap_or_default() }
        }
        _ => bytes,
    }
}

/// After four digits of a year.
fn year(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [b'1', b'9', _, _, rest @ ..] | [b'2', b'0', _, _, rest @ ..] => {
            let ends = matches!(rest.first(), None | Some(b' ' | b':'));
            let digits = bytes.get(2..4)?.iter().all(u8::is_ascii_digit);
            (ends && digits).then_some(rest)
        }
        _ => None,
    }
}

/// After Cisco's word for the zone, which a colon ends: ` UTC:`.
fn zone_word(bytes: &[u8]) -> &[u8] {
    let Some(word) = bytes.strip_prefix(b" ") else { return bytes };
    let letters = word.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    match word.get(letters..) {
        Some(rest @ [b':', ..]) if (2..=5).contains(&letters) => rest,
        _ => bytes,
    }
}
