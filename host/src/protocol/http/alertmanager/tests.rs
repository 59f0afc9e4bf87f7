//! Bodies of Prometheus, vmalert, amtool and Alertmanager, and what they come to.

use hyper::header::HeaderMap;
use hyper::http::{HeaderValue, Uri};

use super::super::super::Parsed;
use super::*;
use crate::message::OwnPosted;

#[derive(Default)]
struct Taken {
    alerts: Vec<OwnPosted>,
    refused: Vec<(u64, String)>,
}

impl Take for Taken {
    fn message(&mut self, _message: Parsed<'_>) {}

    fn skip(&mut self) {}

    fn name(&mut self, _name: &str) {}

    fn alert(&mut self, alert: Posted<'_>) {
        self.alerts.push(alert.into());
    }

    fn refuse(&mut self, index: u64, why: String) {
        self.refused.push((index, why));
    }
}

type Reading = fn(&Head<'_>, &[u8], &mut dyn Take) -> Result<(), Refusal>;

fn took(read: Reading, kind: &'static str, body: &str) -> Result<Taken, Refusal> {
    let (uri, mut headers) = (Uri::from_static("/"), HeaderMap::new());
    headers.insert("content-type", HeaderValue::from_static(kind));
    let head = Head { uri: &uri, headers: &headers, text_bytes: 100 };
    let mut taken = Taken::default();
    read(&head, body.as_bytes(), &mut taken).map(|()| taken)
}

#[track_caller]
fn posted(body: &str) -> Taken {
    took(read, "application/json", body).expect("a good body")
}

#[track_caller]
fn text(body: &str) -> String {
    posted(body).alerts.remove(0).message.text
}

#[track_caller]
fn refused(body: &str) -> String {
    posted(body).refused.remove(0).1
}

#[test]
fn what_prometheus_posts_is_an_alert_with_its_times() {
    let taken = posted(
        r#"[{"annotations":{"summary":"disk full on web-1"},"endsAt":"2024-05-01T12:04:00.123Z",
            "startsAt":"2024-05-01T12:00:00.123456789Z","generatorURL":"http://prometheus:9090/graph?g0.expr=up",
            "labels":{"alertname":"DiskFull","host":"web-1","severity":"critical","none":""}}]"#,
    );
    let alert = &taken.alerts[0];
    let labels: Vec<_> = alert.message.labels.iter().collect();
    assert_eq!(labels, [("alertname", "DiskFull"), ("host", "web-1"), ("severity", "critical")]);
    assert_eq!((alert.message.text.as_str(), alert.message.kind.as_str()), ("disk full on web-1", "alert"));
    assert_eq!((alert.message.severity, alert.message.source.as_str()), (Some(Severity::Critical), ""));
    assert_eq!((alert.starts, alert.ends), (Some(1_714_564_800_123), Ends::At(1_714_565_040_123)));
    assert_eq!(alert.generator, "http://prometheus:9090/graph?g0.expr=up");
}

