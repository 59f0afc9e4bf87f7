//! `/metrics`: what is counted while mag works, and what the store and the parts say at the moment of asking.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::Admin;
use super::answer::{Answer, Refusal, body};
use crate::deliver::health::Counts;
use crate::store::{Overview, Trouble};
use crate::telemetry::metrics as names;
use crate::telemetry::metrics::{ByKind, ByOutcome, BySender, Name};

/// `OpenMetrics`, which is what Prometheus asks for first and what the encoder writes.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Version {
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTerm {
    route: String,
    sender: String,
    term: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    sender: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Health {
    sender: String,
    health: &'static str,
}

/// Everything, as text.
pub(super) async fn answer(admin: &Admin) -> Result<Answer, Refusal> {
    let (overview, sizes) = admin.store.look(|reader| Ok((reader.overview()?, reader.sizes()?))).await?;
    let mut registry = Registry::default();
    process(&mut registry, admin);
    intake(&mut registry, admin);
    rows(&mut registry, &overview);
    senders(&mut registry, admin);
    admin.store.metrics().register(&mut registry);
    let full = match admin.store.trouble() {
        Some(Trouble::Full) => 1,
        Some(Trouble::Spent) => 2,
        Some(Trouble::Busy) | None => 0,
    };
    gauge(&mut registry, names::STORE_FULL, full);
    gauge(&mut registry, names::STORE_BYTES, sizes.0);
    gauge(&mut registry, names::WAL_BYTES, sizes.1);
    let mut text = String::new();
    // Writing to a text cannot fail.
    encode(&mut text, &registry).map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(body(StatusCode::OK, CONTENT_TYPE, text))
}

fn process(registry: &mut Registry, admin: &Admin) {
    let build = Family::<Version, Gauge>::default();
    build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
    names::BUILD.register(registry, build);
    gauge(registry, names::PROCESS_START, admin.started / 1_000);
    let loaded = admin.loaded.borrow().clone();
    gauge(registry, names::RELOADED, u64::from(loaded.refused.is_none()));
    gauge(registry, names::LOADED_AT, loaded.at / 1_000);
}

fn intake(registry: &mut Registry, admin: &Admin) {
    let intake = &admin.intake;
    for (name, value) in [
        (names::MESSAGES, &intake.messages),
        (names::PARTIAL, &intake.partial),
        (names::TRUNCATED, &intake.truncated),
        (names::REPLACED, &intake.replaced),
        (names::IGNORED_KEYS, &intake.ignored_keys),
        (names::REFUSED_LINES, &intake.refused_lines),
        (names::REFUSED_CONNECTIONS, &intake.refused_connections),
    ] {
        name.register(registry, ConstCounter::new(now(value)));
    }
    gauge(registry, names::CONNECTIONS, now(&intake.connections));
}

fn rows(registry: &mut Registry, overview: &Overview) {
    let open = Family::<ByRoute, Gauge>::default();
    for route in &overview.open {
        open.get_or_create(&ByRoute { route: route.route.clone() }).set(int(route.groups));
    }
    names::OPEN_GROUPS.register(registry, open);
    let ledger = Family::<ByTerm, Gauge>::default();
    for account in &overview.accounts {
        for (term, messages) in [("accepted", account.accepted)].into_iter().chain(account.terms) {
            let (route, sender) = (account.route.clone(), account.sender.clone());
            ledger.get_or_create(&ByTerm { route, sender, term: term.to_owned() }).set(int(messages));
        }
    }
    names::LEDGER.register(registry, ledger);
    let (queue, dead) = (Family::<BySender, Gauge>::default(), Family::<BySender, Gauge>::default());
    let unfinished = Family::<ByState, Gauge>::default();
    for line in &overview.senders {
        let sender = BySender { sender: line.name.clone() };
        queue.get_or_create(&sender).set(int(line.queue_groups));
        dead.get_or_create(&sender).set(int(line.dead));
        for (state, deliveries) in [("queued", line.queued), ("sending", line.sending), ("backoff", line.backoff)] {
            unfinished.get_or_create(&ByState { sender: line.name.clone(), state }).set(int(deliveries));
        }
    }
    names::QUEUE.register(registry, queue);
    names::DEAD.register(registry, dead);
    names::UNFINISHED.register(registry, unfinished);
}

/// What the senders' tasks counted since mag started.
fn senders(registry: &mut Registry, admin: &Admin) {
    let outcomes = Family::<ByOutcome, names::Counter>::default();
    let (attempts, resends) =
        (Family::<BySender, names::Counter>::default(), Family::<BySender, names::Counter>::default());
    let (failures, health) = (Family::<ByKind, names::Counter>::default(), Family::<Health, Gauge>::default());
    let escalated = Family::<BySender, names::Counter>::default();
    for (name, (seen, word)) in admin.health() {
        let sender = || name.clone();
        let Counts { attempts: begun, resent, delivered, dead, .. } = seen.counts;
        for (outcome, ended) in [("delivered", delivered), ("dead", dead)] {
            outcomes.get_or_create(&ByOutcome { sender: sender(), outcome }).inc_by(ended);
        }
        attempts.get_or_create(&BySender { sender: sender() }).inc_by(begun);
        resends.get_or_create(&BySender { sender: sender() }).inc_by(resent);
        escalated.get_or_create(&BySender { sender: sender() }).inc_by(seen.counts.escalated);
        for (kind, failed) in kinds(&seen.counts) {
            failures.get_or_create(&ByKind { sender: sender(), kind }).inc_by(failed);
        }
        health.get_or_create(&Health { sender: sender(), health: word }).set(1);
    }
    names::DELIVERIES.register(registry, outcomes);
    names::ATTEMPTS.register(registry, attempts);
    names::RESENDS.register(registry, resends);
    names::FAILURES.register(registry, failures);
    names::ESCALATED.register(registry, escalated);
    names::HEALTH.register(registry, health);
}

/// Failures by the contract's kinds, and beside them those that were the plugin's own fault.
fn kinds(counts: &Counts) -> [(&'static str, u64); 5] {
    [
        ("retry", counts.retry),
        ("rate-limited", counts.rate_limited),
        ("permanent", counts.permanent),
        ("misconfigured", counts.misconfigured),
        ("plugin-fault", counts.faults),
    ]
}

fn gauge(registry: &mut Registry, name: Name, value: u64) {
    name.register(registry, ConstGauge::new(int(value)));
}

fn now(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
