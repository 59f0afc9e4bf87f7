//! Monitors against a real endpoint: the Go service's campaigns, as one case of a general one.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::support::{Answer, Home, Mag, Receiver, Request};

/// The monitor of DESIGN's example, polled every second, told by a webhook at once.
fn config(endpoint: &Receiver, hook: &Receiver, more: &str) -> String {
    let (url, hook) = (endpoint.url("/campaigns"), hook.url("/"));
    format!(
        r#"
[route]
time_limit = "1h"
[[route.routes]]
match = ['kind="monitor"']
max_messages = 1
[senders.hook]
plugin = "webhook"
config = {{ url = "{hook}" }}
[monitors.campaigns]
url = "{url}"
headers = {{ Authorization = "Bearer ${{secret:token}}" }}
secrets.token = {{ env = "API_TOKEN" }}
interval = "1s"
items = "/campaigns"
id = "/id"
value = "/errors/FREQUENCY_KEY_PRESENT"
alert_if = "delta < 1000"
text = "Number of `FREQUENCY_KEY_PRESENT` errors for all campaigns is {{delta}} for last *{{seconds}}* seconds."
{more}
"#
    )
}

fn start(config: &str) -> Mag {
    Home::with(config).env("API_TOKEN", "first-token").start()
}

/// The endpoint's answer: each campaign's number; `None` where it has none.
fn campaigns(numbers: &[(Value, Option<i64>)]) -> Answer {
    let item = |(id, number): &(Value, Option<i64>)| match number {
        Some(number) => json!({ "id": id, "errors": { "FREQUENCY_KEY_PRESENT": number, "OTHER": 7 } }),
        None => json!({ "id": id }),
    };
    Answer::json(&json!({ "campaigns": numbers.iter().map(item).collect::<Vec<_>>() }))
}

#[test]
fn a_sum_that_does_not_grow_enough_is_told() {
    let hook = Receiver::start();
    // Over the ids in both snapshots: 1 grows by 900, "b" appears from nothing to 50; 3 and 4 are in one of them only.
    let endpoint = Receiver::answering(|_| Answer::status(500))
        .answers_next(campaigns(&[(json!(1), Some(100)), (json!("b"), None), (json!(3), Some(1_000_000))]))
        .answers_next(campaigns(&[(json!(1), Some(1_000)), (json!("b"), Some(50)), (json!(4), Some(5_000_000))]));
    let mag = start(&config(&endpoint, &hook, ""));
    let told = hook.request(1).json();
    let group = &told["groups"][0];
    let text = group["text"].as_str().expect("a text");
    let begin = "Number of `FREQUENCY_KEY_PRESENT` errors for all campaigns is 950 for last *";
    assert!(text.starts_with(begin) && text.ends_with("* seconds."), "{text}");
    assert_eq!(
        (&told["kind"], &group["kind"], &group["source"]),
        (&json!("monitor"), &json!("monitor"), &json!("campaigns"))
    );
    assert_eq!((&group["count"], &group["reason"]), (&json!(1), &json!("count")));
    let first = endpoint.request(1);
    assert_eq!((first.method.as_str(), first.target.as_str()), ("GET", "/campaigns"));
    assert_eq!(first.header("authorization"), Some("Bearer first-token"));
    mag.stops().must_show_nowhere("first-token");
}

#[test]
fn a_sum_that_grows_enough_is_not_told() {
    let hook = Receiver::start();
    let polls = AtomicU64::new(0);
    let endpoint = Receiver::answering(move |_| {
        let poll = i64::try_from(polls.fetch_add(1, Ordering::SeqCst)).expect("few");
        campaigns(&[(json!(1), Some(1_000 * poll))])
    });
    let mag = start(&config(&endpoint, &hook, ""));
    endpoint.request(4);
    mag.stops();
    assert!(hook.requests().is_empty(), "a growth of exactly 1000 is not less than 1000");
}

#[test]
fn a_token_is_renewed_and_the_new_one_is_used() {
    let hook = Receiver::start();
    let renewals = AtomicU64::new(1);
    let rule = move |request: &Request| match request.target.as_str() {
        "/refresh" => Answer::json(&json!({ "token": format!("token-{}", renewals.fetch_add(1, Ordering::SeqCst)) })),
        _ => campaigns(&[]),
    };
    let endpoint = Receiver::answering(rule);
    let refresh = format!("token_refresh = {{ url = \"{}\", every = \"1s\" }}", endpoint.url("/refresh"));
    let mag = start(&config(&endpoint, &hook, &refresh));
    // A poll that is late may never see one of them.
    let later = |token: &str| token.strip_prefix("Bearer token-").is_some_and(|number| number != "1");
    let renewed = endpoint.gets("a poll with a token that was renewed again", |all| {
        all.iter().find(|request| request.header("authorization").is_some_and(later)).cloned()
    });
    assert_eq!(renewed.target, "/campaigns");
    let refreshes: Vec<_> = endpoint.requests().into_iter().filter(|request| request.target == "/refresh").collect();
    assert!(refreshes.iter().all(|request| request.method == "POST"));
    assert_eq!(refreshes[0].json(), json!({ "token": "first-token" }));
    assert_eq!(refreshes[1].json(), json!({ "token": "token-1" }));
    assert_eq!(refreshes[0].header("content-type"), Some("application/json"));
    let home = mag.stops();
    for token in ["first-token", "token-1", "token-2"] {
        home.must_show_nowhere(token);
    }
}

