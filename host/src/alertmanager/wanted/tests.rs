//! Silences as amtool and Grafana send them.

use super::*;

const NOW: Millis = 1_714_564_800_000;

fn body(matchers: &str, starts: &str, ends: &str) -> String {
    format!(
        r#"{{"matchers":{matchers},"startsAt":"{starts}","endsAt":"{ends}","createdBy":"ann","comment":"work","id":""}}"#
    )
}

const GOOD: &str = r#"[{"name":"alertname","value":"A.*","isRegex":true,"isEqual":false},
    {"name":"host","value":"web-1","isRegex":false}]"#;

#[track_caller]
fn refused(body: &str) -> String {
    silence(body.as_bytes(), NOW).expect_err(body)
}

#[test]
fn a_silence_is_read_with_its_matchers_and_times() {
    let silence = silence(body(GOOD, "2024-05-01T12:00:00Z", "2024-05-01T14:00:00+01:00").as_bytes(), NOW);
    let silence = silence.expect("a good silence");
    let matchers: Vec<_> = silence.matchers.iter().map(ToString::to_string).collect();
    assert_eq!(matchers, [r#"labels.alertname!~"A.*""#, r#"labels.host="web-1""#]);
    assert_eq!((silence.starts, silence.ends, silence.id.as_str()), (NOW, NOW + 3_600_000, ""));
    let for_ever = super::silence(body(GOOD, "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z").as_bytes(), NOW);
    assert_eq!(for_ever.map(|silence| (silence.starts, silence.ends > 253_000_000_000_000)), Ok((0, true)));
    assert_eq!((silence.created_by.as_str(), silence.comment.as_str()), ("ann", "work"));
}

#[test]
fn a_silence_that_makes_no_sense_is_refused_in_words() {
    let (from, to) = ("2024-05-01T12:00:00Z", "2024-05-01T13:00:00Z");
    assert!(refused("{").starts_with("the body is not a silence: "));
    assert_eq!(refused(&body("[]", from, to)), "invalid silence: at least one matcher required");
    let empty = r#"[{"name":"a","value":".*","isRegex":true,"isEqual":true}]"#;
    let said = "invalid silence: at least one matcher must not match the empty string";
    assert_eq!(refused(&body(empty, from, to)), said);
    let broken = r#"[{"name":"a","value":"(","isRegex":true,"isEqual":true}]"#;
    assert!(refused(&body(broken, from, to)).starts_with("invalid silence: not a regular expression"));
    let large = r#"[{"name":"a","value":"[a-z]{5000}","isRegex":true,"isEqual":true}]"#;
    assert!(refused(&body(large, from, to)).contains("takes too much"), "{}", refused(&body(large, from, to)));
    let nameless = r#"[{"name":"","value":"x","isRegex":false,"isEqual":true}]"#;
    assert!(refused(&body(nameless, from, to)).starts_with("invalid silence: expected a name"));
    assert_eq!(refused(&body(GOOD, to, from)), "start time must be before end time");
    assert_eq!(refused(&body(GOOD, "2024-05-01T10:00:00Z", from)), "end time can't be in the past");
    assert!(refused(&body(GOOD, "now", to)).starts_with("invalid silence: startsAt is no time"));
    // Counted before the first one is read: these are no expressions.
    let many: Vec<_> = (0..17).map(|_| r#"{"name":"a","value":"(","isRegex":true}"#).collect();
    assert!(refused(&body(&format!("[{}]", many.join(",")), from, to)).contains("more than 16 matchers"));
    let long = body(GOOD, from, to).replace("work", &"w".repeat(5_000));
    assert!(refused(&long).contains("its comment is longer than 4096 bytes"));
}
