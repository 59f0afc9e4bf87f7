//! A crash at any moment takes nothing that was acknowledged.

use super::support::{Home, Mag, Receiver, Wire, classic};

/// A route that tells nothing before its time, and a webhook for then.
fn config(receiver: &Receiver, time_limit: &str) -> String {
    let url = receiver.url("/");
    format!(
        "[route]\nmax_messages = 1000000\ntime_limit = \"{time_limit}\"\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

/// Sum of all counts that were told, when every group is told once.
#[track_caller]
fn told(receiver: &Receiver, groups: usize) -> Vec<(String, u64)> {
    let notification = receiver.request(1).json();
    let told = notification["groups"].as_array().expect("groups").iter();
    let told = told.map(|g| (g["text"].as_str().expect("a text").to_owned(), g["count"].as_u64().expect("a count")));
    let mut told: Vec<_> = told.collect();
    told.sort();
    assert_eq!(told.len(), groups, "{notification:#}");
    told
}

#[test]
fn the_end_of_a_connection_means_committed_and_told_counts_are_exact() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "1h"));
    mag.takes(&classic(&[&["a"; 17][..], &["b"; 4]].concat()));
    let home = mag.crashes();
    home.configure(&config(&receiver, "1s"));
    let mag = home.start();
    mag.says("continued 2 groups, 21 messages, from mag.db");
    assert_eq!(told(&receiver, 2), [("a".to_owned(), 17), ("b".to_owned(), 4)]);
    mag.stops();
}

#[test]
fn a_crash_right_after_an_ack_loses_nothing_however_often() {
    let receiver = Receiver::start();
    let mut home = Home::with(&config(&receiver, "1h"));
    for cycle in 1..=6_u64 {
        let mag = home.start();
        if cycle > 1 {
            let before = cycle - 1;
            mag.says(&format!("continued {} groups, {} messages, from mag.db", before + 1, before * 150));
        }
        let mut wire = Wire::with_acks(mag.address());
        let own = format!("{{\"text\":\"only in cycle {cycle}\"}}\n").repeat(50);
        wire.writes(own.as_bytes());
        wire.writes("{\"text\":\"in all\"}\n".repeat(100).as_bytes());
        wire.is_acked(150);
        home = mag.crashes();
        assert_eq!(home.store().account("root", "hook").accepted, i64::try_from(cycle * 150).expect("few"));
    }
    home.configure(&config(&receiver, "1ms"));
    let mag = home.start();
    let mut expected = vec![("in all".to_owned(), 600)];
    expected.extend((1..=6).map(|cycle| (format!("only in cycle {cycle}"), 50)));
    assert_eq!(told(&receiver, 7), expected);
    mag.stops();
}

#[test]
fn a_crash_in_the_middle_of_a_stream_keeps_at_least_what_was_acknowledged_and_at_most_what_was_sent() {
    let receiver = Receiver::start();
    let mut home = Home::with(&config(&receiver, "1h"));
    let (mut acked, mut sent) = (0, 0);
    for _ in 0..6 {
        let mag = home.start();
        let mut wire = Wire::with_acks(mag.address());
        for _ in 0..20 {
            wire.writes("{\"text\":\"a\"}\n".repeat(200).as_bytes());
            sent += 200;
        }
        acked += i64::try_from(wire.next_ack(0)).expect("few");
        home = mag.crashes();
        let accepted = home.store().account("root", "hook").accepted;
        assert!((acked..=sent).contains(&accepted), "acknowledged {acked}, sent {sent}, found {accepted}");
        // What was taken in without an ack is as good as acknowledged once it is seen in the store.
        acked = accepted;
    }
    let found = home.store().account("root", "hook").accepted;
    home.configure(&config(&receiver, "1ms"));
    let mag = home.start();
    assert_eq!(told(&receiver, 1), [("a".to_owned(), u64::try_from(found).expect("a count"))]);
    mag.stops();
}

#[test]
fn whoever_sees_an_orderly_end_during_a_crash_is_counted() {
    let receiver = Receiver::start();
    let mut home = Home::with(&config(&receiver, "1h"));
    for cycle in 1..=10 {
        let mag = home.start();
        let mut wires: Vec<_> = (0..20).map(|n| (format!("number {n} of cycle {cycle}"), mag.wire())).collect();
        for (text, wire) in &mut wires {
            wire.writes(format!("STRING\n{text}\n").as_bytes());
            wire.finishes();
        }
        home = mag.crashes();
        let counted = home.store().open_windows();
        for (text, wire) in wires {
            assert!(!wire.ends_orderly() || counted.contains(&(text.clone(), 1)), "{text} is not counted");
        }
    }
}

#[test]
fn a_crash_during_an_attempt_repeats_it_under_the_same_id() {
    let receiver = Receiver::start().answers_next(super::support::Answer::hang());
    let short = config(&receiver, "1h").replace("1000000", "2");
    let mag = Mag::with(&short);
    mag.takes(&classic(&["a", "a"]));
    let first = receiver.request(1);
    let mag = mag.crashes().start();
    let second = receiver.request(2);
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    assert_eq!((first.json()["attempt"].as_u64(), second.json()["attempt"].as_u64()), (Some(1), Some(2)));
    assert_eq!(second.json()["groups"], first.json()["groups"], "the same content on each attempt");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, 2);
}