#[test]
fn what_is_wrong_with_an_answer_is_said_with_its_json_pointer() {
    let item = |item: Value| Answer::json(&json!({ "campaigns": [{ "id": 1 }, item] }));
    let hook = Receiver::start();
    let endpoint = Receiver::answering(|_| campaigns(&[]))
        .answers_next(Answer::text("<html>"))
        .answers_next(Answer::json(&json!({ "campaign": [] })))
        .answers_next(item(json!({ "id": null })))
        .answers_next(item(json!({ "id": 2, "errors": { "FREQUENCY_KEY_PRESENT": "many" } })))
        .answers_next(Answer::status(403));
    let mag = start(&config(&endpoint, &hook, ""));
    for said in [
        "monitor campaigns: nothing was checked: the answer is no JSON: ",
        "at \"/campaigns\": expected an array, found nothing",
        "at \"/campaigns/1/id\": expected a string or a number, found null",
        "at \"/campaigns/1/errors/FREQUENCY_KEY_PRESENT\": expected a number, found a string",
        "the endpoint answered 403, expected 200",
        "monitor campaigns: works again",
    ] {
        mag.says(said);
    }
    mag.stops();
    assert!(hook.requests().is_empty(), "a failed fetch checks nothing");
}

#[test]
fn an_endpoint_that_is_down_is_said_once() {
    let hook = Receiver::start();
    let endpoint = Receiver::answering(|_| campaigns(&[]))
        .answers_next(Answer::status(500))
        .answers_next(Answer::status(500))
        .answers_next(Answer::status(500));
    let mag = start(&config(&endpoint, &hook, ""));
    mag.says("monitor campaigns: works again");
    let complaints = mag.said().iter().filter(|line| line.contains("nothing was checked")).count();
    assert_eq!(complaints, 1);
    mag.stops();
}

#[test]
fn a_redirect_within_the_origin_is_followed_and_307_without_a_location_is_an_answer() {
    let hook = Receiver::start();
    let numbers = |number| campaigns(&[(json!(1), Some(number))]);
    let endpoint = Receiver::answering(|_| Answer::status(500))
        .answers_next(Answer::status(302).header("Location", "/moved"))
        .answers_next(numbers(5))
        .answers_next(numbers(7).with_status(307));
    let mag = start(&config(&endpoint, &hook, ""));
    let told = hook.request(1).json();
    assert!(told["groups"][0]["text"].as_str().is_some_and(|text| text.contains(" is 2 for last ")), "{told:#}");
    assert_eq!(endpoint.request(2).target, "/moved");
    mag.stops();
}

#[test]
fn the_go_services_variables_make_its_monitor() {
    let hook = Receiver::start();
    let endpoint = Receiver::answering(|_| Answer::status(500))
        .answers_next(campaigns(&[(json!(1), Some(10))]))
        .answers_next(campaigns(&[(json!(1), Some(15))]));
    let url = hook.url("/");
    let mag = Home::with(&format!("[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"))
        .env("API_ADDRESS", &endpoint.url("/x"))
        .env("API_TOKEN", "first-token")
        .env("MONITOR_INTERVAL", "1")
        .env("FKP_THRESHOLD", "6")
        .env("AGG_MAX_MESSAGES", "1")
        .start();
    let said = mag.says("from the environment: ");
    for name in ["API_ADDRESS", "API_TOKEN", "MONITOR_INTERVAL", "FKP_THRESHOLD", "AGG_MAX_MESSAGES"] {
        assert!(said.contains(name), "{said}");
    }
    let told = hook.request(1).json();
    let text = told["groups"][0]["text"].as_str().expect("a text");
    let begin = "Number of `FREQUENCY_KEY_PRESENT` errors for all campaigns is 5 for last *";
    assert!(text.starts_with(begin) && text.ends_with("* seconds."), "{text}");
    assert_eq!(endpoint.request(1).header("authorization"), Some("Bearer first-token"));
    mag.stops();
}
