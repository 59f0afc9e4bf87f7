//! The Go service's protocol, case by case, byte by byte.

use super::support::{Mag, Wire, classic};

/// Nothing is told: what was counted is looked at in the store.
const COUNTS_ONLY: &str = "[route]\nmax_messages = 1000000\ntime_limit = \"1h\"\nsenders = []\n";

/// Sends `bytes` at once, and checks what is answered until the end and which texts are counted then.
#[track_caller]
fn check(bytes: &[u8], reply: &str, counted: &[(&str, i64)]) {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = mag.wire();
    wire.writes(bytes);
    wire.finishes();
    assert_eq!(wire.hears_to_the_end(), reply);
    // The end of the connection means that all of it is on disk: not even a crash can take it.
    let windows = mag.crashes().store().open_windows();
    let counted: Vec<_> = counted.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect();
    assert_eq!(windows, counted);
}

#[test]
fn a_text_is_counted_without_a_reply() {
    check(b"STRING\ndisk full\n", "", &[("disk full", 1)]);
}

#[test]
fn many_messages_in_one_packet_are_all_counted() {
    let bytes = classic(&[&["a"; 500][..], &["b"; 300]].concat());
    check(&bytes, "", &[("a", 500), ("b", 300)]);
}

#[test]
fn spaces_and_both_kinds_of_line_ends_are_trimmed() {
    check(b"STRING\r\ndisk full\r\n  STRING \r\n \r disk full \t\r\n", "", &[("disk full", 1), ("disk full \t", 1)]);
}

#[test]
fn an_empty_payload_is_a_message_with_an_empty_text() {
    check(b"STRING\n\nSTRING\n  \r\n", "", &[("", 2)]);
}

#[test]
fn a_text_may_look_like_a_command() {
    check(b"STRING\nSTRING\nSTRING\nERROR\n", "", &[("ERROR", 1), ("STRING", 1)]);
}

#[test]
fn a_text_without_its_line_end_is_no_message() {
    check(b"STRING\na\nSTRING\nb", "", &[("a", 1)]);
}

#[test]
fn a_command_that_nobody_knows_is_answered_and_ends_the_connection() {
    let reply = "Command \"HELLO\" is not registered.\n\n";
    check(b"STRING\na\nHELLO\nSTRING\nb\n", reply, &[("a", 1)]);
}

#[test]
fn an_empty_command_is_a_command_that_nobody_knows() {
    check(b"\nSTRING\na\n", "Command \"\" is not registered.\n\n", &[]);
    check(b"STRING\na\n \r\nSTRING\nb\n", "Command \"\" is not registered.\n\n", &[("a", 1)]);
}

#[test]
fn an_unknown_command_is_quoted_as_go_quotes() {
    check(b"a\"b\\\x00\x1b\xff\xc2\xa0\n", "Command \"a\\\"b\\\\\\x00\\x1b\\xff\\u00a0\" is not registered.\n\n", &[]);
    check("string é\n".as_bytes(), "Command \"string é\" is not registered.\n\n", &[]);
}

#[test]
fn the_reply_to_an_unknown_command_arrives_whatever_is_sent_behind_it() {
    let bytes = [&b"HELLO\n"[..], &classic(&["late"; 2_000])].concat();
    check(&bytes, "Command \"HELLO\" is not registered.\n\n", &[]);
}

#[test]
fn nothing_at_all_is_fine() {
    check(b"", "", &[]);
}

#[test]
fn error_is_taken_with_that_severity() {
    let mag = Mag::with(COUNTS_ONLY);
    mag.takes(b"ERROR\ndisk full\n");
    let store = mag.stops().store();
    assert_eq!(store.open_windows(), [("disk full".to_owned(), 1)]);
    assert_eq!(store.only_window("severity").as_deref(), Some("error"));
}

#[test]
fn the_source_is_the_address_of_the_client() {
    let mag = Mag::with(COUNTS_ONLY);
    mag.takes(b"STRING\na\n");
    assert_eq!(mag.stops().store().only_window("source").as_deref(), Some("127.0.0.1"));
}

