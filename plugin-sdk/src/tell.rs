//! The words that senders share: what is said of a group, in which order, and what is said of the rest. Pure.

use crate::{Group, Notification, Severity, text, time};

/// The kind of messages that are told as their text alone.
pub const MONITOR_KIND: &str = "monitor";
/// The kind of messages that name none.
pub const DEFAULT_KIND: &str = "default";

/// A severity in one word: `error`.
#[must_use]
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Trace => "trace",
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

/// The groups of a notification as people read them: count falling, then first seen, then id.
#[must_use]
pub fn in_order(notification: &Notification) -> Vec<&Group> {
    let mut groups: Vec<&Group> = notification.groups.iter().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then(a.first_seen.cmp(&b.first_seen)).then_with(|| a.id.cmp(&b.id)));
    groups
}

/// Up to here a period is told in seconds, as a route's clock is set and as the Go service told it.
const SECONDS_UP_TO_MS: u64 = 60 * 60 * 1_000;

/// ` for last 30 seconds` when the group was closed by its route's clock, else nothing.
///
/// Periods of more than an hour come from a destination that could not be reached; they are told in larger units.
#[must_use]
pub fn period(group: &Group) -> String {
    let ms = group.closed.saturating_sub(group.opened);
    match (group.reason.as_str(), ms.saturating_add(500) / 1_000) {
        ("time", 0 | 1) => " for last 1 second".to_owned(),
        ("time", seconds) if ms <= SECONDS_UP_TO_MS => format!(" for last {seconds} seconds"),
        ("time", _) => format!(" for last {}", time::human_duration(ms)),
        _ => String::new(),
    }
}

/// One line of plain text: `Message "disk full" was repeated 5 time(s) for last 30 seconds.`, or a monitor's own text.
#[must_use]
pub fn plain_sentence(group: &Group) -> String {
    if let Some(told) = overflow(group) {
        return format!("{}{}.", text::plain_line(&told), period(group));
    }
    if group.resolved {
        return format!("Resolved{}: {}.", lasted(group), text::quote(&group.text));
    }
    if group.kind == MONITOR_KIND {
        return format!("{}{}", text::plain_line(&group.text), times(group));
    }
    format!("Message {} was repeated {} time(s){}.", text::quote(&group.text), group.count, period(group))
}

/// ` after 12 minutes`: how long something lasted that is over.
#[must_use]
pub fn lasted(group: &Group) -> String {
    match group.closed.saturating_sub(group.opened) {
        0..1_000 => String::new(),
        ms => format!(" after {}", time::human_duration(ms)),
    }
}

/// `1,203 other messages in more groups than the limit of 100,000`, for a group that stands for all that were too many;
/// `None` for any other. Not escaped.
#[must_use]
pub fn overflow(group: &Group) -> Option<String> {
    if group.state != "overflow" {
        return None;
    }
    let one = if group.count == 1 { group.text.replacen("messages", "message", 1) } else { group.text.clone() };
    Some(format!("{} {one}", text::thousands(group.count)))
}

/// What is said about a group's alerts beside its text, if anything: its annotation `description`, else `message`. Not
/// escaped.
#[must_use]
pub fn description(group: &Group) -> Option<&str> {
    let said = |name: &str| group.annotations.iter().find(|said| said.name == name).map(|said| said.value.as_str());
    let said = said("description").or_else(|| said("message"))?;
    (!said.is_empty() && said != group.text).then_some(said)
}

/// ` (3 times)` for a monitor's text that came more than once.
#[must_use]
pub fn times(group: &Group) -> String {
    if group.count > 1 { format!(" ({} times)", group.count) } else { String::new() }
}

/// A line for each group, most important first, as many as fit into `max_chars`; then one line for all the rest, so that
/// every message is told or counted. Lines longer than `max_chars` never fit: see [`shorten`].
#[must_use]
pub fn lines(notification: &Notification, max_chars: usize, line: impl Fn(&Group) -> String) -> Vec<String> {
    lines_by(notification, max_chars, |line| line.chars().count(), line)
}

/// The same where a destination does not count in characters: `taken` says how much a line takes of `most`.
pub(crate) fn lines_by(
    notification: &Notification,
    most: usize,
    taken: impl Fn(&str) -> usize,
    line: impl Fn(&Group) -> String,
) -> Vec<String> {
    let mut room = room(notification, most).saturating_add(LINE_END);
    let mut groups = in_order(notification).into_iter().peekable();
    let mut lines = Vec::new();
    while let Some(group) = groups.peek() {
        let told = line(group);
        // A line end may be two bytes, as JSON writes it.
        let Some(left) = room.checked_sub(taken(&told) + LINE_END) else { break };
        room = left;
        lines.push(told);
        groups.next();
    }
    let left_out = groups
        .fold((notification.omitted_groups, notification.omitted_messages), |(groups, messages), group| {
            (groups.saturating_add(1), messages.saturating_add(group.count))
        });
    lines.extend(rest(left_out.0, left_out.1));
    lines
}

