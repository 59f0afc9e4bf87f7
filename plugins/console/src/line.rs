//! A notification as lines of text. Pure.

use std::borrow::Cow;

use mag_plugin_sdk::{Group, Notification, Severity, tell, text};

/// Labels shown of one group; the others are only counted.
const LABELS: usize = 6;
/// Characters shown of a kind, a label's name or its value.
const WORD_CHARS: usize = 60;

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// Every group on a line of its own, then what was left out.
pub(crate) fn render(notification: &Notification, colour: bool) -> String {
    let mut out = String::new();
    if let Some(body) = &notification.body {
        out.push_str(&text::plain(body));
        out.push('\n');
        return out;
    }
    if let Some(why) = tell::escalated(notification) {
        out.push_str(&paint(&text::plain_line(&why), DIM, colour));
        out.push('\n');
    }
    for group in tell::in_order(notification) {
        out.push_str(&line(group, colour));
        out.push('\n');
    }
    if let Some(rest) = tell::rest(notification.omitted_groups, notification.omitted_messages) {
        out.push_str(&paint(&rest, DIM, colour));
        out.push('\n');
    }
    out
}

fn line(group: &Group, colour: bool) -> String {
    let sentence = paint(&tell::plain_sentence(group), BOLD, colour).into_owned();
    if group.kind == tell::MONITOR_KIND {
        return sentence;
    }
    let mut parts = Vec::new();
    if let Some(severity) = group.severity {
        let word = tell::severity_word(severity).to_uppercase();
        parts.push(paint(&word, sgr(severity), colour).into_owned());
    }
    parts.push(sentence);
    let about = about(group);
    if !about.is_empty() {
        parts.push(paint(&format!("({about})"), DIM, colour).into_owned());
    }
    parts.join(" ")
}

/// Kind and labels, shortly: `kind=backup, host=db1`.
fn about(group: &Group) -> String {
    let mut words = Vec::new();
    if group.kind != tell::DEFAULT_KIND {
        words.push(format!("kind={}", word(&group.kind)));
    }
    words.extend(group.labels.iter().take(LABELS).map(|label| format!("{}={}", word(&label.name), word(&label.value))));
    let more = group.labels.len().saturating_sub(LABELS);
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn word(raw: &str) -> String {
    text::truncate_chars(&text::plain_line(raw), WORD_CHARS)
}

fn sgr(severity: Severity) -> &'static str {
    match severity {
        Severity::Trace | Severity::Debug => DIM,
        Severity::Info => "\u{1b}[32m",
        Severity::Notice => "\u{1b}[36m",
        Severity::Warning => "\u{1b}[33m",
        Severity::Error => "\u{1b}[31m",
        Severity::Critical => "\u{1b}[1;31m",
    }
}

fn paint<'a>(text: &'a str, sgr: &str, colour: bool) -> Cow<'a, str> {
    if colour { Cow::Owned(format!("{sgr}{text}{RESET}")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use mag_plugin_sdk::{Label, testing};

    use super::*;

    #[track_caller]
    fn check(groups: Vec<Group>, expected: &str) {
        assert_eq!(render(&testing::notification(groups), false), expected);
    }

    fn label(name: &str, value: &str) -> Label {
        Label { name: name.into(), value: value.into() }
    }

    #[test]
    fn a_group_closed_by_count_is_one_sentence() {
        check(vec![testing::group("disk full", 30)], "Message \"disk full\" was repeated 30 time(s).\n");
    }

    #[test]
    fn a_digest_is_a_line_a_group_most_first() {
        check(
            vec![testing::group_by_time("a", 2), testing::group_by_time("b", 5)],
            "Message \"b\" was repeated 5 time(s) for last 30 seconds.\n\
             Message \"a\" was repeated 2 time(s) for last 30 seconds.\n",
        );
    }

    #[test]
    fn severity_kind_and_labels_are_shown_shortly() {
        let group = Group {
            severity: Some(Severity::Error),
            kind: "backup".into(),
            labels: vec![label("host", "db1"), label("app", "x\u{1b}[2J\ny")],
            ..testing::group("disk full", 3)
        };
        check(
            vec![group],
            "ERROR Message \"disk full\" was repeated 3 time(s). (kind=backup, host=db1, app=x\u{fffd}[2J y)\n",
        );
    }

    #[test]
    fn many_labels_are_counted() {
        let labels = (0..9).map(|n| label(&format!("l{n}"), "v")).collect();
        check(
            vec![Group { labels, ..testing::group("x", 1) }],
            "Message \"x\" was repeated 1 time(s). (l0=v, l1=v, l2=v, l3=v, l4=v, l5=v, 3 more)\n",
        );
    }

    #[test]
    fn a_monitor_is_its_text_alone_whatever_else_is_known_of_it() {
        let (severity, labels) = (Some(Severity::Error), vec![label("monitor", "queue")]);
        let group = Group { kind: "monitor".into(), severity, labels, ..testing::group("`x` is *3*", 1) };
        check(vec![group.clone()], "`x` is *3*\n");
        check(vec![Group { count: 4, ..group }], "`x` is *3* (4 times)\n");
    }

    #[test]
    fn what_was_left_out_is_summed_up() {
        let mut notification = testing::notification(vec![testing::group_by_time("a", 2)]);
        (notification.omitted_groups, notification.omitted_messages) = (412, 80_344);
        assert!(render(&notification, false).ends_with("\nand 412 more groups, 80,344 messages\n"));
    }

    #[test]
    fn an_operators_own_text_replaces_the_sentences() {
        let mut notification = testing::notification(vec![testing::group("a", 2)]);
        notification.body = Some("two lines\nof text".into());
        assert_eq!(render(&notification, false), "two lines\nof text\n");
    }

    #[test]
    fn colours_come_only_on_a_terminal() {
        let group = Group { severity: Some(Severity::Critical), ..testing::group("a", 2) };
        let notification = testing::notification(vec![group]);
        assert!(!render(&notification, false).contains('\u{1b}'));
        let coloured = render(&notification, true);
        assert!(coloured.starts_with("\u{1b}[1;31mCRITICAL\u{1b}[0m \u{1b}[1mMessage"), "{coloured:?}");
    }

    #[test]
    fn no_text_can_hide_anything_or_add_a_line() {
        testing::check_nothing_acts(testing::Shown::Plain, |all| vec![render(all, false)]);
    }

    #[test]
    fn no_text_can_act_on_a_terminal() {
        for raw in ["\u{1b}]0;title\u{7}", "\u{9b}2J", "a\rb", "\u{202e}evil", "\u{200b}", "\0"] {
            for kind in ["default", "monitor"] {
                let group = Group { kind: kind.into(), labels: vec![label(raw, raw)], ..testing::group(raw, 1) };
                let told = render(&testing::notification(vec![group]), false);
                let bad = told.trim_end().chars().any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c));
                assert!(!bad, "{told:?}");
            }
        }
    }
}
