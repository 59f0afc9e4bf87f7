//! How things look in Alertmanager's API v2: names and shapes of its description. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::matcher::{Field, Matcher, Op};
use crate::message::{Labels, Millis};
use crate::route::Routes;
use crate::silence::Silence;

/// An alert.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) ends_at: String,
    pub(super) fingerprint: String,
    pub(super) receivers: Vec<Receiver>,
    pub(super) starts_at: String,
    pub(super) status: AlertStatus,
    pub(super) updated_at: String,
    #[serde(rename = "generatorURL")]
    pub(super) generator_url: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// Where it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertStatus {
    pub(super) inhibited_by: Vec<String>,
    pub(super) muted_by: Vec<String>,
    pub(super) silenced_by: Vec<String>,
    pub(super) state: &'static str,
}

/// Who is told: a sender.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Receiver {
    pub(super) name: String,
}

/// Alerts that count together.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Group {
    pub(super) alerts: Vec<Alert>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) receiver: Receiver,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ShownSilence {
    id: String,
    status: SilenceStatus,
    comment: String,
    created_by: String,
    ends_at: String,
    matchers: Vec<ShownMatcher>,
    starts_at: String,
    updated_at: String,
}

#[derive(Debug, Serialize)]
struct SilenceStatus {
    state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownMatcher {
    is_equal: bool,
    is_regex: bool,
    name: String,
    value: String,
}

/// A silence.
pub(super) fn silence(silence: &Silence, now: Millis) -> ShownSilence {
    ShownSilence {
        id: silence.id.clone(),
        status: SilenceStatus { state: silence.state(now).as_str() },
        comment: silence.comment.clone(),
        created_by: silence.created_by.clone(),
        ends_at: time(silence.ends),
        matchers: silence.matchers.iter().map(matcher).collect(),
        starts_at: time(silence.starts),
        updated_at: time(silence.updated),
    }
}

fn matcher(matcher: &Matcher) -> ShownMatcher {
    ShownMatcher {
        is_equal: matches!(matcher.op(), Op::Equal | Op::Matches),
        is_regex: matches!(matcher.op(), Op::Matches | Op::MatchesNot),
        name: name(matcher.field()),
        value: matcher.value().to_owned(),
    }
}

/// A field as Alertmanager knows it: labels only, without a word before them.
pub(super) fn name(field: &Field) -> String {
    match field {
        Field::Label(name) => name.clone(),
        own => own.to_string(),
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn time(millis: Millis) -> String {
    let time = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    format!("{:.3}", time.unwrap_or(Timestamp::MAX))
}

/// Labels as a map.
pub(super) fn map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Every sender that a route tells.
pub(super) fn receivers(routes: &Routes) -> Vec<Receiver> {
    let mut all: Vec<Receiver> =
        routes.iter().flat_map(|(_, route)| &route.senders).map(|name| Receiver { name: name.clone() }).collect();
    all.sort();
    all.dedup();
    all
}

/// Which mag this is. Its config in Alertmanager's language is as much of it as that language can say.
pub(super) fn status(routes: &Routes, started: Millis) -> serde_json::Value {
    let quoted = |name: &str| serde_json::Value::from(name).to_string();
    let names: String =
        receivers(routes).iter().map(|receiver| format!("- name: {}\n", quoted(&receiver.name))).collect();
    let root = routes.root().senders.first().map(String::as_str).unwrap_or_default();
    let original = format!(
        "# mag is configured by its mag.toml; this names its senders only\nroute:\n  receiver: {}\nreceivers:\n{names}",
        quoted(root)
    );
    serde_json::json!({
        "cluster": { "status": "disabled", "peers": [] },
        "config": { "original": original },
        "uptime": time(started),
        "versionInfo": {
            "branch": "", "buildDate": "", "buildUser": "", "goVersion": "", "revision": "",
            "version": concat!("mag ", env!("CARGO_PKG_VERSION")),
        },
    })
}
