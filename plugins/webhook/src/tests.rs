//! What is sent, and that the body is what its schema says.

use mag_plugin_sdk::http::HttpError;
use mag_plugin_sdk::testing::{FakeHttp, group, notification};
use mag_plugin_sdk::{FailureKind, Group, Label, Link, Severity, adapter, egress};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 784_111_777_900;
const CONFIG: &str = r#"{"url":"https://example.org/hook","headers":{"Authorization":"Bearer PLACEHOLDER"},"secrets":{"t":"PLACEHOLDER"}}"#;

fn full() -> Notification {
    let label = |name: &str| vec![Label { name: name.into(), value: "v".into() }];
    let full = Group {
        severity: Some(Severity::Error),
        labels: label("host"),
        annotations: label("summary"),
        samples: vec!["disk full".into()],
        state: "firing".into(),
        links: vec![Link { rel: "group".into(), title: "this group".into(), url: "http://127.0.0.1/".into() }],
        count: u64::MAX,
        ..group("disk \"full\"\n", 30)
    };
    let mut all = notification(vec![full, Group { source: None, ..group("b", 2) }]);
    all.body = Some("text".into());
    all
}

fn posted(notification: &Notification) -> Value {
    let http = FakeHttp::answering(204, "");
    adapter::send::<Webhook>(CONFIG, b"", notification, &http, NOW).unwrap();
    serde_json::from_slice(&http.requests()[0].body).unwrap()
}

#[test]
fn what_escapes_make_too_large_is_counted_instead_of_told() {
    let small = |n| group("disk full", n);
    let large = |n| group(&"\u{1}".repeat(64 * 1024), n);
    let groups = vec![large(9), small(8), large(7), large(6), large(5), small(4)];
    let title = "139 messages in 16 groups".to_owned();
    let all = Notification { title, omitted_groups: 10, omitted_messages: 100, ..notification(groups) };
    let told = posted(&all);
    assert!(told.to_string().len() <= BODY_BYTES);
    let counts: Vec<u64> =
        told["groups"].as_array().unwrap().iter().map(|group| group["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [9, 8, 7, 4]);
    assert_eq!((&told["omitted_groups"], &told["omitted_messages"]), (&json!(12), &json!(111)));
}

#[test]
fn the_request_carries_the_id_the_time_and_the_operators_headers() {
    let http = FakeHttp::answering(200, "ok");
    let all = full();
    adapter::send::<Webhook>(CONFIG, b"", &all, &http, NOW).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://example.org/hook"));
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", concat!("mag/", env!("CARGO_PKG_VERSION"))),
        ("Idempotency-Key", all.id.as_str()),
        ("webhook-id", all.id.as_str()),
        ("webhook-timestamp", "784111777"),
        ("authorization", "Bearer PLACEHOLDER"),
    ] {
        assert_eq!(request.header_value(name), Some(value), "{name}");
    }
    assert_eq!((request.header_value("webhook-signature"), request.header_value("mag-sign")), (None, None));
}

#[test]
fn with_a_signing_secret_mag_is_asked_to_sign() {
    let config = r#"{"url":"https://example.org/hook","secrets":{"signing":"PLACEHOLDER"}}"#;
    let http = FakeHttp::answering(200, "ok");
    adapter::send::<Webhook>(config, b"", &full(), &http, NOW).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(request.header_value("mag-sign"), Some("standard-webhooks; secret=signing"));
    assert!(!request.headers.iter().any(|(_, value)| value.contains("PLACEHOLDER")));
}

#[test]
fn the_body_is_what_receivers_rely_on() {
    let mut small = notification(vec![group("disk full", 30)]);
    (small.omitted_groups, small.omitted_messages) = (412, 80_344);
    assert_eq!(
        posted(&small),
        json!({
            "version": 1, "id": "0193c2f0-7d11-7000-8000-00000000002a", "attempt": 1, "sender": "team",
            "kind": "default", "reason": "count", "period_ms": 30_000, "title": "disk full", "body": null,
            "groups": [{
                "id": "00c0ffee00c0ffee", "route": "root", "kind": "default", "source": "10.0.0.7",
                "text": "disk full", "severity": null, "labels": {}, "annotations": {}, "count": 30, "total": 30,
                "first_seen": "1994-11-06T08:49:37.000Z", "last_seen": "1994-11-06T08:49:37.042Z",
                "opened": "1994-11-06T08:49:37.000Z", "closed": "1994-11-06T08:50:07.000Z",
                "samples": [], "reason": "count", "state": null, "resolved": false, "links": [],
            }],
            "omitted_groups": 412, "omitted_messages": 80_344, "sent_at": "1994-11-06T08:50:07.005Z", "escalated_from": null,
        })
    );
}

#[test]
fn the_largest_count_is_a_whole_number() {
    assert_eq!(posted(&full())["groups"][0]["count"], json!(u64::MAX));
}

#[test]
fn whose_it_was_to_tell_is_said() {
    let mut copy = notification(vec![group("disk full", 30)]);
    copy.extra = r#"{"escalated_from":{"sender":"team","code":"500","error":"no"},"language":"en"}"#.into();
    assert_eq!(posted(&copy)["escalated_from"], json!({"sender": "team", "code": "500", "error": "no"}));
    copy.extra = "junk".into();
    assert_eq!(posted(&copy)["escalated_from"], Value::Null);
}

#[test]
fn bodies_and_schema_agree() {
    let schema: Value = serde_json::from_str(include_str!("../body.schema.json")).unwrap();
    fits(&schema, &schema, &posted(&full()), "");
    fits(&schema, &schema, &posted(&notification(Vec::new())), "");
    let extra = r#"{"escalated_from":{"sender":"team","code":"500","error":"no"}}"#.to_owned();
    fits(&schema, &schema, &posted(&Notification { extra, ..full() }), "");
}

/// As much of JSON Schema as ours uses; properties must be the same on both sides, so that neither can drift.
fn fits(root: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        return fits(root, root.pointer(name.trim_start_matches('#')).unwrap(), value, at);
    }
    if let Some(allowed) = schema["enum"].as_array() {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    if !schema["const"].is_null() {
        assert_eq!(&schema["const"], value, "{at}");
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) => {
            if number.is_u64() {
                "integer"
            } else {
                "number"
            }
        }
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&is), "{at}: {is} is none of {types:?}");
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(root, &schema["items"], item, &format!("{at}/{n}"));
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return };
    let names =
        |keys: &mut dyn Iterator<Item = &str>| keys.map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let required = names(&mut schema["required"].as_array().unwrap().iter().filter_map(Value::as_str));
    assert_eq!(names(&mut object.keys().map(String::as_str)), required, "{at}");
    assert_eq!(names(&mut properties.keys().map(String::as_str)), required, "{at}");
    for (name, value) in object {
        fits(root, &properties[name], value, &format!("{at}/{name}"));
    }
}

