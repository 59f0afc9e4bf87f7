//! Text from messages, made harmless for each place where it is shown. Pure.
//!
//! What a message says must never act: no markup, no link, no mention, no escape sequence, no hidden or turned-round
//! text. Each function takes raw text and gives text that is safe in the place its name says.

mod printable;
mod quote;

pub use quote::quote;

/// Plain text for one line: line ends and tabs become spaces; otherwise as [`plain`].
#[must_use]
pub fn plain_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}') {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else if let Some(c) = visible(c) {
            out.push(c);
        }
    }
    out
}

/// Plain text that keeps its lines and tabs: control characters become `�`, invisible ones (zero-width characters,
/// marks that turn the reading direction) are left out.
#[must_use]
pub fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars()
        .filter_map(|c| match c {
            '\n' | '\t' => Some(c),
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
            other => visible(other),
        })
        .collect()
}

fn visible(c: char) -> Option<char> {
    match c {
        // Soft hyphen, the twelve bidi controls, zero-width characters, invisible operators, tags, interlinear marks.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => None,
        c if c.is_control() => Some('\u{fffd}'),
        c => Some(c),
    }
}

/// One line in which nothing is hidden: what cannot be printed (control characters, zero-width ones, marks that turn the
/// reading direction) is written as Go escapes it, `\u202e`; line ends and tabs become spaces.
#[must_use]
pub fn shown_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                if !out.ends_with(' ') {
                    out.push(' ');
                }
            }
            c => quote::push_shown(&mut out, c),
        }
    }
    out
}

/// Code on one line for chat programs, whose Markdown takes different numbers of backticks: between single ones, with
/// each backtick of the text as `ˋ` (U+02CB). Nothing in it is read, nothing in it is hidden.
#[must_use]
pub fn chat_code(text: &str) -> String {
    let mut text = shown_line(text).replace('`', "ˋ");
    // Some programs drop empty code, some take a backslash before the closing backtick for an escape.
    if text.is_empty() || text.ends_with('\\') {
        text.push(' ');
    }
    format!("`{text}`")
}

/// Slack's mrkdwn: `&`, `<` and `>` are all that Slack reads links and mentions from.
#[must_use]
pub fn mrkdwn(text: &str) -> String {
    escape(&plain(text), |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// HTML, in an element or in a quoted attribute. Line ends stay line ends.
#[must_use]
pub fn html(text: &str) -> String {
    escape(&plain(text), |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    })
}

fn escape(text: &str, replace: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match replace(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

/// Markdown, inside one line: no emphasis, code, link, image, heading, list, table, HTML, automatic link or mention.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for c in plain_line(text).trim().chars() {
        // A backslash takes the meaning from any ASCII punctuation; these have none anywhere.
        if c.is_ascii_punctuation() && !",;'\"%?/".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Markdown's code inside a line: nothing in it is read, however many backticks it has.
#[must_use]
pub fn markdown_code(text: &str) -> String {
    let text = plain_line(text);
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    // The spaces keep a backtick at an end apart from the fence; Markdown drops one on each side.
    format!("{ticks} {text} {ticks}")
}

/// Markdown's block of code on lines of its own, with a fence longer than any in the text.
#[must_use]
pub fn markdown_block(text: &str) -> String {
    let text = plain(text);
    let fence = "`".repeat((longest_run(&text, '`') + 1).max(3));
    format!("{fence}\n{}\n{fence}", text.trim_end_matches('\n'))
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// At most `max_chars` characters; what is cut ends with `…`.
#[must_use]
pub fn truncate_chars(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    if max_chars > 0 {
        out.push('…');
    }
    out
}

/// At most `max_bytes` bytes, cut between two characters.
#[must_use]
pub fn truncate_bytes(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or(text)
}

/// A number with commas: `80,344`.
#[must_use]
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
