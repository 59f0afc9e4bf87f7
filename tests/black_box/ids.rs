//! Messages with an id: a client may send them again, whatever happened, and they are counted once.

use serde_json::json;

use super::support::{Home, Mag, Wire};

/// Everything counts, nothing is told.
const COUNTS_ONLY: &str = "[route]\nmax_messages = 1000000\ntime_limit = \"1h\"\n";

fn line(text: &str, id: &str) -> String {
    format!("{}\n", json!({ "text": text, "id": id }))
}

#[test]
fn what_is_sent_again_is_acknowledged_and_counted_once_on_any_connection_and_after_a_crash() {
    let mut home = Home::with(COUNTS_ONLY);
    let lines: String = (0..500).map(|n| line("disk full", &n.to_string())).collect();
    for _ in 0..4 {
        let mag = home.start();
        for _ in 0..2 {
            let mut wire = Wire::with_acks(mag.address());
            wire.writes(lines.as_bytes());
            wire.writes(lines.as_bytes());
            wire.is_acked(1_000);
        }
        home = mag.crashes();
        assert_eq!(home.store().open_windows(), [("disk full".to_owned(), 500)]);
    }
}

#[test]
fn a_crash_before_the_ack_and_a_resend_after_it_count_every_message_once() {
    let mut home = Home::with(COUNTS_ONLY);
    let mut all = String::new();
    for cycle in 0..8 {
        let mag = home.start();
        let mut wire = Wire::with_acks(mag.address());
        all.extend((0..300).map(|n| line(&format!("text {}", n % 3), &format!("{cycle}-{n}"))));
        // Everything again, and killed while mag is at work on it.
        wire.writes_while_open(all.as_bytes());
        if cycle % 2 == 0 {
            wire.hears_while_open();
        }
        home = mag.crashes();
    }
    let mag = home.start();
    let mut wire = Wire::with_acks(mag.address());
    wire.writes(all.as_bytes());
    wire.is_acked(2_400);
    let counted = mag.stops().store().open_windows();
    assert_eq!(counted.iter().map(|(_, count)| count).sum::<i64>(), 2_400, "{counted:?}");
}

#[test]
fn another_message_under_a_known_id_is_refused_at_its_line_and_left_out_of_the_acks() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = Wire::with_acks(mag.address());
    wire.writes((line("a", "1") + &line("b", "1") + &line("c", "2")).as_bytes());
    let mut acked = 0;
    let mut refused = Vec::new();
    while acked < 2 || refused.is_empty() {
        let answer = wire.hears_json();
        match answer["acked"].as_u64() {
            Some(number) => acked = number,
            None => refused.push(answer),
        }
    }
    assert_eq!(refused, [json!({ "error": "another message came with the id `1` before", "line": 3 })]);
    assert_eq!(acked, 2);
    wire.finishes();
    assert_eq!(wire.hears_to_the_end(), "");
    // Ids belong to their source.
    mag.takes(b"{\"text\":\"b\",\"id\":\"1\",\"source\":\"elsewhere\"}\n");
    let counted = mag.stops().store().open_windows();
    assert_eq!(counted, [("a".to_owned(), 1), ("b".to_owned(), 1), ("c".to_owned(), 1)]);
}

#[test]
fn how_many_ids_are_remembered_stands_in_the_config() {
    let mag = Mag::with(&format!("[store]\nids = 2\nids_keep = \"1h\"\n{COUNTS_ONLY}"));
    for id in ["1", "2", "3", "3", "2", "1"] {
        mag.takes(line("a", id).as_bytes());
    }
    assert_eq!(mag.stops().store().open_windows(), [("a".to_owned(), 4)]);
}
