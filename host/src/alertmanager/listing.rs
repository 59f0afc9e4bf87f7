//! The alerts that fire, as a list or by the groups they count in, and what of that is asked for. Pure.

use std::collections::BTreeMap;

use hyper::http::StatusCode;
use serde::Serialize;

use super::Refusal;
use super::form::{self, Alert, AlertStatus, Each, Group, Receiver};
use crate::alerts::{self, fingerprint};
use crate::group::group_id;
use crate::limits;
use crate::matcher::{Matcher, Op};
use crate::message::{GroupId, Labels, Message, Millis, RouteIndex};
use crate::route::Routes;
use crate::silence::{Silence, Silences, holds};

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
    /// Reads a query. That may take a while: see [`Matcher::bounded`].
    pub(super) fn of(query: &str) -> Result<Self, Refusal> {
        let mut filter = Self { active: true, silenced: true, matchers: Vec::new(), receiver: None };
        let (mut wanted, mut receiver) = (Vec::new(), None);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let truth =
                || value.parse::<bool>().map_err(|_error| Refusal::bad(format!("parameter {key} is true or false")));
            match &*key {
                "active" => filter.active = truth()?,
                "silenced" => filter.silenced = truth()?,
                // Nothing is inhibited here, and nothing unprocessed.
                "inhibited" | "unprocessed" | "muted" => drop(truth()?),
                "filter" => wanted.push(value),
                "receiver" => receiver = Some(value),
                // As Alertmanager: whatever else is asked for changes nothing.
                _ => {}
            }
        }
        // Before the first one is compiled.
        if wanted.len() > limits::SILENCE_MATCHERS {
            return Err(Refusal::bad(format!("there are more than {} matchers", limits::SILENCE_MATCHERS)));
        }
        let bytes = wanted.iter().chain(&receiver).map(|text| text.len()).sum::<usize>();
        if bytes > limits::FILTER_BYTES {
            return Err(Refusal::bad(format!("the matchers are longer than {} KiB", limits::FILTER_BYTES / 1024)));
        }
        for text in wanted {
            let wrong = |error| Refusal::bad(format!("bad matcher {text:?}: {error}"));
            filter.matchers.push(Matcher::parse_bounded(&text).map_err(wrong)?);
        }
        if let Some(name) = receiver {
            let wrong = |error| Refusal::bad(format!("failed to parse receiver param: {error}"));
            filter.receiver = Some(Matcher::bounded("receiver", Op::Matches, name.into_owned()).map_err(wrong)?);
        }
        Ok(filter)
    }

    fn takes(&self, message: &Message, receivers: &[Receiver]) -> bool {
        self.matchers.iter().all(|matcher| holds(matcher, message))
            && self.receiver.as_ref().is_none_or(|wanted| receivers.iter().any(|there| wanted.holds(&there.name)))
    }

    fn takes_silenced(&self, silenced: bool) -> bool {
        if silenced { self.silenced } else { self.active }
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

/// What alerts are held against.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) silences: Silences,
    pub(super) routes: Routes,
    pub(super) filter: Filter,
    pub(super) now: Millis,
}

/// Alerts with equal labels, that began at different times, are one here.
#[derive(Debug)]
pub(super) struct Shown<'s> {
    alert: alerts::Alert,
    fingerprint: String,
    receivers: Vec<Receiver>,
    silenced_by: Vec<&'s str>,
}

impl Shown<'_> {
    fn form(&self, now: Millis) -> Alert<'_> {
        let alert = &self.alert;
        let status = AlertStatus {
            inhibited_by: [],
            muted_by: [],
            silenced_by: &self.silenced_by,
            state: if self.silenced_by.is_empty() { ACTIVE } else { SUPPRESSED },
        };
        Alert {
            annotations: &alert.annotations,
            // The store hears of a later end now and then only; what fires is not over yet.
            ends_at: form::time(alert.ends.max(now)),
            fingerprint: &self.fingerprint,
            receivers: &self.receivers,
            starts_at: form::time(alert.starts),
            status,
            updated_at: form::time(alert.updated),
            generator_url: &alert.generator,
            labels: &alert.message.labels,
        }
    }
}

/// What is shown, by fingerprint.
///
/// # Errors
///
/// It took until it was `late`, or is more than any answer may be.
pub(super) fn shown<'s>(
    alerts: Vec<alerts::Alert>,
    scene: &'s Scene,
    late: impl Fn() -> bool,
) -> Result<BTreeMap<String, Shown<'s>>, Refusal> {
    let Scene { silences, routes, filter, now } = scene;
    let mut all: BTreeMap<String, Shown<'_>> = BTreeMap::new();
    let (mut taken, mut ids_bytes) = (Vec::new(), 0);
    for alert in alerts {
        if late() {
            let most = limits::ALERT_ANSWER.as_secs();
            let why = format!("the answer takes longer than {most} s: ask for less of it with filter=");
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        let fingerprint = fingerprint(&alert.message.labels);
        if let Some(Shown { alert: there, .. }) = all.get_mut(&fingerprint) {
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
        if !filter.takes(&alert.message, &receivers) {
            continue;
        }
        let silenced_by: Vec<&str> = silences.all(&alert.message, *now).map(|silence| silence.id.as_str()).collect();
        if filter.takes_silenced(!silenced_by.is_empty()) {
            ids_bytes += silenced_by.iter().map(|id| id.len()).sum::<usize>();
            if ids_bytes > limits::ALERT_ANSWER_BYTES {
                return Err(Refusal::too_large());
            }
            all.insert(fingerprint.clone(), Shown { alert, fingerprint, receivers, silenced_by });
        }
    }
    Ok(all)
}

/// All alerts that are asked for, by fingerprint.
pub(super) fn alerts(shown: &BTreeMap<String, Shown<'_>>, now: Millis) -> impl Serialize {
    Each::of(shown.values(), move |shown| shown.form(now))
}

/// The same, by the groups that they count in: once for each sender that is told.
pub(super) fn groups(shown: &BTreeMap<String, Shown<'_>>, scene: &Scene) -> impl Serialize {
    let (routes, now) = (&scene.routes, scene.now);
    let mut groups: BTreeMap<(RouteIndex, GroupId, &str), Vec<&Shown<'_>>> = BTreeMap::new();
    let mut taken = Vec::new();
    for shown in shown.values() {
        let message = &shown.alert.message;
        routes.of(message, &mut taken);
        for index in &taken {
            let route = routes.get(*index);
            let id = group_id(&route.id, &route.group_by, message);
            for name in &route.senders {
                groups.entry((*index, id, name)).or_default().push(shown);
            }
        }
    }
    Each::of(groups.into_iter(), move |((index, _, name), alerts)| {
        let first = alerts.first().map(|shown| &shown.alert.message);
        Group {
            labels: first.map(|message| shared(routes, index, message)).unwrap_or_default(),
            receiver: Receiver { name: name.to_owned() },
            alerts: Each::of(alerts.into_iter(), move |shown| shown.form(now)),
        }
    })
}

/// What all messages of a group have in common, by its route.
fn shared(routes: &Routes, index: RouteIndex, message: &Message) -> Labels {
    let by = routes.get(index).group_by.iter();
    let values = by.map(|by| (form::name(by), by.value(message).to_owned()));
    Labels::new(values.filter(|(_, value)| !value.is_empty()).collect())
}

#[cfg(test)]
mod tests;
