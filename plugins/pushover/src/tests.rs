//! What Pushover gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, check_nothing_acts, form, group, notification};
use mag_plugin_sdk::{Group, Link, Severity, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"emergency":true,"device":"phone","secrets":{"token":"TOKENPLACE","user":"USERPLACE"}}"#;
const TAKEN: &str = r#"{"status":1,"request":"647d2300-702c-4b38-8b2f-d56326ae460b"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Pushover>(CONFIG, b"", notification, http, NOW)
}

fn fields(notification: &Notification) -> Vec<(String, String)> {
    let http = FakeHttp::answering(200, TAKEN);
    send(&http, notification).unwrap();
    form(&http.requests()[0])
}

fn told(severity: Severity) -> Notification {
    notification(vec![Group { severity: Some(severity), ..group("disk full", 30) }])
}

#[test]
fn an_emergency_is_repeated_until_it_is_acknowledged() {
    let http = FakeHttp::answering(200, TAKEN);
    let link = Link { rel: "group".into(), title: "this group".into(), url: "https://mag.example/g".into() };
    send(&http, &Notification { links: vec![link], ..told(Severity::Critical) }).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://api.pushover.net/1/messages.json"));
    let expected = [
        ("token", "TOKENPLACE"),
        ("user", "USERPLACE"),
        ("title", "disk full"),
        ("message", "CRITICAL Message \"disk full\" was repeated 30 time(s)."),
        ("timestamp", "784111807"),
        ("priority", "2"),
        ("retry", "60"),
        ("expire", "3600"),
        ("device", "phone"),
        ("url", "https://mag.example/g"),
        ("url_title", "this group"),
    ];
    assert_eq!(form(&request), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn the_severity_is_the_priority() {
    let priority = |severity| fields(&told(severity)).into_iter().find(|(name, _)| name == "priority").unwrap().1;
    let of = [Severity::Error, Severity::Warning, Severity::Info, Severity::Debug].map(priority);
    assert_eq!(of, ["1", "0", "0", "-1"]);
}

#[test]
fn each_answer_means_what_pushover_documents() {
    for (status, body, kind) in [
        (
            400,
            r#"{"user":"invalid","errors":["user identifier is invalid"],"status":0,"request":"x"}"#,
            FailureKind::Misconfigured,
        ),
        (
            400,
            r#"{"token":"invalid","errors":["application token is invalid"],"status":0}"#,
            FailureKind::Misconfigured,
        ),
        (
            400,
            r#"{"message":"cannot be blank","errors":["message cannot be blank"],"status":0}"#,
            FailureKind::Permanent,
        ),
        (429, r#"{"user":"x","errors":["application is over its quota"],"status":0}"#, FailureKind::RateLimited),
        (500, "", FailureKind::Retry),
    ] {
        let failure = send(&FakeHttp::answering(status, body), &told(Severity::Error)).unwrap_err();
        assert_eq!(failure.kind, kind, "{body}");
        assert!(body.is_empty() || failure.message.starts_with("pushover says "), "{}", failure.message);
    }
}

#[test]
fn a_month_without_messages_left_is_waited_for_and_a_burst_is_not() {
    for (remaining, after_ms) in [("0", Some(3_600_000)), ("7000", None)] {
        let headers = [("X-Limit-App-Remaining", remaining), ("X-Limit-App-Reset", "784198177")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let http = FakeHttp::new([Ok(Response { status: 429, headers, ..Response::default() })]);
        let failure = send(&http, &told(Severity::Error)).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (FailureKind::RateLimited, after_ms), "{remaining}");
    }
}

#[test]
fn the_longest_text_fits() {
    let raw = "🦀\u{200b}".repeat(5_000);
    let all = Notification { title: raw.clone(), ..notification((1..=20).map(|n| group(&raw, n)).collect()) };
    let fields = fields(&all);
    assert!(fields[2].1.encode_utf16().count() <= 250);
    let message = &fields[3].1;
    assert!((500..=1_024).contains(&message.encode_utf16().count()) && message.contains(" more groups, "), "{message}");
}

#[test]
fn no_text_can_hide_anything_or_add_a_line_or_a_field() {
    check_nothing_acts(Shown::Plain, |all| {
        let fields = fields(all);
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..7], ["token", "user", "title", "message", "timestamp", "priority", "device"]);
        assert!(names.len() == 7 || names[7..] == ["url", "url_title"]);
        vec![fields[2].1.clone(), fields[3].1.clone()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointer) in
        [(r#"{"device":""}"#, "/device"), (r#"{"api_url":"x"}"#, "/api_url"), (r#"{"user":""}"#, "/user")]
    {
        let mistakes = adapter::validate::<Pushover>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
    assert_eq!(adapter::validate::<Pushover>(CONFIG).unwrap()[0].origin, "https://api.pushover.net");
}
