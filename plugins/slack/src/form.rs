//! A notification as one Slack message. Pure.

use mag_plugin_sdk::{Group, Notification, layout, tell, text};

use crate::Config;
use crate::users::Users;

/// Slack recommends at most this much text in a message and cuts at ten times as much.
pub(crate) const TEXT_CHARS: usize = 4_000;
/// Tried once when that was too long.
pub(crate) const SHORT_TEXT_CHARS: usize = 1_000;
/// One group of many shows at most this much, so that one long text does not push the others out.
const LINE_CHARS: usize = 500;

/// The whole text, at most `max_chars` long: the groups, the rest, links and mentions on a line of their own.
pub(crate) fn text(notification: &Notification, config: &Config, users: &Users, max_chars: usize) -> String {
    let mentions = mentions(notification, config, users, max_chars / 2);
    let why = tell::escalated(notification).map(|why| text::mrkdwn(&text::plain_line(&why)));
    let taken = |line: &str| if line.is_empty() { 0 } else { line.chars().count() + 1 };
    let links = links(notification, max_chars / 4);
    let around = taken(&mentions) + taken(&links) + why.as_deref().map_or(0, taken);
    let budget = max_chars.saturating_sub(around);
    let mut lines = match &notification.body {
        Some(body) => vec![text::truncate_chars(body, budget)],
        None => {
            let longest = tell::longest_line(budget);
            let limit = if notification.groups.len() == 1 { longest } else { longest.min(LINE_CHARS) };
            tell::lines(notification, budget, |group| line(group, limit))
        }
    };
    if let Some(why) = why {
        lines.insert(0, why);
    }
    lines.extend([links, mentions].into_iter().filter(|line| !line.is_empty()));
    lines.join("\n")
}

/// What is said of one group, and what is said about its alerts in at most half of the room.
fn line(group: &Group, max_chars: usize) -> String {
    let quoted = |shown: &str| format!(" `{}`", text::mrkdwn(&text::quote(shown)));
    let about = tell::description(group).map(|about| tell::shorten(about, max_chars / 2, quoted)).unwrap_or_default();
    format!("{}{about}", sentence(group, max_chars.saturating_sub(about.chars().count())))
}

/// `<https://example.org/disk|Runbook>`: where to look on, of a group that is told alone. What does not fit is left out
/// whole.
fn links(notification: &Notification, max_chars: usize) -> String {
    let link = |(title, url): (String, String)| format!("<{}|{title}>", text::mrkdwn(&url).replace('|', "%7C"));
    let mut links = String::new();
    for link in layout::addresses(notification).into_iter().map(link) {
        if links.chars().count() + link.chars().count() < max_chars {
            links.push_str(if links.is_empty() { "" } else { " " });
            links.push_str(&link);
        }
    }
    links
}

fn sentence(group: &Group, max_chars: usize) -> String {
    if let Some(told) = tell::overflow(group) {
        return tell::shorten(&told, max_chars, |shown| format!("{}{}.", text::mrkdwn(shown), tell::period(group)));
    }
    if group.resolved {
        return tell::shorten(&group.text, max_chars, |shown| {
            format!("Resolved{}: `{}`.", tell::lasted(group), text::mrkdwn(&text::quote(shown)))
        });
    }
    if group.kind == tell::MONITOR_KIND {
        return tell::shorten(&group.text, max_chars, |shown| format!("{}{}", text::mrkdwn(shown), tell::times(group)));
    }
    tell::shorten(&group.text, max_chars, |shown| {
        let quoted = text::mrkdwn(&text::quote(shown));
        format!("Message `{quoted}` was repeated *{}* time(s){}.", group.count, tell::period(group))
    })
}

/// `<@U1> <@U2>`: the lists of the kinds that are told, each person once. What does not fit is left out whole.
fn mentions(notification: &Notification, config: &Config, users: &Users, max_chars: usize) -> String {
    let monitor = |kind: &str| kind == tell::MONITOR_KIND;
    let groups = &notification.groups;
    let any_monitor = groups.iter().any(|group| monitor(&group.kind)) || monitor(&notification.kind);
    let any_other = groups.iter().any(|group| !monitor(&group.kind)) || !any_monitor;
    let lists = [(any_other, &config.mention), (any_monitor, &config.mention_monitor)];
    let mut told: Vec<&str> = Vec::new();
    let mut chars = 0;
    for name in lists.into_iter().filter(|(told, _)| *told).flat_map(|(_, list)| list) {
        let Some(id) = users.id(name) else { continue };
        chars += id.len() + 4;
        if !told.contains(&id) && chars <= max_chars {
            told.push(id);
        }
    }
    let mentions: Vec<String> = told.iter().map(|id| format!("<@{id}>")).collect();
    mentions.join(" ")
}
