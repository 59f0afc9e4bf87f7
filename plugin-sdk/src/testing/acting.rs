//! Tries whether a text from a message can act: every payload, in every place that a message has, against what the same
//! notification looks like with a harmless word there.

#![expect(clippy::panic, reason = "it fails the test that calls it")]

use super::payloads::{is_hidden, payloads};
use super::{group, notification};
use crate::{Group, Label, Link, Notification, tell};

/// How foreign text is shown, which decides what of a text is the frame around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// As it is: nothing reads it. Only its lines could pretend to be mag's own.
    Plain,
    /// Between single backticks.
    Code,
    /// With entities for `&`, `<`, `>` and quotes, between tags of ours.
    Html,
}

impl Shown {
    /// What is left of a text when everything is taken out that only shows.
    fn frame(self, text: &str) -> String {
        match self {
            // Line ends are the only frame that plain text has.
            Self::Plain => "\n".repeat(text.matches('\n').count()),
            Self::Code => without(text, "`", "`"),
            Self::Html => {
                let harmless = without(text, "<code>", "</code>");
                assert_eq!(entities(text), text.matches('&').count(), "an entity of the text's own: {text}");
                harmless
            }
        }
    }
}

fn entities(text: &str) -> usize {
    ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"].iter().map(|entity| text.matches(entity).count()).sum()
}

/// The text without what stands between two marks. Inside there is no line end, and no other mark of HTML.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut frame = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(from) {
        let (inside, after) = after.split_once(to).unwrap_or_else(|| panic!("{from} is never closed: {text}"));
        assert!(!inside.contains('\n') && (from == "`" || !inside.contains(['<', '>'])), "it gets out: {text}");
        frame.push_str(before);
        frame.push_str(from);
        frame.push_str(to);
        rest = after;
    }
    frame + rest
}

/// A place in a notification where a message's own words stand.
type Place = fn(&str) -> Notification;

/// Every place that a message's sender can fill.
const PLACES: [Place; 8] = [
    |raw| notification(vec![group(raw, 30)]),
    |raw| notification(vec![Group { kind: tell::MONITOR_KIND.into(), ..group(raw, 1) }]),
    |raw| notification(vec![Group { resolved: true, ..group(raw, 0) }]),
    |raw| notification(vec![Group { source: Some(raw.into()), kind: raw.into(), ..group("text", 3) }]),
    |raw| {
        let labels = vec![Label { name: raw.into(), value: raw.into() }];
        notification(vec![Group { labels: labels.clone(), annotations: labels, ..group("text", 3) }])
    },
    |raw| notification(vec![Group { samples: vec![raw.into()], ..group("a", 9) }, group(raw, 7)]),
    |raw| {
        let link = |url: &str| Link { rel: raw.into(), title: raw.into(), url: url.into() };
        let links = vec![link("https://mag.example/groups/1"), link("javascript:alert(1)")];
        Notification { links, ..notification(vec![group("text", 3)]) }
    },
    |raw| {
        let from = serde_json::json!({ "escalated_from": { "sender": raw, "code": raw, "error": raw } });
        let reason = "escalated".to_owned();
        Notification { reason, extra: from.to_string(), ..notification(vec![group("text", 3)]) }
    },
];

/// Checks that no payload acts, wherever it stands: `told` sends a notification and gives the texts that the destination
/// would show, always the same number of them in the same order.
///
/// # Panics
/// With the text in which a payload hides something or changes more than the place it stands in.
pub fn check_nothing_acts(shown: Shown, told: impl Fn(&Notification) -> Vec<String>) {
    for (number, place) in PLACES.iter().enumerate() {
        let frames: Vec<String> = told(&place("word")).iter().map(|text| shown.frame(&letters(text))).collect();
        for payload in payloads() {
            let texts = told(&place(&payload));
            for text in &texts {
                let hidden = text.chars().find(|&c| is_hidden(c));
                assert_eq!(hidden, None, "place {number}: {payload:?} hides something in {text:?}");
            }
            let acted: Vec<String> = texts.iter().map(|text| shown.frame(&letters(text))).collect();
            assert_eq!(acted, frames, "place {number}: {payload:?} acts: {texts:?}");
        }
    }
}

/// Without the titles of links, which are letters, digits and spaces whatever they were: the only foreign text that stands
/// outside of a frame.
fn letters(text: &str) -> String {
    let Some(at) = text.find("https://mag.example/groups/1") else { return text.to_owned() };
    let (before, link) = text.split_at(at);
    let line = before.rfind('\n').map_or(0, |line| line + 1);
    let (kept, title) = before.split_at(line);
    let title = title.rsplit_once('[').map_or(title, |(_, title)| title.trim_end_matches("]("));
    let own = title.trim_end_matches(": ").trim_end_matches("<a href=\"");
    assert!(own.chars().all(of_title), "a title of a link acts: {text:?}");
    let link = link.split_once('>').map_or(link, |(url, title)| {
        let title = title.trim_end_matches("</a>");
        assert!(title.chars().all(of_title), "a title of a link acts: {text:?}");
        url
    });
    format!("{kept}{link}")
}

fn of_title(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || c == '…'
}
