//! Events in the three ways in which HTTP carries them.

use hyper::http::StatusCode;
use serde_json::{Value, json};

use super::super::tests::{Request, Told};
use super::{BATCH, STRUCTURED};
use crate::message::Severity;

const PATH: &str = "/api/v1/events";

fn event(more: &Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": "a-1", "source": "/shop/cart", "type": "com.example.failed" });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

fn structured(event: &Value) -> Request {
    Request::to(PATH, event.to_string()).of("application/cloudevents+json; charset=utf-8")
}

fn binary(kind: &str, body: &[u8]) -> Request {
    Request::to(PATH, body)
        .of(kind)
        .with("ce-specversion", "1.0")
        .with("ce-id", "a-1")
        .with("ce-source", "/shop/cart")
        .with("ce-type", "com.example.failed")
}

#[track_caller]
fn only(request: &Request) -> Told {
    let mut taken = request.read().unwrap();
    assert_eq!(taken.messages.len(), 1, "{taken:?}");
    taken.messages.remove(0)
}

#[test]
fn a_structured_and_a_binary_event_say_the_same() {
    let data = json!({ "message": "cannot pay", "level": "error" });
    let attributes = json!({ "subject": "é", "time": "2024-05-01T12:00:00Z", "site": "eu", "n": 3, "datacontenttype": "application/json" });
    let mut whole = event(&attributes);
    whole["data"] = data.clone();
    let told = only(&structured(&whole));
    assert_eq!(
        (told.text.as_str(), told.severity, told.time),
        ("cannot pay", Some(Severity::Error), Some(1_714_564_800_000))
    );
    assert_eq!((told.source.as_deref(), told.id.as_deref()), (Some("/shop/cart"), Some("a-1")));
    let labels: Vec<_> = told.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("n", "3"), ("site", "eu"), ("subject", "é"), ("type", "com.example.failed")]);
    let same = binary("application/json", data.to_string().as_bytes())
        .with("ce-subject", "%C3%A9")
        .with("ce-time", "2024-05-01T12:00:00Z")
        .with("ce-site", "eu")
        .with("ce-n", "3");
    assert_eq!(only(&same), told);
}

#[test]
fn whatever_data_is_there_becomes_the_text() {
    let text = |more: Value| only(&structured(&event(&more))).text;
    assert_eq!(text(json!({ "data": "in words" })), "in words");
    assert_eq!(text(json!({ "data": { "text": "of an object" } })), "of an object");
    assert_eq!(text(json!({ "data": { "n": 1, "message": 7 } })), r#"{"message":7,"n":1}"#);
    assert_eq!(text(json!({ "data": [1] })), "[1]");
    assert_eq!(text(json!({ "data_base64": "aW4gd29yZHM=" })), "in words");
    assert_eq!(text(json!({})), "com.example.failed");
    assert_eq!(text(json!({ "data": null })), "com.example.failed");
    assert_eq!(only(&binary("text/plain", b"in words")).text, "in words");
    assert_eq!(only(&binary("application/json", b"not JSON")).text, "not JSON");
    assert_eq!(only(&binary("", b"")).text, "com.example.failed");
}

#[test]
fn the_extension_severitytext_is_the_severity() {
    assert_eq!(only(&structured(&event(&json!({ "severitytext": "WARN" })))).severity, Some(Severity::Warning));
    let told = only(&structured(&event(&json!({ "severitytext": "loud" }))));
    assert_eq!((told.severity, told.label("severitytext")), (None, Some("loud")));
}

#[test]
fn a_batch_is_taken_event_by_event() {
    let batch = json!([event(&json!({})), { "specversion": "1.0" }, event(&json!({ "id": "a-2" })), 7]);
    let request = Request::to(PATH, batch.to_string()).of(BATCH);
    let taken = request.read().unwrap();
    let ids: Vec<_> = taken.messages.iter().map(|told| told.id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["a-1", "a-2"]);
    let answer = request.answer();
    assert_eq!(answer.status, StatusCode::OK);
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&told["accepted"], &told["errors"][0]),
        (&json!(2), &json!({ "index": 1, "error": "`id` is missing" }))
    );
    assert_eq!(told["errors"][1]["index"], 3);
}

#[test]
fn what_is_no_event_is_refused_with_what_it_lacks() {
    let refused = |request: &Request| {
        let answer = request.answer();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        String::from_utf8(answer.body).unwrap()
    };
    let old = event(&json!({ "specversion": "0.3" }));
    assert!(refused(&structured(&old)).contains(r#"`specversion` must be \"1.0\", not \"0.3\""#));
    assert!(refused(&Request::to(PATH, "").with("ce-specversion", "1.0")).contains("`id` is missing"));
    assert!(refused(&structured(&event(&json!({ "id": "x".repeat(300) })))).contains("`id` may have 256 bytes"));
    assert!(refused(&Request::to(PATH, "[]").of(STRUCTURED)).contains("this is no CloudEvent in JSON"));
    let unknown = Request::to(PATH, "<a/>").of("application/cloudevents+xml").answer();
    assert_eq!(unknown.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
