//! Whatever comes over however many connections: what is told, and what waits to be told, is what was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use serde_json::json;

use super::support::{Mag, Receiver, Wire};

/// Connections at a time.
const CONNECTIONS: u64 = 6;
/// Pieces that each of them writes.
const PIECES: usize = 40;

/// What one connection sends, drawn from `seed`; returns how often it sent each text.
fn talk(mag: &Mag, seed: u64) -> BTreeMap<String, u64> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let classic = dice.bool();
    let mut wire = if classic { mag.wire() } else { Wire::with_acks(mag.address()) };
    let (mut sent, mut lines) = (BTreeMap::new(), 0);
    for _ in 0..PIECES {
        let mut piece = Vec::new();
        for _ in 0..dice.usize(1..60) {
            let text = format!("text {}", dice.u32(0..12));
            let count = if classic { 1 } else { dice.u64(1..4) };
            piece.extend(match classic {
                true => format!("STRING\n{text}\n").into_bytes(),
                false => format!("{{\"text\":\"{text}\",\"count\":{count}}}\n").into_bytes(),
            });
            *sent.entry(text).or_default() += count;
            lines += 1;
        }
        let (first, second) = piece.split_at(dice.usize(0..piece.len()));
        wire.writes(first);
        wire.writes(second);
    }
    if !classic {
        wire.is_acked(lines);
    }
    wire.finishes();
    assert_eq!(wire.hears_to_the_end(), "");
    sent
}

/// Adds what the notifications told to `told`.
fn add_told(receiver: &Receiver, told: &mut BTreeMap<String, u64>) {
    let mut ids = BTreeSet::new();
    for request in receiver.requests() {
        let notification = request.json();
        assert_eq!((&notification["omitted_groups"], &notification["attempt"]), (&json!(0), &json!(1)));
        assert!(ids.insert(notification["id"].to_string()), "told twice: {notification:#}");
        for group in notification["groups"].as_array().expect("groups") {
            let text = group["text"].as_str().expect("a text").to_owned();
            *told.entry(text).or_default() += group["count"].as_u64().expect("a count");
        }
    }
}

#[track_caller]
fn check(seed: u64, time_limit: &str) {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 97\ntime_limit = \"{time_limit}\"\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\nrate = \"1000/s\"\n"
    ));
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    thread::scope(|scope| {
        let talks: Vec<_> = (0..CONNECTIONS)
            .map(|n| {
                scope.spawn({
                    let mag = &mag;
                    move || talk(mag, seed * 1_000 + n)
                })
            })
            .collect();
        for talk in talks {
            for (text, count) in talk.join().expect("a conversation without a mistake") {
                *sent.entry(text).or_default() += count;
            }
        }
    });
    let home = mag.stops();
    let store = home.store();
    let mut found = BTreeMap::new();
    add_told(&receiver, &mut found);
    for (text, count) in store.open_windows().into_iter().chain(store.waiting()) {
        *found.entry(text).or_default() += u64::try_from(count).expect("a count");
    }
    assert_eq!(found, sent, "seed {seed}");
    assert_eq!(store.account("root", "hook").accepted, i64::try_from(sent.values().sum::<u64>()).expect("few"));
}

#[test]
fn told_counts_are_sent_counts_when_windows_close_by_count() {
    for seed in 1..=3 {
        check(seed, "1h");
    }
}

#[test]
fn told_counts_are_sent_counts_when_windows_close_by_count_and_by_time() {
    for seed in 4..=6 {
        check(seed, "5ms");
    }
}
