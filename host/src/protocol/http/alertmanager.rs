//! Alerts as Prometheus and vmalert post them (Alertmanager's API v2), and as an Alertmanager tells its webhooks (v4).
//!
//! An alert's text is its summary, else its description, else its name. Its labels stay as they are: they are what it is
//! known by.

use std::fmt;

use hyper::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::text::cut;
use super::{Answer, Head, Outcome, Refusal, Take};
use crate::limits;
use crate::message::{ALERT_KIND, Ends, Labels, Message, Millis, Posted, Severity, Word, counted};

/// Names and values, each a text, as they stand in the body.
#[derive(Debug, Default)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs::default())
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// One alert; a webhook's also says its status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    status: Option<String>,
    #[serde(default)]
    labels: Pairs,
    #[serde(default)]
    annotations: Pairs,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

/// What an Alertmanager tells a webhook.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    version: String,
    receiver: Option<String>,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    group_labels: Pairs,
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
}

/// The label that names what an alert is about.
const NAME_LABEL: &str = "alertname";
/// The label that says how bad it is.
const SEVERITY_LABEL: &str = "severity";
/// The name of the alert that stands for those that an Alertmanager left out.
const LEFT_OUT: &str = "AlertsLeftOut";

/// `POST /api/v2/alerts`: an array of alerts.
pub(super) fn read(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    json_only(head)?;
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    each(&items, take, |item| {
        let ends = |said: Option<Millis>| said.map_or(Ends::Unsaid, Ends::At);
        posted(head, item, ends)
    })
}

/// Takes one alert after the other, so that a small body cannot stand for very much memory.
fn each(
    items: &[&RawValue],
    take: &mut dyn Take,
    read: impl Fn(Item) -> Result<Posted, String>,
) -> Result<(), Refusal> {
    let most = limits::ALERTS_POSTED;
    if items.len() > most {
        let why = format!("more than {most} alerts: send them in several requests");
        return Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, why });
    }
    for (index, item) in (0..).zip(items) {
        let item = serde_json::from_str(item.get()).map_err(|error| format!("not an alert: {error}"));
        match item.and_then(&read) {
            Ok(posted) => take.alert(posted),
            Err(why) => take.refuse(index, why),
        }
    }
    Ok(())
}

/// The webhook of an Alertmanager, version 4.
pub(super) fn read_webhook(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    json_only(head)?;
    let webhook: Webhook<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    if webhook.version != "4" {
        let version: String = webhook.version.chars().take(20).collect();
        return Err(Refusal::bad(format!("version {version:?} is not known here: an Alertmanager's webhook is \"4\"")));
    }
    each(&webhook.alerts, take, |item| {
        // An Alertmanager says what is over, and repeats what goes on after hours only.
        let firing = item.status.as_deref() != Some("resolved");
        let ends = |said: Option<Millis>| if firing { Ends::Told } else { Ends::At(said.unwrap_or(0)) };
        posted(head, item, ends)
    })?;
    if webhook.truncated_alerts > 0 {
        let receiver = webhook.receiver.unwrap_or_default();
        take.alert(left_out(webhook.truncated_alerts, &receiver, webhook.group_labels));
    }
    Ok(())
}

/// What stands for alerts that an Alertmanager left out, because a webhook takes `max_alerts` only.
fn left_out(alerts: u64, receiver: &str, group: Pairs) -> Posted {
    let Pairs(mut labels) = group;
    labels.truncate(limits::LABELS - 2);
    labels.retain(|(name, value)| good_label(name, value).is_ok());
    labels.push((NAME_LABEL.to_owned(), LEFT_OUT.to_owned()));
    let receiver: String = receiver.chars().take(limits::LABEL_NAME_BYTES).collect();
    let text =
        format!("Alertmanager left {} out for its receiver {receiver}: see its max_alerts", counted(alerts, "alert"));
    labels.push(("receiver".to_owned(), receiver));
    let message =
        Message { text, kind: ALERT_KIND.into(), severity: None, labels: Labels::new(labels), source: Word::default() };
    Posted { message, annotations: Labels::default(), generator: String::new(), starts: None, ends: Ends::Unsaid }
}

fn json_only(head: &Head<'_>) -> Result<(), Refusal> {
    match head.media_type().as_str() {
        "application/json" => Ok(()),
        // As Alertmanager: no web page can send this without asking first.
        other => {
            Err(Refusal::unknown_kind(format!("unsupported media type {other:?}, only [application/json] are allowed")))
        }
    }
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    Refusal::bad(format!("the body is not a list of alerts: {error}"))
}

