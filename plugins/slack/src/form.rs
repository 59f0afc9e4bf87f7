//! A notification as one Slack message. Pure.

use mag_plugin_sdk::{Group, Notification, tell, text};

use crate::Config;
use crate::users::Users;

/// Slack recommends at most this much text in a message and cuts at ten times as much.
pub(crate) const TEXT_CHARS: usize = 4_000;
/// Tried once when that was too long.
pub(crate) const SHORT_TEXT_CHARS: usize = 1_000;
/// One group of many shows at most this much, so that one long text does not push the others out.
const LINE_CHARS: usize = 500;

/// The whole text, at most `max_chars` long: the groups, the rest, the mentions on a line of their own.
pub(crate) fn text(notification: &Notification, config: &Config, users: &Users, max_chars: usize) -> String {
    let mentions = mentions(notification, config, users, max_chars / 2);
    let why = tell::escalated(notification).map(|why| text::mrkdwn(&text::plain_line(&why)));
    let taken = |line: &str| line.chars().count() + 1;
    let budget = max_chars.saturating_sub(taken(&mentions) + why.as_deref().map_or(0, taken));
    let mut lines = match &notification.body {
        Some(body) => vec![text::truncate_chars(body, budget)],
        None => {
            let longest = tell::longest_line(budget);
            let limit = if notification.groups.len() == 1 { longest } else { longest.min(LINE_CHARS) };
            tell::lines(notification, budget, |group| sentence(group, limit))
        }
    };
    if let Some(why) = why {
        lines.insert(0, why);
    }
    if !mentions.is_empty() {
        lines.push(mentions);
    }
    lines.join("\n")
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
