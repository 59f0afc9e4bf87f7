//! The webhook sender against a real HTTP server: what it sends, and what each answer means.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Answer, Home, Mag, Receiver, classic};

/// A sender `hook` that tells every single message, and further settings of it.
fn config(receiver: &Receiver, settings: &str) -> String {
    let url = receiver.url("/hook?a=b");
    format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         config = {{ url = \"{url}\", headers = {{ x-team = \"ops\" }} }}\n{settings}\n"
    )
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn the_body_has_the_documented_fields_and_no_others() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(b"{\"text\":\"disk full\",\"count\":3,\"severity\":\"error\",\"labels\":{\"host\":\"db1\"}}\n");
    let request = receiver.request(1);
    let body = request.json();
    let mut fields = names(&body);
    fields.sort_unstable();
    let mut documented = [
        "version",
        "id",
        "attempt",
        "sender",
        "kind",
        "reason",
        "period_ms",
        "title",
        "body",
        "groups",
        "omitted_groups",
        "omitted_messages",
        "sent_at",
        "escalated_from",
    ];
    documented.sort_unstable();
    assert_eq!(fields, documented);
    assert_eq!((&body["version"], &body["attempt"], &body["sender"]), (&json!(1), &json!(1), &json!("hook")));
    assert_eq!((&body["kind"], &body["reason"], &body["body"]), (&json!("default"), &json!("count"), &json!(null)));
    assert_eq!(body["title"], "disk full (3 times)");
    assert_eq!((&body["omitted_groups"], &body["omitted_messages"]), (&json!(0), &json!(0)));
    let group = &body["groups"][0];
    let known = json!({
        "route": "root", "kind": "default", "source": "127.0.0.1", "text": "disk full", "severity": "error",
        "labels": { "host": "db1" }, "annotations": {}, "count": 3, "total": 3, "samples": [], "reason": "count",
        "resolved": false, "links": [],
    });
    for (name, value) in known.as_object().expect("an object") {
        assert_eq!(&group[name], value, "{name}");
    }
    let id = group["id"].as_str().expect("an id");
    assert!(id.len() == 16 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{id}");
    for time in [&body["sent_at"], &group["first_seen"], &group["last_seen"], &group["opened"], &group["closed"]] {
        let time = time.as_str().expect("a time");
        assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "{time}");
    }
    mag.stops();
}

#[test]
fn the_headers_name_the_notification_and_the_config_adds_its_own() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    let request = receiver.request(1);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hook?a=b"));
    let id = request.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(request.header("idempotency-key"), Some(id.as_str()));
    assert_eq!(request.header("webhook-id"), Some(id.as_str()));
    let timestamp = request.header("webhook-timestamp").expect("a timestamp");
    assert!(timestamp.parse::<u64>().is_ok_and(|seconds| seconds > 1_600_000_000), "{timestamp}");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("mag/")));
    assert_eq!(request.header("content-length"), Some(request.text().len().to_string().as_str()));
    assert_eq!((request.header("x-team"), request.header("webhook-signature")), (Some("ops"), None));
    mag.stops();
}

#[test]
fn a_secret_is_put_into_a_header_and_shown_nowhere() {
    let receiver = Receiver::start().answers_next(Answer::status(500));
    let url = receiver.url("/");
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         secrets.token = {{ file = \"token\" }}\n\
         config = {{ url = \"{url}\", headers = {{ Authorization = \"Bearer ${{secret:token}}\" }} }}\n"
    );
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("token");
    std::fs::write(&file, "hook-canary-77aa\n").expect("written");
    let config = config.replace("\"token\" }", &format!("{:?} }}", file.display().to_string()));
    let mag = Mag::with(&config);
    mag.takes(&classic(&["a"]));
    for number in [1, 2] {
        let request = receiver.request(number);
        assert_eq!(request.header("authorization"), Some("Bearer hook-canary-77aa"));
        assert!(!request.text().contains("canary"));
    }
    mag.stops().must_show_nowhere("hook-canary-77aa");
}

#[test]
fn a_500_is_tried_again_under_the_same_id() {
    let receiver = Receiver::start().answers_next(Answer::status(500));
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    let (first, second) = (receiver.request(1).json(), receiver.request(2).json());
    assert_eq!(second["id"], first["id"]);
    assert_eq!((&first["attempt"], &second["attempt"]), (&json!(1), &json!(2)));
    assert_eq!((&second["groups"], &second["sent_at"]), (&first["groups"], &first["sent_at"]));
    assert!(mag.says("will try again").contains("sender hook"));
    mag.says("sender hook: works again");
    let home = mag.stops();
    let delivery = home.store().only_delivery();
    assert_eq!((delivery.state.as_str(), delivery.attempt, delivery.code), ("delivered", 2, None));
    assert_eq!(home.store().account("root", "hook").told, 1);
}

#[test]
fn a_connection_that_is_reset_is_tried_again_under_the_same_id() {
    let receiver = Receiver::start().answers_next(Answer::reset());
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(2).header("webhook-id"), receiver.request(1).header("webhook-id"));
    mag.stops();
}

#[test]
fn an_answer_that_does_not_come_is_given_up_at_the_timeout_and_tried_again() {
    let receiver = Receiver::start().answers_next(Answer::hang());
    let mag = Mag::with(&config(&receiver, "timeout = \"1s\""));
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(2).header("webhook-id"), receiver.request(1).header("webhook-id"));
    mag.says("sender hook: works again");
    mag.stops();
}

