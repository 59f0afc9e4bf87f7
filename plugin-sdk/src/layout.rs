//! A whole notification as one text in a destination's markup, within its limit. Pure.
//!
//! Every text that comes from a message goes through [`Style::foreign`]: a style is safe when that one function is, and
//! [`crate::testing::check_nothing_acts`] tries it. What stands around it are mag's own words, which no markup reads.

use crate::http::Url;
use crate::{Group, Link, Notification, Severity, tell, text};

/// How a destination writes what it shows.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// One line of text from a message: nothing in it may act, nothing in it may be hidden.
    pub foreign: fn(&str) -> String,
    /// A number of ours that stands out.
    pub bold: fn(&str) -> String,
    /// A link of mag's, from its title (letters, digits and spaces) and its URL.
    pub link: fn(&str, &str) -> String,
    /// The operator's own text, already escaped for the markup.
    pub body: fn(&str) -> String,
    /// Whether a severity is said in words, where nothing else shows it.
    pub severity: bool,
    /// Labels shown of a group; the others are counted.
    pub labels: usize,
}

/// Labels shown of one group; the others are only counted.
const LABELS: usize = 6;
/// Characters shown of a kind, a label's name or its value.
const WORD_CHARS: usize = 60;
/// Links shown.
const LINKS: usize = 5;

/// No markup at all.
pub const PLAIN: Style = Style {
    foreign: text::shown_line,
    bold: str::to_owned,
    link: |title, url| format!("{title}: {url}"),
    body: text::plain,
    severity: true,
    labels: LABELS,
};

/// HTML with `code`, `b` and `a`.
pub const HTML: Style = Style {
    foreign: |foreign| format!("<code>{}</code>", text::html(&text::shown_line(foreign))),
    bold: |own| format!("<b>{own}</b>"),
    link: |title, url| format!("<a href=\"{}\">{title}</a>", text::html(url)),
    body: str::to_owned,
    severity: true,
    labels: LABELS,
};

/// Markdown as chat programs have it: `**bold**`, code between single backticks, `[title](url)`.
pub const CHAT: Style = Style {
    foreign: text::chat_code,
    bold: |own| format!("**{own}**"),
    link: |title, url| format!("[{title}]({url})"),
    body: str::to_owned,
    severity: true,
    labels: LABELS,
};

/// How much a destination takes, in its own measure.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// UTF-16 code units: what services count that speak of characters, or at least never less than those.
    Chars(usize),
    /// UTF-8 bytes.
    Bytes(usize),
    /// Bytes of the text as a string of JSON, where a whole body is limited.
    Json(usize),
}

impl Limit {
    /// How much a text takes of it.
    #[must_use]
    pub fn taken(self, text: &str) -> usize {
        match self {
            Self::Chars(_) => text.encode_utf16().count(),
            Self::Bytes(_) => text.len(),
            // serde_json escapes quotes, backslashes and control characters; the longest escape is six bytes.
            Self::Json(_) => text.bytes().map(json_bytes).sum(),
        }
    }

    /// All of it.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Chars(most) | Self::Bytes(most) | Self::Json(most) => most,
        }
    }

    /// A message's text as one line of plain text in which nothing is hidden, cut to fit.
    #[must_use]
    pub fn shown(self, raw: &str) -> String {
        // No character takes less than one, so what is cut here would not have fitted.
        let shown = text::shown_line(&text::truncate_chars(raw, self.most()));
        tell::shorten_by(&shown, self.most(), |text| self.taken(text), str::to_owned)
    }
}

fn json_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..=0x1f => 6,
        _ => 1,
    }
}

/// The whole notification: why it came here, a line a group with the most important first, how much is left out, links.
#[must_use]
pub fn text(notification: &Notification, style: &Style, limit: Limit) -> String {
    let taken = |line: &str| limit.taken(line) + 2;
    let links = links(notification, style, limit);
    let why = tell::escalated(notification).map(|why| {
        let shown = |shown: &str| (style.foreign)(shown);
        tell::shorten_by(&why, limit.most() / 4, |text| limit.taken(text), shown)
    });
    let around: usize = links.iter().chain(&why).map(|line| taken(line)).sum();
    let room = limit.most().saturating_sub(around);
    let body = notification.body.as_deref().map(style.body).filter(|body| limit.taken(body) <= room);
    let told = match body {
        Some(body) => vec![body],
        None => {
            let alone = notification.groups.len() == 1;
            let longest = tell::room(notification, room).min(if alone { room } else { LINE });
            tell::lines_by(notification, room, |text| limit.taken(text), |group| line(group, style, limit, longest))
        }
    };
    why.into_iter().chain(told).chain(links).collect::<Vec<_>>().join("\n")
}

/// One group of many shows at most this much, so that one long text does not push the others out.
const LINE: usize = 500;

fn line(group: &Group, style: &Style, limit: Limit, longest: usize) -> String {
    let of = |text: &str| limit.taken(text);
    let whole = |shown: &str, about: &str| format!("{}{about}", sentence(group, shown, style));
    let about = about(group, style);
    // Many long labels must not take the place of the text.
    let about = if of(&about) > longest / 2 { String::new() } else { about };
    tell::shorten_by(&group.text, longest, of, |shown| whole(shown, &about))
}

