//! Quoting as Go's `%q` and `strconv.Quote` do it, which is not Rust's `{:?}`: classic replies are compared by clients
//! that were written against the Go service.

use std::fmt::Write as _;

/// `bytes` in double quotes; what is not printable or not UTF-8 is escaped the way Go does.
#[must_use]
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            push_hex(&mut out, "\\x", 2, u32::from(*byte));
        }
    }
    out.push('"');
    out
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{07}' => out.push_str("\\a"),
        '\u{08}' => out.push_str("\\b"),
        '\u{0C}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{0B}' => out.push_str("\\v"),
        c if c < ' ' || c == '\u{7F}' => push_hex(out, "\\x", 2, u32::from(c)),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x1_0000 => push_hex(out, "\\u", 4, u32::from(c)),
        c => push_hex(out, "\\U", 8, u32::from(c)),
    }
}

fn push_hex(out: &mut String, prefix: &str, width: usize, value: u32) {
    write!(out, "{prefix}{value:0width$x}").expect("writing into a string cannot fail");
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space, as Go's `unicode.IsPrint`.
///
/// The standard library escapes the complement of exactly these. Behind another character it leaves combining marks
/// alone, which are printable to Go as well.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let text = String::from_iter(['a', c]);
    text.escape_debug().nth(1) != Some('\\')
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[track_caller]
    fn check(input: &[u8], expect: &str) {
        assert_eq!(quote(input), expect);
    }

    #[test]
    fn quotes_as_go_does() {
        check(b"", r#""""#);
        check(b"HELLO world", r#""HELLO world""#);
        check(b"a\"b\\c'd", r#""a\"b\\c'd""#);
        check(b"\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#);
        check(b"\x00\x1b\x7f", r#""\x00\x1b\x7f""#);
        check("\u{a0}\u{200b}\u{feff}\u{2028}".as_bytes(), r#""\u00a0\u200b\ufeff\u2028""#);
        check("\u{e0001}\u{10ffff}".as_bytes(), r#""\U000e0001\U0010ffff""#);
        check("é ☺ 日本 😀".as_bytes(), "\"é ☺ 日本 😀\"");
        check("e\u{301}".as_bytes(), "\"e\u{301}\"");
        check("\u{fffd}".as_bytes(), "\"\u{fffd}\"");
        check(b"a\xffb\xe2\x82", r#""a\xffb\xe2\x82""#);
        check(b"\xed\xa0\x80", r#""\xed\xa0\x80""#);
    }

    #[test]
    fn the_backslash_and_quote_of_the_standard_library_do_not_confuse_it() {
        check("\u{85}\u{ad}".as_bytes(), r#""\u0085\u00ad""#);
    }
}