#[test]
fn a_429_rests_the_sender_as_long_as_it_asks() {
    let limited = Answer::status(429).header("Retry-After", "2");
    let receiver = Receiver::start().answers_next(limited);
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    let first = receiver.request(1);
    mag.takes(&classic(&["b"]));
    let second = receiver.request(2);
    assert!(second.after(&first) >= Duration::from_secs(2), "{:?}", second.after(&first));
    receiver.request(3);
    mag.stops();
}

#[test]
fn a_404_needs_a_person_and_stays_queued_until_it_works() {
    let receiver = Receiver::start().answers_next(Answer::status(404));
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    let said = mag.says("its queue waits until a person changes something");
    assert!(said.contains("ERROR") && said.contains("404") && said.contains("misconfigured"), "{said}");
    let home = mag.crashes();
    let delivery = home.store().only_delivery();
    assert_ne!(delivery.state, "dead");
    let mag = home.start();
    assert_eq!(receiver.request(2).header("webhook-id"), Some(delivery.id.as_str()));
    let home = mag.stops();
    assert_eq!(home.store().only_delivery().state, "delivered");
}

#[test]
fn a_400_is_given_up_at_once_and_others_go_on() {
    let receiver = Receiver::start().answers_next(Answer::status(400));
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    let said = mag.says("dead letters");
    assert!(said.contains("ERROR") && said.contains("400"), "{said}");
    mag.takes(&classic(&["b"]));
    receiver.request(2);
    let home = mag.stops();
    let (dead, told) = (&home.store().deliveries()[0], &home.store().deliveries()[1]);
    assert_eq!((dead.state.as_str(), dead.code.as_deref(), dead.attempt), ("dead", Some("400"), 1));
    assert!(dead.error.is_some());
    assert_eq!(told.state, "delivered");
    let account = home.store().account("root", "hook");
    assert_eq!((account.accepted, account.dead, account.told), (2, 1, 1));
}

#[test]
fn a_redirect_is_not_followed() {
    let trap = Receiver::start();
    let receiver = Receiver::start().answers_next(Answer::status(302).header("Location", &trap.url("/")));
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    receiver.request(2);
    mag.stops();
    assert!(trap.requests().is_empty());
}

#[test]
fn a_sender_whose_receiver_hangs_does_not_delay_another_one() {
    let (healthy, hanging) = (Receiver::start(), Receiver::answering(|_| Answer::hang()));
    let (good, bad) = (healthy.url("/"), hanging.url("/"));
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"bad\", \"good\"]\n\
         [senders.bad]\nplugin = \"webhook\"\nconfig = {{ url = \"{bad}\" }}\ntimeout = \"60s\"\n\
         [senders.good]\nplugin = \"webhook\"\nconfig = {{ url = \"{good}\" }}\n"
    ));
    mag.takes(&classic(&["first"]));
    hanging.request(1);
    for number in 2..=5 {
        mag.takes(&classic(&[&format!("number {number}")]));
        healthy.request(number);
    }
    assert_eq!(hanging.requests().len(), 1, "one attempt at a time");
    let store = mag.crashes().store();
    assert_eq!(store.account("root", "bad").told, 0);
}

#[test]
fn what_closes_while_the_receiver_is_away_is_told_merged() {
    let receiver = Receiver::start().answers_next(Answer::status(503).header("Retry-After", "2"));
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.says("will try again");
    for _ in 0..5 {
        mag.takes(&classic(&["a"]));
    }
    let retried = receiver.request(2).json();
    assert_eq!(retried["groups"][0]["count"], 1, "a frozen notification never changes");
    let merged = receiver.request(3).json();
    assert_eq!((&merged["groups"][0]["count"], &merged["groups"][0]["total"]), (&json!(5), &json!(6)));
    let home = mag.stops();
    assert_eq!((receiver.requests().len(), home.store().account("root", "hook").told), (3, 6));
}

#[test]
fn what_waits_at_a_stop_is_told_after_the_next_start() {
    let receiver = Receiver::start().answers_next(Answer::status(503).header("Retry-After", "3600"));
    let mag = Mag::with(&config(&receiver, ""));
    mag.takes(&classic(&["a"]));
    mag.says("will try again");
    mag.takes(&classic(&["a"]));
    mag.takes(&classic(&["a", "b"]));
    let home = mag.stops();
    let account = home.store().account("root", "hook");
    assert_eq!((account.accepted, account.frozen + account.waiting + account.told), (4, 4));
    home.store().let_the_waiting_be_over();
    let mag = home.start();
    receiver.gets("all four messages told", |all| {
        let told = all.iter().skip(1).flat_map(|request| request.json()["groups"].as_array().cloned());
        let counts = told.flatten().filter_map(|group| group["count"].as_u64());
        (counts.sum::<u64>() == 4).then_some(())
    });
    assert_eq!(mag.stops().store().account("root", "hook").told, 4);
}

#[test]
fn a_budget_holds_attempts_back() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "rate = \"1/s\"\nburst = 1"));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.takes(&classic(&["b"]));
    receiver.request(2);
    // By mag's own clock: how fast an attempt then gets here is another matter.
    let began = mag.stops().store().attempts_began();
    assert!(began[1] - began[0] >= 990, "{began:?}");
}

#[test]
fn a_url_that_is_not_http_is_a_mistake_at_its_place() {
    let home = Home::with(
        "[route]\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = { url = \"ftp://example.org/\" }\n",
    );
    let ended = home.runs(&["check", "--config", "mag.toml"]);
    ended.must_fail_with(2, &["mag.toml:7:18: error: ", "config = { url = \"ftp://example.org/\" }"]);
}
