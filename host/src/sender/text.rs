//! Makes text from outside harmless before it reaches a log, a terminal or a person. Pure.

use crate::message::acts;

/// What stands where a character was taken out.
const REPLACEMENT: char = '\u{fffd}';

/// One line: everything that acts is replaced, line ends become spaces, and what is longer than `max_chars` is cut.
pub(super) fn line(text: &str, max_chars: usize) -> String {
    let clean = |c: char| match c {
        '\n' | '\t' => ' ',
        c if acts(c) => REPLACEMENT,
        c => c,
    };
    let mut out: String = text.trim().chars().take(max_chars).map(clean).collect();
    if text.trim().chars().nth(max_chars).is_some() {
        out.push('…');
    }
    out
}

/// Lines for a terminal: line ends, tabs and colours (SGR sequences) pass, everything else that acts is replaced.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        let sequence = sgr_len(rest);
        if let Some((passed, after)) = rest.split_at_checked(sequence).filter(|_| sequence > 0) {
            out.push_str(passed);
            rest = after;
            continue;
        }
        out.push(if acts(c) && c != '\n' && c != '\t' { REPLACEMENT } else { c });
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

/// Length of the SGR sequence (`ESC [ digits and semicolons m`) that the text begins with; 0 without one.
fn sgr_len(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    let len = parameters.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    if parameters.as_bytes().get(len) == Some(&b'm') { len + 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{line, printable};

    #[test]
    fn colours_pass_and_everything_else_that_acts_is_replaced() {
        for (input, expect) in [
            ("plain\n\ttext", "plain\n\ttext"),
            ("\u{1b}[1;31mred\u{1b}[0m \u{1b}[m", "\u{1b}[1;31mred\u{1b}[0m \u{1b}[m"),
            ("\u{1b}[2J", "\u{fffd}[2J"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("\u{1b}[31", "\u{fffd}[31"),
            ("\u{1b}", "\u{fffd}"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("a\rb\u{8}\u{7f}\u{0}", "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}"),
            ("\u{202e}abc\u{2069}\u{61c}\u{200f}", "\u{fffd}abc\u{fffd}\u{fffd}\u{fffd}"),
            ("a\u{200b}b\u{feff}\u{2028}", "a\u{fffd}b\u{fffd}\u{fffd}"),
            ("grün 東京 🎉", "grün 東京 🎉"),
        ] {
            assert_eq!(printable(input.as_bytes()), expect, "{input:?}");
        }
        assert_eq!(printable(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn a_line_is_one_line_and_not_longer_than_allowed() {
        assert_eq!(line(" two\nlines\u{1b}[31m\r ", 100), "two lines\u{fffd}[31m");
        assert_eq!(line("äöüß", 3), "äöü…");
        assert_eq!(line("äöü", 3), "äöü");
    }
}
