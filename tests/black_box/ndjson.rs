//! NDJSON: what is taken, what is refused with which words, and what is acknowledged.

use serde_json::json;

use super::support::{Mag, Receiver, Wire};

const COUNTS_ONLY: &str = "[route]\nmax_messages = 1000000000000\ntime_limit = \"1h\"\nsenders = []\n";

/// Sends lines at once, and checks what is answered until the end and which texts are counted then.
#[track_caller]
fn check(lines: &str, reply: &str, counted: &[(&str, i64)]) {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = mag.wire();
    wire.writes(lines.as_bytes());
    wire.finishes();
    assert_eq!(wire.hears_to_the_end(), reply);
    let windows = mag.crashes().store().open_windows();
    let counted: Vec<_> = counted.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect();
    assert_eq!(windows, counted);
}

/// What is answered to one line that is refused; a bad line harms nobody else, so one mag serves for many.
#[track_caller]
fn check_refused(mag: &Mag, line: &str, error: &str) {
    let mut wire = mag.wire();
    wire.writes(format!("{{\"text\":\"first\"}}\n{line}\n").as_bytes());
    assert_eq!(wire.hears_json(), json!({ "error": error, "line": 2 }), "{line}");
}

#[test]
fn a_line_needs_only_a_text() {
    check("{\"text\":\"disk full\"}\n{\"text\":\"disk full\"}\r\n", "", &[("disk full", 2)]);
}

#[test]
fn a_last_line_without_its_end_counts_when_it_is_whole() {
    check("{\"text\":\"a\"}\n{\"text\":\"b\"}", "", &[("a", 1), ("b", 1)]);
}

#[test]
fn counts_are_added_up() {
    check("{\"text\":\"a\",\"count\":1000000000}\n{\"text\":\"a\",\"count\":5}\n", "", &[("a", 1_000_000_005)]);
}

#[test]
fn message_msg_and_level_are_other_names() {
    let mag = Mag::with(COUNTS_ONLY);
    mag.takes(b"{\"message\":\"a\",\"level\":\"WARN\"}\n{\"msg\":\"a\",\"severity\":\"warning\"}\n");
    let store = mag.stops().store();
    assert_eq!(store.open_windows(), [("a".to_owned(), 2)]);
    assert_eq!(store.only_window("severity").as_deref(), Some("warning"));
}

#[test]
fn kind_labels_source_and_time_are_kept() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 2\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    let line = |time: serde_json::Value, host: &str| {
        let labels = json!({ "app": "shop", "host": host, "n": 3, "ok": true });
        let line = json!({ "text": "a", "kind": "backup", "severity": "strange", "source": "db1", "time": time, "labels": labels });
        format!("{line}\n")
    };
    mag.takes(
        format!("{}{}", line(json!("2024-05-01T14:00:00+02:00"), "x"), line(json!(1_714_564_801), "y")).as_bytes(),
    );
    let told = receiver.request(1).json();
    let group = &told["groups"][0];
    assert_eq!((&told["kind"], &group["kind"], &group["source"]), (&json!("backup"), &json!("backup"), &json!("db1")));
    assert_eq!(group["severity"], json!(null));
    let shared = json!({ "app": "shop", "n": "3", "ok": "true", "severity_text": "strange" });
    assert_eq!(group["labels"], shared, "a group shows the labels that all its messages share");
    let seen = (&group["first_seen"], &group["last_seen"]);
    assert_eq!(seen, (&json!("2024-05-01T12:00:00.000Z"), &json!("2024-05-01T12:00:01.000Z")));
    mag.stops();
}

#[test]
fn a_bad_line_is_answered_with_its_number_and_the_connection_goes_on() {
    let lines = "{\"text\":\"a\"}\n\n{\"text\":3}\n{\"text\":\"b\"}\nhello\n";
    let reply = "{\"error\":\"`text` must be a string\",\"line\":3}\n\
                 {\"error\":\"a line must be a JSON object, such as {\\\"text\\\":\\\"disk full\\\"}\",\"line\":5}\n";
    check(lines, reply, &[("a", 1), ("b", 1)]);
}

