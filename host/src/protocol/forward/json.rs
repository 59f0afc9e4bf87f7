//! A value as JSON, for a person: what a record without a text says, and what of it is no single word.

use super::msgpack::{Head, head};
use crate::limits;

/// A container that is open, and how many values it still has; in a map names count too.
struct Open {
    left: usize,
    map: bool,
    first: bool,
}

/// Writes the value at the front, until about `most` bytes are written.
pub(super) fn write(bytes: &[u8], most: usize, out: &mut String) {
    let mut rest = bytes;
    let mut open: Vec<Open> = Vec::new();
    loop {
        while let Some(inner) = open.pop_if(|inner| inner.left == 0) {
            out.push(if inner.map { '}' } else { ']' });
        }
        // What is cut off reads as such.
        if out.len() > most || open.len() > limits::JSON_DEPTH {
            out.push('…');
            return;
        }
        let mut is_name = false;
        if let Some(inner) = open.last_mut() {
            is_name = inner.map && inner.left % 2 == 0;
            match (inner.map && !is_name, inner.first) {
                (true, _) => out.push(':'),
                (false, false) => out.push(','),
                (false, true) => {}
            }
            inner.first = false;
            inner.left -= 1;
        } else if rest.len() < bytes.len() {
            return;
        }
        let Ok(Some((head, used))) = head(rest) else { return };
        rest = rest.get(used..).unwrap_or_default();
        match head {
            Head::Array(left) => {
                out.push('[');
                open.push(Open { left, map: false, first: true });
            }
            Head::Map(pairs) => {
                out.push('{');
                open.push(Open { left: pairs.saturating_mul(2), map: true, first: true });
            }
            Head::Text(length) | Head::Bytes(length) | Head::Extension(_, length) => {
                let (inside, after) = rest.split_at_checked(length).unwrap_or((rest, b""));
                let text = if matches!(head, Head::Extension(..)) { b"" } else { inside };
                out.push_str(&serde_json::Value::from(String::from_utf8_lossy(text)).to_string());
                rest = after;
            }
            plain => word(plain, is_name, out),
        }
    }
}

fn word(head: Head, is_name: bool, out: &mut String) {
    let word = match head {
        Head::Bool(yes) => yes.to_string(),
        Head::Unsigned(number) => number.to_string(),
        Head::Signed(number) => number.to_string(),
        Head::Float(number) => serde_json::Value::from(number).to_string(),
        _ => "null".to_owned(),
    };
    // JSON's names are texts.
    let quote = if is_name { "\"" } else { "" };
    for part in [quote, &word, quote] {
        out.push_str(part);
    }
}