/// The longest line that [`lines_by`] takes: only a group that is alone needs no room for a line about others.
pub(crate) fn room(notification: &Notification, most: usize) -> usize {
    let alone =
        notification.groups.len() == 1 && (notification.omitted_groups, notification.omitted_messages) == (0, 0);
    most.saturating_sub(if alone { 0 } else { REST_CHARS + LINE_END })
}

/// What the end of a line takes at most.
const LINE_END: usize = 2;

/// Characters shown of the reason why another sender could not tell something.
const ESCALATED_CHARS: usize = 300;

/// Why this was another sender's to tell: `Escalated: sender team (plugin slack 0.1.0): …`, raw text for one line, at most
/// 350 characters. `None` for whatever is not escalated.
#[must_use]
pub fn escalated(notification: &Notification) -> Option<String> {
    if notification.reason != "escalated" {
        return None;
    }
    let extra: serde_json::Value = serde_json::from_str(&notification.extra).unwrap_or_default();
    let from = extra.get("escalated_from");
    let word = |name: &str| from.and_then(|from| from.get(name)?.as_str()).unwrap_or_default();
    let (sender, error) =
        (text::truncate_chars(word("sender"), 32), text::truncate_chars(word("error"), ESCALATED_CHARS));
    if error.starts_with(&format!("sender {sender}")) {
        return Some(format!("Escalated: {error}"));
    }
    Some(format!("Escalated: sender {sender}: {error}"))
}

/// The whole notification as plain text of at most `max_chars`: the operator's own text if there is one, else [`lines`].
#[must_use]
pub fn plain_text(notification: &Notification, max_chars: usize) -> String {
    if let Some(body) = &notification.body {
        return text::truncate_chars(&text::plain(body), max_chars);
    }
    let alone = notification.groups.len() == 1;
    let longest = longest_line(max_chars).min(if alone { max_chars } else { LINE_CHARS });
    let line = |group: &Group| {
        let with = |shown: &str| plain_sentence(&Group { text: shown.to_owned(), ..group.clone() });
        shorten(&group.text, longest, with)
    };
    let Some(why) = escalated(notification) else { return lines(notification, max_chars, line).join("\n") };
    let why = text::truncate_chars(&text::plain_line(&why), max_chars / 2);
    let left = max_chars.saturating_sub(why.chars().count() + 1);
    format!("{why}\n{}", lines(notification, left, line).join("\n"))
}

/// One group of many shows at most this much in [`plain_text`], so that one long text does not push the others out.
const LINE_CHARS: usize = 500;

/// The longest line that [`lines`] takes when it may be `max_chars` long in all.
#[must_use]
pub fn longest_line(max_chars: usize) -> usize {
    max_chars.saturating_sub(REST_CHARS + LINE_END)
}

/// Room kept for the line about the rest: two numbers of twenty digits and the words around them.
const REST_CHARS: usize = 100;

/// The longest text, cut at its end, for which `line` is at most `max_chars` long: escaping can make a text ten times as
/// long, so what fits is tried out.
#[must_use]
pub fn shorten(text: &str, max_chars: usize, line: impl Fn(&str) -> String) -> String {
    shorten_by(text, max_chars, |line| line.chars().count(), line)
}

/// The same where a destination does not count in characters: `taken` says how much a line takes of `most`.
pub(crate) fn shorten_by(
    text: &str,
    most: usize,
    taken: impl Fn(&str) -> usize,
    line: impl Fn(&str) -> String,
) -> String {
    let mut keep = most;
    loop {
        let told = line(&text::truncate_chars(text, keep));
        if keep == 0 || taken(&told) <= most {
            return told;
        }
        keep -= (keep / 4).max(1);
    }
}

