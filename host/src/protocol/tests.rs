//! Transcripts of both protocols: what goes in, and every step that comes out, however the bytes are cut.

use std::collections::VecDeque;
use std::fmt::Write as _;

use super::syslog::{Envelope, Opened};
use super::{Decoder, Form, Last, Parsed, Raw, Raws, Spoken, Step};
use crate::limits;

mod any_bytes;
mod forward;
mod gelf;
mod relp;
mod syslog;

/// Everything a decoder makes of `bytes` that come in pieces of the given sizes, the sizes used again and again.
fn decode(bytes: &[u8], sizes: &[usize], text_bytes: usize) -> String {
    decode_by(Decoder::new(text_bytes), bytes, sizes)
}

/// The same with a decoder that may know already what is spoken.
fn decode_by(mut decoder: Decoder, bytes: &[u8], sizes: &[usize]) -> String {
    let (mut out, mut held, mut rest) = (String::new(), Vec::new(), bytes);
    let mut sizes = sizes.iter().cycle();
    let mut shown = VecDeque::new();
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap()).clamp(1, rest.len());
        held.extend_from_slice(&rest[..size]);
        rest = &rest[size..];
        loop {
            if shown.is_empty() {
                let mut raws = Raws::new();
                raws.want(1 + held.len() % Raws::MOST);
                decoder.raws(&held, &mut raws);
                shown.extend(raws.all().iter().map(|raw| (raw.bytes.to_vec(), raw.form, raw.time, raw.used)));
            }
            let (used, step) = decoder.next(&held);
            if let Some((bytes, form, time, taken)) = shown.pop_front() {
                is_as_shown(&step, used, Raw { bytes: &bytes, form, time, used: taken });
            }
            let more = step == Step::NeedMore;
            let closed = matches!(step, Step::Close(_) | Step::End);
            show(&mut out, step);
            held.drain(..used);
            if closed {
                return out;
            }
            if more {
                break;
            }
        }
        assert!(held.len() <= limits::NDJSON_LINE_BYTES, "the decoder leaves too much unused");
    }
    match decoder.finish(&held) {
        Last::Nothing => {}
        Last::Partial => out.push_str("partial\n"),
        Last::Message(message) => show(&mut out, Step::Message(message)),
        Last::Refused(reply) => show(&mut out, Step::Refused(reply)),
    }
    out
}

/// What a message comes to that was shown before.
#[track_caller]
fn is_as_shown(step: &Step<'_>, used: usize, shown: Raw<'_>) {
    assert_eq!(used, shown.used);
    let envelope = match shown.form {
        // Not every line is a message.
        Form::Line => return,
        Form::Text => None,
        Form::Syslog(envelope) => Some(envelope),
    };
    let severity = envelope.and_then(Envelope::severity);
    let message = Parsed { time: shown.time, envelope, ..Parsed::plain(shown.bytes, severity, false) };
    assert_eq!(*step, Step::Message(message));
}

fn show(out: &mut String, step: Step<'_>) {
    match step {
        Step::NeedMore | Step::Nothing => {}
        Step::AckWanted => out.push_str("ack wanted\n"),
        Step::Refused(reply) => write!(out, "reply {reply}").unwrap(),
        Step::Promise(bytes) => writeln!(out, "promise {}", bytes.escape_ascii()).unwrap(),
        Step::End => out.push_str("end\n"),
        Step::Close(reply) => writeln!(out, "close {reply:?}").unwrap(),
        Step::Message(message) => writeln!(out, "{}", in_words(&message)).unwrap(),
    }
}

fn in_words(message: &Parsed<'_>) -> String {
    if let Some(envelope) = message.envelope {
        let Opened { text, extra, truncated } = envelope.open(message.text, limits::TEXT_BYTES);
        let (extra, truncated) = (Some(Box::new(extra)), truncated || message.truncated);
        return in_words(&Parsed { time: message.time, extra, ..Parsed::plain(text, message.severity, truncated) });
    }
    let mut words = match message.text {
        text if text.len() > 100 => format!("{} bytes", text.len()),
        text => format!("{:?}", String::from_utf8_lossy(text)),
    };
    let mut say = |word: &str, value: &dyn std::fmt::Display| write!(words, " {word}={value}").unwrap();
    if let Some(severity) = message.severity {
        say("severity", &severity);
    }
    if let Some(extra) = message.extra.as_deref() {
        if extra.kind.is_some() {
            say("kind", &extra.kind());
        }
        for (name, value) in &extra.labels {
            say(&format!("labels.{name}"), value);
        }
        if let Some(source) = &extra.source {
            say("source", source);
        }
    }
    if message.count != 1 {
        say("count", &message.count);
    }
    if let Some(time) = message.time {
        say("time", &time);
    }
    for (word, yes) in [("truncated", message.truncated), ("replaced", message.replaced)] {
        if yes {
            say(word, &yes);
        }
    }
    if message.ignored_keys > 0 {
        say("ignored", &message.ignored_keys);
    }
    words
}

