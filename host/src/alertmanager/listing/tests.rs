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

#[track_caller]
fn check(query: &str, expect: &[&str]) {
    let filter = Filter::of(query).expect("a good query");
    let shown = alerts(three(), &[silence()], &routes(), &filter, NOON + 1_000);
    let mut names: Vec<String> =
        shown.iter().map(|shown| shown.labels.get("host").cloned().unwrap_or_default()).collect();
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
    let filter = Filter::of("filter=host=b").expect("a good query");
    let shown = alerts(three(), &[silence()], &routes(), &filter, NOON + 1_000);
    let found = serde_json::to_value(shown).expect("JSON");
    let expect = serde_json::json!([{
        "annotations": {"summary": "x"}, "endsAt": "2023-11-14T22:13:25.000Z",
        "fingerprint": fingerprint(&three()[1].message.labels), "generatorURL": "http://p/",
        "labels": {"alertname": "Disk", "host": "b", "job": "web"},
        "receivers": [{"name": "hook"}, {"name": "team"}], "startsAt": "2023-11-14T22:13:20.000Z",
        "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": ["s1"], "state": "suppressed"},
        "updatedAt": "2023-11-14T22:13:20.000Z",
    }]);
    assert_eq!(found, expect);
}

#[test]
fn groups_are_those_that_messages_count_in() {
    let filter = Filter::of("").expect("a good query");
    let groups = groups(three(), &[], &routes(), &filter, NOON);
    let shown: Vec<_> = groups
        .iter()
        .map(|group| (group.receiver.name.as_str(), group.labels["alertname"].as_str(), group.alerts.len()))
        .collect();
    assert_eq!(shown, [("mail", "Link", 1), ("hook", "Disk", 2), ("team", "Disk", 2)]);
}

#[test]
fn silences_are_found_by_the_values_of_their_matchers() {
    let takes = |query: &str| Filter::of(query).expect("a good query").takes_silence(&silence());
    assert!(takes("") && takes("filter=host=b") && takes("filter=host%3D~%22b|c%22") && takes("filter=other!%3Dx"));
    assert!(!takes("filter=host=a") && !takes("filter=other=x") && !takes("filter=host!%3Db"));
}
