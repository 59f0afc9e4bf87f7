//! What is listed, and what a query leaves of it.

use std::time::Duration;

use hyper::http::StatusCode;

use super::*;
use crate::config;
use crate::matcher::Field;
use crate::message::{ALERT_KIND, Labels};

const NOON: Millis = 1_700_000_000_000;

fn routes() -> Routes {
    let route = |id: &str, matchers: Vec<Matcher>, senders: &[&str], routes| config::Route {
        id: id.to_owned(),
        matchers,
        group_by: vec![Field::Label("alertname".to_owned())],
        max_messages: 1,
        time_limit: Duration::from_secs(30),
        senders: senders.iter().map(|name| (*name).to_owned()).collect(),
        flush_on_stop: false,
        r#continue: false,
        routes,
    };
    let web = vec![Matcher::parse("job=web").expect("a good matcher")];
    Routes::new(&route("root", Vec::new(), &["mail"], vec![route("web", web, &["team", "hook"], Vec::new())]))
}

fn alert(n: i64, pairs: &[(&str, &str)], starts: Millis) -> alerts::Alert {
    let labels = Labels::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
    let message =
        Message { text: "x".to_owned(), kind: ALERT_KIND.into(), severity: None, labels, source: "10.0.0.1".into() };
    let annotations = Labels::new(vec![("summary".to_owned(), "x".to_owned())]);
    let generator = "http://p/".to_owned();
    alerts::Alert { n, message, annotations, generator, starts, ends: starts + 5_000, updated: starts }
}

fn three() -> Vec<alerts::Alert> {
    vec![
        alert(1, &[("alertname", "Disk"), ("job", "web"), ("host", "a")], NOON),
        alert(2, &[("alertname", "Disk"), ("job", "web"), ("host", "b")], NOON),
        alert(3, &[("alertname", "Link")], NOON),
        // The first one again, as another Prometheus saw it.
        alert(4, &[("alertname", "Disk"), ("job", "web"), ("host", "a")], NOON + 700),
    ]
}

fn silence() -> Silence {
    Silence {
        id: "s1".to_owned(),
        matchers: vec![Matcher::parse("host=b").expect("a good matcher")],
        starts: NOON,
        ends: NOON + 60_000,
        created_by: String::new(),
        comment: String::new(),
        updated: NOON,
        messages: 0,
    }
}

fn scene(query: &str, silences: Vec<Silence>) -> Scene {
    let filter = Filter::of(query).expect("a good query");
    Scene { silences: Silences::new(silences), routes: routes(), filter, now: NOON + 1_000 }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("JSON")
}

#[track_caller]
fn check(query: &str, expect: &[&str]) {
    let scene = scene(query, vec![silence()]);
    let shown = shown(three(), &scene, || false).expect("little");
    let host = |shown: &Shown<'_>| shown.alert.message.labels.get("host").unwrap_or_default().to_owned();
    let mut names: Vec<String> = shown.values().map(host).collect();
    names.sort();
    assert_eq!(names, expect);
}

#[test]
fn a_query_takes_what_it_asks_for() {
    check("", &["", "a", "b"]);
    check("silenced=false", &["", "a"]);
    check("active=false&inhibited=true&unprocessed=true", &["b"]);
    check("filter=alertname%3D%22Disk%22&filter=host!%3D%22b%22", &["a"]);
    check("receiver=te.*", &["a", "b"]);
    check("receiver=te", &[]);
    for wrong in ["active=perhaps", "filter=alertname", "receiver=("] {
        assert_eq!(Filter::of(wrong).expect_err(wrong).0, StatusCode::BAD_REQUEST);
    }
}

#[test]
fn an_alert_looks_as_alertmanager_shows_it() {
    let scene = scene("filter=host=b", vec![silence()]);
    let shown = shown(three(), &scene, || false).expect("little");
    let expect = serde_json::json!([{
        "annotations": {"summary": "x"}, "endsAt": "2023-11-14T22:13:25.000Z",
        "fingerprint": fingerprint(&three()[1].message.labels), "generatorURL": "http://p/",
        "labels": {"alertname": "Disk", "host": "b", "job": "web"},
        "receivers": [{"name": "hook"}, {"name": "team"}], "startsAt": "2023-11-14T22:13:20.000Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": ["s1"], "state": "suppressed"},
        "updatedAt": "2023-11-14T22:13:20.000Z",
    }]);
    assert_eq!(json(&alerts(&shown, scene.now)), expect);
}

#[test]
fn groups_are_those_that_messages_count_in() {
    let scene = scene("", Vec::new());
    let shown = shown(three(), &scene, || false).expect("little");
    let groups = json(&groups(&shown, &scene));
    let groups: Vec<_> = groups.as_array().expect("a list").iter().collect();
    let told = |group: &serde_json::Value| {
        let alerts = group["alerts"].as_array().map_or(0, Vec::len);
        format!("{} {} {alerts}", group["receiver"]["name"], group["labels"])
    };
    let told: Vec<_> = groups.into_iter().map(told).collect();
    let expect = ["\"mail\" {\"alertname\":\"Link\"} 1", "\"hook\" {\"alertname\":\"Disk\"} 2"];
    assert_eq!(told[..2], expect);
    assert_eq!(told[2..], ["\"team\" {\"alertname\":\"Disk\"} 2"]);
}

#[test]
fn an_answer_that_takes_too_long_is_given_up_and_says_what_to_do() {
    let scene = scene("", Vec::new());
    let asked = std::cell::Cell::new(0);
    let late = || asked.replace(asked.get() + 1) == 2;
    let Refusal(status, why) = shown(three(), &scene, late).expect_err("late");
    assert_eq!((status, asked.get()), (StatusCode::SERVICE_UNAVAILABLE, 3));
    assert_eq!(why, "the answer takes longer than 2 s: ask for less of it with filter=");
}

#[test]
fn a_query_is_refused_by_its_size_before_anything_is_compiled() {
    // None of these is a matcher, which would be said if they were looked at.
    let refused = |query: &str| Filter::of(query).expect_err(query).1;
    assert_eq!(refused(&vec!["filter=("; 17].join("&")), "there are more than 16 matchers");
    let long = format!("filter={}", "(".repeat(limits::FILTER_BYTES + 1));
    assert_eq!(refused(&long), "the matchers are longer than 8 KiB");
    assert_eq!(refused(&long.replace("filter", "receiver")), "the matchers are longer than 8 KiB");
    assert!(refused("filter=a%3D~%5Cw%7B85%7D").contains("regular expression takes too much"));
    assert!(refused("receiver=%5Cw%7B85%7D").contains("regular expression takes too much"));
}

#[test]
fn silences_are_found_by_the_values_of_their_matchers() {
    let takes = |query: &str| Filter::of(query).expect("a good query").takes_silence(&silence());
    assert!(takes("") && takes("filter=host=b") && takes("filter=host%3D~%22b|c%22") && takes("filter=other!%3Dx"));
    assert!(!takes("filter=host=a") && !takes("filter=other=x") && !takes("filter=host!%3Db"));
}