fn posted(head: &Head<'_>, item: Item, ends: impl FnOnce(Option<Millis>) -> Ends) -> Result<Posted, String> {
    let mut labels = item.labels.0;
    // An empty label is none.
    labels.retain(|(_, value)| !value.is_empty());
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    if labels.len() > limits::LABELS {
        return Err(format!("an alert has at most {} labels", limits::LABELS));
    }
    for (name, value) in &labels {
        good_label(name, value)?;
    }
    let labels = Labels::new(labels);
    let annotations = annotations(item.annotations.0);
    let (starts, said) = (time("startsAt", item.starts_at)?, time("endsAt", item.ends_at)?);
    if let (Some(starts), Some(ends)) = (starts, said)
        && ends < starts
    {
        return Err("start time must be before end time".to_owned());
    }
    let text = ["summary", "description"].into_iter().find_map(|name| annotations.get(name));
    let text = text.or_else(|| labels.get(NAME_LABEL)).map_or_else(|| in_braces(&labels), str::to_owned);
    let (kept, truncated) = cut(text.as_bytes(), head.text_bytes);
    let text = if truncated { String::from_utf8_lossy(kept).into_owned() } else { text };
    let severity = labels.get(SEVERITY_LABEL).and_then(Severity::from_word);
    let generator = item.generator_url.map(|url| cut_text(url, limits::LABEL_VALUE_BYTES)).unwrap_or_default();
    let message = Message { text, kind: ALERT_KIND.into(), severity, labels, source: Word::default() };
    // An alert that is only told as over began at its end, for whoever does not know it.
    Ok(Posted { message, annotations, generator, starts, ends: ends(said) })
}

fn good_label(name: &str, value: &str) -> Result<(), String> {
    let shown = || name.chars().take(64).collect::<String>();
    if name.is_empty() {
        return Err("a label has an empty name".to_owned());
    }
    if name.len() > limits::LABEL_NAME_BYTES {
        return Err(format!("the name of label `{}…` is longer than {} bytes", shown(), limits::LABEL_NAME_BYTES));
    }
    if value.len() > limits::LABEL_VALUE_BYTES {
        return Err(format!("label `{}` is longer than {} bytes", shown(), limits::LABEL_VALUE_BYTES));
    }
    Ok(())
}

/// Annotations are for people only: what is too much of them is cut.
fn annotations(mut pairs: Vec<(String, String)>) -> Labels {
    pairs.truncate(limits::LABELS);
    let cut = |(name, value): (String, String)| {
        (cut_text(name, limits::LABEL_NAME_BYTES), cut_text(value, limits::ANNOTATION_BYTES))
    };
    let mut bytes = 0;
    let fits = |(name, value): &(String, String)| {
        bytes += name.len() + value.len();
        bytes <= limits::ANNOTATIONS_BYTES
    };
    Labels::new(pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(cut).take_while(fits).collect())
}

fn cut_text(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

/// `{app="shop", host="web-1"}`, for an alert without a name.
fn in_braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A time; Go's zero time, and what lies before 1970, is none.
fn time(name: &str, text: Option<String>) -> Result<Option<Millis>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let shown = || text.chars().take(64).collect::<String>();
    let time: Timestamp =
        text.parse().map_err(|_error| format!("{name} {:?} is no time of RFC 3339: 2024-05-01T12:00:00Z", shown()))?;
    Ok(Millis::try_from(time.as_millisecond()).ok().filter(|millis| *millis > 0))
}

/// As Alertmanager: nothing when all is well, else 400 with one text.
pub(super) fn answer(came: Result<&Outcome, &Refusal>) -> Answer {
    let (status, why) = match came {
        Ok(outcome) if outcome.errors.is_empty() => {
            return Answer {
                status: StatusCode::OK,
                content_type: "application/json",
                body: Vec::new(),
                trailers: None,
            };
        }
        Ok(outcome) => {
            let errors: Vec<&str> = outcome.errors.iter().map(|(_, error)| error.as_str()).collect();
            (StatusCode::BAD_REQUEST, errors.join("; "))
        }
        Err(refusal) => (refusal.status, refusal.why.clone()),
    };
    Answer::json(status, &serde_json::Value::String(why))
}

#[cfg(test)]
mod tests;
