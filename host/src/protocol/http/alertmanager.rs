//! Alerts as Prometheus and vmalert post them (Alertmanager's API v2), and as an Alertmanager tells its webhooks (v4).
//!
//! An alert's text is its summary, else its description, else its name. Its labels stay as they are: they are what it is
//! known by.

use std::borrow::Cow;
use std::fmt;

use hyper::http::StatusCode;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::super::json::Text;
use super::super::text::cut;
use super::super::time::moment;
use super::{Answer, Head, Outcome, Refusal, Take};
use crate::limits;
use crate::message::{Ends, Millis, Pairs, Posted, Severity, counted, pack};

/// Names and values, each a text, as they stand in the body.
#[derive(Debug, Default)]
struct Texts<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Texts<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(USUAL_PAIRS);
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Texts(pairs))
            }
            fn visit_unit<E>(self) -> Result<Texts<'de>, E> {
                Ok(Texts::default())
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Few alerts have more labels, or annotations.
const USUAL_PAIRS: usize = 8;

/// One alert; a webhook's also says its status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow, default)]
    labels: Texts<'a>,
    #[serde(borrow, default)]
    annotations: Texts<'a>,
    #[serde(borrow)]
    starts_at: Option<Text<'a>>,
    #[serde(borrow)]
    ends_at: Option<Text<'a>>,
    #[serde(borrow, rename = "generatorURL")]
    generator_url: Option<Text<'a>>,
}

/// What an Alertmanager tells a webhook.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook<'a> {
    version: String,
    receiver: Option<String>,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(borrow, default)]
    group_labels: Texts<'a>,
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
    let mut reader = Reader::new(head, take);
    let ends = |_item: &Item<'_>, said: Option<Millis>| said.map_or(Ends::Unsaid, Ends::At);
    if reader.at_one_go(body, ends).is_err() {
        // Something in it is no alert: it is refused alone, unless nothing can be read.
        let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        reader.each(&items, ends)?;
    }
    Ok(())
}

/// Takes one alert after the other, so that a small body cannot stand for very much memory.
struct Reader<'t> {
    text_bytes: usize,
    take: &'t mut dyn Take,
    /// How many are taken or refused.
    read: usize,
    scratch: Scratch,
}

/// Kept between alerts, so that reading one allocates little.
#[derive(Default)]
struct Scratch {
    labels: String,
    annotations: String,
    braces: String,
}

impl<'t> Reader<'t> {
    fn new(head: &Head<'_>, take: &'t mut dyn Take) -> Self {
        Self { text_bytes: head.text_bytes, take, read: 0, scratch: Scratch::default() }
    }

    /// Reads the array without looking for where each alert ends first, as far as there are alerts in it.
    fn at_one_go<E: FnMut(&Item<'_>, Option<Millis>) -> Ends>(&mut self, body: &[u8], ends: E) -> Result<(), Stopped> {
        struct Elements<'r, 't, E>(&'r mut Reader<'t>, E);
        impl<'de, E: FnMut(&Item<'_>, Option<Millis>) -> Ends> Visitor<'de> for Elements<'_, '_, E> {
            type Value = ();
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of alerts")
            }
            fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<(), A::Error> {
                while self.0.read < limits::ALERTS_POSTED
                    && let Some(item) = array.next_element()?
                {
                    self.0.one(item, &mut self.1);
                }
                Ok(())
            }
        }
        let text = str::from_utf8(body).map_err(|_error| Stopped)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json.deserialize_seq(Elements(self, ends)).and_then(|()| json.end());
        read.map_err(|_error| Stopped)
    }

    /// Reads those that are not read yet.
    fn each(
        &mut self,
        items: &[&RawValue],
        mut ends: impl FnMut(&Item<'_>, Option<Millis>) -> Ends,
    ) -> Result<(), Refusal> {
        let most = limits::ALERTS_POSTED;
        if items.len() > most {
            let why = format!("more than {most} alerts: send them in several requests");
            return Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, why });
        }
        for item in items.iter().skip(self.read) {
            match serde_json::from_str(item.get()) {
                Ok(item) => self.one(item, &mut ends),
                Err(error) => self.refuse(format!("not an alert: {error}")),
            }
        }
        Ok(())
    }

    fn one(&mut self, mut item: Item<'_>, ends: impl FnOnce(&Item<'_>, Option<Millis>) -> Ends) {
        match posted(&mut item, self.text_bytes, &mut self.scratch, ends) {
            Ok(posted) => {
                self.take.alert(posted);
                self.read += 1;
            }
            Err(why) => self.refuse(why),
        }
    }

    fn refuse(&mut self, why: String) {
        self.take.refuse(self.read as u64, why);
        self.read += 1;
    }
}

/// Not everything could be read at one go.
struct Stopped;

/// The webhook of an Alertmanager, version 4.
pub(super) fn read_webhook(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    json_only(head)?;
    let webhook: Webhook<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    if webhook.version != "4" {
        let version: String = webhook.version.chars().take(20).collect();
        return Err(Refusal::bad(format!("version {version:?} is not known here: an Alertmanager's webhook is \"4\"")));
    }
    Reader::new(head, take).each(&webhook.alerts, |item, said| {
        // An Alertmanager says what is over, and repeats what goes on after hours only.
        let is_over = item.status.as_ref().is_some_and(|Text(status)| status == "resolved");
        if is_over { Ends::At(said.unwrap_or(0)) } else { Ends::Told }
    })?;
    if webhook.truncated_alerts > 0 {
        let receiver = webhook.receiver.unwrap_or_default();
        tell_left_out(webhook.truncated_alerts, &receiver, webhook.group_labels, take);
    }
    Ok(())
}

