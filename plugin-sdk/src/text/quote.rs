//! Quoting exactly as Go's `strconv.Quote` does, which is not Rust's `{:?}`. Pure.

use std::fmt::Write;

use super::printable::is_printable;

/// The text in double quotes, everything escaped that Go does not call printable: `\x00`, `\u200b`, `\U000e0001`.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => escape(&mut out, u32::from(c)),
        }
    }
    out.push('"');
    out
}

/// The character, escaped if Go does not call it printable.
pub(super) fn push_shown(out: &mut String, c: char) {
    if is_printable(c) { out.push(c) } else { escape(out, u32::from(c)) }
}

fn escape(out: &mut String, code: u32) {
    let written = match code {
        0..=0x1f | 0x7f => write!(out, "\\x{code:02x}"),
        0..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}
