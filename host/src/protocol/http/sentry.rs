//! Sentry: the endpoints `envelope` and `store` that its SDKs send events to, with a DSN that points to mag.
//!
//! An event becomes a message; whatever else an envelope holds is skipped and counted.

use std::borrow::Cow;

use hyper::http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Answer, Head, Outcome, Refusal, Take};
use crate::protocol::json::Text;

mod event;

const AUTH: &str = "x-sentry-auth";
const KEY: &str = "sentry_key";

/// What is done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Envelope,
    Store,
}

/// The endpoint at `/api/PROJECT/envelope/` or `/api/PROJECT/store/`.
pub(super) fn at(path: &str) -> Option<Endpoint> {
    let (project, endpoint) = path.strip_prefix("/api/")?.split_once('/')?;
    match endpoint.strip_suffix('/').unwrap_or(endpoint) {
        _ if project.is_empty() => None,
        "envelope" => Some(Endpoint::Envelope),
        "store" => Some(Endpoint::Store),
        _ => None,
    }
}

/// The key of the DSN: in the field `X-Sentry-Auth`, else in the query.
pub(super) fn key<'h>(head: &Head<'h>) -> Option<&'h str> {
    let field = head.word(AUTH);
    let field = field.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("sentry")).map(|(_, rest)| rest);
    let pairs = field.unwrap_or_default().split(',').chain(head.uri.query().unwrap_or_default().split('&'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == KEY).map(|(_, key)| key)
}

#[derive(Deserialize)]
struct EnvelopeHead<'a> {
    #[serde(borrow)]
    event_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ItemHead<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    length: Option<usize>,
}

/// Reads an envelope: a line of JSON, then items, each of them a line of JSON and what that says.
pub(super) fn read_envelope(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let (first, mut rest) = line(body);
    let envelope: EnvelopeHead<'_> = parse(first, "the envelope's header")?;
    let id = envelope.event_id.map(|Text(id)| id);
    if let Some(id) = &id {
        take.name(id);
    }
    let mut index = 0;
    while !rest.trim_ascii().is_empty() {
        let (header, after) = line(rest);
        if header.trim_ascii().is_empty() {
            rest = after;
            continue;
        }
        let item: ItemHead<'_> = parse(header, "an item's header")?;
        let payload = match item.length {
            None => {
                let (payload, after) = line(after);
                rest = after;
                payload
            }
            Some(length) => {
                let (payload, after) = after.split_at_checked(length).ok_or_else(|| {
                    Refusal::bad(format!("an item of {length} bytes breaks off after {}", after.len()))
                })?;
                rest = after;
                payload
            }
        };
        if item.kind.0 == "event" {
            event::read(head, payload, id.as_deref(), index, take)?;
        } else {
            take.skip();
        }
        index += 1;
    }
    Ok(())
}

/// Reads the body of `store`: an event alone.
pub(super) fn read_store(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    event::read(head, body, None, 0, take)
}

/// The bytes up to the next line end, and those after it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(at) => (bytes.get(..at).unwrap_or(bytes), bytes.get(at + 1..).unwrap_or_default()),
        None => (bytes, &[]),
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8], what: &str) -> Result<T, Refusal> {
    serde_json::from_slice(json)
        .map_err(|error| Refusal::bad(format!("{what} is not what Sentry's SDKs send: {error}")))
}

/// A member that is not of the form that it should have counts as left out: an event is never lost for a detail.
fn lenient<'a, T: Deserialize<'a>>(value: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(value?.get()).ok()
}

/// A string, number or boolean as text.
fn word<'a>(value: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    let value = crate::protocol::json::words(value?)?;
    Some(value).filter(|value| !value.is_empty())
}

/// `{"id": …}`, or `{"detail": …}` when nothing is taken.
pub(super) fn answer(came: Result<&Outcome, &Refusal>) -> Answer {
    match came {
        Err(refusal) => Answer::json(refusal.status, &serde_json::json!({ "detail": refusal.why })),
        Ok(Outcome { accepted: 0, errors, .. }) if !errors.is_empty() => {
            let why = errors.first().map(|(_, why)| why.as_str());
            Answer::json(StatusCode::BAD_REQUEST, &serde_json::json!({ "detail": why }))
        }
        Ok(outcome) => {
            let id =
                outcome.name.as_deref().map_or_else(|| serde_json::json!({}), |id| serde_json::json!({ "id": id }));
            Answer::json(StatusCode::OK, &id)
        }
    }
}

#[cfg(test)]
mod tests;
