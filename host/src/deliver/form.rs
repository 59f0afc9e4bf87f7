//! A frozen delivery as the notification that a plugin is given. Pure: the same delivery always reads the same.

use std::time::Duration;

use crate::clock::as_millis;
use crate::group::{self, OverflowGroup};
use crate::limits;
use crate::message::{DEFAULT_KIND, Group, Notification, Reason, counted};
use crate::store::Delivery;

/// Forms the notification of a delivery.
#[must_use]
pub fn notification(delivery: &Delivery, timeout: Duration) -> Notification {
    let groups = &delivery.groups;
    Notification {
        id: delivery.id.clone(),
        attempt: delivery.attempt,
        sender: delivery.sender.clone(),
        kind: common(groups, |group| group.kind.as_str()).unwrap_or(DEFAULT_KIND).to_owned(),
        reason: delivery.reason.or_else(|| common(groups, |group| group.reason)).unwrap_or(Reason::Time),
        period_ms: groups.iter().map(|group| group.closed.saturating_sub(group.opened)).max().unwrap_or(0),
        title: title(delivery),
        groups: groups.clone(),
        omitted_groups: delivery.omitted_groups,
        omitted_messages: delivery.omitted_messages,
        sent_at: delivery.created,
        timeout_ms: u32::try_from(as_millis(timeout)).unwrap_or(u32::MAX),
        progress: delivery.progress.clone(),
        previous: delivery.previous.clone(),
        cause: delivery.cause.clone(),
    }
}

