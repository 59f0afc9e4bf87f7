//! A format that comes over HTTP never panics, whatever its body and its type, and always has an answer.
#![no_main]

use hyper::http::{HeaderMap, HeaderValue, Uri, header};
use libfuzzer_sys::fuzz_target;
use mag_fuzz::limits;
use mag_fuzz::message::Posted;
use mag_fuzz::protocol::Parsed;
use mag_fuzz::protocol::http::{Format, Head, Outcome, Take};

const PATHS: &[&str] = &[
    "/api/v1/messages",
    "/v1/logs",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "/api/1/envelope/",
    "/api/1/store/",
    "/api/v2/alerts",
    "/api/v1/alertmanager",
    "/api/v1/events",
    "/gelf",
];
const TYPES: &[&str] = &[
    "",
    "application/json",
    "application/x-ndjson",
    "text/plain",
    "application/x-protobuf",
    "application/grpc",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
];

struct Count(Outcome);

impl Take for Count {
    fn message(&mut self, message: Parsed<'_>) {
        assert!(message.text.len() <= limits::TEXT_BYTES);
        self.0.accepted += 1;
    }

    fn skip(&mut self) {}

    fn name(&mut self, name: &str) {
        self.0.name = Some(name.to_owned());
    }

    fn alert(&mut self, alert: Posted) {
        assert!(alert.message.text.len() <= limits::TEXT_BYTES && alert.message.labels.len() <= limits::LABELS);
        self.0.accepted += 1;
    }

    fn refuse(&mut self, index: u64, why: String) {
        self.0.refused += 1;
        self.0.errors.push((index, why));
    }
}

fuzz_target!(|data: &[u8]| {
    let [path, kind, body @ ..] = data else { return };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    let kind = TYPES[usize::from(*kind) % TYPES.len()];
    let uri = Uri::from_static(path);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    headers.insert("ce-specversion", HeaderValue::from_static("1.0"));
    headers.insert("ce-id", HeaderValue::from_static("1"));
    headers.insert("ce-source", HeaderValue::from_static("/%C3%A9"));
    headers.insert("ce-type", HeaderValue::from_static("a"));
    let head = Head { uri: &uri, headers: &headers, text_bytes: limits::TEXT_BYTES };
    let format = Format::at(path).expect("every path here is one of a format");
    let mut count = Count(Outcome::default());
    let read = format.read(&head, body, &mut count);
    let answer = format.answer(&head, read.as_ref().map(|()| &count.0));
    assert!(answer.status.is_success() || answer.status.is_client_error());
});
