//! Finds a value in a text that repeats it in any of the usual escapings: of JSON, of URLs, of HTML, and mixtures. Pure.
//!
//! It reads the text as it searches, so that no list of spellings has to be whole: which characters an encoder escapes,
//! and how, differs between languages. It must stay linear: who writes the text may want it not to be.

/// Readings of one text that are tried beside the first: a text is ambiguous only where a value holds `\`, `%`, `&` or `+`.
const READINGS: usize = 64;
/// Backslashes before one escaped character: JSON inside JSON doubles them.
const BACKSLASHES: usize = 8;
/// One backslash in JSON inside JSON; in JSON alone they are two.
const FOUR: &[u8] = br"\\\\";
/// `&#x0001F600;`
const ENTITY_BYTES: usize = 12;

/// Whether a text begins with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It does not.
    No,
    /// What there is of the text does not say it.
    Unfinished,
    /// It does, in so many bytes.
    In(usize),
}

/// Whether a text that begins with this byte can begin with the value.
pub(super) fn may_begin(value: &[u8], byte: u8) -> bool {
    value.first() == Some(&byte) || matches!(byte, b'\\' | b'%' | b'&' | b'+')
}

/// Whether `text` begins with `value`, in whatever escapes.
pub(super) fn seen(value: &[u8], text: &[u8]) -> Seen {
    let (mut next, mut later, mut more, mut is_cut) = (Some((0, 0)), Vec::new(), READINGS, false);
    while let Some((done, at)) = next.take().or_else(|| later.pop()) {
        let (left, rest) = (value.get(done..).unwrap_or_default(), text.get(at..).unwrap_or_default());
        let Some(wanted) = left.first() else { return Seen::In(at) };
        let Some(found) = rest.first() else {
            is_cut = true;
            continue;
        };
        match escape(rest, *wanted) {
            Escape::Of(character, len) => {
                let mut bytes = [0; 4];
                let decoded = character.encode_utf8(&mut bytes).as_bytes();
                next = left.starts_with(decoded).then(|| (done + decoded.len(), at + len));
            }
            Escape::Byte(byte, len) => next = (byte == *wanted).then_some((done + 1, at + len)),
            Escape::Cut => is_cut = true,
            Escape::None => {}
        }
        let others = [(found == wanted).then_some(1), (*wanted == b'\\' && rest.starts_with(FOUR)).then_some(2)];
        for len in others.into_iter().flatten() {
            let other = (done + 1, at + len);
            if next.is_none() {
                next = Some(other);
            } else if more > 0 {
                more -= 1;
                later.push(other);
            }
        }
    }
    if is_cut { Seen::Unfinished } else { Seen::No }
}

/// What a text begins with, and in how many bytes.
enum Escape {
    None,
    /// The text ends within what may be one.
    Cut,
    Of(char, usize),
    /// Of a character that may have more bytes.
    Byte(u8, usize),
}

fn escape(text: &[u8], wanted: u8) -> Escape {
    match text.first() {
        // A value's own backslash is one of a pair; before anything else all of them are its escape.
        Some(b'\\') if wanted == b'\\' => match text.get(1) {
            Some(b'\\') if text.starts_with(FOUR) => Escape::Of('\\', FOUR.len()),
            Some(b'\\') => Escape::Of('\\', 2),
            Some(b'u') => backslashed(text),
            Some(_) => Escape::None,
            None => Escape::Cut,
        },
        Some(b'\\') => backslashed(text),
        Some(b'%') => match hex(text.get(1..).unwrap_or_default(), 2) {
            Hex::Of(byte) => u8::try_from(byte).map_or(Escape::None, |byte| Escape::Byte(byte, 3)),
            Hex::Cut => Escape::Cut,
            Hex::None => Escape::None,
        },
        Some(b'&') => entity(text),
        Some(b'+') => Escape::Of(' ', 1),
        _ => Escape::None,
    }
}

/// How many backslashes there are at the beginning.
fn backslashes(text: &[u8]) -> usize {
    text.iter().take(BACKSLASHES).take_while(|byte| **byte == b'\\').count()
}

fn backslashed(text: &[u8]) -> Escape {
    let run = backslashes(text);
    let character = match text.get(run) {
        None => return Escape::Cut,
        Some(b'u') => return unicode(text, run + 1),
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(byte @ (b'"' | b'\'' | b'/')) => char::from(*byte),
        Some(_) => return Escape::None,
    };
    Escape::Of(character, run + 1)
}

