//! The JSON body, as receivers rely on it: version 1. Names and types only change together with `version`.

use std::collections::BTreeMap;
use std::mem;

use mag_plugin_sdk::tell::severity_word;
use mag_plugin_sdk::time::rfc3339_ms;
use mag_plugin_sdk::{Group, Label, Link, Notification};
use serde::Serialize;

/// The whole body.
#[derive(Debug, Serialize)]
pub(crate) struct Body<'a> {
    version: u32,
    id: &'a str,
    attempt: u32,
    sender: &'a str,
    kind: &'a str,
    reason: &'a str,
    period_ms: u64,
    title: &'a str,
    body: Option<&'a str>,
    groups: Vec<BodyGroup<'a>>,
    omitted_groups: u64,
    omitted_messages: u64,
    sent_at: String,
    /// Sender, code and error of whoever could not tell it.
    escalated_from: Option<serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct BodyGroup<'a> {
    id: &'a str,
    route: &'a str,
    kind: &'a str,
    source: Option<&'a str>,
    text: &'a str,
    severity: Option<&'static str>,
    labels: BTreeMap<&'a str, &'a str>,
    annotations: BTreeMap<&'a str, &'a str>,
    count: u64,
    total: u64,
    first_seen: String,
    last_seen: String,
    opened: String,
    closed: String,
    samples: &'a [String],
    reason: &'a str,
    state: Option<&'a str>,
    resolved: bool,
    links: Vec<BodyLink<'a>>,
}

#[derive(Debug, Serialize)]
struct BodyLink<'a> {
    rel: &'a str,
    title: &'a str,
    url: &'a str,
}

/// Room for the numbers of what is left out.
const COUNTS_BYTES: usize = 64;

impl Body<'_> {
    /// The same in at most `max` bytes of JSON: groups that do not fit any more are only counted. Escapes can make a text
    /// six times as long as it was in the notification.
    pub(crate) fn fit(mut self, max: usize) -> Self {
        if length(&self) <= max {
            return self;
        }
        let groups = mem::take(&mut self.groups);
        let mut room = max.saturating_sub(length(&self) + COUNTS_BYTES);
        for group in groups {
            if let Some(left) = room.checked_sub(length(&group) + 1) {
                room = left;
                self.groups.push(group);
            } else {
                self.omitted_groups = self.omitted_groups.saturating_add(1);
                self.omitted_messages = self.omitted_messages.saturating_add(group.count);
            }
        }
        self
    }
}

/// In bytes of JSON; these types have nothing that JSON cannot express.
fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len())
}

impl<'a> From<&'a Notification> for Body<'a> {
    fn from(n: &'a Notification) -> Self {
        Self {
            version: 1,
            id: &n.id,
            attempt: n.attempt,
            sender: &n.sender,
            kind: &n.kind,
            reason: &n.reason,
            period_ms: n.period_ms,
            title: &n.title,
            body: n.body.as_deref(),
            groups: n.groups.iter().map(BodyGroup::from).collect(),
            omitted_groups: n.omitted_groups,
            omitted_messages: n.omitted_messages,
            sent_at: rfc3339_ms(n.sent_at),
            escalated_from: escalated_from(n),
        }
    }
}

fn escalated_from(n: &Notification) -> Option<serde_json::Value> {
    let mut extra: serde_json::Value = serde_json::from_str(&n.extra).ok()?;
    extra.get_mut("escalated_from").map(serde_json::Value::take)
}

impl<'a> From<&'a Group> for BodyGroup<'a> {
    fn from(g: &'a Group) -> Self {
        Self {
            id: &g.id,
            route: &g.route,
            kind: &g.kind,
            source: g.source.as_deref(),
            text: &g.text,
            severity: g.severity.map(severity_word),
            labels: object(&g.labels),
            annotations: object(&g.annotations),
            count: g.count,
            total: g.total,
            first_seen: rfc3339_ms(g.first_seen),
            last_seen: rfc3339_ms(g.last_seen),
            opened: rfc3339_ms(g.opened),
            closed: rfc3339_ms(g.closed),
            samples: &g.samples,
            reason: &g.reason,
            state: (!g.state.is_empty()).then_some(g.state.as_str()),
            resolved: g.resolved,
            links: g.links.iter().map(BodyLink::from).collect(),
        }
    }
}

impl<'a> From<&'a Link> for BodyLink<'a> {
    fn from(link: &'a Link) -> Self {
        Self { rel: &link.rel, title: &link.title, url: &link.url }
    }
}

fn object(labels: &[Label]) -> BTreeMap<&str, &str> {
    labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect()
}
