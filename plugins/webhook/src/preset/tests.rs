//! What alert services get, and what each of their answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, json, notification};
use mag_plugin_sdk::{Label, Severity, adapter};

use super::*;
use crate::Webhook;

const NOW: u64 = 784_111_777_000;
const OPSGENIE: &str = r#"{"preset":"opsgenie","secrets":{"key":"PLACEHOLDER"}}"#;
const SPLUNK: &str = r#"{"preset":"splunk-on-call","secrets":{"url":"https://alert.victorops.com/PLACEHOLDER"}}"#;

fn taken(n: usize) -> FakeHttp {
    FakeHttp::new(
        (0..n).map(|_| Ok(answer(202, r#"{"result":"Request will be processed","took":0.1,"requestId":"x"}"#))),
    )
}

fn send(config: &str, http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Webhook>(config, b"", notification, http, NOW)
}

fn named(id: &str, count: u64, resolved: bool) -> Group {
    Group { id: id.into(), resolved, ..group(&format!("text {id}"), count) }
}

#[test]
fn a_group_is_an_alert_under_its_own_name() {
    let http = taken(1);
    let labels = vec![Label { name: "host".into(), value: "db1".into() }];
    send(
        OPSGENIE,
        &http,
        &notification(vec![Group { severity: Some(Severity::Critical), labels, ..group("disk full", 30) }]),
    )
    .unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://api.opsgenie.com/v2/alerts"));
    assert_eq!(request.header_value("authorization"), Some("GenieKey PLACEHOLDER"));
    assert_eq!(
        json(&request),
        json!({
            "message": "disk full", "alias": "mag-00c0ffee00c0ffee", "source": "mag", "priority": "P1",
            "description": "CRITICAL Message \"disk full\" was repeated 30 time(s). (host=db1)",
            "details": { "host": "db1", "route": "root", "kind": "default", "count": "30" },
        })
    );
}

#[test]
fn what_is_over_closes_the_same_alert() {
    let http = taken(1);
    send(OPSGENIE, &http, &notification(vec![named("a1", 0, true)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(request.url, "https://api.opsgenie.com/v2/alerts/mag-a1/close?identifierType=alias");
    assert_eq!(json(&request)["source"], "mag");
}

#[test]
fn splunk_on_call_has_words_of_its_own() {
    let http = taken(2);
    send(SPLUNK, &http, &notification(vec![named("a1", 3, false), named("a2", 0, true)])).unwrap();
    let [over, firing] = http.requests().try_into().unwrap();
    assert_eq!(over.url, "https://alert.victorops.com/PLACEHOLDER");
    assert_eq!((&json(&over)["message_type"], &json(&over)["entity_id"]), (&json!("RECOVERY"), &json!("mag-a2")));
    let firing = json(&firing);
    assert_eq!((&firing["message_type"], &firing["entity_id"]), (&json!("WARNING"), &json!("mag-a1")));
    assert_eq!(firing["entity_display_name"], "text a1");
}

#[test]
fn many_groups_share_one_alert_and_all_that_is_over_is_closed() {
    let firing = (1..=20).map(|n| named(&format!("f{n}"), n, false));
    let over = (1..=3).map(|n| named(&format!("o{n}"), 0, true));
    let mut all = notification(firing.chain(over).collect());
    (all.omitted_groups, all.omitted_messages) = (5, 500);
    let http = taken(8);
    let failure = send(OPSGENIE, &http, &all).unwrap_err();
    assert_eq!((failure.kind, failure.progress.as_deref()), (FailureKind::RateLimited, Some(b"8".as_slice())));
    assert!(http.requests()[..3].iter().all(|request| request.url.ends_with("/close?identifierType=alias")));
    let http = taken(3);
    send(OPSGENIE, &http, &Notification { progress: failure.progress, ..all }).unwrap();
    let bodies: Vec<Value> = http.requests().iter().map(json).collect();
    let names: Vec<&str> = bodies.iter().map(|body| body["alias"].as_str().unwrap()).collect();
    assert_eq!(names, ["mag-f15", "mag-f14", "mag-rest-team"]);
    assert_eq!(bodies[2]["message"], "and 18 more groups, 591 messages");
}

#[test]
fn each_answer_means_what_the_service_documents() {
    for (status, kind) in [
        (422, FailureKind::Permanent),
        (401, FailureKind::Misconfigured),
        (403, FailureKind::Misconfigured),
        (429, FailureKind::RateLimited),
        (503, FailureKind::Retry),
    ] {
        let http = FakeHttp::answering(status, r#"{"message":"Key format is not valid!","took":0.0,"requestId":"x"}"#);
        let failure = send(OPSGENIE, &http, &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!(failure.kind, kind, "{status}");
        assert!(failure.message.starts_with("opsgenie says Key format is not valid!: "), "{}", failure.message);
    }
}

#[test]
fn what_is_refused_does_not_keep_the_others_back() {
    let http = FakeHttp::new([Ok(answer(422, "{}")), Ok(answer(202, "{}"))]);
    let failure = send(OPSGENIE, &http, &notification(vec![named("a", 2, false), named("b", 1, false)])).unwrap_err();
    assert_eq!((failure.kind, http.requests().len()), (FailureKind::Permanent, 2));
}

#[test]
fn every_part_stays_within_the_services_limits() {
    let raw = "\u{e0001}\"".repeat(20_000);
    let labels = vec![Label { name: raw.clone(), value: raw.clone() }; 64];
    let http = taken(1);
    send(OPSGENIE, &http, &notification(vec![Group { labels, ..group(&raw, 3) }])).unwrap();
    let body = json(&http.requests()[0]);
    let chars = |value: &Value| value.as_str().unwrap().chars().count();
    assert!(chars(&body["message"]) <= 130 && chars(&body["description"]) <= 15_000);
    let details: usize =
        body["details"].as_object().unwrap().iter().map(|(name, value)| name.chars().count() + chars(value)).sum();
    assert!(details <= 8_000, "{details}");
}

#[test]
fn no_text_can_hide_anything_or_add_a_line() {
    for config in [OPSGENIE, SPLUNK] {
        check_nothing_acts(Shown::Plain, |all| {
            let http = taken(4);
            send(config, &http, all).unwrap();
            let texts = |request: &Request| {
                let body = json(request);
                ["message", "description", "note", "entity_display_name", "state_message"]
                    .map(|key| body[key].as_str().unwrap_or_default().to_owned())
            };
            http.requests().iter().flat_map(texts).collect()
        });
    }
}

#[test]
fn an_address_is_needed_where_everybody_has_another_one() {
    assert_eq!(adapter::validate::<Webhook>(OPSGENIE).unwrap()[0].origin, "https://api.opsgenie.com");
    assert_eq!(adapter::validate::<Webhook>(SPLUNK).unwrap()[0].origin, "https://alert.victorops.com");
    for (config, pointer) in [(r#"{"preset":"splunk-on-call"}"#, "/url"), (r#"{"preset":"pager"}"#, "/preset")] {
        let mistakes = adapter::validate::<Webhook>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
}
