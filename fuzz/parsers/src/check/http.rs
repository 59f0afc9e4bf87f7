//! Formats that come over HTTP: every body has an answer, and what is taken of it keeps to its bounds.

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::Uri;

use super::Verdict;
use crate::limits;
use crate::message::Posted;
use crate::protocol::Parsed;
use crate::protocol::http::{Format, Head, Outcome, Take};

/// Fields of a request that an input may bring.
const MOST_FIELDS: usize = 16;

#[derive(Default)]
struct Count(Outcome);

impl Take for Count {
    fn message(&mut self, message: Parsed<'_>) {
        assert!(message.text.len() <= limits::TEXT_BYTES, "a text is cut");
        let labels = message.extra.map_or(0, |extra| extra.labels.len());
        assert!(labels <= limits::LABELS, "{labels} labels");
        self.0.accepted += 1;
    }

    fn skip(&mut self) {}

    fn name(&mut self, name: &str) {
        self.0.name = Some(name.to_owned());
    }

    fn alert(&mut self, alert: Posted<'_>) {
        assert!(alert.text.len() <= limits::TEXT_BYTES, "a text is cut");
        let labels = alert.labels.iter().count();
        assert!((1..=limits::LABELS).contains(&labels), "{labels} labels");
        self.0.accepted += 1;
    }

    fn refuse(&mut self, index: u64, why: String) {
        self.0.refused += 1;
        if self.0.errors.len() < limits::HTTP_ERRORS {
            self.0.errors.push((index, why));
        }
    }
}

fn check(path: &'static str, headers: &HeaderMap, body: &[u8]) -> Verdict {
    let uri = Uri::from_static(path);
    let head = Head { uri: &uri, headers, text_bytes: limits::TEXT_BYTES };
    let format = Format::at(path).expect("every path here is one of a format");
    let mut count = Count::default();
    let read = format.read(&head, body, &mut count);
    let answer = format.answer(&head, read.as_ref().map(|()| &count.0));
    assert!(answer.status.is_success() || answer.status.is_client_error(), "{answer:?}");
    Verdict::malformed_if(read.is_err() || count.0.refused > 0)
}

/// A request whose media type the first byte of `input` chooses; the rest is its body.
fn typed(path: &'static str, types: &[&'static str], input: &[u8]) -> Verdict {
    let Some((first, body)) = input.split_first() else { return Verdict::Read };
    let chosen = types.get(usize::from(*first) % types.len()).copied().unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(chosen));
    check(path, &headers, body)
}

pub(super) fn messages(input: &[u8]) -> Verdict {
    typed("/api/v1/messages", &["application/json", "application/x-ndjson", "text/plain", "", "image/png"], input)
}

pub(super) fn alerts(input: &[u8]) -> Verdict {
    typed("/api/v2/alerts", &["application/json"], input)
}

pub(super) fn alert_webhook(input: &[u8]) -> Verdict {
    typed("/api/v1/alertmanager", &["application/json"], input)
}

pub(super) fn gelf(input: &[u8]) -> Verdict {
    typed("/gelf", &["application/json"], input)
}

/// Protobuf, JSON, or a call of gRPC, plain or compressed.
pub(super) fn otlp(input: &[u8]) -> Verdict {
    if input.first().is_some_and(|first| first % 3 == 2) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
        let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
        return check(path, &headers, input.get(1..).unwrap_or_default());
    }
    typed("/v1/logs", &["application/x-protobuf", "application/json", ""], input)
}

/// An envelope or an event alone.
pub(super) fn sentry(input: &[u8]) -> Verdict {
    let is_event = input.first().is_some_and(|first| first % 2 == 1);
    let path = if is_event { "/api/1/store/" } else { "/api/1/envelope/" };
    typed(path, &["application/x-sentry-envelope", "application/json"], input)
}

/// Structured, a batch, or binary: then the body comes behind the fields of the head and an empty line.
pub(super) fn cloudevents(input: &[u8]) -> Verdict {
    let types = ["application/cloudevents+json", "application/cloudevents-batch+json"];
    let path = "/api/v1/events";
    let Some((first, rest)) = input.split_first() else { return Verdict::Read };
    if usize::from(*first) % 3 < types.len() {
        return typed(path, &types, input);
    }
    let mut headers = HeaderMap::new();
    let mut rest = rest;
    while headers.len() < MOST_FIELDS
        && let Some((line, body)) =
            rest.split_at_checked(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()))
    {
        rest = body.get(1..).unwrap_or_default();
        let Some((name, value)) =
            line.split_at_checked(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()))
        else {
            break;
        };
        if line.is_empty() {
            break;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    check(path, &headers, rest)
}
