//! What the layout says, within every limit.

use super::*;
use crate::Label;
use crate::testing::{self, group, group_by_time, notification};

fn label(name: &str, value: &str) -> Label {
    Label { name: name.into(), value: value.into() }
}

#[track_caller]
fn check(notification: &Notification, plain: &str, html: &str, chat: &str) {
    let limit = Limit::Chars(2_000);
    assert_eq!(text(notification, &PLAIN, limit), plain);
    assert_eq!(text(notification, &HTML, limit), html);
    assert_eq!(text(notification, &CHAT, limit), chat);
}

#[test]
fn a_group_is_one_sentence_in_each_markup() {
    let labels = vec![label("host", "db<1>")];
    let told = Group { severity: Some(Severity::Error), labels, kind: "backup".into(), ..group("disk `full`", 30) };
    check(
        &notification(vec![told]),
        r#"ERROR Message "disk `full`" was repeated 30 time(s). (kind=backup, host=db<1>)"#,
        "ERROR Message <code>&quot;disk `full`&quot;</code> was repeated <b>30</b> time(s). \
         (<code>kind=backup, host=db&lt;1&gt;</code>)",
        "ERROR Message `\"disk ˋfullˋ\"` was repeated **30** time(s). (`kind=backup, host=db<1>`)",
    );
}

#[test]
fn what_is_over_a_monitor_and_an_overflow_have_their_own_sentences() {
    let over = Group { resolved: true, opened: 0, closed: 720_000, ..group("disk full", 0) };
    let monitor = Group { kind: tell::MONITOR_KIND.into(), ..group("x is *3*", 2) };
    let overflow = Group { state: "overflow".into(), ..group_by_time("other messages in more groups", 1_203) };
    for (group, told) in [
        (over, "Resolved after 12 minutes: \"disk full\"."),
        (monitor, "x is *3* (2 times)"),
        (overflow, "1,203 other messages in more groups for last 30 seconds."),
    ] {
        assert_eq!(text(&notification(vec![group]), &PLAIN, Limit::Bytes(500)), told);
    }
}

#[test]
fn a_notification_says_why_it_came_what_it_leaves_out_and_where_to_look() {
    let mut all = notification(vec![group_by_time("a", 2), group_by_time("b", 5)]);
    (all.omitted_groups, all.omitted_messages) = (412, 80_344);
    all.reason = "escalated".into();
    all.extra = r#"{"escalated_from":{"sender":"team","code":"x","error":"no [way](http://a)"}}"#.into();
    let link = |title: &str, url: &str| Link { rel: "group".into(), title: title.into(), url: url.into() };
    all.links = vec![link("this [group]", "https://mag.example/g/(1)"), link("", "javascript:alert(1)")];
    assert_eq!(
        text(&all, &CHAT, Limit::Chars(2_000)),
        "`Escalated: sender team: no [way](http://a)`\n\
         Message `\"b\"` was repeated **5** time(s) for last 30 seconds.\n\
         Message `\"a\"` was repeated **2** time(s) for last 30 seconds.\n\
         and 412 more groups, 80,344 messages\n\
         [this group](https://mag.example/g/%281%29)"
    );
}

#[test]
fn every_limit_holds_whatever_the_text_and_nothing_goes_uncounted() {
    let nasty = ["\u{e0001}".repeat(2_000), "\"<&\\`".repeat(1_000), "🦀".repeat(2_000), "a".repeat(9_000)];
    for limit in [Limit::Chars(300), Limit::Bytes(1_000), Limit::Json(4_000), Limit::Chars(20_000)] {
        for style in [PLAIN, HTML, CHAT] {
            for raw in &nasty {
                let labels = vec![label(raw, raw); 9];
                let large = |n| Group { labels: labels.clone(), ..group(raw, n) };
                for groups in [vec![large(1)], (1..=20).map(large).collect()] {
                    let all = notification(groups);
                    let told = text(&all, &style, limit);
                    assert!(limit.taken(&told) <= limit.most(), "{} in {limit:?}", limit.taken(&told));
                    let lines = told.lines().filter(|line| line.contains("time(s).")).count();
                    assert!(lines == all.groups.len() || told.contains(" more group"), "{told}");
                    assert!(lines > 0 || limit.most() < 1_000, "{told}");
                }
            }
        }
    }
}

#[test]
fn json_is_measured_as_it_is_written() {
    for text in ["a\"\\\n\t\r", "\u{1}\u{1f}\u{7f}", "größe 🦀 \u{2028}"] {
        let written = serde_json::to_string(text).unwrap();
        assert_eq!(Limit::Json(0).taken(text), written.len() - 2, "{text:?}");
    }
}

#[test]
fn an_operators_own_text_is_shown_when_it_fits() {
    let mut all = notification(vec![group("a", 2)]);
    all.body = Some("<i>own</i>".into());
    assert_eq!(text(&all, &HTML, Limit::Chars(200)), "<i>own</i>");
    all.body = Some(format!("<i>{}</i>", "x".repeat(200)));
    assert!(text(&all, &HTML, Limit::Chars(200)).starts_with("Message "));
}

#[test]
fn tone_and_headline_say_how_urgent_it_is() {
    let with = |severity| Group { severity, ..group("a", 2) };
    let over = Group { resolved: true, ..group("a", 0) };
    for (groups, tone_of, said) in [
        (vec![with(None)], Tone::Normal, "2 messages"),
        (vec![with(Some(Severity::Debug))], Tone::Quiet, "DEBUG: 2 messages"),
        (vec![with(Some(Severity::Warning)), with(Some(Severity::Critical))], Tone::Critical, "CRITICAL: 4 messages"),
        (vec![over.clone(), with(Some(Severity::Error))], Tone::Error, "ERROR: 2 messages"),
        (vec![over], Tone::Resolved, "RESOLVED"),
    ] {
        let all = notification(groups);
        assert_eq!((tone(&all), headline(&all).as_str()), (tone_of, said));
    }
}

#[test]
fn nothing_acts_in_any_style() {
    for (style, shown) in [(PLAIN, testing::Shown::Plain), (HTML, testing::Shown::Html), (CHAT, testing::Shown::Code)] {
        testing::check_nothing_acts(shown, |all| vec![text(all, &style, Limit::Chars(4_000))]);
    }
}
