//! Envelopes and events as Sentry's SDKs write them.

use hyper::http::StatusCode;
use serde_json::{Value, json};

use super::super::tests::{Request, Told};
use crate::message::Severity;

const ID: &str = "9ec79c33ec9942ab8353589fcb2e04dc";

fn store(event: &Value) -> Request {
    Request::to("/api/1/store/", event.to_string())
}

fn envelope(body: impl Into<Vec<u8>>) -> Request {
    Request::to("/api/1/envelope/", body)
}

#[track_caller]
fn only(event: &Value) -> Told {
    let mut messages = store(event).read().unwrap().messages;
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}

fn raised() -> Value {
    let frame = |file: &str, function: &str, line: u32, own: bool| json!({ "filename": file, "function": function, "lineno": line, "in_app": own, "vars": { "a": "1" } });
    let frames = [
        frame("shop/main.py", "run", 3, true),
        frame("shop/cart.py", "checkout", 42, true),
        frame("json/decoder.py", "decode", 9, false),
    ];
    json!({ "values": [
        { "type": "KeyError", "value": "'first'" },
        { "type": "ValueError", "value": "no price", "stacktrace": { "frames": frames } },
    ] })
}

#[test]
fn an_exception_is_its_text_and_the_innermost_own_frame_its_culprit() {
    let told = only(&json!({
        "event_id": ID, "timestamp": "2024-05-01T12:00:00.250Z", "platform": "python", "level": "fatal",
        "release": "shop@2", "environment": "prod", "server_name": "web-1", "logger": "shop.cart",
        "exception": raised(), "tags": { "site": "eu", "n": 3, "release": "of a tag" }, "breadcrumbs": { "values": [{}] },
    }));
    assert_eq!((told.text.as_str(), told.severity), ("ValueError: no price", Some(Severity::Critical)));
    assert_eq!(
        (told.id.as_deref(), told.time, told.source.as_deref()),
        (Some(ID), Some(1_714_564_800_250), Some("web-1"))
    );
    let labels: Vec<_> = told.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("culprit", "checkout (shop/cart.py:42)"),
        ("environment", "prod"),
        ("logger", "shop.cart"),
        ("n", "3"),
        ("platform", "python"),
        ("release", "shop@2"),
        ("server_name", "web-1"),
        ("site", "eu"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn a_message_is_the_text_and_the_exception_beside_it_a_label() {
    let event = |part: &str, value: Value| only(&json!({ part: value, "exception": raised() }));
    for (part, value) in [
        ("message", json!("cannot pay")),
        ("message", json!({ "message": "cannot %s", "formatted": "cannot pay" })),
        ("logentry", json!({ "message": "cannot pay" })),
    ] {
        let told = event(part, value);
        assert_eq!((told.text.as_str(), told.label("exception")), ("cannot pay", Some("ValueError: no price")));
        assert_eq!(told.severity, Some(Severity::Error), "an event without a level is an error");
    }
}

#[test]
fn odd_details_never_cost_an_event() {
    let told = only(
        &json!({ "message": "a", "level": 7, "timestamp": {}, "tags": [["site", "eu"], ["bad"], 3], "exception": [] }),
    );
    assert_eq!((told.severity, told.time, told.labels.len()), (Some(Severity::Error), None, 1));
    assert_eq!(only(&json!({ "message": "a", "timestamp": 1_714_564_800.5 })).time, Some(1_714_564_800_500));
    assert_eq!(only(&json!({ "message": "a", "timestamp": "2024-05-01T12:00:00" })).time, Some(1_714_564_800_000));
    let told =
        only(&json!({ "exception": [{ "value": "only words", "stacktrace": { "frames": [{ "module": "a.b" }] } }] }));
    assert_eq!((told.text.as_str(), told.label("culprit")), ("only words", Some("a.b")));
}

#[test]
fn an_envelope_gives_its_events_and_skips_the_rest() {
    let event = json!({ "message": "a\nb" }).to_string();
    let session = json!({ "sid": "1" }).to_string();
    let body = format!(
        "{{\"event_id\":\"{ID}\",\"dsn\":\"http://k@h/1\"}}\n{{\"type\":\"session\"}}\n{session}\n\
         {{\"type\":\"event\",\"length\":{}}}\n{event}\n{{\"type\":\"attachment\",\"length\":3}}\n\n\n\n\n{{\"type\":\"transaction\"}}\n{{}}",
        event.len()
    );
    let taken = envelope(body.clone()).read().unwrap();
    assert_eq!((taken.messages.len(), taken.skipped), (1, 3));
    assert_eq!((taken.messages[0].text.as_str(), taken.messages[0].id.as_deref()), ("a\nb", Some(ID)));
    let answer = envelope(body).answer();
    assert_eq!((answer.status, answer.body), (StatusCode::OK, format!("{{\"id\":\"{ID}\"}}\n").into_bytes()));
}

#[test]
fn an_envelope_without_an_event_is_answered_too() {
    let answer = envelope("{}\n{\"type\":\"client_report\"}\n{}\n").answer();
    assert_eq!((answer.status, answer.body), (StatusCode::OK, b"{}\n".to_vec()));
    assert_eq!(envelope("{}").answer().status, StatusCode::OK);
}

#[test]
fn what_is_broken_is_refused_with_a_detail() {
    for (body, why) in [
        ("", "the envelope's header is not what Sentry's SDKs send"),
        ("{}\n{\"type\":\"event\",\"length\":9}\n{}", "an item of 9 bytes breaks off after 2"),
        ("{}\n{\"kind\":\"event\"}\n{}", "an item's header is not what Sentry's SDKs send: missing field `type`"),
        ("{}\n{\"type\":\"event\"}\nx", "the event is not what Sentry's SDKs send"),
        ("{}\n{\"type\":\"event\"}\n{}", "the event has neither a message nor an exception"),
    ] {
        let answer = envelope(body).answer();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(told["detail"].as_str().unwrap().starts_with(why), "{told}");
    }
}

#[test]
fn the_key_of_the_dsn_comes_in_a_field_or_in_the_query() {
    let auth = "Sentry sentry_key=abc, sentry_version=7, sentry_client=sentry.python/2";
    assert_eq!(store(&json!({})).with("x-sentry-auth", auth).key(), Some("abc"));
    assert_eq!(Request::to("/api/1/envelope/?sentry_version=7&sentry_key=abc", "").key(), Some("abc"));
    assert_eq!(store(&json!({})).key(), None);
}
