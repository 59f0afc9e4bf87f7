//! What ntfy gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, check_nothing_acts, group, json, notification, updating};
use mag_plugin_sdk::{FailureKind, Group, Link, Severity, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"topic":"ops","secrets":{"token":"PLACEHOLDER"}}"#;
const PUBLISHED: &str = r#"{"id":"hwQ2YpKdmg","time":1,"expires":2,"event":"message","topic":"ops","message":"x"}"#;
const RECEIPT: &[u8] = br#"{"at":"ops","id":"hwQ2YpKdmg"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Ntfy>(CONFIG, b"", notification, http, NOW)
}

#[test]
fn a_message_is_published_as_json() {
    let http = FakeHttp::answering(200, PUBLISHED);
    let told = send(&http, &notification(vec![Group { severity: Some(Severity::Critical), ..group("disk full", 30) }]))
        .unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://ntfy.sh"));
    assert_eq!(request.header_value("authorization"), Some("Bearer PLACEHOLDER"));
    assert_eq!(
        json(&request),
        json!({
            "topic": "ops", "title": "disk full", "priority": 5, "tags": ["rotating_light"],
            "message": "CRITICAL Message \"disk full\" was repeated 30 time(s).",
        })
    );
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));
}

#[test]
fn links_are_opened_by_a_tap_and_by_at_most_three_buttons() {
    let link =
        |n: u8| Link { rel: "group".into(), title: format!("place {n}"), url: format!("https://mag.example/{n}") };
    let http = FakeHttp::answering(200, PUBLISHED);
    send(&http, &Notification { links: (1..=5).map(link).collect(), ..notification(vec![group("a", 1)]) }).unwrap();
    let body = json(&http.requests()[0]);
    assert_eq!(body["click"], "https://mag.example/1");
    assert_eq!(body["actions"].as_array().unwrap().len(), 3);
    assert_eq!(body["actions"][1], json!({ "action": "view", "label": "place 2", "url": "https://mag.example/2" }));
    assert_eq!(body["message"], "Message \"a\" was repeated 1 time(s).");
}

#[test]
fn a_living_message_takes_the_place_of_the_first() {
    let http = FakeHttp::answering(200, r#"{"id":"another","event":"message"}"#);
    let told = send(&http, &updating(RECEIPT)).unwrap();
    assert_eq!((told.updated_in_place, told.receipt.as_deref()), (true, Some(RECEIPT)));
    assert_eq!(json(&http.requests()[0])["sequence_id"], "hwQ2YpKdmg");
}

#[test]
fn each_answer_means_what_ntfy_documents() {
    for (status, body, kind, code) in [
        (
            429,
            r#"{"code":42901,"http":429,"error":"limit reached: too many requests, please be nice"}"#,
            FailureKind::RateLimited,
            "42901",
        ),
        (403, r#"{"code":40301,"http":403,"error":"forbidden"}"#, FailureKind::Misconfigured, "40301"),
        (401, r#"{"code":40101,"http":401,"error":"unauthorized"}"#, FailureKind::Misconfigured, "40101"),
        (
            400,
            r#"{"code":40010,"http":400,"error":"invalid request: topic name is not allowed"}"#,
            FailureKind::Misconfigured,
            "40010",
        ),
        (
            400,
            r#"{"code":40018,"http":400,"error":"invalid request: actions invalid"}"#,
            FailureKind::Permanent,
            "40018",
        ),
        (500, "", FailureKind::Retry, "500"),
    ] {
        let failure = send(&FakeHttp::answering(status, body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{status}");
    }
}

#[test]
fn the_largest_digest_fits() {
    let many = (1..=50).map(|n| group(&"ü🦀\u{200b}".repeat(2_000), n)).collect();
    let http = FakeHttp::answering(200, PUBLISHED);
    send(&http, &notification(many)).unwrap();
    let body = json(&http.requests()[0]);
    let message = body["message"].as_str().unwrap();
    assert!((3_000..=4_096).contains(&message.len()) && message.contains(" more groups, "), "{message}");
    assert!(body["title"].as_str().unwrap().len() <= 250);
}

/// ntfy reads at most twice the length of a message as JSON, and escapes count.
#[test]
fn what_is_full_of_quotes_and_links_fits_into_a_body_of_eight_kibibytes() {
    let link = |n: u8| Link {
        rel: "group".into(),
        title: format!("place {n}"),
        url: format!("https://mag.example/{n}?{}", "x".repeat(500)),
    };
    let quotes = Notification {
        links: (1..=5).map(link).collect(),
        title: "\"\\".repeat(200),
        previous: Some(RECEIPT.to_vec()),
        ..updating(RECEIPT)
    };
    let groups = vec![group(&"\"\\".repeat(3_000), 1)];
    let http = FakeHttp::answering(200, PUBLISHED);
    send(&http, &Notification { groups, ..quotes }).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert!((6_000..=8_192).contains(&request.body.len()), "{}", request.body.len());
    let body = json(&request);
    assert_eq!((&body["sequence_id"], &body["click"].is_string()), (&json!("hwQ2YpKdmg"), &true));
    assert!(body["message"].as_str().unwrap().len() > 1_500);
}

#[test]
fn no_text_can_hide_anything_or_add_a_line() {
    check_nothing_acts(Shown::Plain, |all| {
        let http = FakeHttp::answering(200, PUBLISHED);
        send(&http, all).unwrap();
        let body = json(&http.requests()[0]);
        assert_eq!(body["markdown"], Value::Null);
        ["title", "message"].map(|key| body[key].as_str().unwrap().to_owned()).to_vec()
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        (r#"{"topic":""}"#, vec!["/topic"]),
        (r#"{"topic":"a b","url":"ntfy.sh"}"#, vec!["/topic", "/url"]),
        (r#"{"topic":"a","server":"x"}"#, vec!["/server"]),
    ] {
        let mistakes = adapter::validate::<Ntfy>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    assert_eq!(adapter::validate::<Ntfy>(CONFIG).unwrap()[0].origin, "https://ntfy.sh");
}
