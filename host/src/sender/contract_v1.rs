//! The contract `mag:sender@1.0.0` as the host speaks it: converts between its records and the host's own types.
//!
//! Nothing outside this file knows that contracts have versions. A 2.0.0 gets a file of its own beside this one.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::call::State;
use super::failure::{ConfigMistake, Delivered, FailureKind, Manifest, Markup, Overflow, Prepared, SecretUse, Wanted};
use crate::group::OverflowGroup;
use crate::message::{self, Reason};

mod bindings {
    #![allow(missing_docs, unused_qualifications, unreachable_pub, clippy::all, reason = "generated from the contract")]
    wasmtime::component::bindgen!({
        path: "../plugin-sdk/wit/1.0.0",
        world: "mag:sender/plugin",
        exports: { default: async },
    });
}

use bindings::mag::sender::types as wit;

/// How the names of the contract's interfaces begin; a host of 1.0.0 serves none of them.
pub(super) const PACKAGE: &str = "mag:sender/";
/// The interface that a component must export…
pub(super) const INTERFACE: &str = "mag:sender/sender";
/// …in this version, or a later one that is compatible…
pub(super) const VERSION: &str = "1.0.0";
/// …with these functions.
pub(super) const FUNCTIONS: [&str; 4] = ["describe", "validate", "prepare", "send"];

/// A compiled and linked component.
pub(super) struct Plugin(bindings::PluginPre<State>);

/// A failure as the plugin told it, unchecked.
pub(super) struct Told {
    pub(super) kind: FailureKind,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) after: Option<Duration>,
    pub(super) maybe_delivered: bool,
    pub(super) progress: Option<Vec<u8>>,
}

impl Plugin {
    /// Checks that the exports have the contract's types.
    pub(super) fn new(linked: InstancePre<State>) -> wasmtime::Result<Self> {
        bindings::PluginPre::new(linked).map(Self)
    }

    pub(super) async fn describe(&self, store: &mut Store<State>) -> wasmtime::Result<Manifest> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.mag_sender_sender().call_describe(store).await.map(manifest)
    }

    /// The origins that the config makes the plugin want, or the config's mistakes.
    pub(super) async fn validate(
        &self,
        store: &mut Store<State>,
        config: &str,
    ) -> wasmtime::Result<Result<Vec<Wanted>, Vec<ConfigMistake>>> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        let answer = guest.mag_sender_sender().call_validate(store, config).await?;
        let wanted = |e: wit::Egress| Wanted { origin: e.origin, methods: e.methods, why: e.why };
        Ok(answer.map(|all| all.into_iter().map(wanted).collect()).map_err(|mistakes| {
            mistakes.into_iter().map(|m| ConfigMistake { pointer: m.pointer, message: m.message }).collect()
        }))
    }

    pub(super) async fn prepare(
        &self,
        store: &mut Store<State>,
        config: &str,
    ) -> wasmtime::Result<Result<Prepared, Told>> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        let answer = guest.mag_sender_sender().call_prepare(store, config).await?;
        let prepared =
            |p: wit::Prepared| Prepared { state: p.state, valid_for: p.valid_for_ms.map(Duration::from_millis) };
        Ok(answer.map(prepared).map_err(told))
    }

    pub(super) async fn send(
        &self,
        store: &mut Store<State>,
        config: &str,
        state: &[u8],
        notification: &wit::Notification,
    ) -> wasmtime::Result<Result<Delivered, Told>> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        let answer = guest.mag_sender_sender().call_send(store, config, state, notification).await?;
        let delivered = |d: wit::Delivered| Delivered { receipt: d.receipt, updated_in_place: d.updated_in_place };
        Ok(answer.map(delivered).map_err(told))
    }
}

fn told(failure: wit::Failure) -> Told {
    Told {
        kind: match failure.kind {
            wit::FailureKind::Retry => FailureKind::Retry,
            wit::FailureKind::RateLimited => FailureKind::RateLimited,
            wit::FailureKind::Permanent => FailureKind::Permanent,
            wit::FailureKind::Misconfigured => FailureKind::Misconfigured,
        },
        code: failure.code,
        message: failure.message,
        after: failure.after_ms.map(Duration::from_millis),
        maybe_delivered: failure.maybe_delivered,
        progress: failure.progress,
    }
}