#[test]
fn answers_mean_what_the_sdk_says() {
    for (status, kind) in [
        (301, FailureKind::Misconfigured),
        (400, FailureKind::Permanent),
        (404, FailureKind::Misconfigured),
        (408, FailureKind::Retry),
        (429, FailureKind::RateLimited),
        (500, FailureKind::Retry),
    ] {
        let http = FakeHttp::answering(status, "the answer with PLACEHOLDER");
        let failure = adapter::send::<Webhook>(CONFIG, b"", &full(), &http, NOW).unwrap_err();
        assert_eq!((failure.kind, failure.maybe_delivered), (kind, false), "{status}");
        assert!(!failure.message.contains("PLACEHOLDER"));
    }
}

#[test]
fn a_reset_after_the_body_may_have_been_delivered() {
    for (error, maybe) in [(HttpError::NotSent("refused".into()), false), (HttpError::Broken("reset".into()), true)] {
        let http = FakeHttp::new([Err(error)]);
        let failure = adapter::send::<Webhook>(CONFIG, b"", &full(), &http, NOW).unwrap_err();
        assert_eq!((failure.kind, failure.maybe_delivered), (FailureKind::Retry, maybe));
    }
}

#[test]
fn the_origin_it_wants_is_that_of_its_url() {
    let wanted = adapter::validate::<Webhook>(r#"{"url":"http://127.0.0.1:8080/hook?a=b"}"#).unwrap();
    assert_eq!(wanted, [egress("http://127.0.0.1:8080", "POST", "the webhook's url")]);
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, expected) in [
        (r#"{"url":"example.org"}"#, vec!["/url"]),
        (r#"{"url":"ftp://example.org"}"#, vec!["/url"]),
        (r#"{"url":"https://a:b@example.org"}"#, vec!["/url"]),
        (
            r#"{"url":"/","headers":{"a b":"c","x":"a\r\nb: c","Content-Length":"5"}}"#,
            vec!["/headers/Content-Length", "/headers/a b", "/headers/x", "/url"],
        ),
        (r#"{"url":"https://example.org","headers":{"a":1}}"#, vec!["/headers/a"]),
        (r#"{"url":"https://example.org","ulr":""}"#, vec!["/ulr"]),
        (r#"{}"#, vec!["/url"]),
    ] {
        let mistakes = adapter::validate::<Webhook>(config).unwrap_err();
        let pointers: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{config}");
    }
}
