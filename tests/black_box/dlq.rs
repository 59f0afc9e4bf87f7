//! Dead letters from the outside: `mag dlq`, `mag status` and `mag test notify`, with a running mag and without one.

use serde_json::{Value, json};

use super::support::{Answer, Home, Mag, Receiver, ndjson};

/// A sender `hook` that tells two messages of a group together, and one that nothing is sent to.
fn config(receiver: &Receiver, name: &str) -> String {
    let url = receiver.url("/");
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[route]\nmax_messages = 2\ntime_limit = \"1h\"\nsenders = [\"{name}\"]\n\
         [senders.{name}]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

/// A command to a running mag, which must succeed; what it prints.
#[track_caller]
fn ask(mag: &Mag, arguments: &[&str]) -> String {
    let address = mag.admin().address();
    let ended = mag.home().runs(&[arguments, &["--admin", &address]].concat());
    assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:#?}");
    ended.stdout
}

#[track_caller]
fn ask_json(mag: &Mag, arguments: &[&str]) -> Value {
    let said = ask(mag, &[arguments, &["--json"]].concat());
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("no JSON: {error}: {said}"))
}

/// A mag with so many dead letters of two messages each, named `a`, `b`, …; and their ids, oldest first.
fn with_letters(receiver: &Receiver, texts: &[&str]) -> (Mag, Vec<String>) {
    let mag = Mag::with(&config(receiver, "hook"));
    for (n, text) in texts.iter().enumerate() {
        mag.takes(&ndjson(&[text, text]));
        receiver.request(n + 1);
    }
    let ids = mag.admin().gets("/api/v1/dlq", |list| {
        let list = list.json();
        let letters = list["letters"].as_array().expect("letters");
        let ids = letters.iter().rev().map(|letter| letter["id"].as_str().expect("an id").to_owned());
        (letters.len() == texts.len()).then(|| ids.collect::<Vec<_>>())
    });
    (mag, ids)
}

fn refusing(times: usize) -> Receiver {
    (0..times)
        .fold(Receiver::start(), |receiver, _| receiver.answers_next(Answer::text("no such room").with_status(400)))
}

