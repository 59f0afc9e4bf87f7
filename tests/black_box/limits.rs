//! Past a limit nothing is lost and nothing is hidden: it is counted together, exactly, and says so.

use std::collections::BTreeMap;

use serde_json::Value;

use super::support::{Home, Mag, Receiver, Wire, classic, ndjson};

/// A webhook that gets everything, and these settings of limits and of the root route.
fn config(receiver: &Receiver, limits: &str, route: &str) -> String {
    let url = receiver.url("/");
    format!(
        "[limits]\n{limits}\n[route]\n{route}\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

/// What a notification told: each text with its count.
fn told(notification: &Value) -> BTreeMap<String, u64> {
    let groups = notification["groups"].as_array().expect("groups").iter();
    groups.map(|g| (g["text"].as_str().expect("a text").to_owned(), g["count"].as_u64().expect("a count"))).collect()
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect()
}

#[test]
fn a_thousand_texts_in_three_groups_are_told_exactly_and_say_what_they_are_after_a_crash_too() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "groups = 3", "time_limit = \"1h\""));
    let texts: Vec<String> = (0..1_000).map(|n| format!("text {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    mag.takes(&classic(&texts));
    mag.says("too many open groups");
    let mag = mag.crashes().start();
    mag.says("continued 4 groups, 1000 messages, from mag.db");
    mag.takes(&ndjson(&texts));
    // The clock may ring only now that all of it is in.
    let home = mag.crashes();
    home.configure(&config(&receiver, "groups = 3", "time_limit = \"1ms\""));
    let mag = home.start();
    let digest = receiver.request(1).json();
    let others = "other messages in more groups than the limit of 3";
    let expected = counts(&[("text 0", 2), ("text 1", 2), ("text 2", 2), (others, 1_994)]);
    assert_eq!(told(&digest), expected);
    let groups = digest["groups"].as_array().expect("groups");
    let other = groups.iter().find(|group| group["text"] == others).expect("the overflow group");
    assert_eq!((&other["state"], &other["reason"]), (&Value::from("overflow"), &Value::from("time")));
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, 2_000);
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn the_console_tells_what_was_too_much_as_a_number_of_messages() {
    let home = Home::with("[limits]\ngroups = 1\n[route]\ntime_limit = \"1s\"\n");
    let mag = home.start();
    mag.says("sender console: ready");
    mag.takes(&classic(&["a", "b", "c", "d"]));
    let line = mag.prints("other messages");
    assert_eq!(line, "3 other messages in more groups than the limit of 1 for last 1 second.");
    mag.stops();
}

#[test]
fn what_finds_no_room_in_a_queue_is_told_exactly_once_the_destination_takes_more() {
    let receiver = Receiver::start();
    let fast = config(&receiver, "queue = 2", "max_messages = 1");
    let mag = Mag::with(&format!("{fast}rate = \"1/h\"\nburst = 1\n"));
    mag.takes(&classic(&["first"]));
    receiver.request(1);
    for text in ["a", "b", "c", "d", "c"] {
        mag.takes(&classic(&[text]));
    }
    mag.says("sender hook: too many groups wait");
    let home = mag.crashes();
    home.configure(&fast);
    let mag = home.start();
    let others = "other messages in more waiting groups than the limit of 2";
    assert_eq!(told(&receiver.request(2).json()), counts(&[("a", 1), ("b", 1), (others, 3)]));
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, 6);
}

#[test]
fn connections_never_take_the_handles_that_the_store_and_the_senders_need() {
    let receiver = Receiver::start();
    let home = Home::with(&config(&receiver, "", "max_messages = 1")).with_handles(110);
    let mag = home.start();
    // 64 in reserve, and two for the sender.
    mag.says("at most 44 connections at a time instead of 10000: the process may open 110 files");
    let mut wires: Vec<Wire> = (0..44).map(|_| Wire::with_acks(mag.address())).collect();
    for (n, wire) in wires.iter_mut().enumerate() {
        wire.writes(format!("{{\"text\":\"{n}\"}}\n").as_bytes());
        wire.is_acked(1);
    }
    assert!(!mag.wire().ends_orderly(), "one too many is closed at once");
    receiver.gets("everything, while all connections are open", |requests| {
        let told: u64 = requests.iter().map(|request| told(&request.json()).values().sum::<u64>()).sum();
        (told == 44).then_some(())
    });
    drop(wires);
    mag.stops();
}

#[test]
fn the_store_takes_nothing_new_beyond_its_limit_and_deliveries_go_on() {
    let receiver = Receiver::start();
    let small =
        config(&receiver, "store = \"1MiB\"", "group_by = [\"text\"]\nmax_messages = 1000000\ntime_limit = \"1h\"");
    let mag = Mag::with(&small);
    let mut wire = Wire::with_acks(mag.address());
    let text = "x".repeat(4_000);
    let mut sent = 0;
    while sent < 1_000 && wire.writes_while_open(format!("{{\"text\":\"{sent} {text}\"}}\n").as_bytes()) {
        sent += 1;
    }
    mag.says("`[limits] store` is reached");
    let home = mag.crashes();
    home.configure(&small.replace("1MiB", "64MiB"));
    let mag = home.start();
    let mut wire = Wire::with_acks(mag.address());
    wire.writes(b"{\"text\":\"there is room again\"}\n");
    wire.is_acked(1);
    mag.stops();
}

/// The most memory that a process ever had, in MB.
fn most_memory(mag: &Mag) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", mag.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Not run by itself: `cargo test -p mag --test black_box -- --ignored --nocapture a_million` prints the figures.
#[test]
#[ignore = "a larger run"]
fn a_million_different_texts_stay_within_256_mb_and_are_counted_exactly() {
    let mag = Mag::with("[route]\nmax_messages = 100000000\ntime_limit = \"1h\"\n");
    let lines: String =
        (0..1_000_000).map(|n| format!("STRING\ndisk {n} of machine web-{n} is nearly full, please look\n")).collect();
    mag.takes(lines.as_bytes());
    let memory = most_memory(&mag);
    println!("1,000,000 different texts: {memory} MB");
    assert!(memory < 256, "{memory} MB");
    let counted = mag.stops().store().open_windows();
    assert_eq!((counted.len(), counted.iter().map(|(_, count)| count).sum::<i64>()), (100_001, 1_000_000));
}

/// Not run by itself, as above.
#[test]
#[ignore = "a larger run"]
fn a_million_ids_are_known_again_after_a_crash() {
    let mag = Mag::with("[route]\nmax_messages = 100000000\ntime_limit = \"1h\"\n");
    let lines: String =
        (0..1_000_000).map(|n| format!("{{\"text\":\"a\",\"id\":\"0123456789abcdef-{n}\"}}\n")).collect();
    mag.takes(lines.as_bytes());
    let memory = most_memory(&mag);
    let mag = mag.crashes().start();
    mag.takes(lines.as_bytes());
    println!("1,000,000 ids: {memory} MB, after a start {} MB", most_memory(&mag));
    assert!(memory < 256, "{memory} MB");
    assert_eq!(mag.stops().store().open_windows(), [("a".to_owned(), 1_000_000)]);
}