/// What is said of one group, in the words that all senders share.
fn sentence(group: &Group, shown: &str, style: &Style) -> String {
    let foreign = style.foreign;
    if tell::overflow(group).is_some() {
        let told = tell::overflow(&Group { text: shown.to_owned(), ..group.clone() }).unwrap_or_default();
        return format!("{}{}.", foreign(&told), tell::period(group));
    }
    if group.resolved {
        return format!("Resolved{}: {}.", tell::lasted(group), foreign(&text::quote(shown)));
    }
    if group.kind == tell::MONITOR_KIND {
        return format!("{}{}", foreign(shown), tell::times(group));
    }
    let severity = match group.severity.filter(|_| style.severity) {
        Some(severity) => format!("{} ", tell::severity_word(severity).to_uppercase()),
        None => String::new(),
    };
    let quoted = foreign(&text::quote(shown));
    let count = (style.bold)(&group.count.to_string());
    format!("{severity}Message {quoted} was repeated {count} time(s){}.", tell::period(group))
}

/// ` (kind=backup, host=db1)`: kind and labels, shortly. Nothing for a monitor, whose text says all.
fn about(group: &Group, style: &Style) -> String {
    if group.kind == tell::MONITOR_KIND || style.labels == 0 {
        return String::new();
    }
    // Cut first: a label may be long, and what is shown of it is little.
    let cut = |raw: &str| text::truncate_chars(raw, WORD_CHARS);
    let word = |raw: &str| cut(&text::shown_line(&cut(raw)));
    let mut words = Vec::new();
    if group.kind != tell::DEFAULT_KIND {
        words.push(format!("kind={}", word(&group.kind)));
    }
    words.extend(
        group.labels.iter().take(style.labels).map(|label| format!("{}={}", word(&label.name), word(&label.value))),
    );
    let more = group.labels.len().saturating_sub(style.labels);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", (style.foreign)(&words.join(", "))) }
}

fn links(notification: &Notification, style: &Style, limit: Limit) -> Vec<String> {
    let mut room = limit.most() / 4;
    let mut told = Vec::new();
    for (title, url) in addresses(notification) {
        let line = (style.link)(&title, &url);
        if let Some(left) = room.checked_sub(limit.taken(&line) + 2) {
            room = left;
            told.push(line);
        }
    }
    told
}

/// The first few places to look, each with a title of letters, digits and spaces and a URL that no markup ends early:
/// those of the whole, and those of the group where there is only one.
#[must_use]
pub fn addresses(notification: &Notification) -> Vec<(String, String)> {
    let of_group = match notification.groups.as_slice() {
        [alone] => alone.links.as_slice(),
        _ => &[],
    };
    notification.links.iter().chain(of_group).filter_map(address).take(LINKS).collect()
}

fn address(link: &Link) -> Option<(String, String)> {
    let url = Url::parse(&link.url).ok()?;
    let mut whole = url.origin();
    for c in url.path_and_query.chars() {
        match c {
            '(' | ')' | '[' | ']' | '*' | '\'' => whole.push_str(&format!("%{:02X}", u32::from(c))),
            c => whole.push(c),
        }
    }
    let letters = |raw: &str| {
        let kept = raw.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' });
        text::truncate_chars(&kept.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "), WORD_CHARS)
    };
    let title = [letters(&link.title), letters(&link.rel)].into_iter().find(|title| !title.is_empty());
    Some((title.unwrap_or_else(|| "link".to_owned()), whole))
}

/// The title as one line of plain text, nothing in it hidden, within a limit.
#[must_use]
pub fn title(notification: &Notification, limit: Limit) -> String {
    limit.shown(&notification.title)
}

/// What it is about in our own words alone, for places where markup might be read: `ERROR: 30 messages`, `RESOLVED`.
#[must_use]
pub fn headline(notification: &Notification) -> String {
    if is_resolved(notification) {
        return "RESOLVED".to_owned();
    }
    let groups = notification.groups.iter().map(|group| group.count);
    let messages = groups.fold(notification.omitted_messages, u64::saturating_add);
    let count = format!("{} message{}", text::thousands(messages), if messages == 1 { "" } else { "s" });
    match severity(notification) {
        Some(severity) => format!("{}: {count}", tell::severity_word(severity).to_uppercase()),
        None => count,
    }
}

/// The highest severity of its groups.
#[must_use]
pub fn severity(notification: &Notification) -> Option<Severity> {
    notification.groups.iter().filter_map(|group| group.severity).max_by_key(|&severity| severity as u8)
}

/// Whether all that it tells is over.
#[must_use]
pub fn is_resolved(notification: &Notification) -> bool {
    !notification.groups.is_empty() && notification.groups.iter().all(|group| group.resolved)
}

/// How urgent it is, for colours and priorities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// All is over.
    Resolved,
    /// For those who look.
    Quiet,
    /// No severity, `info` or `notice`.
    Normal,
    /// `warning`
    Warning,
    /// `error`
    Error,
    /// `critical`
    Critical,
}

/// The tone of a notification.
#[must_use]
pub fn tone(notification: &Notification) -> Tone {
    if is_resolved(notification) {
        return Tone::Resolved;
    }
    match severity(notification) {
        Some(Severity::Trace | Severity::Debug) => Tone::Quiet,
        None | Some(Severity::Info | Severity::Notice) => Tone::Normal,
        Some(Severity::Warning) => Tone::Warning,
        Some(Severity::Error) => Tone::Error,
        Some(Severity::Critical) => Tone::Critical,
    }
}

impl Tone {
    /// As red, green and blue: `0xrrggbb`.
    #[must_use]
    pub fn colour(self) -> u32 {
        match self {
            Self::Resolved => 0x2e_a0_43,
            Self::Quiet => 0x8c_95_9f,
            Self::Normal => 0x3b_82_c4,
            Self::Warning => 0xe3_a0_08,
            Self::Error => 0xd9_3f_3f,
            Self::Critical => 0x9b_11_1e,
        }
    }
}

#[cfg(test)]
mod tests;
