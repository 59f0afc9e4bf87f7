//! Structured data of RFC 5424: `[id name="value" …]…`, elements one after the other.

use std::borrow::Cow;

use super::super::text::cut;
use crate::limits;

/// Parameters that become labels; the others of a message leave room for its own.
const PARAMS: usize = limits::LABELS - 8;

/// Elements that speak of the way of a message, not of what happened: how good the sender's clock is, how many
/// messages it sent. They would be different for equal messages.
const OF_THE_WAY: [&[u8]; 2] = [b"timeQuality", b"meta"];

/// One parameter, as it is written.
struct Param<'a> {
    id: &'a [u8],
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Param<'a> {
    /// Whether it says something about what happened.
    fn is_told(&self) -> bool {
        !OF_THE_WAY.contains(&self.id) && !self.name.is_empty()
    }

    /// The label, and whether its value is cut; `None` when it can be none.
    fn label(&self) -> Option<(Cow<'a, str>, Cow<'a, str>, bool)> {
        let name = format!("{}.{}", str::from_utf8(self.id).ok()?, str::from_utf8(self.name).ok()?);
        let (value, truncated) = cut(self.value, limits::LABEL_VALUE_BYTES);
        (name.len() <= limits::LABEL_NAME_BYTES).then(|| (Cow::Owned(name), unescape(value), truncated))
    }
}

/// Makes labels of the elements at the front. Says how many bytes they take, none where they break off, and whether any
/// label is cut or left out.
pub(super) fn labels<'a>(data: &'a [u8], labels: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>) -> (usize, bool) {
    let mut params = Vec::new();
    let mut left_out = false;
    let used = scan(data, |param| {
        if params.len() < PARAMS && param.is_told() {
            params.push(param);
        } else {
            left_out |= param.is_told();
        }
    });
    // What only looks like data is text.
    let Some(used) = used else { return (0, false) };
    for param in params {
        let label = param.label();
        left_out |= label.as_ref().is_none_or(|(_, _, truncated)| *truncated);
        labels.extend(label.map(|(name, value, _)| (name, value)));
    }
    (used, left_out)
}

/// How many bytes the elements at the front take; `None` when there is none, or when one breaks off.
fn scan<'a>(bytes: &'a [u8], mut each: impl FnMut(Param<'a>)) -> Option<usize> {
    let mut rest = bytes;
    while let [b'[', inside @ ..] = rest {
        rest = element(inside, &mut each)?;
    }
    Some(bytes.len() - rest.len()).filter(|used| *used > 0)
}

/// One element, after its bracket; gives what follows it.
fn element<'a>(bytes: &'a [u8], each: &mut impl FnMut(Param<'a>)) -> Option<&'a [u8]> {
    let end = bytes.iter().position(|byte| matches!(byte, b' ' | b']' | b'='))?;
    let (id, mut rest) = bytes.split_at_checked(end).filter(|(id, _)| !id.is_empty())?;
    loop {
        rest = rest.trim_ascii_start();
        if let [b']', after @ ..] = rest {
            return Some(after);
        }
        let end = rest.iter().position(|byte| matches!(byte, b' ' | b']' | b'=' | b'"'))?;
        let (name, after) = rest.split_at_checked(end)?;
        // Some write spaces before the quote.
        let after = after.strip_prefix(b"=")?.trim_ascii_start().strip_prefix(b"\"")?;
        let end = closing_quote(after)?;
        each(Param { id, name, value: after.get(..end)? });
        rest = after.get(end + 1..)?;
    }
}

/// Where a value ends; a backslash takes the next byte with it.
fn closing_quote(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// `\"`, `\\` and `\]` are what follows the backslash; any other backslash is itself.
fn unescape(value: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(value);
    if !text.contains('\\') {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|next| matches!(next, '"' | '\\' | ']'))).flatten();
        plain.push(escaped.unwrap_or(c));
    }
    Cow::Owned(plain)
}
