//! The alerts that fire, as a list or by the groups they count in, and what of that is asked for. Pure.

use std::collections::BTreeMap;

use super::Refusal;
use super::form::{self, Alert, AlertStatus, Group, Receiver};
use crate::alerts::{self, fingerprint};
use crate::group::group_id;
use crate::matcher::{Matcher, Op};
use crate::message::{Message, Millis};
use crate::route::Routes;
use crate::silence::{Silence, State, holds};

/// Alertmanager's words for where an alert stands.
const ACTIVE: &str = "active";
const SUPPRESSED: &str = "suppressed";

/// What a query asks for.
#[derive(Debug)]
pub(super) struct Filter {
    active: bool,
    silenced: bool,
    matchers: Vec<Matcher>,
    receiver: Option<Matcher>,
}

impl Filter {
    pub(super) fn of(query: &str) -> Result<Self, Refusal> {
        let mut filter = Self { active: true, silenced: true, matchers: Vec::new(), receiver: None };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let truth =
                || value.parse::<bool>().map_err(|_error| Refusal::bad(format!("parameter {key} is true or false")));
            match &*key {
                "active" => filter.active = truth()?,
                "silenced" => filter.silenced = truth()?,
                // Nothing is inhibited here, and nothing unprocessed.
                "inhibited" | "unprocessed" | "muted" => drop(truth()?),
                "filter" => filter.matchers.push(
                    Matcher::parse(&value).map_err(|error| Refusal::bad(format!("bad matcher {value:?}: {error}")))?,
                ),
                "receiver" => {
                    let wanted = Matcher::new("receiver", Op::Matches, value.into_owned());
                    let wrong = |error| Refusal::bad(format!("failed to parse receiver param: {error}"));
                    filter.receiver = Some(wanted.map_err(wrong)?);
                }
                // As Alertmanager: whatever else is asked for changes nothing.
                _ => {}
            }
        }
        Ok(filter)
    }

    fn takes(&self, message: &Message, receivers: &[Receiver], silenced: bool) -> bool {
        let wanted = if silenced { self.silenced } else { self.active };
        wanted
            && self.matchers.iter().all(|matcher| holds(matcher, message))
            && self.receiver.as_ref().is_none_or(|wanted| receivers.iter().any(|there| wanted.holds(&there.name)))
    }

    /// Whether a silence speaks of what is asked for: as Alertmanager, the filter looks at its matchers' values.
    pub(super) fn takes_silence(&self, silence: &Silence) -> bool {
        self.matchers.iter().all(|wanted| {
            let mut same = silence.matchers.iter().filter(|there| there.field() == wanted.field()).peekable();
            let missing = same.peek().is_none() && matches!(wanted.op(), Op::NotEqual | Op::MatchesNot);
            missing || same.any(|there| wanted.holds(there.value()))
        })
    }
}

/// Alerts with equal labels, that began at different times, are one here.
struct Shown {
    message: Message,
    alert: Alert,
    starts: Millis,
    ends: Millis,
    updated: Millis,
}

/// What is shown, by fingerprint.
fn shown(
    alerts: Vec<alerts::Alert>,
    silences: &[Silence],
    routes: &Routes,
    filter: &Filter,
    now: Millis,
) -> BTreeMap<String, Shown> {
    let mut all: BTreeMap<String, Shown> = BTreeMap::new();
    let mut taken = Vec::new();
    for alert in alerts {
        let fingerprint = fingerprint(&alert.message.labels);
        if let Some(there) = all.get_mut(&fingerprint) {
            there.starts = there.starts.min(alert.starts);
            there.ends = there.ends.max(alert.ends);
            there.updated = there.updated.max(alert.updated);
            continue;
        }
        routes.of(&alert.message, &mut taken);
        let senders = taken.iter().flat_map(|index| &routes.get(*index).senders);
        let mut receivers: Vec<Receiver> = senders.map(|name| Receiver { name: name.clone() }).collect();
        receivers.sort();
        receivers.dedup();
        let silencing = silences.iter().filter(|silence| silence.state(now) == State::Active);
        let silenced_by: Vec<String> =
            silencing.filter(|silence| silence.matches(&alert.message)).map(|silence| silence.id.clone()).collect();
        let silenced = !silenced_by.is_empty();
        if !filter.takes(&alert.message, &receivers, silenced) {
            continue;
        }
        let status = AlertStatus {
            inhibited_by: Vec::new(),
            muted_by: Vec::new(),
            silenced_by,
            state: if silenced { SUPPRESSED } else { ACTIVE },
        };
        let shown = Alert {
            annotations: form::map(&alert.annotations),
            ends_at: String::new(),
            fingerprint: fingerprint.clone(),
            receivers,
            starts_at: String::new(),
            status,
            updated_at: String::new(),
            generator_url: alert.generator,
            labels: form::map(&alert.message.labels),
        };
        let (starts, ends, updated) = (alert.starts, alert.ends, alert.updated);
        all.insert(fingerprint, Shown { message: alert.message, alert: shown, starts, ends, updated });
    }
    for shown in all.values_mut() {
        shown.alert.starts_at = form::time(shown.starts);
        // The store hears of a later end now and then only; what fires is not over yet.
        shown.alert.ends_at = form::time(shown.ends.max(now));
        shown.alert.updated_at = form::time(shown.updated);
    }
    all
}

/// All alerts that are asked for, by fingerprint.
pub(super) fn alerts(
    alerts: Vec<alerts::Alert>,
    silences: &[Silence],
    routes: &Routes,
    filter: &Filter,
    now: Millis,
) -> Vec<Alert> {
    shown(alerts, silences, routes, filter, now).into_values().map(|shown| shown.alert).collect()
}

/// The same, by the groups that they count in.
pub(super) fn groups(
    alerts: Vec<alerts::Alert>,
    silences: &[Silence],
    routes: &Routes,
    filter: &Filter,
    now: Millis,
) -> Vec<Group> {
    let mut groups = BTreeMap::new();
    let mut taken = Vec::new();
    for shown in shown(alerts, silences, routes, filter, now).into_values() {
        routes.of(&shown.message, &mut taken);
        for index in &taken {
            let route = routes.get(*index);
            let id = group_id(&route.id, &route.group_by, &shown.message);
            for name in &route.senders {
                let labels = || {
                    let values = route.group_by.iter().map(|by| (form::name(by), by.value(&shown.message).to_owned()));
                    values.filter(|(_, value)| !value.is_empty()).collect()
                };
                let receiver = Receiver { name: name.clone() };
                let group = groups.entry((*index, id, name.clone())).or_insert_with(|| Group {
                    alerts: Vec::new(),
                    labels: labels(),
                    receiver,
                });
                group.alerts.push(shown.alert.clone());
            }
        }
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests;
