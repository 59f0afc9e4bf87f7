//! How things look in Alertmanager's API v2: names and shapes of its description. Pure.

use std::cell::RefCell;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::matcher::{Field, Matcher, Op};
use crate::message::{Labels, Millis};
use crate::route::Routes;
use crate::silence::Silence;

/// An alert.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert<'a> {
    #[serde(serialize_with = "map")]
    pub(super) annotations: &'a Labels,
    pub(super) ends_at: String,
    pub(super) fingerprint: &'a str,
    pub(super) receivers: &'a [Receiver],
    pub(super) starts_at: String,
    pub(super) status: AlertStatus<'a>,
    pub(super) updated_at: String,
    #[serde(rename = "generatorURL")]
    pub(super) generator_url: &'a str,
    #[serde(serialize_with = "map")]
    pub(super) labels: &'a Labels,
}

/// Where it stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlertStatus<'a> {
    pub(super) inhibited_by: [&'a str; 0],
    pub(super) muted_by: [&'a str; 0],
    pub(super) silenced_by: &'a [&'a str],
    pub(super) state: &'static str,
}

/// Who is told: a sender.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Receiver {
    pub(super) name: String,
}

/// Alerts that count together.
#[derive(Debug, Serialize)]
pub(super) struct Group<A> {
    pub(super) alerts: A,
    #[serde(serialize_with = "map")]
    pub(super) labels: Labels,
    pub(super) receiver: Receiver,
}

/// A list whose entries are made one after the other while it is written: all of them may take much.
#[derive(Debug)]
pub(super) struct Each<I>(RefCell<Option<I>>);

impl Each<()> {
    pub(super) fn of<T, F>(all: impl Iterator<Item = T>, form: impl FnMut(T) -> F) -> Each<impl Iterator<Item = F>> {
        Each(RefCell::new(Some(all.map(form))))
    }
}

impl<I: Iterator<Item: Serialize>> Serialize for Each<I> {
    /// Once only.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.borrow_mut().take().into_iter().flatten())
    }
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
fn map<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter())
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
