//! What PagerDuty gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, json, notification};
use mag_plugin_sdk::{Link, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"secrets":{"routing_key":"PLACEHOLDER"}}"#;
const ACCEPTED: &str = r#"{"status":"success","message":"Event processed","dedup_key":"mag-00c0ffee00c0ffee"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<PagerDuty>(CONFIG, b"", notification, http, NOW)
}

#[test]
fn a_group_triggers_an_alert_of_its_own() {
    let http = FakeHttp::answering(202, ACCEPTED);
    let labels = vec![Label { name: "host".into(), value: "db1".into() }];
    let told = Group { severity: Some(Severity::Critical), labels, ..group("disk full", 30) };
    let links = vec![Link { rel: "group".into(), title: "this group".into(), url: "https://mag.example/g".into() }];
    send(&http, &Notification { links, ..notification(vec![told]) }).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://events.pagerduty.com/v2/enqueue"));
    assert_eq!(
        json(&request),
        json!({
            "routing_key": "PLACEHOLDER", "event_action": "trigger", "dedup_key": "mag-00c0ffee00c0ffee", "client": "mag",
            "links": [{ "href": "https://mag.example/g", "text": "this group" }],
            "payload": {
                "summary": "disk full", "source": "10.0.0.7", "severity": "critical",
                "timestamp": "1994-11-06T08:49:37.042Z", "group": "root", "class": "default",
                "custom_details": {
                    "text": "disk full", "count": 30, "total": 30, "first_seen": "1994-11-06T08:49:37.000Z", "why": null,
                    "labels": { "host": "db1" },
                },
            },
        })
    );
}

#[test]
fn what_is_over_resolves_the_same_alert() {
    let http = FakeHttp::answering(202, ACCEPTED);
    send(&http, &notification(vec![Group { resolved: true, ..group("disk full", 0) }])).unwrap();
    let event = json!({ "routing_key": "PLACEHOLDER", "event_action": "resolve", "dedup_key": "mag-00c0ffee00c0ffee" });
    assert_eq!(json(&http.requests()[0]), event);
}

#[test]
fn a_message_without_severity_is_what_the_config_says() {
    let severity = |config: &str, severity| {
        let http = FakeHttp::answering(202, ACCEPTED);
        let told = notification(vec![Group { severity, ..group("a", 1) }]);
        adapter::send::<PagerDuty>(config, b"", &told, &http, NOW).unwrap();
        json(&http.requests()[0])["payload"]["severity"].clone()
    };
    assert_eq!(severity(CONFIG, None), "error");
    assert_eq!(severity(CONFIG, Some(Severity::Notice)), "info");
    assert_eq!(severity(r#"{"severity":"warning","secrets":{"routing_key":"P"}}"#, None), "warning");
}

#[test]
fn each_answer_means_what_pagerduty_documents() {
    for (status, body, kind) in [
        (
            400,
            r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.summary' is missing or blank"]}"#,
            FailureKind::Permanent,
        ),
        (
            400,
            r#"{"status":"invalid event","message":"Event object is invalid","errors":["'routing_key' is invalid"]}"#,
            FailureKind::Misconfigured,
        ),
        (429, "", FailureKind::RateLimited),
        (500, "", FailureKind::Retry),
    ] {
        let failure = send(&FakeHttp::answering(status, body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!(failure.kind, kind, "{body}");
        assert!(body.is_empty() || failure.message.contains("invalid event, '"), "{}", failure.message);
    }
}

#[test]
fn the_largest_event_is_far_below_512_kilobytes() {
    let raw = "\u{1}\"\u{e0001}".repeat(20_000);
    let labels = (0..64).map(|n| Label { name: format!("{n}{}", "n".repeat(120)), value: raw.clone() }).collect();
    let http = FakeHttp::answering(202, ACCEPTED);
    send(&http, &notification(vec![Group { labels, source: Some(raw.clone()), ..group(&raw, 3) }])).unwrap();
    let body = json(&http.requests()[0]);
    assert!(http.requests()[0].body.len() < 200_000);
    assert!(body["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
}

#[test]
fn no_text_can_hide_anything_or_add_a_line() {
    check_nothing_acts(Shown::Plain, |all| {
        let http = FakeHttp::new([Ok(answer(202, ACCEPTED)), Ok(answer(202, ACCEPTED))]);
        send(&http, all).unwrap();
        let payload = &json(&http.requests()[0])["payload"];
        ["summary", "source", "class"].iter().map(|key| payload[key].as_str().unwrap_or_default().to_owned()).collect()
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointer) in
        [(r#"{"api_url":"x"}"#, "/api_url"), (r#"{"severity":"high"}"#, "/severity"), (r#"{"key":""}"#, "/key")]
    {
        let mistakes = adapter::validate::<PagerDuty>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
    assert_eq!(adapter::validate::<PagerDuty>(CONFIG).unwrap()[0].origin, "https://events.pagerduty.com");
}
