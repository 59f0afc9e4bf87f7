//! GELF messages as clients post them.

use hyper::http::StatusCode;
use serde_json::{Value, json};

use super::super::tests::{Request, Told};
use crate::limits;
use crate::message::Severity;

fn post(body: impl Into<Vec<u8>>) -> Request {
    Request::to("/gelf", body)
}

#[track_caller]
fn only(message: &Value) -> Told {
    let mut taken = post(message.to_string()).read().unwrap();
    assert_eq!(taken.messages.len(), 1, "{taken:?}");
    taken.messages.remove(0)
}

#[test]
fn short_message_is_the_text_and_additional_fields_are_labels() {
    let told = only(&json!({
        "version": "1.1", "host": "web-1", "short_message": "disk full", "full_message": "disk full\n/dev/sda1",
        "timestamp": 1_714_564_800.25, "level": 3, "_disk": "/dev/sda1", "_n": 7, "facility": "kernel",
    }));
    assert_eq!(
        (told.text.as_str(), told.severity, told.time),
        ("disk full", Some(Severity::Error), Some(1_714_564_800_250))
    );
    assert_eq!(told.source.as_deref(), Some("web-1"));
    let labels: Vec<_> = told.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected =
        [("disk", "/dev/sda1"), ("facility", "kernel"), ("full_message", "disk full\n/dev/sda1"), ("n", "7")];
    assert_eq!(labels, expected);
}

#[test]
fn every_level_of_syslog_has_its_severity() {
    let levels = ["critical", "critical", "critical", "error", "warning", "notice", "info", "debug"];
    for (level, word) in levels.into_iter().enumerate() {
        for level in [json!(level), json!(level.to_string())] {
            let told = only(&json!({ "short_message": "a", "level": level }));
            assert_eq!(told.severity.map(Severity::as_str), Some(word), "{level}");
        }
    }
    assert_eq!(only(&json!({ "short_message": "a", "level": 8 })).severity, None);
    assert_eq!(only(&json!({ "short_message": "a" })).severity, None);
}

#[test]
fn odd_details_never_cost_a_message() {
    let told = only(&json!({ "full_message": "only in full", "timestamp": "soon", "host": 7, "_none": null }));
    assert_eq!((told.text.as_str(), told.time, told.source, told.labels.len()), ("only in full", None, None, 0));
    let told =
        only(&json!({ "short_message": "a", "full_message": "a", "_long": "x".repeat(limits::LABEL_VALUE_BYTES + 1) }));
    assert_eq!((told.labels.len(), told.ignored), (1, 1));
    let taken = post(&b"{\"short_message\":\"a\xffb\"}"[..]).read().unwrap();
    assert_eq!(taken.messages[0].text, "a\u{fffd}b");
}

#[test]
fn many_messages_stand_on_a_line_each_and_one_may_take_many_lines() {
    let taken = post("{\"short_message\":\"a\"}\n\n{\"short_message\":\"b\"}\n{}\n").read().unwrap();
    assert_eq!(taken.messages.len(), 2);
    assert_eq!(taken.outcome.errors, [(2, "`short_message` is missing".to_owned())]);
    assert_eq!(post("{\n\"short_message\":\n\"a\"}\n").read().unwrap().messages.len(), 1);
}

#[test]
fn it_answers_as_graylog_does() {
    let answer = post("{\"short_message\":\"a\"}").answer();
    assert_eq!((answer.status, answer.body.len()), (StatusCode::ACCEPTED, 0));
    for body in ["{}", "[]", "x", "{\"short_message\":7}"] {
        assert_eq!(post(body).answer().status, StatusCode::BAD_REQUEST, "{body}");
    }
}