#[test]
fn dead_letters_are_listed_and_shown_with_reason_attempts_and_texts() {
    let receiver = refusing(2);
    let (mag, ids) = with_letters(&receiver, &["a", "b"]);
    let list = ask(&mag, &["dlq", "list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[6]),
        (7, format!("{}  hook", ids[1]).as_str(), "2 dead letters"),
        "{list}"
    );
    assert!(
        lines[1].starts_with("  died ") && lines[1].ends_with(" after 1 attempt; 1 group, 2 messages: b"),
        "{list}"
    );
    assert!(lines[2].contains("400"), "{list}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{list}");
    let show = ask(&mag, &["dlq", "show", &ids[0]]);
    for part in [&format!("{}  hook\n", ids[0]), "\n1 attempt\n  1 ", " dead ", "\n1 group, 2 messages\n  2x a"] {
        assert!(show.contains(part), "no {part:?} in {show}");
    }
    let shown = ask_json(&mag, &["dlq", "show", &ids[0]]);
    assert_eq!((&shown["id"], &shown["told"][0]["count"]), (&json!(ids[0]), &json!(2)));
    let page = ask_json(&mag, &["dlq", "list", "--limit", "1"]);
    assert_eq!(
        (&page["total"], &page["next"], page["letters"].as_array().map(Vec::len)),
        (&json!(2), &json!(ids[1]), Some(1))
    );
    let rest = ask_json(&mag, &["dlq", "list", "--before", &ids[1], "--sender", "hook"]);
    assert_eq!((&rest["next"], &rest["letters"][0]["id"]), (&json!(null), &json!(ids[0])));
    assert_eq!(ask(&mag, &["dlq", "list", "--sender", "nobody"]), "0 dead letters");
    mag.stops();
}

#[test]
fn a_replayed_letter_that_dies_again_is_told_by_the_fallback_again() {
    let (hook, second) = (refusing(2), Receiver::start());
    let fallback = format!(
        "fallback = \"second\"\n[senders.second]\nplugin = \"webhook\"\nconfig = {{ url = \"{}\" }}\n",
        second.url("/")
    );
    let mag = Mag::with(&(config(&hook, "hook") + &fallback));
    mag.takes(&ndjson(&["a", "a"]));
    let once = second.request(1);
    let id = hook.request(1).header("webhook-id").expect("an id").to_owned();
    ask(&mag, &["dlq", "replay", &id]);
    let twice = second.request(2);
    assert_eq!(hook.request(2).header("webhook-id"), Some(id.as_str()), "a replay has the same id");
    assert_ne!(once.header("webhook-id"), twice.header("webhook-id"), "what the fallback tells is news");
    assert_eq!((&twice.json()["reason"], &twice.json()["groups"][0]["count"]), (&json!("escalated"), &json!(2)));
    let home = mag.stops();
    assert_eq!((home.store().account("root", "hook").dead, home.store().account("root", "second").told), (2, 4));
    home.store().must_balance();
}

#[test]
fn a_stopped_store_is_listed_and_shown_and_never_changed() {
    let receiver = refusing(1);
    let (mag, ids) = with_letters(&receiver, &["a"]);
    let home = mag.stops();
    home.configure(&config(&receiver, "hook").replace("127.0.0.1:0", "127.0.0.1:1"));
    let list = home.runs(&["dlq", "list"]);
    assert_eq!(list.code, Some(0), "{list:#?}");
    assert!(list.stdout.contains(&ids[0]) && list.stderr.contains("no mag answers at 127.0.0.1:1"), "{list:#?}");
    assert_eq!(home.runs(&["dlq", "show", &ids[0], "--json"]).code, Some(0));
    home.runs(&["dlq", "show", "0190"]).must_fail_with(1, &["no such dead letter"]);
    for command in ["replay", "drop"] {
        home.runs(&["dlq", command, "--all"]).must_fail_with(75, &["no mag answers at 127.0.0.1:1"]);
    }
    home.runs(&["test", "notify", "hook"]).must_fail_with(75, &["no mag answers at"]);
    let status = home.runs(&["status"]);
    assert_eq!(status.code, Some(75), "{status:#?}");
    assert!(status.stdout.contains("is not running; this is what its store says"), "{status:#?}");
    assert!(status.stdout.contains("1 dead letter: `mag dlq list` says why"), "{status:#?}");
    assert_eq!(home.store().account("root", "hook").dead, 2);
}

#[test]
fn a_replayed_letter_is_told_again_under_its_id_with_its_attempts_counted_on() {
    let receiver = refusing(1);
    let (mag, ids) = with_letters(&receiver, &["a"]);
    assert_eq!(ask(&mag, &["dlq", "replay", &ids[0]]), "1 dead letter, 2 messages, replayed: queued again");
    let (first, second) = (receiver.request(1), receiver.request(2));
    assert_eq!(second.header("webhook-id"), Some(ids[0].as_str()));
    assert_eq!((&second.json()["attempt"], &second.json()["groups"]), (&json!(2), &first.json()["groups"]));
    mag.admin().gets("/api/v1/dlq", |list| (list.json()["total"] == 0).then_some(()));
    let home = mag.stops();
    let account = home.store().account("root", "hook");
    assert_eq!((account.told, account.dead), (2, 0));
}

#[test]
fn letters_are_replayed_by_sender_and_dropped_by_id() {
    let receiver = refusing(3);
    let (mag, ids) = with_letters(&receiver, &["a", "b", "c"]);
    let dropped = ask_json(&mag, &["dlq", "drop", &ids[1]]);
    assert_eq!(dropped, json!({ "letters": 1, "messages": 2, "left": {} }));
    let address = mag.admin().address();
    let again = mag.home().runs(&["dlq", "drop", &ids[1], "--admin", &address]);
    again.must_fail_with(1, &["is no dead letter, its state is dropped"]);
    assert_eq!(ask(&mag, &["dlq", "replay", "--sender", "hook"]), "2 dead letters, 4 messages, replayed: queued again");
    receiver.request(5);
    let home = mag.stops();
    let account = home.store().account("root", "hook");
    assert_eq!((account.told, account.dead, account.dropped), (4, 0, 2));
}

#[test]
fn letters_of_a_sender_that_is_gone_survive_and_are_replayed_when_it_is_back() {
    let receiver = refusing(1);
    let (mag, ids) = with_letters(&receiver, &["a"]);
    let home = mag.stops();
    home.configure(&config(&receiver, "other"));
    let mag = home.start();
    assert!(ask(&mag, &["dlq", "list"]).contains(&ids[0]));
    let address = mag.admin().address();
    let refused = mag.home().runs(&["dlq", "replay", "--sender", "hook", "--admin", &address]);
    refused.must_fail_with(1, &["sender hook is not in the config: bring [senders.hook] back and run `mag reload`"]);
    let all = mag.home().runs(&["dlq", "replay", "--all", "--admin", &address]);
    assert_eq!((all.code, all.stdout.as_str()), (Some(1), "0 dead letters, 0 messages, replayed: queued again"));
    assert!(all.stderr.contains("1 dead letter left alone: sender hook is not in the config"), "{all:#?}");
    let status = ask_json(&mag, &["status"]);
    let hook = status["senders"].as_array().expect("senders").iter().find(|sender| sender["name"] == "hook");
    assert_eq!(hook.expect("it left something")["health"], "gone");
    let home = mag.stops();
    home.configure(&config(&receiver, "hook"));
    let mag = home.start();
    ask(&mag, &["dlq", "replay", "--all"]);
    assert_eq!(receiver.request(2).header("webhook-id"), Some(ids[0].as_str()));
    mag.stops();
}

#[test]
fn a_test_notification_is_really_told_and_counts_nowhere() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "hook"));
    let said = ask(&mag, &["test", "notify", "hook"]);
    assert!(said.starts_with("sender hook: told in ") && said.contains(" ms, id "), "{said}");
    let told = receiver.request(1).json();
    assert_eq!((&told["reason"], &told["groups"][0]["text"]), (&json!("test"), &json!("Test notification from mag")));
    let address = mag.admin().address();
    let unknown = mag.home().runs(&["test", "notify", "hock", "--admin", &address]);
    unknown.must_fail_with(1, &["there is no sender hock, only hook"]);
    let home = mag.stops();
    assert_eq!(home.store().ledger().iter().map(|account| account.accepted).sum::<i64>(), 0);
}