#[test]
fn every_mistake_has_its_own_words() {
    let mag = &Mag::with(COUNTS_ONLY);
    check_refused(mag, "{}", "`text` is missing");
    check_refused(mag, r#"{"text":null}"#, "`text` is missing");
    check_refused(mag, r#"{"text":"a","id":7}"#, "`id` must be a string");
    check_refused(mag, r#"{"ack":false}"#, "`ack` must be true");
    check_refused(mag, r#"{"text":"a","count":0}"#, "`count` must be a whole number from 1 to 1000000000");
    check_refused(mag, r#"{"text":"a","count":1000000001}"#, "`count` must be a whole number from 1 to 1000000000");
    check_refused(mag, r#"{"text":"a","count":1.5}"#, "`count` must be a whole number from 1 to 1000000000");
    check_refused(mag, r#"{"text":"a","kind":7}"#, "`kind` must be a string");
    check_refused(mag, r#"{"text":"a","labels":{"x":{}}}"#, "label `x` must be a string, a number or a boolean");
    check_refused(mag, r#"{"text":"a","labels":{"x":"1","x":"2"}}"#, "label `x` is there twice");
    check_refused(mag, r#"{"text":"a","text":"b"}"#, "`text` is there twice");
    let time = "`time` must be RFC 3339, such as \"2024-05-01T12:00:00Z\", or Unix time in seconds or milliseconds";
    check_refused(mag, r#"{"text":"a","time":"yesterday"}"#, time);
    check_refused(
        mag,
        &format!(r#"{{"text":"a","x":{}{}}}"#, "[".repeat(64), "]".repeat(64)),
        "the object is nested deeper than 64 levels",
    );
}

#[test]
fn broken_json_is_answered_with_its_column() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = mag.wire();
    wire.writes(b"{\"text\":\"a\"\n");
    let answer = wire.hears_json();
    let error = answer["error"].as_str().expect("an error");
    assert!(error.starts_with("not valid JSON: ") && error.ends_with("at column 11"), "{answer}");
}

#[test]
fn an_over_long_line_is_skipped_to_its_end_and_answered_once() {
    let long = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1024 * 1024));
    let lines = format!("{{\"text\":\"a\"}}\n{long}{{\"text\":\"b\"}}\n");
    check(&lines, "{\"error\":\"the line is longer than 1048576 bytes\",\"line\":2}\n", &[("a", 1), ("b", 1)]);
}

#[test]
fn a_text_that_is_too_long_is_cut_and_says_so() {
    let mag = Mag::with(COUNTS_ONLY);
    mag.takes(format!("{}\n", json!({ "text": "x".repeat(70_000) })).as_bytes());
    let store = mag.stops().store();
    assert_eq!(store.only_window("length(text)").as_deref(), Some("65536"));
    assert_eq!(store.only_window("labels").as_deref(), Some(r#"{"truncated":"true"}"#));
}

#[test]
fn acks_count_accepted_lines_from_the_one_that_asks() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = mag.wire();
    // Neither what came before the wish, nor empty lines, nor refused ones are in the number; a count is one line.
    wire.writes(b"{\"text\":\"before\"}\n { \"ack\" : true } \n{\"text\":\"a\",\"count\":9}\n\n{\"text\":\"b\"}\n");
    wire.is_acked(2);
    wire.writes(b"{\"nothing\":1}\n{\"text\":\"c\"}\n{\"ack\":true}\n");
    let answers = [wire.hears_json(), wire.hears_json()];
    assert!(answers.contains(&json!({ "error": "`text` is missing", "line": 6 })), "{answers:?}");
    assert!(answers.contains(&json!({ "acked": 3 })), "{answers:?}");
    wire.writes(b"{\"text\":\"d\"}\n");
    wire.finishes();
    assert_eq!(wire.hears_to_the_end(), "{\"acked\":4}\n", "the last ack comes before the end");
    mag.stops();
}

#[test]
fn ack_beside_other_keys_asks_for_nothing() {
    check("{\"text\":\"a\",\"ack\":true}\n", "", &[("a", 1)]);
}

#[test]
fn who_does_not_ask_hears_nothing() {
    check(&"{\"text\":\"a\"}\n".repeat(1_000), "", &[("a", 1_000)]);
}

#[test]
fn acks_of_many_lines_grow_and_end_at_their_number() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = Wire::with_acks(mag.address());
    for _ in 0..20 {
        wire.writes("{\"text\":\"a\"}\n".repeat(500).as_bytes());
    }
    wire.is_acked(10_000);
    assert_eq!(mag.crashes().store().open_windows(), [("a".to_owned(), 10_000)]);
}

#[test]
fn a_line_may_be_cut_anywhere() {
    let line = "{\"text\":\"é \\u00e9 \\\"x\\\"\"}\n".as_bytes();
    let mag = Mag::with(COUNTS_ONLY);
    let mut wires: Vec<_> = (0..line.len()).map(|cut| (cut, Wire::with_acks(mag.address()))).collect();
    for (cut, wire) in &mut wires {
        wire.writes(&line[..*cut]);
    }
    let mut other = Wire::with_acks(mag.address());
    other.writes(line);
    other.is_acked(1);
    for (cut, wire) in &mut wires {
        wire.writes(&line[*cut..]);
        wire.is_acked(1);
    }
    let count = i64::try_from(line.len() + 1).expect("few");
    assert_eq!(mag.stops().store().open_windows(), [("é é \"x\"".to_owned(), count)]);
}