#[test]
fn the_text_is_the_summary_else_the_description_else_the_name_else_the_labels() {
    let both = r#"[{"labels":{"alertname":"A"},"annotations":{"description":"d","summary":"s"}}]"#;
    assert_eq!(text(both), "s");
    assert_eq!(text(r#"[{"labels":{"alertname":"A"},"annotations":{"description":"d","summary":""}}]"#), "d");
    assert_eq!(text(r#"[{"labels":{"alertname":"A"},"annotations":null}]"#), "A");
    assert_eq!(text(r#"[{"labels":{"b":"x","a":"\"y"}}]"#), r#"{a="\"y", b="x"}"#);
    assert_eq!(text(&format!(r#"[{{"labels":{{"alertname":"{}"}}}}]"#, "ä".repeat(90))).len(), 100);
}

#[test]
fn times_that_are_none_are_left_out() {
    let taken = posted(
        r#"[{"labels":{"a":"b"},"startsAt":"0001-01-01T00:00:00.000Z","endsAt":"0001-01-01T00:00:00Z"},
            {"labels":{"a":"b"}},{"labels":{"a":"b"},"startsAt":"","endsAt":""}]"#,
    );
    assert!(taken.alerts.iter().all(|alert| (alert.starts, alert.ends) == (None, Ends::Unsaid)));
}

#[test]
fn a_bad_alert_is_refused_alone_and_a_bad_body_whole() {
    assert_eq!(refused(r#"[{"labels":{}}]"#), "at least one label pair required");
    assert_eq!(refused(r#"[{"labels":{"a":""}}]"#), "at least one label pair required");
    assert_eq!(refused(r#"[{"labels":{"":"b"}}]"#), "a label has an empty name");
    assert!(refused(&format!(r#"[{{"labels":{{"{}":"b"}}}}]"#, "n".repeat(129))).contains("longer than 128 bytes"));
    assert!(refused(&format!(r#"[{{"labels":{{"a":"{}"}}}}]"#, "v".repeat(4097))).contains("longer than 4096 bytes"));
    let many: Vec<_> = (0..65).map(|n| format!("\"l{n}\":\"v\"")).collect();
    assert_eq!(refused(&format!("[{{\"labels\":{{{}}}}}]", many.join(","))), "an alert has at most 64 labels");
    assert!(refused(r#"[{"labels":{"a":"b"},"startsAt":"now"}]"#).starts_with("startsAt \"now\" is no time"));
    let backwards = r#"[{"labels":{"a":"b"},"startsAt":"2024-05-01T12:00:00Z","endsAt":"2024-05-01T11:00:00Z"}]"#;
    assert_eq!(refused(backwards), "start time must be before end time");
    let one_of_two = posted(r#"[{"labels":{}},{"labels":{"a":"b"}}]"#);
    assert_eq!((one_of_two.alerts.len(), one_of_two.refused.len()), (1, 1));
    for body in [r#"[{"labels":{"a":1}}]"#, r#"[{"labels":["a"]}]"#, "[1]"] {
        assert!(refused(body).starts_with("not an alert: "), "{body}");
    }
    let mixed = posted(
        r#"[{"labels":{"a":"1"}},{"labels":{}},{"labels":{"a":2}},{"labels":{"a":"3"}},7,{"labels":{"a":"5"}}]"#,
    );
    let values: Vec<_> = mixed.alerts.iter().map(|alert| alert.message.labels.get("a")).collect();
    assert_eq!(values, [Some("1"), Some("3"), Some("5")], "each once");
    assert_eq!(mixed.refused.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 4]);
    let most = format!("[{}]", vec![r#"{"labels":{"a":"b"}}"#; limits::ALERTS_POSTED].join(","));
    assert_eq!(posted(&most).alerts.len(), limits::ALERTS_POSTED);
    let many = format!("[{}]", vec!["{}"; limits::ALERTS_POSTED + 1].join(","));
    let error = took(read, "application/json", &many).map(|_| ()).expect_err("too many");
    assert_eq!(error.status, StatusCode::PAYLOAD_TOO_LARGE);
    for body in ["", "x", "{}", "[1"] {
        let error = took(read, "application/json", body).map(|_| ()).expect_err(body);
        assert_eq!(error.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let error = took(read, "text/plain", "[]").map(|_| ()).expect_err("no web page can send it");
    assert_eq!(error.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[test]
fn too_much_said_about_an_alert_is_cut() {
    let body = format!(r#"[{{"labels":{{"a":"b"}},"annotations":{{"x":"{}"}}}}]"#, "ä".repeat(5_000));
    let alert = posted(&body).alerts.remove(0);
    assert_eq!(alert.annotations.get("x").map(str::len), Some(limits::ANNOTATION_BYTES));
}

#[test]
fn what_an_alertmanager_tells_fires_until_it_tells_the_end() {
    let body = r#"{"version":"4","groupKey":"{}:{}","truncatedAlerts":2,"status":"firing","receiver":"mag",
        "groupLabels":{"job":"web"},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am:9093",
        "alerts":[
          {"status":"firing","labels":{"alertname":"A"},"annotations":{},"startsAt":"2024-05-01T12:00:00Z",
           "endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"x"},
          {"status":"resolved","labels":{"alertname":"B"},"annotations":{},"startsAt":"2024-05-01T12:00:00Z",
           "endsAt":"2024-05-01T12:01:00Z","generatorURL":"","fingerprint":"x"}]}"#;
    let taken = took(read_webhook, "application/json", body).expect("a good body");
    let ends: Vec<_> = taken.alerts.iter().map(|alert| alert.ends).collect();
    assert_eq!(ends, [Ends::Told, Ends::At(1_714_564_860_000), Ends::Unsaid]);
    let left_out = &taken.alerts[2].message;
    assert_eq!(left_out.text, "Alertmanager left 2 alerts out for its receiver mag: see its max_alerts");
    assert_eq!((left_out.labels.get("job"), left_out.labels.get("alertname")), (Some("web"), Some("AlertsLeftOut")));
    for body in [r#"{"version":"3","alerts":[]}"#, r#"{"alerts":[]}"#, "[]", r#"{"version":"4"}"#] {
        assert!(took(read_webhook, "application/json", body).is_err(), "{body}");
    }
}

#[test]
fn an_answer_is_nothing_or_one_text() {
    let good = answer(Ok(&Outcome { accepted: 3, ..Outcome::default() }));
    assert_eq!((good.status, good.body.len()), (StatusCode::OK, 0));
    let errors = vec![(0, "no label".to_owned()), (7, "no \"time\"".to_owned())];
    let bad = answer(Ok(&Outcome { accepted: 3, errors, ..Outcome::default() }));
    assert_eq!(
        (bad.status, bad.body.as_slice()),
        (StatusCode::BAD_REQUEST, b"\"no label; no \\\"time\\\"\"\n".as_slice())
    );
    assert_eq!(answer(Err(&Refusal::bad("no"))).body, b"\"no\"\n");
}
