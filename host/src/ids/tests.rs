//! What is remembered against a model that remembers everything, and the bounds of it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::message::{Answers, DEFAULT_KIND, Entry, Identified, Labels, Message};

const KEY: [u8; 32] = [7; 32];

fn ids(most: usize) -> Ids {
    Ids::new(KEY, Memory { ids: most, keep_ms: 1_000 }, 1)
}

/// A batch of messages with these ids and contents, all of one source and each of one message.
fn batch(source: &str, messages: &[(&str, u64)]) -> Batch {
    let message = Message {
        text: "a".to_owned(),
        kind: DEFAULT_KIND.into(),
        severity: None,
        labels: Labels::default(),
        source: source.into(),
    };
    let entry = Entry { message, count: 0, first_seen: u64::MAX, last_seen: 0 };
    let identified = |(line, (id, content)): (u64, &(&str, u64))| Identified {
        entry: 0,
        id: (*id).to_owned(),
        content: *content,
        count: 1,
        time: 5,
        line,
        number: line,
    };
    let ids: Vec<Identified> = (1..).zip(messages).map(identified).collect();
    let answers = Arc::new(Answers::default());
    answers.hand_over(ids.len());
    Batch { entries: vec![entry], ids, answers: Some(answers), ..Batch::default() }
}

/// Settles a batch; returns how many count, how many came before, and the lines refused.
fn settle(ids: &mut Ids, mut batch: Batch, now: Millis) -> (u64, u64, Vec<u64>) {
    let settled = ids.settle(&mut batch, now);
    let counted = batch.entries.iter().map(|entry| entry.count).sum();
    assert_eq!(counted, settled.fresh.len() as u64);
    let refusals = batch.answers.expect("answers").take_refusals();
    assert_eq!(refusals.len() as u64, settled.refused);
    (counted, settled.known, refusals.into_iter().map(|refusal| refusal.line).collect())
}

#[test]
fn an_id_counts_once_however_it_comes_again() {
    let mut ids = ids(100);
    assert_eq!(settle(&mut ids, batch("s", &[("a", 1), ("b", 1), ("a", 1)]), 0), (2, 1, vec![]));
    assert_eq!(settle(&mut ids, batch("s", &[("a", 1)]), 999), (0, 1, vec![]));
    assert_eq!(settle(&mut ids, batch("other", &[("a", 1)]), 999), (1, 0, vec![]), "ids belong to their source");
    assert_eq!(settle(&mut ids, batch("s", &[("a", 2), ("c", 1), ("b", 9)]), 999), (1, 0, vec![1, 3]));
}

#[test]
fn time_and_place_of_a_message_that_came_before_change_nothing() {
    let mut ids = ids(100);
    let mut first = batch("s", &[("a", 1)]);
    ids.settle(&mut first, 0);
    assert_eq!((first.entries[0].count, first.entries[0].first_seen, first.entries[0].last_seen), (1, 5, 5));
    let mut again = batch("s", &[("a", 1)]);
    ids.settle(&mut again, 0);
    assert_eq!((again.entries[0].count, again.entries[0].first_seen), (0, u64::MAX));
}

#[test]
fn an_id_is_forgotten_after_its_time_and_counts_anew() {
    let mut ids = ids(100);
    assert_eq!(settle(&mut ids, batch("s", &[("a", 1)]), 0), (1, 0, vec![]));
    assert_eq!(settle(&mut ids, batch("s", &[("a", 1)]), 999), (0, 1, vec![]));
    assert_eq!(settle(&mut ids, batch("s", &[("a", 2)]), 1_000), (1, 0, vec![]));
    assert_eq!(settle(&mut ids, batch("s", &[("a", 2)]), 1_500), (0, 1, vec![]));
    assert_eq!(ids.len(), 1);
}

