//! What every format gives out, in values that tests compare; and what holds for any bytes at all.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::{Answer, Format, Head, Outcome, Refusal, Take};
use crate::message::{Millis, Severity};
use crate::protocol::Parsed;

/// A message, as a test reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) text: String,
    pub(super) severity: Option<Severity>,
    pub(super) source: Option<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) time: Option<Millis>,
    pub(super) id: Option<String>,
    pub(super) ignored: u64,
}

impl Told {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

/// Whatever a body comes to.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) messages: Vec<Told>,
    pub(super) outcome: Outcome,
    pub(super) skipped: u64,
}

impl Take for Taken {
    fn alert(&mut self, _alert: crate::message::Posted<'_>) {}

    fn message(&mut self, message: Parsed<'_>) {
        let extra = message.extra.map(|extra| extra.into_owned()).unwrap_or_default();
        assert!(extra.labels.is_sorted_by(|a, b| a.0 < b.0), "labels are sorted, each name once: {:?}", extra.labels);
        self.outcome.accepted += 1;
        self.messages.push(Told {
            text: String::from_utf8_lossy(message.text).into_owned(),
            severity: message.severity,
            source: extra.source.map(|source| source.into_owned()),
            labels: extra.labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
            time: message.time,
            id: message.identity.map(|identity| identity.id.into_owned()),
            ignored: message.ignored_keys,
        });
    }

    fn skip(&mut self) {
        self.skipped += 1;
    }

    fn name(&mut self, name: &str) {
        self.outcome.name.get_or_insert_with(|| name.to_owned());
    }

    fn refuse(&mut self, index: u64, why: String) {
        self.outcome.refused += 1;
        self.outcome.errors.push((index, why));
    }
}

/// A request that came to `uri` with these fields.
pub(super) struct Request {
    uri: hyper::Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn to(uri: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { uri: uri.parse().unwrap(), headers: HeaderMap::new(), body: body.into() }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn of(self, media_type: &str) -> Self {
        self.with("content-type", media_type)
    }

    fn format(&self) -> Format {
        Format::at(self.uri.path()).expect("something is spoken there")
    }

    fn head(&self) -> Head<'_> {
        Head { uri: &self.uri, headers: &self.headers, text_bytes: 1_000 }
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.format().key(&self.head())
    }

    pub(super) fn read(&self) -> Result<Taken, Refusal> {
        let mut taken = Taken::default();
        self.format().read(&self.head(), &self.body, &mut taken)?;
        Ok(taken)
    }

    /// What it is answered once all that could be taken is committed.
    pub(super) fn answer(&self) -> Answer {
        let came = self.read();
        self.format().answer(&self.head(), came.as_ref().map(|taken| &taken.outcome))
    }
}

/// Paths, and the media types that are read there.
const FORMATS: [(&str, &[&str]); 7] = [
    ("/api/v1/messages", &["application/json", "application/x-ndjson", "text/plain", ""]),
    ("/api/v1/events", &["application/cloudevents+json", "application/cloudevents-batch+json", ""]),
    ("/gelf", &["application/json"]),
    ("/v1/logs", &["application/x-protobuf", "application/json"]),
    ("/api/1/envelope/", &["application/x-sentry-envelope"]),
    ("/api/1/store/", &["application/json"]),
    ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", &["application/grpc"]),
];

/// Bytes, often of the sort that JSON or protobuf is made of.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "true",
        "-1.5e9",
        "\"\\ud800\"",
        "{\"text\":\"a\"}",
        "\n",
        "{}\n{\"type\":\"event\"}\n",
        "{\"type\":\"event\",\"length\":9}\n",
        "{\"exception\":{\"values\":[{\"type\":\"E\",",
        "\"stacktrace\":{\"frames\":[{",
        "\"logentry\":{\"message\":\"a\"}",
        "\"tags\":[[\"a\",",
        "\"timestamp\":",
        "{\"resourceLogs\":[",
        "{\"scopeLogs\":[",
        "{\"logRecords\":[",
        "{\"body\":",
        "{\"stringValue\":\"a\"}",
        "\"attributes\":[",
        "{\"key\":\"k\",\"value\":",
        "{\"arrayValue\":{\"values\":[",
        "\n\x06\x12\x04\x12\x02*\0",
        "\n\x09\x12\x07\x12\x05*\x03\n\x01a",
        "\0\0\0\0\x05\n\x03\x12\x01\x12",
    ];
    let piece = prop_oneof![select(pieces.map(|piece| piece.as_bytes().to_vec()).to_vec()), vec(any::<u8>(), 0..12),];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_body_makes_a_format_panic_and_every_one_is_answered(body in nearly()) {
        for (path, kinds) in FORMATS {
            for kind in kinds {
                let answer = Request::to(path, body.clone()).of(kind).answer();
                assert!(answer.status.is_success() || answer.status.is_client_error(), "{path} {kind}: {answer:?}");
            }
        }
    }
}