#[test]
fn a_test_that_fails_says_why_once_and_leaves_no_dead_letter() {
    for status in [400, 500] {
        let receiver = Receiver::start().answers_next(Answer::status(status));
        let mag = Mag::with(&config(&receiver, "hook"));
        let address = mag.admin().address();
        let failed = mag.home().runs(&["test", "notify", "hook", "--admin", &address]);
        failed.must_fail_with(1, &["mag: ", &status.to_string()]);
        assert_eq!(ask(&mag, &["dlq", "list"]), "0 dead letters");
        // Whatever is told next is not the test again.
        mag.takes(&ndjson(&["a", "a"]));
        assert_eq!(receiver.request(2).json()["reason"], "count");
        mag.stops();
    }
}

#[test]
fn a_test_of_a_sender_that_is_not_ready_says_how_it_is_and_is_dropped() {
    let config = "[admin]\naddress = \"127.0.0.1:0\"\n[senders.team]\nplugin = \"slack\"\nallow_private = true\n\
                  config = { channel = \"#ops\", api_url = \"http://127.0.0.1:1/\" }\nsecrets.token = { env = \"HOME\" }\n";
    let mag = Mag::with(config);
    mag.says("not ready");
    let address = mag.admin().address();
    let late = mag.home().runs(&["test", "notify", "team", "--timeout", "300ms", "--admin", &address]);
    late.must_fail_with(1, &["sender team has not told it in 300ms, it is not-ready, sender team (plugin slack "]);
    let id = late.stderr.split("; the test is dropped, id ").nth(1).expect("nobody waits for it any more");
    assert_eq!(mag.admin().get(&format!("/api/v1/deliveries/{id}")).json()["state"], "dropped");
    mag.admin().post("/api/v1/senders/team/test?wait=soon", "").must_refuse(400, "wait is a duration");
    mag.stops();
}

#[test]
fn status_is_one_screen_of_what_a_running_mag_is_at() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "hook"));
    mag.takes(&ndjson(&["told", "told", "open"]));
    mag.admin().gets("/api/v1/status", |status| (status.json()["senders"][0]["delivered"] == 1).then_some(()));
    let screen = ask(&mag, &["status"]);
    for part in ["counting  1 group, 1 message\n", ", 3 messages since the start\n", "hook            ready", "told"] {
        assert!(screen.contains(part), "no {part:?} in\n{screen}");
    }
    assert!(screen.starts_with(&format!("mag {} runs for ", env!("CARGO_PKG_VERSION"))), "{screen}");
    assert!(screen.lines().count() < 24 && screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    mag.stops();
}

#[test]
fn without_admin_and_without_a_store_it_is_said_what_is_missing() {
    let home = Home::with("");
    home.runs(&["status"]).must_fail_with(75, &["the config has no [admin]", "there is no store at"]);
    home.runs(&["dlq", "replay"]).must_fail_with(2, &["--all"]);
    home.runs(&["dlq", "replay", "--all"]).must_fail_with(75, &["--admin"]);
    let mag = home.start();
    let status = mag.home().runs(&["status"]);
    status.must_fail_with(75, &["the config has no [admin]"]);
    let first = format!("runs as process {} and cannot be asked; this is what its store says", mag.pid());
    assert!(status.stdout.contains(&first), "{status:#?}");
    mag.stops();
}