#[test]
fn a_text_that_is_too_long_is_cut_at_a_character_and_says_so() {
    let mag = Mag::with(COUNTS_ONLY);
    mag.takes(format!("STRING\nx{}\nSTRING\nx{}\n", "é".repeat(40_000), "é".repeat(50_000)).as_bytes());
    let store = mag.stops().store();
    assert_eq!(store.open_windows(), [(format!("x{}", "é".repeat(32_767)), 2)]);
    assert_eq!(store.only_window("labels").as_deref(), Some(r#"{"truncated":"true"}"#));
}

#[test]
fn a_line_of_many_megabytes_harms_nobody() {
    let mag = Mag::with(COUNTS_ONLY);
    mag.takes(&[b"STRING\n", vec![b'x'; 8 * 1024 * 1024].as_slice(), b"\nSTRING\nshort\n"].concat());
    let windows = mag.stops().store().open_windows();
    let lengths: Vec<_> = windows.iter().map(|(text, count)| (text.len(), *count)).collect();
    assert_eq!(lengths, [(5, 1), (64 * 1024, 1)]);
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    check(b"STRING\na\xff\xfeb\n", "", &[("a\u{fffd}\u{fffd}b", 1)]);
}

#[test]
fn a_client_that_never_closes_is_told_of_all_the_same() {
    let config = "[route]\nmax_messages = 3\n[senders.console]\nplugin = \"console\"\n";
    let mag = Mag::with(config);
    let mut wire = mag.wire();
    for _ in 0..3 {
        wire.writes(b"STRING\nstill here\n");
    }
    assert_eq!(mag.prints("still here"), r#"Message "still here" was repeated 3 time(s)."#);
    wire.writes(b"STRING\nand here\n");
    let home = mag.stops();
    assert_eq!(home.store().open_windows(), [("and here".to_owned(), 1)]);
}

#[test]
fn a_client_may_be_silent_before_its_first_byte_and_between_messages() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut silent = mag.wire();
    let mut between = mag.wire();
    between.writes(b"STRING\na\n");
    // Others come and go meanwhile.
    for _ in 0..5 {
        mag.takes(b"STRING\na\n");
    }
    for wire in [&mut silent, &mut between] {
        wire.writes(b"STRING\na\n");
        wire.finishes();
        assert_eq!(wire.hears_to_the_end(), "");
    }
    assert_eq!(mag.stops().store().open_windows(), [("a".to_owned(), 8)]);
}

#[test]
fn who_comes_when_there_are_too_many_is_turned_away_and_cannot_mistake_it_for_success() {
    let mag = Mag::with(&format!("{COUNTS_ONLY}[limits]\nconnections = 1\n"));
    let mut first = Wire::with_acks(mag.address());
    first.writes(b"{\"text\":\"first\"}\n");
    first.is_acked(1);
    let second = mag.wire();
    mag.says("too many connections");
    let orderly = second.ends_orderly_after(b"STRING\nsecond\n");
    first.finishes();
    assert_eq!(first.hears_to_the_end(), "");
    assert_eq!(mag.stops().store().open_windows(), [("first".to_owned(), 1)]);
    assert!(!orderly, "the end of the connection says that the second message is committed");
}

#[test]
fn a_shorter_limit_of_a_line_is_kept() {
    let mag = Mag::with(&format!("{COUNTS_ONLY}[limits]\nline = \"1KiB\"\n"));
    mag.takes(&classic(&["x".repeat(1_025).as_str()]));
    let store = mag.stops().store();
    assert_eq!(store.open_windows(), [("x".repeat(1_024), 1)]);
    assert_eq!(store.only_window("labels").as_deref(), Some(r#"{"truncated":"true"}"#));
}

/// Proves that mag has read what was written before: its answer to somebody else comes later.
#[track_caller]
fn let_mag_read(mag: &Mag) {
    let mut other = Wire::with_acks(mag.address());
    other.writes(b"{\"text\":\"meanwhile\"}\n");
    other.is_acked(1);
}

#[test]
fn a_conversation_may_be_cut_anywhere() {
    let conversation = b"STRING\ndisk full\nERROR\r\n\r\n STRING \ne\xcc\x81t\xc3\xa9\nBYE\n";
    let reply = "Command \"BYE\" is not registered.\n\n";
    let mag = Mag::with(COUNTS_ONLY);
    let cuts = 0..=conversation.len();
    let mut wires: Vec<_> = cuts.clone().map(|cut| (cut, mag.wire())).collect();
    for (cut, wire) in &mut wires {
        wire.writes(&conversation[..*cut]);
    }
    let_mag_read(&mag);
    for (cut, wire) in &mut wires {
        wire.writes(&conversation[*cut..]);
        assert_eq!(wire.hears_to_the_end(), reply, "cut behind byte {cut}");
    }
    let each = i64::try_from(wires.len()).expect("few");
    let expected = [("", each), ("disk full", each), ("e\u{301}té", each), ("meanwhile", 1)];
    let expected: Vec<_> = expected.map(|(text, count)| (text.to_owned(), count)).into();
    assert_eq!(mag.stops().store().open_windows(), expected);
}

#[test]
fn a_conversation_may_come_byte_by_byte() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = mag.wire();
    let conversation = b"STRING\r\na b\r\nERROR\n\nX\n";
    for byte in conversation {
        wire.writes(&[*byte]);
        let_mag_read(&mag);
    }
    assert_eq!(wire.hears_to_the_end(), "Command \"X\" is not registered.\n\n");
    let meanwhile = i64::try_from(conversation.len()).expect("few");
    let expected = [("", 1), ("a b", 1), ("meanwhile", meanwhile)].map(|(text, count)| (text.to_owned(), count));
    assert_eq!(mag.stops().store().open_windows(), expected);
}
