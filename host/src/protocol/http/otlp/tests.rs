//! OTLP in its three forms, against the messages of the crate `opentelemetry-proto`.

use std::io::Write as _;

use hyper::http::StatusCode;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde_json::json;

use super::super::tests::{Request, Taken, Told};
use crate::limits;
use crate::message::Severity;

mod oracle;

const CALL: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn text(text: &str) -> AnyValue {
    any(Value::StringValue(text.to_owned()))
}

fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn logs(resource: Vec<KeyValue>, scope: InstrumentationScope, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, schema_url: String::new() }];
    let resource = Some(Resource { attributes: resource, ..Resource::default() });
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, schema_url: String::new() }] }
}

fn record(body: &str) -> LogRecord {
    LogRecord { body: Some(text(body)), ..LogRecord::default() }
}

fn protobuf(request: &ExportLogsServiceRequest) -> Request {
    Request::to("/v1/logs", request.encode_to_vec()).of("application/x-protobuf")
}

fn as_json(request: &ExportLogsServiceRequest) -> Request {
    Request::to("/v1/logs", serde_json::to_vec(request).unwrap()).of("application/json")
}

fn frame(compressed: u8, message: &[u8]) -> Vec<u8> {
    [&[compressed], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

fn call(body: Vec<u8>) -> Request {
    Request::to(CALL, body).of("application/grpc")
}

/// Reads it in all three forms, which must say the same.
#[track_caller]
fn read(request: &ExportLogsServiceRequest) -> Taken {
    let taken = protobuf(request).read().unwrap();
    for other in [as_json(request), call(frame(0, &request.encode_to_vec()))] {
        let other = other.read().unwrap();
        assert_eq!((&other.messages, &other.outcome.errors), (&taken.messages, &taken.outcome.errors));
    }
    taken
}

#[track_caller]
fn only(request: &ExportLogsServiceRequest) -> Told {
    let mut messages = read(request).messages;
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}

#[test]
fn a_record_has_the_labels_of_its_resource_and_scope_and_its_own_win() {
    let scope = InstrumentationScope {
        name: "shop.cart".to_owned(),
        version: "2".to_owned(),
        attributes: vec![attribute("team", text("b")), attribute("x", text("scope"))],
        ..InstrumentationScope::default()
    };
    let resource =
        vec![attribute("service.name", text("shop")), attribute("x", text("resource")), attribute("team", text("a"))];
    let attributes = vec![attribute("x", text("own")), attribute("n", any(Value::IntValue(-3)))];
    let record = LogRecord {
        time_unix_nano: 1_714_564_800_123_456_789,
        observed_time_unix_nano: 5,
        severity_number: 17,
        severity_text: "Oh".to_owned(),
        attributes,
        ..record("disk full")
    };
    let told = only(&logs(resource, scope, vec![record]));
    assert_eq!((told.text.as_str(), told.severity), ("disk full", Some(Severity::Error)));
    assert_eq!((told.source.as_deref(), told.time), (Some("shop"), Some(1_714_564_800_123)));
    let labels: Vec<_> = told.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("n", "-3"),
        ("otel.scope.name", "shop.cart"),
        ("otel.scope.version", "2"),
        ("service.name", "shop"),
        ("team", "b"),
        ("x", "own"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn every_severity_number_has_its_word_and_words_stand_where_there_is_no_number() {
    let severity = |number, word: &str| {
        let record = LogRecord { severity_number: number, severity_text: word.to_owned(), ..record("a") };
        let told = only(&logs(Vec::new(), InstrumentationScope::default(), vec![record]));
        (told.severity, told.label("severity_text").map(str::to_owned))
    };
    let words =
        [Severity::Trace, Severity::Debug, Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
    for (number, word) in (1..).zip(words.into_iter().flat_map(|word| [word; 4])) {
        assert_eq!(severity(number, "whatever"), (Some(word), None), "{number}");
    }
    assert_eq!(severity(0, "WARN"), (Some(Severity::Warning), None));
    assert_eq!(severity(0, "loud"), (None, Some("loud".to_owned())));
    assert_eq!(severity(99, ""), (None, None));
}

#[test]
fn a_body_that_is_no_string_is_its_json() {
    let list = |values| any(Value::ArrayValue(ArrayValue { values }));
    let map = KeyValueList { values: vec![attribute("k", list(vec![text("\""), AnyValue { value: None }]))] };
    let body = |body| {
        only(&logs(
            Vec::new(),
            InstrumentationScope::default(),
            vec![LogRecord { body: Some(body), ..LogRecord::default() }],
        ))
        .text
    };
    assert_eq!(body(any(Value::KvlistValue(map))), r#"{"k":["\"",null]}"#);
    assert_eq!(body(any(Value::DoubleValue(1.5))), "1.5");
    assert_eq!(body(any(Value::BoolValue(false))), "false");
    assert_eq!(body(any(Value::BytesValue(b"a\xff".to_vec()))), "Yf8=");
    let deep = (0..limits::VALUE_DEPTH + 3).fold(text("a"), |inner, _| list(vec![inner]));
    let shown = limits::VALUE_DEPTH;
    assert_eq!(body(deep), format!("{}\"…\"{}", "[".repeat(shown), "]".repeat(shown)));
}

#[test]
fn without_a_body_the_exception_or_the_event_is_the_text_and_a_record_that_says_nothing_is_refused() {
    let exception = LogRecord {
        attributes: vec![
            attribute("exception.message", text("division by zero")),
            attribute("exception.type", text("ZeroDivisionError")),
        ],
        ..LogRecord::default()
    };
    let event =
        LogRecord { event_name: "device.lost".to_owned(), observed_time_unix_nano: 2_000_000, ..LogRecord::default() };
    let request = logs(Vec::new(), InstrumentationScope::default(), vec![exception, LogRecord::default(), event]);
    let taken = read(&request);
    let texts: Vec<_> = taken.messages.iter().map(|told| (told.text.as_str(), told.time)).collect();
    assert_eq!(texts, [("ZeroDivisionError: division by zero", None), ("device.lost", Some(2))]);
    let why = "record 1: it has no body, no exception and no event name";
    let answer = protobuf(&request).answer();
    let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records: 1, error_message: why.to_owned() });
    let response = ExportLogsServiceResponse { partial_success };
    assert_eq!((answer.status, answer.content_type), (StatusCode::OK, "application/x-protobuf"));
    assert_eq!(ExportLogsServiceResponse::decode(&answer.body[..]).unwrap(), response);
    let answer: serde_json::Value = serde_json::from_slice(&as_json(&request).answer().body).unwrap();
    assert_eq!(answer, json!({ "partialSuccess": { "rejectedLogRecords": "1", "errorMessage": why } }));
    let answer = call(frame(0, &request.encode_to_vec())).answer();
    assert_eq!(ExportLogsServiceResponse::decode(&answer.body[5..]).unwrap(), response);
    assert_eq!(answer.trailers.unwrap()["grpc-status"], "0");
}

#[test]
fn a_request_of_which_all_is_taken_is_answered_with_an_empty_message() {
    let request = logs(Vec::new(), InstrumentationScope::default(), vec![record("a")]);
    assert_eq!(protobuf(&request).answer().body, b"");
    assert_eq!(as_json(&request).answer().body, b"{}\n");
    assert_eq!(call(frame(0, &request.encode_to_vec())).answer().body, [0; 5]);
}

#[test]
fn a_compressed_call_is_read_and_a_bomb_is_not() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let message = logs(Vec::new(), InstrumentationScope::default(), vec![record("a")]).encode_to_vec();
    let compressed = |bytes: &[u8]| call(frame(1, &gzip(bytes))).with("grpc-encoding", "gzip");
    assert_eq!(compressed(&message).read().unwrap().messages[0].text, "a");
    assert_eq!(compressed(&vec![0; limits::HTTP_INFLATED_BYTES + 1]).answer().trailers.unwrap()["grpc-status"], "8");
    let unknown = call(frame(1, &message)).with("grpc-encoding", "snappy").answer();
    assert_eq!(unknown.trailers.unwrap()["grpc-status"], "12");
    let whole = frame(0, &message);
    for broken in [&whole[..whole.len() - 1], b"", b"\0\0"] {
        let trailers = call(broken.to_vec()).answer().trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "3");
        assert!(trailers["grpc-message"].to_str().unwrap().starts_with("the call "), "{trailers:?}");
    }
}

#[test]
fn what_is_no_otlp_is_refused_whole_in_its_own_form() {
    let answer = Request::to("/v1/logs", b"\x0a\xff".to_vec()).of("application/x-protobuf").answer();
    assert_eq!((answer.status, answer.content_type), (StatusCode::BAD_REQUEST, "application/x-protobuf"));
    let why = b"the body is no protobuf message of the type ExportLogsServiceRequest";
    assert_eq!(answer.body, [&[0x08, 3, 0x12, u8::try_from(why.len()).unwrap()], &why[..]].concat());
    let answer = Request::to("/v1/logs", b"{\"resourceLogs\":7}".to_vec()).of("application/json").answer();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["code"], 3);
    assert!(body["message"].as_str().unwrap().starts_with("the body is no OTLP/JSON message"), "{body}");
    assert_eq!(
        Request::to("/v1/logs", b"x".to_vec()).of("text/plain").answer().status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[test]
fn json_is_read_as_people_write_it_too() {
    let body = json!({ "unknown": [1], "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{
        "timeUnixNano": 1_714_564_800_000_000_000_u64, "severityNumber": "9", "traceId": "5b8efff798038103d269b633813fc60c",
        "body": { "intValue": 7 }, "attributes": [{ "key": "nan", "value": { "doubleValue": "NaN" } }, { "key": "none", "value": {} }]
    }] }] }] });
    let taken = Request::to("/v1/logs", body.to_string()).of("application/json; charset=utf-8").read().unwrap();
    let told = &taken.messages[0];
    assert_eq!((told.text.as_str(), told.time, told.severity), ("7", Some(1_714_564_800_000), Some(Severity::Info)));
    assert_eq!((told.label("nan"), told.labels.len()), (Some("NaN"), 1));
}

#[test]
fn a_few_bytes_cannot_stand_for_endless_labels() {
    let resource = (0..limits::LABELS).map(|n| attribute(&n.to_string(), text(&"x".repeat(4_000)))).collect();
    let records = vec![record("a"); limits::HTTP_EXPANDED_BYTES / 4_000 / limits::LABELS + 1];
    let request = logs(resource, InstrumentationScope::default(), records);
    let refused = protobuf(&request).read().unwrap_err();
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn labels_beyond_the_limit_are_left_out_and_those_of_the_record_stay() {
    let many = |prefix: &str| (0..limits::LABELS).map(|n| attribute(&format!("{prefix}{n}"), text("v"))).collect();
    let record = LogRecord { attributes: many("own"), ..record("a") };
    let told = only(&logs(many("all"), InstrumentationScope::default(), vec![record]));
    assert_eq!((told.labels.len(), told.ignored), (limits::LABELS, limits::LABELS as u64));
    assert!(told.labels.iter().all(|(name, _)| name.starts_with("own")));
}