/// Takes what stands for alerts that an Alertmanager left out, because a webhook takes `max_alerts` only.
fn tell_left_out(alerts: u64, receiver: &str, group: Texts<'_>, take: &mut dyn Take) {
    let Texts(mut labels) = group;
    labels.truncate(limits::LABELS - 2);
    labels.retain(|(name, value)| good_label(name, value).is_ok());
    labels.push((NAME_LABEL.into(), LEFT_OUT.into()));
    let receiver: String = receiver.chars().take(limits::LABEL_NAME_BYTES).collect();
    let text =
        format!("Alertmanager left {} out for its receiver {receiver}: see its max_alerts", counted(alerts, "alert"));
    labels.push(("receiver".into(), receiver.into()));
    let mut packed = String::new();
    pack(&mut labels, &mut packed);
    take.alert(Posted {
        labels: Pairs::packed(&packed),
        text: &text,
        severity: None,
        annotations: Pairs::default(),
        generator: "",
        starts: None,
        ends: Ends::Unsaid,
    });
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

/// What an alert says; its words lie in itself and in `scratch`.
fn posted<'a>(
    item: &'a mut Item<'_>,
    text_bytes: usize,
    scratch: &'a mut Scratch,
    ends: impl FnOnce(&Item<'_>, Option<Millis>) -> Ends,
) -> Result<Posted<'a>, String> {
    let (starts, said) = (at("startsAt", item.starts_at.as_ref()), at("endsAt", item.ends_at.as_ref()));
    let ends = ends(item, said.as_ref().ok().copied().flatten());
    let Scratch { labels: packed, annotations, braces } = scratch;
    let labels = &mut item.labels.0;
    // An empty label is none.
    labels.retain(|(_, value)| !value.is_empty());
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    if labels.len() > limits::LABELS {
        return Err(format!("an alert has at most {} labels", limits::LABELS));
    }
    for (name, value) in labels.iter() {
        good_label(name, value)?;
    }
    packed.clear();
    pack(labels, packed);
    let labels = Pairs::packed(packed);
    bound(&mut item.annotations.0);
    annotations.clear();
    pack(&mut item.annotations.0, annotations);
    let annotations = Pairs::packed(annotations);
    let (starts, said) = (starts?, said?);
    if let (Some(starts), Some(ends)) = (starts, said)
        && ends < starts
    {
        return Err("start time must be before end time".to_owned());
    }
    let text = ["summary", "description"].into_iter().find_map(|name| annotations.get(name));
    let text = match text.or_else(|| labels.get(NAME_LABEL)) {
        Some(text) => text,
        None => {
            *braces = in_braces(labels);
            braces
        }
    };
    let (kept, _) = cut(text.as_bytes(), text_bytes);
    let text = text.get(..kept.len()).unwrap_or(text);
    let severity = labels.get(SEVERITY_LABEL).and_then(Severity::from_word);
    let generator = item.generator_url.as_ref().map_or("", |Text(url)| url);
    let generator = generator.get(..generator.floor_char_boundary(limits::LABEL_VALUE_BYTES)).unwrap_or(generator);
    // An alert that is only told as over began at its end, for whoever does not know it.
    Ok(Posted { labels, text, severity, annotations, generator, starts, ends })
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
fn bound(annotations: &mut Vec<(Cow<'_, str>, Cow<'_, str>)>) {
    annotations.truncate(limits::LABELS);
    annotations.retain(|(_, value)| !value.is_empty());
    let mut bytes = 0;
    let fits = |(name, value): &mut (Cow<'_, str>, Cow<'_, str>)| {
        cut_text(name, limits::LABEL_NAME_BYTES);
        cut_text(value, limits::ANNOTATION_BYTES);
        bytes += name.len() + value.len();
        bytes <= limits::ANNOTATIONS_BYTES
    };
    let fitting = annotations.iter_mut().map(fits).take_while(|fits| *fits).count();
    annotations.truncate(fitting);
}

fn cut_text(text: &mut Cow<'_, str>, most: usize) {
    let end = text.floor_char_boundary(most);
    match text {
        Cow::Borrowed(text) => {
            let whole = *text;
            *text = whole.get(..end).unwrap_or(whole);
        }
        Cow::Owned(text) => text.truncate(end),
    }
}

/// `{app="shop", host="web-1"}`, for an alert without a name.
fn in_braces(labels: Pairs<'_>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A time; Go's zero time, and what lies before 1970, is none.
fn at(name: &str, text: Option<&Text<'_>>) -> Result<Option<Millis>, String> {
    let Some(Text(text)) = text.filter(|Text(text)| !text.is_empty()) else { return Ok(None) };
    let shown = || text.chars().take(64).collect::<String>();
    let wrong = || format!("{name} {:?} is no time of RFC 3339: 2024-05-01T12:00:00Z", shown());
    let millis = moment(text).ok_or_else(wrong)?;
    Ok(Millis::try_from(millis).ok().filter(|millis| *millis > 0))
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
