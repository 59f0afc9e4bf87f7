//! Alert services whose API is much alike: raise an alert under a name of our own, close it under the same name. One alert
//! a group, whose id is the name; each service has a line in the tables here.
//!
//! Limits are those of `https://docs.opsgenie.com/docs/alert-api` (message 130 characters, description 15,000, alias 512,
//! details 8,000; Jira Service Management has the same API) and of `https://help.splunk.com/en/splunk-on-call` (REST
//! endpoint: entity id 512, state message 20,480).

use mag_plugin_sdk::http::{Request, Said};
use mag_plugin_sdk::layout::{self, Limit, PLAIN, Tone};
use mag_plugin_sdk::{Call, Delivered, Failure, FailureKind, Group, Notification, delivered, failure, tell};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Config;

/// Which service's form the body has.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Opsgenie, or the alerts of Jira Service Management; the key is `secrets.key`.
    Opsgenie,
    /// Splunk On-Call, once `VictorOps`, by its REST endpoint, whose address holds key and routing key.
    SplunkOnCall,
}

/// A call may make eight requests; what is more waits a moment.
const REQUESTS: usize = 8;
/// Alerts of one notification that are raised one by one; the groups beyond them share one.
const ALERTS: usize = 7;
/// How long the next call waits when there was more than one call may send.
const NEXT_MS: u64 = 1_000;
/// Of an alert's first line.
const MESSAGE: Limit = Limit::Chars(130);
/// Of its text.
const DESCRIPTION: Limit = Limit::Chars(15_000);
/// Labels shown, and of each its name and value: 8,000 characters in all.
const LABELS: usize = 20;
const LABEL: Limit = Limit::Chars(180);

impl Preset {
    /// Where the service is, if everybody has the same address.
    pub(crate) fn url(self) -> Option<&'static str> {
        match self {
            Self::Opsgenie => Some("https://api.opsgenie.com/v2/alerts"),
            Self::SplunkOnCall => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Opsgenie => "opsgenie",
            Self::SplunkOnCall => "splunk on-call",
        }
    }
}

/// Something that a service has to be told of one alert.
struct Alert {
    /// The name under which it is raised and closed.
    alias: String,
    message: String,
    description: String,
    details: Map<String, Value>,
    tone: Tone,
    since_ms: u64,
}

/// Raises and closes the alerts. What failed is tried again from there: progress counts the requests that were taken.
pub(crate) fn send(
    call: &Call<'_, Config>,
    notification: &Notification,
    preset: Preset,
    url: &str,
) -> Result<Delivered, Failure> {
    let alerts = alerts(notification);
    let done = notification.progress.as_deref().and_then(|done| str::from_utf8(done).ok()?.parse().ok()).unwrap_or(0);
    let mut refused = None;
    for (at, alert) in alerts.iter().enumerate().skip(done) {
        let with_progress = |failure: Failure| Failure { progress: Some(at.to_string().into_bytes()), ..failure };
        if at - done == REQUESTS {
            let more = format!("left for the next call: {}", alerts.len() - at);
            return Err(with_progress(failure::rate_limited("more", &more, Some(NEXT_MS))));
        }
        let mut request = request(preset, url.trim_end_matches('/'), alert);
        if let Some(key) = call.secrets.get("key").filter(|_| preset == Preset::Opsgenie) {
            request = request.header("authorization", format!("GenieKey {key}"));
        }
        for (name, value) in &call.config.headers {
            request = request.header(name, value);
        }
        let answer = call.http.send(&request).map_err(|error| with_progress(error.into()))?;
        match answer.check_with(call.now_ms, preset.name(), |body| Said::read(body, "", "/message")) {
            // The others may well be taken.
            Err(failure) if failure.kind == FailureKind::Permanent => refused = Some(failure),
            Err(failure) => return Err(with_progress(failure)),
            Ok(()) => {}
        }
    }
    refused.map_or_else(|| Ok(delivered()), Err)
}

/// What is over first, then the most important groups, then one for all the rest.
fn alerts(notification: &Notification) -> Vec<Alert> {
    let (over, firing): (Vec<&Group>, Vec<&Group>) =
        tell::in_order(notification).into_iter().partition(|group| group.resolved);
    let mut alerts: Vec<Alert> =
        over.iter().chain(firing.iter().take(ALERTS)).map(|group| alert(notification, group)).collect();
    let rest = firing.iter().skip(ALERTS);
    let (groups, messages) = rest
        .fold((notification.omitted_groups, notification.omitted_messages), |(n, m), group| {
            (n.saturating_add(1), m.saturating_add(group.count))
        });
    if let Some(rest) = tell::rest(groups, messages) {
        alerts.push(Alert {
            alias: format!("mag-rest-{}", notification.sender),
            message: rest.clone(),
            description: rest,
            details: Map::new(),
            tone: layout::tone(notification),
            since_ms: notification.sent_at,
        });
    }
    alerts
}

fn alert(notification: &Notification, group: &Group) -> Alert {
    let shown = |raw: &str| LABEL.shown(raw);
    let alone =
        Notification { groups: vec![group.clone()], omitted_groups: 0, omitted_messages: 0, ..notification.clone() };
    let mut details: Map<String, Value> =
        group.labels.iter().take(LABELS).map(|label| (shown(&label.name), json!(shown(&label.value)))).collect();
    details.insert("route".to_owned(), json!(shown(&group.route)));
    details.insert("kind".to_owned(), json!(shown(&group.kind)));
    details.insert("count".to_owned(), json!(group.count.to_string()));
    Alert {
        alias: format!("mag-{}", group.id),
        message: MESSAGE.shown(&group.text),
        description: layout::text(&alone, &PLAIN, DESCRIPTION),
        details,
        tone: layout::tone(&alone),
        since_ms: group.opened,
    }
}

fn request(preset: Preset, url: &str, alert: &Alert) -> Request {
    match preset {
        Preset::Opsgenie if alert.tone == Tone::Resolved => {
            let url = format!("{url}/{}/close?identifierType=alias", alert.alias);
            Request::post(url).json(&json!({ "source": "mag", "note": alert.description }))
        }
        Preset::Opsgenie => {
            let priority = match alert.tone {
                Tone::Critical => "P1",
                Tone::Error => "P2",
                Tone::Warning | Tone::Normal | Tone::Resolved => "P3",
                Tone::Quiet => "P5",
            };
            let message = if alert.message.is_empty() { "(empty message)" } else { &alert.message };
            Request::post(url).json(&json!({
                "message": message, "alias": alert.alias, "description": alert.description, "details": alert.details,
                "source": "mag", "priority": priority,
            }))
        }
        Preset::SplunkOnCall => {
            let kind = match alert.tone {
                Tone::Resolved => "RECOVERY",
                Tone::Critical | Tone::Error => "CRITICAL",
                Tone::Warning | Tone::Normal => "WARNING",
                Tone::Quiet => "INFO",
            };
            Request::post(url).json(&json!({
                "message_type": kind, "entity_id": alert.alias, "entity_display_name": alert.message,
                "state_message": alert.description, "state_start_time": alert.since_ms / 1_000, "monitoring_tool": "mag",
            }))
        }
    }
}

#[cfg(test)]
mod tests;
