//! GELF on a stream, told from NDJSON by the NUL that ends its first message.

use super::decode;
use crate::limits;
use crate::protocol::{Decoder, Last, Spoken, Step};

/// What a decoder of `spoken` gives out: texts, and how many were refused.
fn texts(spoken: Option<Spoken>, bytes: &[u8]) -> (Vec<String>, usize) {
    let mut decoder = spoken.map_or_else(|| Decoder::new(99), |spoken| Decoder::speaking(spoken, 99));
    let (mut texts, mut refused, mut rest) = (Vec::new(), 0, bytes);
    loop {
        let (used, step) = decoder.next(rest);
        match step {
            Step::NeedMore => {
                rest = &rest[used..];
                break;
            }
            Step::Message(message) => texts.push(String::from_utf8_lossy(message.text).into_owned()),
            Step::Refused(reply) => {
                assert_eq!(reply, "", "nobody reads an answer");
                refused += 1;
            }
            other => assert_eq!(other, Step::Nothing),
        }
        rest = &rest[used..];
    }
    match decoder.finish(rest) {
        Last::Message(message) => texts.push(String::from_utf8_lossy(message.text).into_owned()),
        Last::Refused(_) => refused += 1,
        other => assert_eq!(other, Last::Nothing),
    }
    (texts, refused)
}

#[test]
fn messages_are_ended_by_nul() {
    let bytes = b"{\"short_message\":\"a\"}\0{\"short_message\":\n\"b\"}\0\n\0{\"short_message\":\"c\"}";
    assert_eq!(texts(None, bytes), (["a", "b", "c"].map(String::from).to_vec(), 0));
    assert_eq!(texts(Some(Spoken::Gelf), bytes), (["a", "b", "c"].map(String::from).to_vec(), 0));
    let lines_first = b"{\n\"short_message\":\"a\"}\0";
    assert_eq!(texts(Some(Spoken::Gelf), lines_first), (vec!["a".to_owned()], 0));
}

#[test]
fn a_line_end_before_a_nul_is_ndjson() {
    assert_eq!(texts(None, b"{\"text\":\"a\"}\n{\"text\":\"b\"}\n"), (["a", "b"].map(String::from).to_vec(), 0));
    assert_eq!(texts(None, b"{\"text\":\"a\"}"), (vec!["a".to_owned()], 0));
}

#[test]
fn bad_messages_are_counted_and_the_next_one_is_taken() {
    let long = format!("{{\"short_message\":\"{}\"}}\0", "x".repeat(limits::NDJSON_LINE_BYTES));
    let bytes = [b"{}\0{\"short_message\":\"a\"}\0x\0", long.as_bytes(), b"{\"short_message\":\"b\"}\0"].concat();
    assert_eq!(texts(None, &bytes), (["a", "b"].map(String::from).to_vec(), 3));
}

#[test]
fn how_the_bytes_are_cut_changes_nothing() {
    let bytes = b"{\"short_message\":\"a\",\"_x\":1}\0{\"short_message\":7}\0{\"short_message\":\"b\\n\"}\0{\"sh";
    let whole = decode(bytes, &[usize::MAX], 99);
    for size in 1..40 {
        assert_eq!(decode(bytes, &[size], 99), whole, "{size}");
    }
}
