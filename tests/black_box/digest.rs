//! Windows and routes: what is told together, to whom, and what goes on after a restart.

use serde_json::{Value, json};

use super::support::{Account, Home, Mag, Receiver, classic, ndjson};

/// A config with a webhook that gets everything, and these settings of the root route.
fn webhook(receiver: &Receiver, route: &str) -> String {
    let url = receiver.url("/hook");
    format!(
        "[route]\n{route}\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

/// Text, count and reason of each group of a notification, as they stand in it.
fn groups(notification: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let groups = notification["groups"].as_array().expect("groups").iter();
    groups.map(|g| (text(&g["text"]), g["count"].as_u64().expect("a count"), text(&g["reason"]))).collect()
}

fn group(text: &str, count: u64, reason: &str) -> (String, u64, String) {
    (text.to_owned(), count, reason.to_owned())
}

#[test]
fn all_open_groups_of_a_route_are_one_digest_when_its_clock_rings() {
    let receiver = Receiver::start();
    let mag = Mag::with(&webhook(&receiver, "max_messages = 30\ntime_limit = \"1s\""));
    mag.takes(&classic(&[&["low"; 1][..], &["disk full"; 27], &["link down"; 3]].concat()));
    let digest = receiver.request(1).json();
    let expected = [group("disk full", 27, "time"), group("link down", 3, "time"), group("low", 1, "time")];
    let mut found = groups(&digest);
    found.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    assert_eq!(found, expected);
    assert_eq!((&digest["reason"], &digest["title"]), (&json!("time"), &json!("31 messages in 3 groups")));
    assert!(digest["period_ms"].as_u64() >= Some(1_000), "{digest:#}");
    let opened = |n: usize| digest["groups"][n]["opened"].clone();
    assert_eq!((opened(0), opened(1)), (opened(1), opened(2)), "a digest speaks of one span of time");
    let home = mag.stops();
    assert_eq!(receiver.requests().len(), 1);
    let told = Account { accepted: 31, told: 31, ..home.store().account("root", "hook") };
    assert_eq!(home.store().ledger(), [told]);
}

#[test]
fn a_digest_of_thousands_of_groups_is_one_and_counts_what_it_leaves_out() {
    let receiver = Receiver::start();
    // Long enough for all of them to come in before it is over.
    let mag = Mag::with(&webhook(&receiver, "time_limit = \"5s\""));
    let texts: Vec<_> = (0..2_500).map(|n| format!("message number {n}")).collect();
    let texts: Vec<_> = texts.iter().chain(&texts[..100]).map(String::as_str).collect();
    mag.takes(&classic(&texts));
    let request = receiver.request(1);
    let digest = request.json();
    let told = groups(&digest);
    let number = |name: &str| digest[name].as_u64().expect("a number");
    assert_eq!(told.len() as u64 + number("omitted_groups"), 2_500);
    assert_eq!(told.iter().map(|(_, count, _)| count).sum::<u64>() + number("omitted_messages"), 2_600);
    assert!(told.iter().filter(|(_, count, _)| *count == 2).count() == 100, "the largest groups are told in full");
    let home = mag.stops();
    assert_eq!((receiver.requests().len(), home.store().account("root", "hook").told), (1, 2_600));
}

#[test]
fn a_group_that_reaches_its_limit_does_not_wait_for_the_others() {
    let receiver = Receiver::start();
    let mag = Mag::with(&webhook(&receiver, "max_messages = 3\ntime_limit = \"1h\""));
    mag.takes(&classic(&["waits", "full", "full", "full"]));
    let told = receiver.request(1).json();
    assert_eq!(groups(&told), [group("full", 3, "count")]);
    assert_eq!(told["reason"], "count");
    let home = mag.stops();
    assert_eq!(home.store().open_windows(), [("waits".to_owned(), 1)]);
}

#[test]
fn open_windows_stay_in_the_store_at_a_stop_and_go_on_at_the_next_start() {
    let receiver = Receiver::start();
    let mag = Mag::with(&webhook(&receiver, "max_messages = 5\ntime_limit = \"1h\""));
    mag.takes(&classic(&["a", "a", "a", "b", "b"]));
    let home = mag.stops();
    assert!(receiver.requests().is_empty());
    let mag = home.start();
    mag.says("continued 2 groups, 5 messages, from mag.db");
    mag.takes(&classic(&["a", "a"]));
    assert_eq!(groups(&receiver.request(1).json()), [group("a", 5, "count")]);
    mag.stops();
}

#[test]
fn a_clock_that_rang_while_mag_was_away_rings_at_once() {
    let receiver = Receiver::start();
    let mag = Mag::with(&webhook(&receiver, "time_limit = \"1h\""));
    mag.takes(&classic(&["a", "b", "b"]));
    let home = mag.stops();
    // What is left of the old time limit is at most the new one.
    home.configure(&webhook(&receiver, "time_limit = \"1ms\""));
    let mag = home.start();
    let mut found = groups(&receiver.request(1).json());
    found.sort();
    assert_eq!(found, [group("a", 1, "time"), group("b", 2, "time")]);
    mag.stops();
}

#[test]
fn flush_on_stop_tells_what_is_counted_instead_of_keeping_it() {
    let receiver = Receiver::start();
    let mag = Mag::with(&webhook(&receiver, "flush_on_stop = true\ntime_limit = \"1h\""));
    mag.says("sender hook: ready");
    mag.takes(&classic(&["a", "a"]));
    let home = mag.stops();
    assert!(home.store().open_windows().is_empty());
    let account = home.store().account("root", "hook");
    assert_eq!((account.accepted, account.open, account.waiting + account.frozen + account.told), (2, 0, 2));
    let mag = home.start();
    assert_eq!(groups(&receiver.request(1).json()), [group("a", 2, "time")]);
    mag.stops();
    assert_eq!(receiver.requests().len(), 1);
}

const ROUTES: &str = r#"
[route]
group_by = ["kind", "text"]
max_messages = 2
time_limit = "1h"
senders = ["rest"]

[[route.routes]]
name = "everything-bad"
match = ['severity=~"error|critical"']
max_messages = 1
senders = ["bad"]
continue = true

[[route.routes]]
match = ['labels.app="shop"', 'kind!="default"']
group_by = ["labels.host"]
senders = ["shop"]

[[route.routes]]
match = ['kind="held"']
senders = []
"#;

#[test]
fn routes_decide_by_matchers_who_is_told_of_what() {
    let (rest, bad, shop) = (Receiver::start(), Receiver::start(), Receiver::start());
    let mut config = ROUTES.to_owned();
    for (name, receiver) in [("rest", &rest), ("bad", &bad), ("shop", &shop)] {
        let url = receiver.url("/");
        config.push_str(&format!("[senders.{name}]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"));
    }
    let mag = Mag::with(&config);
    for line in [
        json!({ "text": "slow", "kind": "web", "labels": { "app": "shop", "host": "a" } }),
        json!({ "text": "slower", "kind": "web", "severity": "crit", "labels": { "app": "shop", "host": "a" } }),
        json!({ "text": "elsewhere", "kind": "web", "labels": { "app": "blog" }, "count": 2 }),
        json!({ "text": "quiet", "kind": "held", "count": 7 }),
    ] {
        mag.takes(format!("{line}\n").as_bytes());
    }
    assert_eq!(groups(&bad.request(1).json()), [group("slower", 1, "count")]);
    let told = shop.request(1).json();
    assert_eq!(groups(&told), [group("slow", 2, "count")]);
    assert_eq!(told["groups"][0]["severity"], "critical", "a group shows its highest severity");
    assert_eq!(told["groups"][0]["labels"], json!({ "app": "shop", "host": "a" }));
    assert_eq!(groups(&rest.request(1).json()), [group("elsewhere", 2, "count")]);
    let home = mag.stops();
    let held = home.store().account(r#"kind="held""#, "");
    assert_eq!((held.accepted, held.held), (7, 7));
    assert_eq!(home.store().account("everything-bad", "bad").told, 1);
    assert_eq!((rest.requests().len(), bad.requests().len(), shop.requests().len()), (1, 1, 1));
}

#[test]
fn what_waits_for_a_sender_that_is_gone_goes_to_the_dead_letters() {
    let receiver = Receiver::start();
    let away = webhook(&receiver, "max_messages = 2").replace(&receiver.url("/hook"), "http://127.0.0.1:1/");
    let mag = Mag::with(&away);
    mag.takes(&ndjson(&["lost", "lost"]));
    mag.says("will try again");
    let home = mag.stops();
    home.configure(
        &webhook(&receiver, "max_messages = 2")
            .replace("[\"hook\"]", "[\"other\"]")
            .replace("senders.hook", "senders.other"),
    );
    let mag = home.start();
    mag.says("dead letters");
    let home = mag.stops();
    let delivery = home.store().only_delivery();
    assert_eq!((delivery.state.as_str(), delivery.code.as_deref()), ("dead", Some("sender-gone")));
    assert_eq!(home.store().account("root", "hook").dead, 2);
}

#[test]
fn a_store_in_memory_is_said_and_keeps_nothing() {
    let receiver = Receiver::start();
    let config = format!("[store]\npath = \":memory:\"\n{}", webhook(&receiver, "max_messages = 2"));
    let mag = Home::with(&config).start();
    mag.says(":memory:");
    mag.takes(&classic(&["a", "a"]));
    receiver.request(1);
    let home = mag.stops();
    assert!(!home.path("mag.db").exists());
}
