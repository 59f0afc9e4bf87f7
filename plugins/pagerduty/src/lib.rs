//! Raises and resolves alerts in PagerDuty, with the Events API v2: one alert a group, whose id is the dedup key.
//!
//! Limits and errors are those of `https://developer.pagerduty.com/docs/events-api-v2/` (Send an alert event: a summary of
//! 1,024 characters, a dedup key of 255, an event of 512 KB; 202 accepted, 400 invalid, 429 too many). The key of the
//! integration stands in the body, where mag puts it in only if the operator says so: `in = ["body"]`.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Said};
use mag_plugin_sdk::layout::{self, Limit};
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Group, Label, Notification, Overflow, Secrets,
    Sender, Severity, delivered, failure, set, tell, time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The sender.
#[derive(Debug)]
pub struct PagerDuty;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Of messages that name no severity; `error` unless set.
    #[serde(default)]
    pub severity: Level,
    /// Where the Events API is; `https://events.eu.pagerduty.com` for accounts in Europe.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// The four severities that PagerDuty has.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the words of PagerDuty")]
pub enum Level {
    Critical,
    #[default]
    Error,
    Warning,
    Info,
}

/// Of a summary.
const SUMMARY: Limit = Limit::Chars(1_024);
/// Of each text in the details, so that an event stays far below its limit.
const DETAIL: Limit = Limit::Json(16_000);
/// Of one label's value.
const LABEL: Limit = Limit::Json(1_000);
/// PagerDuty itself.
const API: &str = "https://events.pagerduty.com";

impl Sender for PagerDuty {
    type Config = Config;

    fn about() -> About {
        let about = About::new("pagerduty", env!("CARGO_PKG_VERSION"), "Raises and resolves alerts in PagerDuty.");
        // An alert is about one group: the others come in notifications of their own.
        About { max_groups: Some(1), overflow: Overflow::Split, ..about }.secret(
            "routing_key",
            true,
            &["body"],
            "the key of an integration \"Events API v2\"; it stands in the body: add in = [\"body\"]",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let url = config.api_url.as_deref().unwrap_or(API);
        Checks::new().api("/api_url", url, &["POST"], "PagerDuty's Events API").done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let key = call.secrets.get("routing_key");
        let key = key.ok_or_else(|| failure::misconfigured("no-key", "add secrets.routing_key to the sender"))?;
        let base = call.config.api_url.as_deref().unwrap_or(API).trim_end_matches('/');
        for group in &notification.groups {
            let mut event = event(notification, group, call.config.severity);
            set(&mut event, "routing_key", json!(key));
            let answer = call.http.send(&Request::post(format!("{base}/v2/enqueue")).json(&event))?;
            answer.check_with(call.now_ms, "pagerduty", said)?;
        }
        Ok(delivered())
    }
}

fn event(notification: &Notification, group: &Group, unnamed: Level) -> Value {
    let dedup_key = format!("mag-{}", group.id);
    if group.resolved {
        return json!({ "event_action": "resolve", "dedup_key": dedup_key });
    }
    let shown = |raw: &str, limit: Limit| limit.shown(raw);
    let severity = match group.severity {
        Some(Severity::Critical) => Level::Critical,
        Some(Severity::Error) => Level::Error,
        Some(Severity::Warning) => Level::Warning,
        Some(_) => Level::Info,
        None => unnamed,
    };
    let links: Vec<Value> =
        layout::addresses(notification).iter().map(|(title, href)| json!({ "href": href, "text": title })).collect();
    json!({
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "client": "mag",
        "links": links,
        "payload": {
            "summary": layout::title(notification, SUMMARY),
            "source": shown(group.source.as_deref().unwrap_or("mag"), LABEL),
            "severity": severity,
            "timestamp": time::rfc3339_ms(group.last_seen),
            "group": shown(&group.route, LABEL),
            "class": shown(&group.kind, LABEL),
            "custom_details": {
                "text": shown(&group.text, DETAIL),
                "count": group.count,
                "total": group.total,
                "first_seen": time::rfc3339_ms(group.first_seen),
                "why": tell::escalated(notification).map(|why| shown(&why, LABEL)),
                "labels": labels(&group.labels),
            },
        },
    })
}

fn labels(labels: &[Label]) -> Map<String, Value> {
    let shown = |raw: &str| LABEL.shown(raw);
    labels.iter().map(|label| (shown(&label.name), json!(shown(&label.value)))).collect()
}

fn said(body: &Value) -> Said {
    let each = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let each: Vec<&str> = each.iter().filter_map(Value::as_str).collect();
    let key = each.iter().any(|error| error.contains("routing_key"));
    let said = Said::read(body, "/status", "/message");
    let text = if each.is_empty() { said.text } else { each.join("; ") };
    Said { text, kind: key.then_some(FailureKind::Misconfigured), ..said }
}

mag_plugin_sdk::export!(PagerDuty);

#[cfg(test)]
mod tests;
