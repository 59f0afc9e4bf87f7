//! What is handed to the mail service, and what its answers mean.

use mag_plugin_sdk::http::{HttpError, Response};
use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, group_by_time, notification};
use mag_plugin_sdk::{FailureKind, Group, Label, Severity, adapter};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"from":"mag <mag@example.org>","to":["ops@example.org"],"reply_to":"team@example.org"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Email>(CONFIG, b"", notification, http, NOW)
}

fn mail_of(notification: &Notification) -> Value {
    let http = FakeHttp::answering(202, r#"{"message_id":"x","rejected":[]}"#);
    send(&http, notification).unwrap();
    serde_json::from_slice(&http.requests()[0].body).unwrap()
}

#[test]
fn a_mail_has_exactly_the_fields_of_the_mail_service() {
    let http = FakeHttp::answering(202, r#"{"message_id":"x","rejected":[]}"#);
    let told = send(&http, &notification(vec![group("disk full", 30)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://mail.mag.internal/"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "from": "mag <mag@example.org>", "to": ["ops@example.org"], "cc": [], "reply_to": "team@example.org",
            "subject": "disk full",
            "text": "Message \"disk full\" was repeated 30 time(s).\n  source: 10.0.0.7\n  \
                     first seen: 1994-11-06T08:49:37.000Z\n  last seen: 1994-11-06T08:49:37.042Z\n\n-- \n\
                     mag, sender team, notification 0193c2f0-7d11-7000-8000-00000000002a\n",
            "html": null, "message_id": "<0193c2f0-7d11-7000-8000-00000000002a@example.org>",
            "in_reply_to": null, "references": [],
        })
    );
    let receipt: Value = serde_json::from_slice(&told.receipt.unwrap()).unwrap();
    assert_eq!(receipt["message_id"], body["message_id"]);
    assert_eq!(told.extra, "");
}

#[test]
fn a_subject_is_one_line_that_nothing_decodes() {
    for (title, subject) in [
        ("disk full", "disk full"),
        ("a\r\nBcc: evil@example.org", "a Bcc: evil@example.org"),
        ("a\u{85}b\u{2028}c\0d\u{1b}e", "a b cde"),
        ("=?utf-8?q?evil?=", "= ?utf-8?q?evil?="),
        ("pay\u{202e}lap", "paylap"),
        (" \n ", "message without text"),
    ] {
        let mut told = notification(vec![group("x", 1)]);
        told.title = title.into();
        assert_eq!(mail_of(&told)["subject"], subject, "{title:?}");
    }
}

#[test]
fn nothing_in_a_group_can_act_in_the_text() {
    let raw = "a\u{1b}[2J\r\n.\r\nQUIT\u{202e}";
    let label = Label { name: raw.into(), value: raw.into() };
    for kind in ["default", "monitor"] {
        let told = Group { kind: kind.into(), labels: vec![label.clone()], source: Some(raw.into()), ..group(raw, 1) };
        let mail = mail_of(&notification(vec![told]));
        let text = mail["text"].as_str().unwrap();
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text:?}");
        assert!(!text.lines().any(|line| line == "." || line.starts_with("QUIT")), "{text:?}");
    }
}

#[test]
fn no_text_can_hide_anything_or_add_a_line() {
    check_nothing_acts(Shown::Plain, |all| {
        let mail = mail_of(all);
        ["subject", "text"].map(|key| mail[key].as_str().unwrap().to_owned()).to_vec()
    });
}

#[test]
fn a_digest_tells_each_group_with_what_is_known_of_it() {
    let first = Group {
        severity: Some(Severity::Error),
        kind: "backup".into(),
        labels: vec![Label { name: "host".into(), value: "db1".into() }],
        ..group_by_time("b", 5)
    };
    let mut told = notification(vec![group_by_time("a", 2), first]);
    (told.omitted_groups, told.omitted_messages) = (412, 80_344);
    let mail = mail_of(&told);
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.starts_with(
            "Message \"b\" was repeated 5 time(s) for last 30 seconds.\n  severity: error\n  kind: backup\n  \
             source: 10.0.0.7\n  host: db1\n  first seen: "
        ),
        "{text}"
    );
    assert!(text.contains("\n\nMessage \"a\" was repeated 2 time(s)"), "{text}");
    assert!(text.contains("\n\nand 412 more groups, 80,344 messages\n-- \n"), "{text}");
}

#[test]
fn what_is_said_about_an_alert_stands_with_it() {
    let said = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    let annotations = vec![said("description", "97 % of /\nfull"), said("runbook_url", "https://example.org/disk")];
    let alert =
        Group { annotations: [annotations, vec![said("summary", "disk full")]].concat(), ..group("disk full", 1) };
    let mail = mail_of(&notification(vec![alert]));
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.contains("\n  description: 97 % of / full\n  runbook_url: https://example.org/disk\n  first"),
        "{text}"
    );
}

#[test]
fn huge_notifications_stay_within_what_a_request_may_hold() {
    let told = notification((0..200).map(|n| group(&"\u{e0001}".repeat(16_000), n)).collect());
    let mail = mail_of(&told).to_string();
    assert!(mail.len() < 1_000_000, "{}", mail.len());
    assert!(mail.contains("more groups, "));
}

#[test]
fn every_answer_has_its_kind() {
    for (status, kind, maybe) in [
        (503, FailureKind::Retry, false),
        (504, FailureKind::Retry, true),
        (400, FailureKind::Permanent, false),
        (422, FailureKind::Permanent, false),
        (401, FailureKind::Misconfigured, false),
        (500, FailureKind::Retry, false),
        (404, FailureKind::Misconfigured, false),
    ] {
        let http = FakeHttp::answering(status, r#"{"error":"550 no such\r\nuser"}"#);
        let failure = send(&http, &notification(vec![group("x", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.maybe_delivered), (kind, maybe), "{status}");
        assert!(!failure.message.contains('\n'));
        assert_eq!(
            failure.message.contains("550 no such user"),
            matches!(status, 400 | 401 | 422 | 503 | 504),
            "{status}"
        );
    }
    let failure = send(&FakeHttp::new([Err(HttpError::Broken("reset".into()))]), &notification(vec![group("x", 1)]));
    assert!(failure.unwrap_err().maybe_delivered);
}

#[test]
fn the_pause_that_the_mail_service_asks_for_is_passed_on() {
    let response = Response { headers: vec![("Retry-After".into(), "60".into())], ..answer(503, "") };
    let failure = send(&FakeHttp::new([Ok(response)]), &notification(vec![group("x", 1)])).unwrap_err();
    assert_eq!(failure.after_ms, Some(60_000));
}

#[test]
fn addresses_that_were_refused_are_told() {
    let http = FakeHttp::answering(202, r#"{"message_id":"x","rejected":["a@b"]}"#);
    let told = send(&http, &notification(vec![group("x", 1)])).unwrap();
    assert_eq!(told.extra, r#"{"rejected":["a@b"]}"#);
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    let config =
        r#"{"from":"mag","to":["ops@example.org","a@b\r\nBcc: c@d","Ops <ops>"],"cc":["a b@c"],"reply_to":"@x"}"#;
    let mistakes = adapter::validate::<Email>(config).unwrap_err();
    let pointers: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
    assert_eq!(pointers, ["/from", "/to/1", "/to/2", "/cc/0", "/reply_to"]);
    let nobody = adapter::validate::<Email>(r#"{"from":"a@b","to":[]}"#).unwrap_err();
    assert_eq!(nobody[0].pointer, "/to");
    assert_eq!(adapter::validate::<Email>(CONFIG).unwrap()[0].origin, "http://mail.mag.internal");
}
