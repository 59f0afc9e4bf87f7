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
        let regex = op.is_regex().then(|| compile(&value, 0).map(Expression::Own).expect("escaped"));
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

#[test]
fn an_expression_of_anybody_matches_what_one_of_the_config_matches() {
    let expressions = [
        "",
        "a|ab",
        "ab|a",
        "web-.*",
        ".*",
        "(?i)WEB.*",
        "[^a]*",
        "a*?",
        "(a|b)*c",
        "\\d+",
        "\\w+\\.\\w+",
        "^a$",
        "a$|b",
        "(?s).*b",
        "(?-u:\\b)a(?-u:\\b)",
        "(?m)^a$\\nb",
        "é+",
        ".{3}",
        "x{2,4}|y",
    ];
    let values =
        ["", "a", "ab", "abc", "web-1", "WEB", "é", "ééé", "a\nb", "b", "12", "٣", "a.b", "xxx", "xxxxx", "😀bc"];
    for expression in expressions {
        let bounded = Matcher::bounded("text", Op::Matches, expression.to_owned()).expect("a small expression");
        let own = Matcher::parse(&bounded.to_string()).expect("a good expression");
        let kept = Matcher::parse_kept(&own.to_string()).expect("a good matcher");
        assert_eq!((&own, &own), (&bounded, &kept));
        for value in values {
            let expect = own.holds(value);
            assert_eq!((bounded.holds(value), kept.holds(value)), (expect, expect), "{expression:?} on {value:?}");
        }
    }
}

#[test]
fn an_expression_of_anybody_is_refused_where_it_has_no_small_table() {
    let refused = |value: &str| Matcher::bounded("text", Op::Matches, value.to_owned()).expect_err(value).message;
    for large in ["\\w{85}", "(.*a.{12})", "((a{100}){100}){100}", "[a-z]{5000}"] {
        assert!(refused(large).contains("takes too much"), "{large}: {}", refused(large));
    }
    assert!(refused("\\bfoo\\b").contains("write (?-u:\\b)"), "{}", refused("\\bfoo\\b"));
    assert!(refused(&"a".repeat(5_000)).contains("longer than 4096 bytes"));
    assert!(refused("a)|(b").starts_with("not a regular expression: "), "{}", refused("a)|(b"));
    assert_eq!(Matcher::parse_bounded("a=~(").expect_err("open").offset, 3);
}

#[test]
fn an_expression_that_was_taken_before_goes_on_though_it_would_be_too_large_now() {
    let kept = Matcher::parse_kept("text=~\"\\\\w{10}\"").expect("a good matcher");
    assert!(kept.holds(&"x".repeat(10)) && !kept.holds("x"));
    let broken = Matcher::parse_kept("text=~(").expect("its expression is looked at later");
    assert!(!broken.holds("("));
}