#[test]
fn only_the_last_ids_are_remembered() {
    let mut ids = ids(3);
    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    for name in &names {
        settle(&mut ids, batch("s", &[(name, 1)]), 0);
    }
    assert_eq!((ids.len(), ids.first()), (3, 8));
    assert_eq!(settle(&mut ids, batch("s", &[("7", 1), ("8", 1), ("9", 1)]), 0), (0, 3, vec![]));
    assert_eq!(settle(&mut ids, batch("s", &[("6", 1)]), 0), (1, 0, vec![]));
}

#[test]
fn fewer_ids_and_a_shorter_time_count_from_when_they_are_said() {
    let mut ids = ids(3);
    settle(&mut ids, batch("s", &[("a", 1), ("b", 1), ("c", 1)]), 0);
    ids.rebound(Memory { ids: 2, keep_ms: 500 });
    assert_eq!(settle(&mut ids, batch("s", &[("c", 1)]), 400), (0, 1, vec![]));
    assert_eq!(settle(&mut ids, batch("s", &[("c", 1)]), 500), (1, 0, vec![]), "forgotten sooner");
    settle(&mut ids, batch("s", &[("d", 1)]), 500);
    assert_eq!(ids.len(), 2);
}

#[test]
fn what_is_restored_is_what_was_saved() {
    let mut before = ids(3);
    let mut saved = Vec::new();
    for name in ["a", "b", "c", "d"] {
        saved.extend(before.settle(&mut batch("s", &[(name, 1)]), 0).fresh);
    }
    let mut after = Ids::new([8; 32], Memory { ids: 3, keep_ms: 1_000 }, 5);
    for row in &saved {
        after.restore(row.n, &row.source, &row.id, row.content, row.seen);
    }
    assert_eq!((after.first(), after.len()), (before.first(), 3));
    assert_eq!(settle(&mut after, batch("s", &[("b", 1), ("c", 2), ("d", 1)]), 0), (0, 2, vec![2]));
    assert_eq!(after.settle(&mut batch("s", &[("e", 1)]), 0).fresh[0].n, 5);
}

#[test]
fn a_hole_in_the_rows_forgets_what_stands_before_it() {
    let mut ids = ids(100);
    ids.restore(1, "s", "a", 1, 0);
    ids.restore(1 << 40, "s", "b", 1, 0);
    assert_eq!((ids.len(), ids.first()), (1, 1 << 40));
    assert_eq!(settle(&mut ids, batch("s", &[("a", 1), ("b", 1)]), 0), (1, 1, vec![]));
}

proptest! {
    /// The model: a list of all that ever counted, looked at from its end.
    #[test]
    fn it_remembers_exactly_the_last_ids_of_the_last_time(
        steps in prop::collection::vec((0_u8..12, 0_u64..2, 0_u64..200), 1..200), most in 1_usize..8
    ) {
        let mut ids = ids(most);
        let mut all: Vec<(String, u64, Millis)> = Vec::new();
        let mut now = 0;
        for (id, content, pause) in steps {
            now += pause;
            let name = id.to_string();
            let last = all.iter().rev().take(most).find(|(known, ..)| *known == name);
            let expect = match last {
                Some((_, same, seen)) if seen + 1_000 > now => {
                    if *same == content { (0, 1, vec![]) } else { (0, 0, vec![1]) }
                }
                _ => {
                    all.push((name.clone(), content, now));
                    (1, 0, vec![])
                }
            };
            prop_assert_eq!(settle(&mut ids, batch("s", &[(&name, content)]), now), expect);
            prop_assert!(ids.len() <= most && ids.ring.len() <= most);
        }
    }
}

/// Not run by itself: `cargo test -p mag --lib --release -- --ignored a_million_ids --nocapture` prints the figures.
#[test]
#[ignore = "a measurement"]
fn a_million_ids_cost_less_than_a_hundred_megabytes() {
    let resident = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    let before = resident();
    let mut ids = Ids::new(KEY, Memory::default(), 1);
    for n in 1..=1_500_000_i64 {
        ids.restore(n, "127.0.0.1", &format!("c1a2b3c4d5e6f708-{n}"), 1, 0);
    }
    let took = resident() - before;
    println!("{} ids: {took} kB", ids.len());
    assert!(ids.len() == 1_000_000 && took < 100_000);
}
