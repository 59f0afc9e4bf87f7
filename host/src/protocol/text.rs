//! Where a text is trimmed and cut. Never allocates.

/// Cuts `text` to at most `limit` bytes, at a character; says whether anything was cut.
pub(super) fn cut(text: &[u8], limit: usize) -> (&[u8], bool) {
    let Some(head) = text.get(..limit) else { return (text, false) };
    if head.len() == text.len() {
        return (text, false);
    }
    // A byte 10xxxxxx goes on with a character; one has at most three of them.
    let starts = |at: &usize| text.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80);
    let at = (limit.saturating_sub(3)..=limit).rev().find(starts).unwrap_or(limit);
    (text.get(..at).unwrap_or(head), true)
}

/// Without what classic takes for blanks, at both ends.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let text = trim_start(text);
    match text {
        [.., last] if is_blank(*last) => {
            let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |at| at + 1);
            text.get(..end).unwrap_or(text)
        }
        _ => text,
    }
}

/// Without what classic takes for blanks, at the front.
pub(super) fn trim_start(text: &[u8]) -> &[u8] {
    match text {
        [first, ..] if is_blank(*first) => {
            let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
            text.get(start..).unwrap_or(text)
        }
        _ => text,
    }
}

/// Spaces, CR and LF, as the Go service trimmed them.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::{cut, trim};

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(cut(b"abc", 3), (&b"abc"[..], false));
        assert_eq!(cut(b"abcd", 3), (&b"abc"[..], true));
        assert_eq!(cut("aé".as_bytes(), 2), (&b"a"[..], true));
        assert_eq!(cut("aé".as_bytes(), 3), ("aé".as_bytes(), false));
        assert_eq!(cut("€€".as_bytes(), 5), ("€".as_bytes(), true));
        assert_eq!(cut("a😀b".as_bytes(), 4), (&b"a"[..], true));
        assert_eq!(cut(&[0x80; 9], 5), (&[0x80; 5][..], true));
    }

    #[test]
    fn spaces_cr_and_lf_are_trimmed_but_not_tabs() {
        assert_eq!(trim(b" \r\n a b \r\n "), b"a b");
        assert_eq!(trim(b"\ta\t"), b"\ta\t");
        assert_eq!(trim(b" \r "), b"");
        assert_eq!(trim(b""), b"");
    }
}