/// What all groups have in common, if they do.
fn common<'g, T: PartialEq>(groups: &'g [Group], of: impl Fn(&'g Group) -> T) -> Option<T> {
    let mut values = groups.iter().map(of);
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// One line that says the most important thing; first of all that it was another sender's to say.
fn title(delivery: &Delivery) -> String {
    let prefix = match &delivery.cause {
        Some(cause) => one_line(&format!("escalated from {}: ", cause.sender), limits::TITLE_CHARS / 2) + " ",
        None => String::new(),
    };
    let chars = limits::TITLE_CHARS - prefix.chars().count();
    let told: u64 = delivery.groups.iter().map(|group| group.count).fold(0, u64::saturating_add);
    let messages = told.saturating_add(delivery.omitted_messages);
    let groups = delivery.groups.len() as u64 + delivery.omitted_groups;
    let about = match delivery.groups.first() {
        Some(group) if groups == 1 && OverflowGroup::of(group).is_some() => {
            one_line(&group::sentence(messages, &group.text), chars)
        }
        Some(group) if groups == 1 && group.reason == Reason::Resolved => {
            one_line(&format!("resolved: {}", group.text), chars)
        }
        Some(group) if groups == 1 && messages == 1 => one_line(&group.text, chars),
        Some(group) if groups == 1 => {
            let times = format!(" ({messages} times)");
            one_line(&group.text, chars.saturating_sub(times.len())) + &times
        }
        Some(_) if messages == 0 => format!("resolved: {}", counted(groups, "group")),
        _ => format!("{} in {}", counted(messages, "message"), counted(groups, "group")),
    };
    if about.is_empty() { prefix + "(empty message)" } else { prefix + &about }
}

/// The text on one line, white space folded, control characters gone, cut to `chars` characters.
fn one_line(text: &str, chars: usize) -> String {
    let mut line = String::new();
    // A title never needs more of a text than this many characters, however long the text is.
    let start: String = text.chars().take(chars * 4).collect();
    for word in start.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()));
    }
    match line.char_indices().nth(chars) {
        None => line,
        Some(_) => line.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Cause, GroupId, Labels};
    use crate::store::Tries;

    fn group(text: &str, kind: &str, count: u64, reason: Reason) -> Group {
        Group {
            id: GroupId(1),
            route: "root".into(),
            kind: kind.to_owned(),
            source: None,
            text: text.to_owned(),
            severity: None,
            labels: Labels::default(),
            annotations: Labels::default(),
            count,
            total: count,
            first_seen: 1,
            last_seen: 2,
            opened: 1_000,
            closed: 31_000,
            samples: Vec::new(),
            reason,
        }
    }

    fn delivery(groups: Vec<Group>, omitted: (u64, u64)) -> Delivery {
        Delivery {
            id: "id".to_owned(),
            sender: "console".to_owned(),
            attempt: 1,
            groups,
            omitted_groups: omitted.0,
            omitted_messages: omitted.1,
            created: 5,
            next_attempt: None,
            progress: None,
            reason: None,
            cause: None,
            previous: None,
            tries: Tries::default(),
        }
    }

    fn form(groups: Vec<Group>, omitted: (u64, u64)) -> Notification {
        notification(&delivery(groups, omitted), Duration::from_secs(10))
    }

    #[track_caller]
    fn check_title(groups: Vec<Group>, omitted: (u64, u64), expect: &str) {
        assert_eq!(form(groups, omitted).title, expect);
    }

    #[test]
    fn the_title_names_one_group_and_counts_many() {
        check_title(vec![group("disk full", "default", 1, Reason::Time)], (0, 0), "disk full");
        check_title(vec![group("disk\n full\u{7}", "default", 30, Reason::Count)], (0, 0), "disk full (30 times)");
        let two = vec![group("a", "default", 2, Reason::Time), group("b", "default", 3, Reason::Time)];
        check_title(two, (10, 100), "105 messages in 12 groups");
        check_title(vec![group("", "default", 1, Reason::Time)], (0, 0), "(empty message)");
    }

    #[test]
    fn the_title_of_what_is_over_says_that() {
        let over = |text| group(text, "alert", 0, Reason::Resolved);
        check_title(vec![over("disk full")], (0, 0), "resolved: disk full");
        check_title(vec![over("disk full"), over("link down")], (3, 0), "resolved: 5 groups");
        check_title(vec![over("disk full"), group("a", "alert", 2, Reason::Time)], (0, 0), "2 messages in 2 groups");
        check_title(vec![over("disk full"), group("a", "alert", 1, Reason::Time)], (0, 0), "1 message in 2 groups");
    }

    #[test]
    fn the_title_of_what_was_too_much_is_a_number_of_messages() {
        let text = OverflowGroup::Groups.text(3);
        let other = Group { id: OverflowGroup::Groups.id("root"), ..group(&text, "default", 997, Reason::Time) };
        check_title(vec![other], (0, 0), "997 other messages in more groups than the limit of 3");
    }

    #[test]
    fn what_another_sender_could_not_tell_says_so_in_its_title() {
        let (code, error) = ("http-500".to_owned(), "sender team: no".to_owned());
        let delivery = Delivery {
            reason: Some(Reason::Escalated),
            cause: Some(Cause { sender: "team".to_owned(), code, error }),
            ..delivery(vec![group(&"x".repeat(300), "default", 30, Reason::Count)], (0, 0))
        };
        let n = notification(&delivery, Duration::from_secs(10));
        assert_eq!((n.reason, n.cause), (Reason::Escalated, delivery.cause));
        assert!(n.title.starts_with("escalated from team: xxx") && n.title.ends_with("… (30 times)"), "{}", n.title);
        assert_eq!(n.title.chars().count(), limits::TITLE_CHARS);
    }

    #[test]
    fn a_long_title_is_cut_to_its_limit() {
        let title = form(vec![group(&"ä".repeat(1_000), "default", 9, Reason::Time)], (0, 0)).title;
        assert_eq!(title.chars().count(), limits::TITLE_CHARS);
        assert!(title.ends_with("… (9 times)"), "{title}");
    }

    #[test]
    fn kind_and_reason_are_the_common_ones_else_default_and_time() {
        let n = form(vec![group("a", "monitor", 1, Reason::Count), group("b", "monitor", 1, Reason::Count)], (0, 0));
        assert_eq!((n.kind.as_str(), n.reason), ("monitor", Reason::Count));
        let n = form(vec![group("a", "monitor", 1, Reason::Count), group("b", "x", 1, Reason::Time)], (0, 0));
        assert_eq!((n.kind.as_str(), n.reason), ("default", Reason::Time));
        assert_eq!(n.period_ms, 30_000);
    }
}