/// `\u00e4`, or two of them for a character beyond the first 65,536; the digits begin at `at`.
fn unicode(text: &[u8], at: usize) -> Escape {
    let rest = |at: usize| text.get(at..).unwrap_or_default();
    let first = match hex(rest(at), 4) {
        Hex::Of(first) => first,
        Hex::Cut => return Escape::Cut,
        Hex::None => return Escape::None,
    };
    if let Some(character) = char::from_u32(first) {
        return Escape::Of(character, at + 4);
    }
    let at = at + 4 + backslashes(rest(at + 4));
    match rest(at).first() {
        None => return Escape::Cut,
        Some(b'u') => {}
        Some(_) => return Escape::None,
    }
    let second = match hex(rest(at + 1), 4) {
        Hex::Of(second) => second,
        Hex::Cut => return Escape::Cut,
        Hex::None => return Escape::None,
    };
    let both = (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second);
    let code = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
    char::from_u32(code).filter(|_| both).map_or(Escape::None, |character| Escape::Of(character, at + 5))
}

enum Hex {
    None,
    Cut,
    Of(u32),
}

/// The number that so many digits at the beginning are.
fn hex(text: &[u8], digits: usize) -> Hex {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    match text.get(..digits) {
        Some(all) => {
            let number = all.iter().try_fold(0, |number, byte| Some(number * 16 + digit(byte)?));
            number.map_or(Hex::None, Hex::Of)
        }
        None if text.iter().all(|byte| digit(byte).is_some()) => Hex::Cut,
        None => Hex::None,
    }
}

/// `&amp;`, `&#38;`, `&#x26;`; of the named ones those that encoders write.
fn entity(text: &[u8]) -> Escape {
    let within = text.get(..text.len().min(ENTITY_BYTES)).unwrap_or_default();
    let Some(end) = within.iter().position(|byte| *byte == b';') else {
        let may_go_on = within.iter().skip(1).all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#');
        return if may_go_on && within.len() < ENTITY_BYTES { Escape::Cut } else { Escape::None };
    };
    let Some(Ok(name)) = within.get(1..end).map(std::str::from_utf8) else { return Escape::None };
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#') {
            Some(digits) if digits.starts_with(['x', 'X']) => number(digits.get(1..).unwrap_or_default(), 16),
            Some(digits) => number(digits, 10),
            None => None,
        },
    };
    character.map_or(Escape::None, |character| Escape::Of(character, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, text: &str, expect: Seen) {
        assert_eq!(seen(value.as_bytes(), text.as_bytes()), expect, "{value} in {text}");
    }

    #[test]
    fn a_value_is_seen_however_its_characters_are_written() {
        for text in [
            "a/b&c<d'\"Ä😀 e",
            r#"a\/b\u0026c\u003cd\u0027\"\u00c4\uD83D\ude00 e"#,
            "a%2Fb%26c%3cd%27%22%C3%84%f0%9f%98%80+e",
            "a&#47;b&amp;c&lt;d&#039;&quot;&#xC4;&#128512;&#x20;e",
            r#"a\\\/b\\u0026c<d'\\\"\\u00c4\\ud83d\\ude00 e"#,
        ] {
            check("a/b&c<d'\"Ä😀 e", text, Seen::In(text.len()));
            for cut in (1..text.len()).filter_map(|end| text.get(..end)) {
                check("a/b&c<d'\"Ä😀 e", cut, Seen::Unfinished);
            }
        }
    }

    #[test]
    fn a_value_with_the_signs_of_escapes_in_it_is_seen_raw_too() {
        for value in [r"a\b", r"a\\b", r"a\nb", "a%41b", "a&amp;b", "a+b", r"a\u0041b"] {
            check(value, value, Seen::In(value.len()));
            let doubled = value.replace('\\', r"\\");
            check(value, &doubled, Seen::In(doubled.len()));
        }
        check("a%41b", "a%2541b", Seen::In(7));
        check("a&amp;b", "a&amp;amp;b", Seen::In(11));
    }

    #[test]
    fn another_text_is_not_the_value() {
        for text in ["abd", r"ab\u0064", "ab%64", "ab&#100;", r"ab\", "ab&nope;", r"ab\ud83dx", "ab%zz"] {
            let expect = if text == r"ab\" { Seen::Unfinished } else { Seen::No };
            check("abc", text, expect);
        }
    }

    #[test]
    fn a_text_that_wants_to_be_read_in_many_ways_is_read_in_few() {
        let (value, text) = (r"\".repeat(5_000) + "x", r"\".repeat(100_000));
        assert_eq!(seen(value.as_bytes(), text.as_bytes()), Seen::No);
    }
}