/// The same steps with a listener that names its protocol.
#[track_caller]
fn check_speaking(spoken: Spoken, input: impl AsRef<[u8]>, expect: &str) {
    let input = input.as_ref();
    let decoded = |sizes: &[usize]| decode_by(Decoder::speaking(spoken, usize::MAX), input, sizes);
    assert_eq!(decoded(&[usize::MAX]).lines().collect::<Vec<_>>(), expect.lines().collect::<Vec<_>>());
    assert_eq!(decoded(&[1]), decoded(&[usize::MAX]), "byte by byte");
}

/// The same steps whether the bytes come at once, one by one, or cut in two at every place.
#[track_caller]
fn check(input: impl AsRef<[u8]>, expect: &str) {
    let input = input.as_ref();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&decode(input, &[usize::MAX], usize::MAX)), lines(expect));
    assert_eq!(decode(input, &[1], usize::MAX), decode(input, &[usize::MAX], usize::MAX), "byte by byte");
    if input.len() < 2_000 {
        for cut in 1..input.len() {
            let pieces = [cut, usize::MAX];
            assert_eq!(decode(input, &pieces, usize::MAX), decode(input, &[usize::MAX], usize::MAX), "cut at {cut}");
        }
    }
}

#[test]
fn classic_counts_the_text_after_string() {
    check("STRING\ndisk full\n", r#""disk full""#);
    check("STRING\na\nSTRING\nb\nSTRING\na\n", "\"a\"\n\"b\"\n\"a\"");
}

#[test]
fn classic_takes_error_the_same_way_with_its_severity() {
    check("ERROR\nboom\nSTRING\na\n", "\"boom\" severity=error\n\"a\"");
}

#[test]
fn classic_trims_spaces_and_crlf() {
    check("STRING\r\n  disk full \r\n", r#""disk full""#);
    check("  STRING  \n\tb\t\r\n", r#""\tb\t""#);
}

#[test]
fn classic_takes_an_empty_payload_as_an_empty_text() {
    check("STRING\n\nSTRING\n \r\nSTRING\na\n", "\"\"\n\"\"\n\"a\"");
}

#[test]
fn classic_takes_a_payload_that_looks_like_a_command_or_json() {
    check("STRING\nSTRING\nSTRING\n{\"text\":\"a\"}\n", "\"STRING\"\n\"{\\\"text\\\":\\\"a\\\"}\"");
}

#[test]
fn classic_refuses_what_is_no_command() {
    check("HELLO\n", r#"close "Command \"HELLO\" is not registered.\n\n""#);
    check("string\nx\n", r#"close "Command \"string\" is not registered.\n\n""#);
    check("\n", r#"close "Command \"\" is not registered.\n\n""#);
    check("\r\n{\"text\":\"a\"}\n", r#"close "Command \"\" is not registered.\n\n""#);
    check("STRING\na\n\nSTRING\nb\n", "\"a\"\nclose \"Command \\\"\\\" is not registered.\\n\\n\"");
    check(
        "STRING\na\n{\"text\":\"b\"}\n",
        "\"a\"\nclose \"Command \\\"{\\\\\\\"text\\\\\\\":\\\\\\\"b\\\\\\\"}\\\" is not registered.\\n\\n\"",
    );
    check(b"\xff\x00\n", r#"close "Command \"\\xff\\x00\" is not registered.\n\n""#);
}

#[test]
fn classic_refuses_an_endless_command_without_waiting_for_its_end() {
    let reply = format!("close \"Command \\\"{}\\\" is not registered.\\n\\n\"", "x".repeat(limits::COMMAND_BYTES));
    check("x".repeat(limits::COMMAND_BYTES + 1), &reply);
    check("x".repeat(limits::COMMAND_BYTES + 9) + "\nSTRING\na\n", &reply);
}

#[test]
fn classic_counts_what_the_end_of_the_stream_cuts_off_as_partial() {
    check("STRING\nabc", "partial");
    check("STRING\n", "partial");
    check("STRING", "partial");
    check("STRING\na\nSTRING\nb", "\"a\"\npartial");
    check("STRING\na\n  \r", "\"a\"");
    check("", "");
    check(" \t ", "");
}

#[test]
fn classic_keeps_bytes_that_are_not_utf8_for_later() {
    check(b"STRING\na\xff\n", "\"a\u{fffd}\"");
}

#[test]
fn classic_cuts_a_long_text_at_a_character() {
    let full = limits::TEXT_BYTES;
    check(format!("STRING\n  {}  \nSTRING\na\n", "x".repeat(full)), &format!("{full} bytes\n\"a\""));
    check(
        format!("STRING\n{}\nERROR\na\n", "x".repeat(full + 1)),
        &format!("{full} bytes truncated=true\n\"a\" severity=error"),
    );
    check(format!("ERROR\n{}é\n", "x".repeat(full - 1)), &format!("{} bytes severity=error truncated=true", full - 1));
    check(format!("STRING\n{}", "x".repeat(full * 3)), "partial");
}

#[test]
fn classic_does_not_cut_a_text_for_the_blanks_around_it() {
    let blanks = " ".repeat(limits::TEXT_BYTES * 2);
    check(format!("STRING\n{blanks}a{blanks}\nSTRING\nb\n"), "\"a\"\n\"b\"");
    let text = "x".repeat(limits::TEXT_BYTES);
    check(format!("STRING\n{blanks}{text}{blanks}\r\nSTRING\nb\n"), "65536 bytes\n\"b\"");
    check(format!("STRING\n{text}{blanks}y\nSTRING\nb\n"), "65536 bytes truncated=true\n\"b\"");
}

#[test]
fn the_operator_may_cut_texts_earlier() {
    assert_eq!(decode(b"STRING\nabcdef\nSTRING\nabc \n", &[99], 3), "\"abc\" truncated=true\n\"abc\"\n");
    assert_eq!(decode(b"{\"text\":\"abcdef\"}\n", &[99], 3), "\"abc\" truncated=true\n");
}

#[test]
fn many_blanks_are_classic() {
    let blanks = " ".repeat(limits::DETECT_BYTES);
    check(format!("{blanks}STRING\na\n"), "\"a\"");
    check(format!("{} {{\"text\":\"a\"}}\n", " ".repeat(9)), "\"a\"");
}

#[test]
fn ndjson_needs_a_text_alone() {
    check("{\"text\":\"disk full\"}\n", r#""disk full""#);
    check(" \t{ \"text\" : \"a\" } \r\n\n  \r\n{\"text\":\"\"}\n", "\"a\"\n\"\"");
    check(r#"{"text":"tab\there \u00e9 \ud83d\ude00"}"#.to_owned() + "\n", r#""tab\there é 😀""#);
}

#[test]
fn ndjson_takes_every_key() {
    check(
        r#"{"text":"a","kind":"monitor","severity":"Crit","labels":{"z":"1","a":"2"},"time":"2024-05-01T12:00:00Z","source":"web-1","count":12}"#.to_owned() + "\n",
        "\"a\" severity=critical kind=monitor labels.a=2 labels.z=1 source=web-1 count=12 time=1714564800000",
    );
    check("{\"text\":\"a\",\"time\":1714564800,\"kind\":\"default\"}\n", "\"a\" time=1714564800000");
    check("{\"text\":\"a\",\"time\":1714564800250}\n", "\"a\" time=1714564800250");
}

#[test]
fn ndjson_knows_other_spellings() {
    check("{\"message\":\"a\",\"level\":\"WARN\"}\n{\"msg\":\"b\"}\n", "\"a\" severity=warning\n\"b\"");
    check("{\"msg\":\"c\",\"message\":\"b\",\"text\":\"a\"}\n", "\"a\" ignored=2");
    check("{\"text\":null,\"msg\":\"c\",\"level\":\"err\",\"severity\":\"info\"}\n", "\"c\" severity=info ignored=1");
}

#[test]
fn ndjson_keeps_a_severity_that_is_no_word_of_its_own_as_a_label() {
    check("{\"text\":\"a\",\"severity\":\"Urgent\"}\n", "\"a\" labels.severity_text=Urgent");
    check(
        "{\"text\":\"a\",\"severity\":\"x\",\"labels\":{\"severity_text\":\"y\",\"a\":1}}\n",
        "\"a\" labels.a=1 labels.severity_text=x",
    );
    check("{\"text\":\"a\",\"severity\":\"\",\"kind\":\"\",\"source\":\"\"}\n", "\"a\"");
}

#[test]
fn ndjson_labels_are_strings_numbers_and_booleans() {
    check(
        "{\"text\":\"a\",\"labels\":{\"n\":1,\"f\":1.5,\"m\":-2,\"b\":true,\"c\":false,\"e\":\"\"}}\n",
        "\"a\" labels.b=true labels.c=false labels.e= labels.f=1.5 labels.m=-2 labels.n=1",
    );
    check("{\"text\":\"a\",\"labels\":{}}\n{\"text\":\"a\",\"labels\":null}\n", "\"a\"\n\"a\"");
}

#[test]
fn ndjson_ignores_and_counts_other_keys() {
    check("{\"text\":\"a\",\"pid\":1,\"deep\":{\"a\":[1,{\"b\":null}]},\"ack\":true}\n", "\"a\" ignored=3");
    check("{\"text\":\"a\",\"count\":null,\"labels\":null,\"time\":null,\"id\":null}\n", "\"a\"");
}

#[test]
fn ndjson_hears_a_wish_for_acks() {
    check("{\"text\":\"a\"}\n { \"ack\" : true } \n{\"text\":\"b\"}\n", "\"a\"\nack wanted\n\"b\"");
    check(
        "{\"ack\":false}\n{\"ack\":1}\n",
        "reply {\"error\":\"`ack` must be true\",\"line\":1}\nreply {\"error\":\"`ack` must be true\",\"line\":2}",
    );
}

/// A line that must be answered with `error`, between two that are taken.
#[track_caller]
fn refused(line: impl AsRef<[u8]>, error: &str) {
    let input = [b"{\"text\":\"a\"}\n\n", line.as_ref(), b"\n{\"text\":\"b\"}\n"].concat();
    let reply = serde_json::json!({ "error": error, "line": 3 });
    check(input, &format!("\"a\"\nreply {reply}\n\"b\""));
}

#[test]
fn ndjson_says_what_is_wrong_with_a_line_and_goes_on() {
    refused("{}", "`text` is missing");
    refused("{\"kind\":\"x\"}", "`text` is missing");
    refused("{\"text\":1}", "`text` must be a string");
    refused("{\"msg\":[]}", "`msg` must be a string");
    refused("{\"text\":\"a\",\"kind\":{}}", "`kind` must be a string");
    refused("{\"text\":\"a\",\"level\":30}", "`level` must be a string");
    refused("{\"text\":\"a\",\"source\":1}", "`source` must be a string");
    refused("{\"text\":\"a\",\"text\":\"b\"}", "`text` is there twice");
    refused("{\"text\":\"a\",\"id\":7}", "`id` must be a string");
    refused(format!("{{\"text\":\"a\",\"id\":\"{}\"}}", "x".repeat(257)), "`id` is longer than 256 bytes");
    refused("[1]", "a line must be a JSON object, such as {\"text\":\"disk full\"}");
    refused("STRING", "a line must be a JSON object, such as {\"text\":\"disk full\"}");
    refused("{\"text\":\"a\"", "not valid JSON: EOF while parsing an object at column 11");
    refused("{\"text\":\"a\"} x", "not valid JSON: trailing characters at column 14");
    refused("{text:\"a\"}", "not valid JSON: key must be a string at column 2");
}

#[test]
fn ndjson_bounds_what_a_line_may_say() {
    let count = "`count` must be a whole number from 1 to 1000000000";
    for bad in ["0", "-1", "1000000001", "1.5", "\"1\"", "true", "1e30"] {
        refused(format!("{{\"text\":\"a\",\"count\":{bad}}}"), count);
    }
    check("{\"text\":\"a\",\"count\":1000000000}\n", "\"a\" count=1000000000");
    let time = "`time` must be RFC 3339, such as \"2024-05-01T12:00:00Z\", or Unix time in seconds or milliseconds";
    for bad in ["\"yesterday\"", "-1", "1e300", "true", "\"2024-05-01\""] {
        refused(format!("{{\"text\":\"a\",\"time\":{bad}}}"), time);
    }
    refused(format!("{{\"text\":\"a\",\"kind\":\"{}\"}}", "x".repeat(1025)), "`kind` is longer than 1024 bytes");
}

#[test]
fn ndjson_bounds_labels() {
    let with = |labels: &str| format!("{{\"text\":\"a\",\"labels\":{labels}}}");
    refused(with("[]"), "`labels` must be an object of strings, numbers and booleans");
    refused(with("{\"a\":{}}"), "label `a` must be a string, a number or a boolean");
    refused(with("{\"a\":[1]}"), "label `a` must be a string, a number or a boolean");
    refused(with("{\"a\":null}"), "label `a` must be a string, a number or a boolean");
    refused(with("{\"a\":1,\"b\":2,\"a\":3}"), "label `a` is there twice");
    refused(with("{\"\":1}"), "a label has an empty name");
    let long = "n".repeat(limits::LABEL_NAME_BYTES + 1);
    let shown = "n".repeat(64);
    refused(with(&format!("{{\"{long}\":1}}")), &format!("the name of label `{shown}…` is longer than 128 bytes"));
    refused(
        with(&format!("{{\"a\":\"{}\"}}", "v".repeat(limits::LABEL_VALUE_BYTES + 1))),
        "label `a` is longer than 4096 bytes",
    );
    let many = |count: usize| (0..count).map(|n| format!("\"l{n}\":1")).collect::<Vec<_>>().join(",");
    refused(with(&format!("{{{}}}", many(65))), "`labels` has more than 64 labels");
    refused(with(&format!("{{{}}}", many(5_000))), "`labels` has more than 64 labels");
    assert!(
        decode((with(&format!("{{{}}}", many(64))) + "\n").as_bytes(), &[9], usize::MAX)
            .starts_with("\"a\" labels.l0=1")
    );
}

#[test]
fn ndjson_bounds_the_depth_of_a_line() {
    let nested = |levels: usize| format!("{{\"text\":\"a\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    check(nested(limits::JSON_DEPTH - 1) + "\n", "\"a\" ignored=1");
    refused(nested(limits::JSON_DEPTH), "the object is nested deeper than 64 levels");
    refused(nested(100_000), "the object is nested deeper than 64 levels");
    refused(format!("{{\"labels\":{}", "{\"a\":".repeat(1_000)), "the object is nested deeper than 64 levels");
}

#[test]
fn ndjson_skips_a_line_that_is_too_long_to_its_end() {
    let text = "x".repeat(limits::NDJSON_LINE_BYTES);
    let input = format!("{{\"text\":\"a\"}}\n{{\"text\":\"{text}\"}}\n{{\"text\":\"b\"}}\n[]\n");
    let expect = "\"a\"\nreply {\"error\":\"the line is longer than 1048576 bytes\",\"line\":2}\n\"b\"\n\
        reply {\"error\":\"a line must be a JSON object, such as {\\\"text\\\":\\\"disk full\\\"}\",\"line\":4}\n";
    for sizes in [&[usize::MAX][..], &[4096], &[limits::NDJSON_LINE_BYTES, 1]] {
        assert_eq!(decode(input.as_bytes(), sizes, usize::MAX), expect);
    }
    let endless = format!("{{\"text\":\"{text}{text}");
    let reply = "reply {\"error\":\"the line is longer than 1048576 bytes\",\"line\":1}\n";
    assert_eq!(decode(endless.as_bytes(), &[4096], usize::MAX), reply);
}

#[test]
fn ndjson_cuts_a_long_text() {
    let line = format!("{{\"text\":\"{}\\u00e9\"}}\n", "x".repeat(limits::TEXT_BYTES - 1));
    assert_eq!(decode(line.as_bytes(), &[8192], usize::MAX), "65535 bytes truncated=true\n");
}

#[test]
fn ndjson_replaces_what_is_not_utf8() {
    check(b"{\"text\":\"a\xff\"}\n{\"text\":\"b\"}\n", "\"a\u{fffd}\" replaced=true\n\"b\"");
}

#[test]
fn ndjson_takes_a_whole_last_line_without_its_end() {
    check("{\"text\":\"a\"}\n{\"text\":\"b\"}", "\"a\"\n\"b\"");
    check(
        "{\"text\":\"a\"}\n{\"tex",
        "\"a\"\nreply {\"error\":\"not valid JSON: EOF while parsing a string at column 5\",\"line\":2}",
    );
}
