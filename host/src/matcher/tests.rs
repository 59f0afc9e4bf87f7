//! What a matcher means, how it is written back, and that nothing typed can make its parser fall over.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::message::Labels;

fn message() -> Message {
    let labels = [("app", "shop"), ("zone", "b\"1"), ("kind", "blue")];
    Message {
        text: "disk full\non /var".to_owned(),
        kind: "monitor".into(),
        severity: Some(Severity::Error),
        labels: Labels::new(labels.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()),
        source: "10.0.0.7".into(),
    }
}

#[track_caller]
fn matches(matcher: &str, expect: bool) {
    assert_eq!(Matcher::parse(matcher).expect("a good matcher").matches(&message()), expect, "{matcher}");
}

#[track_caller]
fn shown(matcher: &str, expect: &Expect) {
    let shown = match Matcher::parse(matcher) {
        Ok(matcher) => matcher.to_string(),
        Err(error) => format!("{}\n{}^ {error}", matcher, " ".repeat(error.offset)),
    };
    expect.assert_eq(&shown);
}

#[test]
fn each_field_is_the_messages_own() {
    matches("kind=monitor", true);
    matches("severity=error", true);
    matches("source=10.0.0.7", true);
    matches("text=\"disk full\\non /var\"", true);
    matches("app=shop", true);
    matches("labels.app=shop", true);
}

#[test]
fn a_label_that_is_called_like_a_field_needs_the_prefix() {
    matches("labels.kind=blue", true);
    matches("kind=blue", false);
}

#[test]
fn what_is_missing_is_the_empty_string() {
    matches("team=", true);
    matches("team=\"\"", true);
    matches("team!=\"\"", false);
    matches("team=~\".*\"", true);
    matches("team=~\".+\"", false);
    matches("team!=x", true);
}

#[test]
fn each_operator_compares() {
    matches("app!=shop", false);
    matches("app=~sh.p", true);
    matches("app!~sh.p", false);
    matches("app!~other", true);
}

#[test]
fn regular_expressions_are_anchored() {
    matches("app=~sho", false);
    matches("app=~hop", false);
    matches("app=~sho|hop", false);
    matches("app=~x|shop", true);
}

#[test]
fn quotes_escapes_and_spaces() {
    matches("  app  =  shop  ", true);
    matches("zone=\"b\\\"1\"", true);
    matches("zone=b\\\"1", true);
    matches("source=~\"10\\.0\\.0\\.\\d\"", true);
    matches("\"labels.app\"=\"shop\"", true);
}

#[test]
fn written_back_canonically() {
    shown(" kind = monitor ", &expect![[r#"kind="monitor""#]]);
    shown("app!~\"a\\.b\"", &expect![[r#"labels.app!~"a\\.b""#]]);
    shown("\"größe der welt\"=\"über\"", &expect![[r#""labels.größe der welt"="über""#]]);
    shown("größe=\"a\\nb\"", &expect![[r#"labels.größe="a\nb""#]]);
    shown("team=", &expect![[r#"labels.team="""#]]);
}

#[test]
fn mistakes_are_told_where_they_stand() {
    shown(
        "",
        &expect![[r#"

        ^ expected a name: kind, severity, source, text or a label"#]],
    );
    shown(
        "=x",
        &expect![[r#"
        =x
        ^ expected a name: kind, severity, source, text or a label"#]],
    );
    shown(
        "labels.=x",
        &expect![[r#"
        labels.=x
        ^ expected a name: kind, severity, source, text or a label"#]],
    );
    shown(
        "kind",
        &expect![[r#"
        kind
            ^ expected `=`, `!=`, `=~` or `!~`"#]],
    );
    shown(
        "kind monitor",
        &expect![[r#"
        kind monitor
             ^ expected `=`, `!=`, `=~` or `!~`"#]],
    );
    shown(
        "kind==monitor",
        &expect![[r#"
        kind==monitor
             ^ expected a value: one that begins with `=` or `~` needs quotes"#]],
    );
}

#[test]
fn mistakes_in_values_are_told_where_they_stand() {
    shown(
        "kind=\"monitor",
        &expect![[r#"
        kind="monitor
             ^ no closing quote"#]],
    );
    shown(
        "kind=\"a\" b",
        &expect![[r#"
        kind="a" b
                 ^ expected nothing after the closing quote"#]],
    );
    shown(
        "kind=a\"b",
        &expect![[r#"
        kind=a"b
              ^ a quote inside a value without quotes, write `\"`"#]],
    );
    shown(
        "{kind=\"a\"}",
        &expect![[r#"
        {kind="a"}
        ^ expected a name: kind, severity, source, text or a label"#]],
    );
    shown(
        "kind=~\"a(b\"",
        &expect![[r#"
        kind=~"a(b"
              ^ not a regular expression: unclosed group"#]],
    );
    shown(
        "kind=~\"a)|(b\"",
        &expect![[r#"
        kind=~"a)|(b"
              ^ not a regular expression: unopened group"#]],
    );
    shown(
        "kind=~\"(a{1000}){1000}\"",
        &expect![[r#"
        kind=~"(a{1000}){1000}"
              ^ regular expression takes more than 1048576 bytes"#]],
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(name in "\\PC{0,8}", op in 0_usize..4, value in any::<String>()) {
        let op = Op::ALL[op];
        let value = if op.is_regex() { regex::escape(&value) } else { value };
        let regex = op.is_regex().then(|| compile(&value, 0).expect("escaped"));
        let field = Field::parse(&format!("labels.x{name}")).expect("not empty");
        let matcher = Matcher { field, op, value, regex };
        prop_assert_eq!(Matcher::parse(&matcher.to_string()), Ok(matcher));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), joint in "[a-z\"]{0,3}[=!~]{0,3}[\"\\\\(){}n|*+?.]{0,12}") {
        for input in [text.clone(), joint.clone(), format!("a{joint}{text}"), format!("\"{text}\"=~{joint}")] {
            match Matcher::parse(&input) {
                Ok(matcher) => prop_assert_eq!(Matcher::parse(&matcher.to_string()), Ok(matcher)),
                Err(error) => prop_assert!(input.is_char_boundary(error.offset)),
            }
        }
    }
}