fn manifest(manifest: wit::Manifest) -> Manifest {
    let secret =
        |s: wit::Secret| SecretUse { name: s.name, required: s.required, uses: s.uses, description: s.description };
    Manifest {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        config_schema: manifest.config_schema,
        secrets: manifest.secrets.into_iter().map(secret).collect(),
        markup: match manifest.markup {
            wit::Markup::None => Markup::None,
            wit::Markup::Markdown => Markup::Markdown,
            wit::Markup::Mrkdwn => Markup::Mrkdwn,
            wit::Markup::Html => Markup::Html,
        },
        updates_in_place: manifest.updates_in_place,
        replies: manifest.replies,
        max_groups: manifest.max_groups,
        overflow: match manifest.overflow {
            wit::Overflow::Summarize => Overflow::Summarize,
            wit::Overflow::Split => Overflow::Split,
        },
    }
}

/// The notification as the contract writes it.
pub(super) fn notification(n: &message::Notification) -> wit::Notification {
    wit::Notification {
        id: n.id.clone(),
        attempt: n.attempt,
        sender: n.sender.clone(),
        kind: n.kind.clone(),
        reason: n.reason.as_str().to_owned(),
        period_ms: n.period_ms,
        title: n.title.clone(),
        body: None,
        groups: n.groups.iter().map(group).collect(),
        omitted_groups: n.omitted_groups,
        omitted_messages: n.omitted_messages,
        sent_at: n.sent_at,
        timeout_ms: n.timeout_ms,
        intent: if n.previous.is_some() { wit::Intent::Update } else { wit::Intent::Post },
        previous: n.previous.clone(),
        progress: n.progress.clone(),
        links: Vec::new(),
        extra: extra(n),
    }
}

fn group(group: &message::Group) -> wit::Group {
    let label = |(name, value): (&str, &str)| wit::Label { name: name.to_owned(), value: value.to_owned() };
    let resolved = group.reason == Reason::Resolved;
    let state = match OverflowGroup::of(group) {
        _ if resolved => "resolved",
        Some(_) => "overflow",
        None => "firing",
    };
    wit::Group {
        id: group.id.to_string(),
        route: group.route.to_string(),
        kind: group.kind.clone(),
        source: group.source.clone(),
        text: group.text.clone(),
        severity: group.severity.map(severity),
        labels: group.labels.iter().map(label).collect(),
        annotations: group.annotations.iter().map(label).collect(),
        count: group.count,
        total: group.total,
        first_seen: group.first_seen,
        last_seen: group.last_seen,
        opened: group.opened,
        closed: group.closed,
        samples: group.samples.clone(),
        reason: group.reason.as_str().to_owned(),
        state: state.to_owned(),
        resolved,
        links: runbook(group).into_iter().collect(),
        extra: "{}".to_owned(),
    }
}

/// Where an alert says that its instructions are.
fn runbook(group: &message::Group) -> Option<wit::Link> {
    let url = group.annotations.get("runbook_url").or_else(|| group.annotations.get("runbook"))?;
    let is_address = url.starts_with("https://") || url.starts_with("http://");
    is_address.then(|| wit::Link { rel: "runbook".to_owned(), title: "Runbook".to_owned(), url: url.to_owned() })
}

fn severity(severity: message::Severity) -> wit::Severity {
    match severity {
        message::Severity::Trace => wit::Severity::Trace,
        message::Severity::Debug => wit::Severity::Debug,
        message::Severity::Info => wit::Severity::Info,
        message::Severity::Notice => wit::Severity::Notice,
        message::Severity::Warning => wit::Severity::Warning,
        message::Severity::Error => wit::Severity::Error,
        message::Severity::Critical => wit::Severity::Critical,
    }
}

/// Where and when the notification is told, for plugins that write times: the zone of this machine, at that time. And
/// whose it was to tell, when another sender could not.
fn extra(n: &message::Notification) -> String {
    let mut extra = surroundings(n.sent_at);
    if let (Some(cause), Some(extra)) = (&n.cause, extra.as_object_mut()) {
        let cause = json!({ "sender": cause.sender, "code": cause.code, "error": cause.error });
        extra.insert("escalated_from".to_owned(), cause);
    }
    extra.to_string()
}

fn surroundings(at: message::Millis) -> serde_json::Value {
    let zone = TimeZone::system();
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or_default();
    let offset = zone.to_offset(at).seconds();
    json!({ "time_zone": zone.iana_name().unwrap_or("UTC"), "utc_offset_s": offset, "language": "en" })
}

#[cfg(test)]
mod tests {
    use super::surroundings;

    #[test]
    fn surroundings_are_a_json_object_for_any_time() {
        for at in [0, 1_700_000_000_000, u64::MAX] {
            let value = surroundings(at);
            assert!(value["time_zone"].is_string() && value["utc_offset_s"].is_i64(), "{value}");
        }
    }
}
