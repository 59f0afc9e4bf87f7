//! How commands show things on a terminal: times, columns, and texts of others that must not act.

use crate::admin::At;
use crate::clock::Clock;
use crate::message::acts;
pub(super) use crate::message::counted as count;

/// Columns of the narrowest usual terminal.
pub(super) const WIDTH: usize = 80;

/// One line of somebody else's text, at most so many characters.
pub(super) fn line(text: &str, at_most: usize) -> String {
    let clean = |c: char| match c {
        '\n' | '\t' => ' ',
        c if acts(c) => '\u{fffd}',
        c => c,
    };
    let text = text.trim();
    if text.chars().count() <= at_most {
        return text.chars().map(clean).collect();
    }
    text.chars().take(at_most.saturating_sub(1)).map(clean).chain(['…']).collect()
}

/// How long ago, in a word: `12s ago`.
pub(super) fn ago(at: At, clock: &Clock) -> String {
    format!("{} ago", span(clock.now().saturating_sub(at.0)))
}

/// How long, in one or two units: `3h 12m`.
pub(super) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, _) => format!("{m}m"),
        (0, h, m, _) => format!("{h}h {m}m"),
        (d, h, ..) => format!("{d}d {h}h"),
    }
}

/// A size: `1.2 MiB`.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_are_one_harmless_line() {
        assert_eq!(line(" a\nb\u{1b}[31m\u{202e} ", 80), "a b\u{fffd}[31m\u{fffd}");
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(line("abcd", 4), "abcd");
    }

    #[test]
    fn times_are_short() {
        for (millis, expect) in
            [(999, "0s"), (59_999, "59s"), (60_000, "1m"), (3_700_000, "1h 1m"), (90_000_000, "1d 1h")]
        {
            assert_eq!(span(millis), expect);
        }
        assert_eq!((count(1, "group"), count(0, "group")), ("1 group".to_owned(), "0 groups".to_owned()));
    }
}
