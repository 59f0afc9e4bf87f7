//! A notification as a mail for the mail service. Pure.

use mag_plugin_sdk::{Group, Notification, tell, text, time};
use serde::Serialize;

use crate::Config;

/// One group shows at most this much text.
const LINE_CHARS: usize = 2_000;
/// All of the text: a request may be 1 MiB, and a character four bytes.
const TEXT_CHARS: usize = 200_000;
/// Longer subjects are not shown anyway.
const SUBJECT_CHARS: usize = 200;
/// Labels shown of one group.
const LABELS: usize = 20;
/// Characters shown of a label's name or value, a kind or a source.
const WORD_CHARS: usize = 200;

/// Characters shown of what is said about an alert.
const SAID_CHARS: usize = 1_000;

/// What the mail service takes.
#[derive(Debug, Serialize)]
pub(crate) struct Mail<'a> {
    from: &'a str,
    to: &'a [String],
    cc: &'a [String],
    reply_to: Option<&'a str>,
    subject: String,
    text: String,
    html: Option<String>,
    /// The same on every attempt, so that mail programs show a mail sent twice once.
    pub(crate) message_id: String,
    in_reply_to: Option<String>,
    references: Vec<String>,
}

pub(crate) fn mail<'a>(notification: &Notification, config: &'a Config) -> Mail<'a> {
    Mail {
        from: &config.from,
        to: &config.to,
        cc: &config.cc,
        reply_to: config.reply_to.as_deref(),
        subject: subject(&notification.title),
        text: body(notification),
        html: None,
        message_id: message_id(&notification.id, &config.from),
        in_reply_to: None,
        references: Vec::new(),
    }
}

/// The domain of `a@example.org` or `A <a@example.org>`; `None` when it is no address.
pub(crate) fn domain(address: &str) -> Option<&str> {
    if address.chars().any(char::is_control) {
        return None;
    }
    let bare = match address.trim().strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?.1,
        None => address.trim(),
    };
    let (local, domain) = bare.rsplit_once('@')?;
    let good = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || "<>@,;:".contains(c));
    (good(local) && good(domain)).then_some(domain)
}

fn message_id(id: &str, from: &str) -> String {
    let id: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    format!("<{id}@{}>", domain(from).unwrap_or("mag.invalid"))
}

/// One line without control characters, and without anything that a mail program would decode (`=?utf-8?…?=`).
fn subject(title: &str) -> String {
    let breaks = |c: char| matches!(c, '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let kept: String = title.chars().filter(|&c| breaks(c) || !c.is_control()).collect();
    let line = text::plain_line(&kept).replace("=?", "= ?");
    let line = text::truncate_chars(line.trim(), SUBJECT_CHARS);
    if line.is_empty() { "message without text".to_owned() } else { line }
}

fn body(notification: &Notification) -> String {
    let mut text = match &notification.body {
        Some(body) => text::truncate_chars(&text::plain(body), TEXT_CHARS),
        None => tell::lines(notification, TEXT_CHARS, entry).join("\n"),
    };
    if let Some(why) = tell::escalated(notification) {
        text.insert_str(0, &format!("{}\n\n", text::plain_line(&why)));
    }
    text.push_str(&format!("\n-- \nmag, sender {}, notification {}\n", notification.sender, notification.id));
    text
}

/// What is said of one group: the sentence, then what is known of it, then an empty line.
fn entry(group: &Group) -> String {
    let shown = Group { text: text::truncate_chars(&group.text, LINE_CHARS), ..group.clone() };
    let mut out = tell::plain_sentence(&shown);
    let mut say = |what: &str, value: &str| out.push_str(&format!("\n  {what}: {value}"));
    if let Some(severity) = group.severity {
        say("severity", tell::severity_word(severity));
    }
    if group.kind != tell::DEFAULT_KIND {
        say("kind", &word(&group.kind));
    }
    if let Some(source) = &group.source {
        say("source", &word(source));
    }
    for label in group.labels.iter().take(LABELS) {
        say(&word(&label.name), &word(&label.value));
    }
    for said in group.annotations.iter().filter(|said| said.value != group.text).take(LABELS) {
        say(&word(&said.name), &text::truncate_chars(&text::plain_line(&said.value), SAID_CHARS));
    }
    say("first seen", &time::rfc3339_ms(group.first_seen));
    say("last seen", &time::rfc3339_ms(group.last_seen));
    out.push('\n');
    out
}

fn word(raw: &str) -> String {
    text::truncate_chars(&text::plain_line(raw), WORD_CHARS)
}