/// `and 412 more groups, 80,344 messages`; `None` when nothing was left out.
#[must_use]
pub fn rest(groups: u64, messages: u64) -> Option<String> {
    if groups == 0 && messages == 0 {
        return None;
    }
    let plural = |n: u64, word: &str| format!("{} {word}{}", text::thousands(n), if n == 1 { "" } else { "s" });
    let more = plural(groups, "more group");
    Some(format!("and {more}, {}", plural(messages, "message")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn groups_are_told_by_count_then_by_age() {
        let of = |id: &str, count, first_seen| Group { id: id.into(), count, first_seen, ..testing::group(id, 1) };
        let notification = testing::notification(vec![of("c", 1, 5), of("b", 7, 9), of("a", 7, 3), of("d", 7, 3)]);
        let ids: Vec<&str> = in_order(&notification).iter().map(|group| group.id.as_str()).collect();
        assert_eq!(ids, ["a", "d", "b", "c"]);
    }

    #[test]
    fn a_sentence_says_how_often_and_when_it_matters_for_how_long() {
        let by_count = testing::group("disk full", 30);
        assert_eq!(plain_sentence(&by_count), r#"Message "disk full" was repeated 30 time(s)."#);
        let by_time = Group { opened: 1_000, closed: 31_020, ..testing::group_by_time("a\nb", 5) };
        assert_eq!(plain_sentence(&by_time), r#"Message "a\nb" was repeated 5 time(s) for last 30 seconds."#);
    }

    #[test]
    fn what_is_over_says_so_and_how_long_it_lasted() {
        let over = Group { resolved: true, opened: 0, closed: 720_000, ..testing::group("disk full", 0) };
        assert_eq!(plain_sentence(&over), r#"Resolved after 12 minutes: "disk full"."#);
        assert_eq!(plain_sentence(&Group { closed: 999, ..over }), r#"Resolved: "disk full"."#);
    }

    #[test]
    fn a_period_is_told_in_seconds_up_to_an_hour() {
        let lasting = |ms| period(&Group { opened: 0, closed: ms, ..testing::group_by_time("a", 5) });
        assert_eq!(lasting(0), " for last 1 second");
        assert_eq!(lasting(300_000), " for last 300 seconds");
        assert_eq!(lasting(3_600_000), " for last 3600 seconds");
        assert_eq!(lasting(3 * 3_600_000), " for last 3 hours");
    }

    #[test]
    fn a_monitor_is_told_as_its_text() {
        let once = Group { kind: MONITOR_KIND.into(), ..testing::group("`x` is *3*\n", 1) };
        assert_eq!(plain_sentence(&once), "`x` is *3* ");
        assert_eq!(plain_sentence(&Group { count: 2, ..once }), "`x` is *3*  (2 times)");
    }

    #[test]
    fn what_was_too_much_is_told_as_a_number_of_messages() {
        let text = "other messages in more groups than the limit of 100,000";
        let group =
            Group { state: "overflow".into(), kind: MONITOR_KIND.into(), ..testing::group_by_time(text, 1_203) };
        let told = plain_sentence(&group);
        assert_eq!(told, "1,203 other messages in more groups than the limit of 100,000 for last 30 seconds.");
        let told = plain_sentence(&Group { count: 1, ..group });
        assert_eq!(told, "1 other message in more groups than the limit of 100,000 for last 30 seconds.");
    }

    #[test]
    fn every_message_is_told_or_counted() {
        let mut notification = testing::notification((1..=100).map(|n| testing::group("0123456789", n)).collect());
        (notification.omitted_groups, notification.omitted_messages) = (10, 1_000);
        let lines = lines(&notification, 1_000, plain_sentence);
        let (rest, told) = lines.split_last().unwrap();
        assert!(lines.join("\n").chars().count() <= 1_000);
        assert!(told.len() > 10);
        let told_groups = u64::try_from(told.len()).unwrap();
        let told_messages: u64 = (1..=100).rev().take(told.len()).sum();
        assert_eq!(rest, &super::rest(110 - told_groups, 6_050 - told_messages).unwrap());
    }

    #[test]
    fn a_line_that_is_too_long_is_shortened_until_it_fits() {
        let escaped = |text: &str| text::quote(text);
        assert_eq!(shorten("short", 100, escaped), "\"short\"");
        let told = shorten(&"\u{e0001}".repeat(500), 100, escaped);
        assert!(told.chars().count() <= 100 && told.contains("\\U000e0001") && told.ends_with("…\""), "{told}");
    }

    #[test]
    fn plain_text_holds_its_length_and_shows_the_operators_own_text() {
        let mut notification = testing::notification(vec![testing::group(&"\u{e0001}".repeat(9_000), 3)]);
        let told = plain_text(&notification, 1_000);
        assert!((500..=1_000).contains(&told.chars().count()) && told.ends_with("3 time(s)."), "{told}");
        notification.body = Some("own\u{1b} text".into());
        assert_eq!(plain_text(&notification, 1_000), "own\u{fffd} text");
        assert_eq!(plain_text(&notification, 3), "ow…");
    }

    #[test]
    fn what_another_sender_could_not_tell_says_so_first() {
        let mut notification = testing::notification(vec![testing::group("disk full", 3)]);
        assert_eq!(escalated(&notification), None);
        notification.reason = "escalated".into();
        notification.extra =
            r#"{"escalated_from":{"sender":"team","code":"http-500","error":"sender team (plugin x 1): no\n<@all>"}}"#
                .into();
        let told = plain_text(&notification, 1_000);
        let expect = "Escalated: sender team (plugin x 1): no <@all>\nMessage \"disk full\" was repeated 3 time(s).";
        assert_eq!(told, expect);
        notification.extra = "not JSON".into();
        assert!(plain_text(&notification, 1_000).starts_with("Escalated: sender : "));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        assert_eq!(rest(412, 80_344).as_deref(), Some("and 412 more groups, 80,344 messages"));
        assert_eq!(rest(1, 1).as_deref(), Some("and 1 more group, 1 message"));
        assert_eq!(rest(0, 0), None);
    }
}
