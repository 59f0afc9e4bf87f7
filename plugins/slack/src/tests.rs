//! What is posted, what is looked up, and what each answer of Slack's means.

use mag_plugin_sdk::http::{HttpError, Request, Response};
use mag_plugin_sdk::testing::{FakeHttp, answer, group, group_by_time, is_hidden, notification, payloads};
use mag_plugin_sdk::{FailureKind, Group, Label, Link, adapter};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 784_111_777_000;
const STATE: &[u8] = br#"{"users":{"ann":"U1","bob":"U2","carol":"U3"}}"#;
const POSTED: &str = r#"{"ok":true,"channel":"C1","ts":"1503435956.000247"}"#;

fn config() -> String {
    json!({
        "channel": "#ops", "mention": ["@ann", " Bob "], "mention_monitor": ["carol", "ann"],
        "secrets": {"token": "PLACEHOLDER"},
    })
    .to_string()
}

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Slack>(&config(), STATE, notification, http, NOW)
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn text_of(notification: &Notification) -> String {
    let http = FakeHttp::answering(200, POSTED);
    send(&http, notification).unwrap();
    body(&http.requests()[0])["text"].as_str().unwrap().to_owned()
}

fn monitor(text: &str, count: u64) -> Group {
    Group { kind: "monitor".into(), ..group(text, count) }
}

#[test]
fn a_message_is_posted_with_documented_arguments_only() {
    let http = FakeHttp::answering(200, POSTED);
    let told = send(&http, &notification(vec![group("disk full", 30)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://slack.com/api/chat.postMessage"));
    assert_eq!(request.header_value("authorization"), Some("Bearer PLACEHOLDER"));
    assert_eq!(request.header_value("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(
        body(&request),
        json!({
            "channel": "#ops", "text": "Message `\"disk full\"` was repeated *30* time(s).\n<@U1> <@U2>",
            "parse": "none", "link_names": false, "unfurl_links": false, "unfurl_media": false,
        })
    );
    assert_eq!(
        told.receipt.as_deref(),
        Some(br##"{"channel":"C1","ts":"1503435956.000247","named":"#ops"}"##.as_slice())
    );
}

#[test]
fn a_digest_is_a_line_a_group_most_first() {
    let groups = vec![group_by_time("a", 2), group_by_time("disk full", 5)];
    assert_eq!(
        text_of(&notification(groups)),
        "Message `\"disk full\"` was repeated *5* time(s) for last 30 seconds.\n\
         Message `\"a\"` was repeated *2* time(s) for last 30 seconds.\n<@U1> <@U2>"
    );
}

#[test]
fn what_is_over_says_so_and_how_long_it_lasted() {
    let over = Group { resolved: true, opened: 0, closed: 720_000, ..group("<disk> full", 0) };
    assert!(text_of(&notification(vec![over])).starts_with("Resolved after 12 minutes: `\"&lt;disk&gt; full\"`.\n"));
}

fn alert(description: &str, runbook: &str) -> Group {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    let links = vec![Link { rel: "runbook".into(), title: "Runbook".into(), url: runbook.into() }];
    Group { annotations: vec![label("description", description)], links, ..group("disk full", 1) }
}

#[test]
fn what_is_said_about_an_alert_stands_behind_its_text_with_the_runbook_below() {
    let told = notification(vec![alert("97 % of `/`\n<@U9>", "https://example.org/disk?a=1&b=<x|y>")]);
    assert_eq!(
        text_of(&told),
        "Message `\"disk full\"` was repeated *1* time(s). `\"97 % of `/`\\n&lt;@U9&gt;\"`\n\
         <https://example.org/disk?a=1&amp;b=%3Cx%7Cy%3E|Runbook>\n<@U1> <@U2>"
    );
    let two = notification(vec![alert("a", "https://example.org/"), alert(&"b".repeat(9_000), "https://example.org/")]);
    let told = text_of(&two);
    assert!(told.contains("time(s). `\"a\"`\n") && !told.contains("Runbook") && told.len() < 900, "{told}");
}

#[test]
fn a_monitor_is_told_as_its_text_with_its_own_people() {
    assert_eq!(text_of(&notification(vec![monitor("`x` & *3*", 1)])), "`x` &amp; *3*\n<@U3> <@U1>");
    assert_eq!(text_of(&notification(vec![monitor("`x`", 3)])), "`x` (3 times)\n<@U3> <@U1>");
}

#[test]
fn mixed_kinds_mention_everybody_once() {
    let told = text_of(&notification(vec![monitor("x", 1), group("y", 1)]));
    assert!(told.ends_with("\n<@U1> <@U2> <@U3>"), "{told}");
}

#[test]
fn there_is_no_line_for_mentions_when_nobody_is_found() {
    let http = FakeHttp::answering(200, POSTED);
    adapter::send::<Slack>(&config(), b"", &notification(vec![group("x", 1)]), &http, NOW).unwrap();
    assert_eq!(body(&http.requests()[0])["text"], "Message `\"x\"` was repeated *1* time(s).");
}

#[test]
fn no_text_can_mention_or_link() {
    for raw in payloads() {
        for told in [group(&raw, 1), monitor(&raw, 1), Group { resolved: true, ..group(&raw, 0) }] {
            let text = text_of(&notification(vec![told]));
            let own = text.rsplit_once('\n').unwrap().0;
            assert!(!own.contains(['<', '>']) && !own.chars().any(is_hidden), "{own}");
            assert_eq!(
                own.matches('&').count(),
                own.matches("&lt;").count() + own.matches("&gt;").count() + own.matches("&amp;").count()
            );
        }
    }
}

#[test]
fn quoting_comes_before_escaping() {
    let told = text_of(&notification(vec![group("a\n<b>\"\u{1b}", 1)]));
    assert!(told.starts_with(r#"Message `"a\n&lt;b&gt;\"\x1b"` was repeated"#), "{told}");
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut many = notification((1..=100).map(|n| group_by_time(&"x".repeat(200), n)).collect());
    (many.omitted_groups, many.omitted_messages) = (5, 50);
    let told = text_of(&many);
    assert!(told.chars().count() <= form::TEXT_CHARS);
    let lines: Vec<&str> = told.lines().collect();
    let shown = lines.len() - 2;
    let messages: u64 = (1..=100).rev().take(shown).sum();
    assert_eq!(lines[shown], tell_rest(105 - shown, 5_100 - messages));
}

fn tell_rest(groups: usize, messages: u64) -> String {
    mag_plugin_sdk::tell::rest(u64::try_from(groups).unwrap(), messages).unwrap()
}

#[test]
fn a_text_that_is_too_long_is_shortened_and_tried_once_more() {
    let too_long = || Ok(answer(200, r#"{"ok":false,"error":"msg_too_long"}"#));
    let http = FakeHttp::new([too_long(), Ok(answer(200, POSTED))]);
    send(&http, &notification(vec![group(&"\u{e0001}".repeat(60_000), 1)])).unwrap();
    let lengths: Vec<usize> =
        http.requests().iter().map(|request| body(request)["text"].as_str().unwrap().chars().count()).collect();
    assert!(lengths[0] <= 4_000 && lengths[0] > 2_000 && lengths[1] <= 1_000 && lengths[1] > 500, "{lengths:?}");

    let http = FakeHttp::new([too_long(), too_long(), Ok(answer(200, POSTED))]);
    let failure = send(&http, &notification(vec![group("x", 1)])).unwrap_err();
    assert_eq!((failure.kind, http.requests().len()), (FailureKind::Permanent, 2));
}

#[test]
fn every_error_word_has_its_kind() {
    for (word, kind, maybe) in [
        ("ratelimited", FailureKind::RateLimited, false),
        ("rate_limited", FailureKind::RateLimited, false),
        ("channel_not_found", FailureKind::Misconfigured, false),
        ("not_in_channel", FailureKind::Misconfigured, false),
        ("is_archived", FailureKind::Misconfigured, false),
        ("invalid_auth", FailureKind::Misconfigured, false),
        ("not_authed", FailureKind::Misconfigured, false),
        ("token_revoked", FailureKind::Misconfigured, false),
        ("token_expired", FailureKind::Misconfigured, false),
        ("account_inactive", FailureKind::Misconfigured, false),
        ("missing_scope", FailureKind::Misconfigured, false),
        ("restricted_action", FailureKind::Misconfigured, false),
        ("no_text", FailureKind::Permanent, false),
        ("invalid_arguments", FailureKind::Permanent, false),
        ("fatal_error", FailureKind::Retry, true),
        ("internal_error", FailureKind::Retry, true),
        ("request_timeout", FailureKind::Retry, false),
        ("service_unavailable", FailureKind::Retry, false),
        ("a_new_word", FailureKind::Retry, false),
    ] {
        let http = FakeHttp::answering(200, &format!(r#"{{"ok":false,"error":"{word}"}}"#));
        let failure = send(&http, &notification(vec![group("x", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.maybe_delivered, failure.code.as_str()), (kind, maybe, word));
        assert!(!failure.message.contains("PLACEHOLDER"));
    }
}

#[test]
fn a_missing_scope_is_named() {
    let http = FakeHttp::answering(200, r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"x"}"#);
    let failure = send(&http, &notification(vec![group("x", 1)])).unwrap_err();
    assert!(failure.message.contains("scope chat:write"), "{}", failure.message);
}

#[test]
fn a_pause_that_slack_asks_for_is_passed_on() {
    let headers = vec![("retry-after".to_owned(), "30".to_owned())];
    for response in [
        Response { headers: headers.clone(), ..answer(429, r#"{"ok":false,"error":"ratelimited"}"#) },
        Response { headers, ..answer(200, r#"{"ok":false,"error":"ratelimited"}"#) },
    ] {
        let failure = send(&FakeHttp::new([Ok(response)]), &notification(vec![group("x", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (FailureKind::RateLimited, Some(30_000)));
    }
}

#[test]
fn what_is_no_answer_of_slack_is_tried_again() {
    for (response, maybe) in [
        (Ok(answer(200, "<html>proxy</html>")), true),
        (Ok(answer(503, "")), false),
        (Err(HttpError::NotSent("refused".into())), false),
        (Err(HttpError::Broken("reset".into())), true),
    ] {
        let failure = send(&FakeHttp::new([response]), &notification(vec![group("x", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.maybe_delivered), (FailureKind::Retry, maybe));
    }
}

#[test]
fn people_are_looked_up_page_by_page() {
    let first = r#"{"ok":true,"members":[
        {"id":"U0","name":"ann","deleted":true},{"id":"B1","name":"bob","is_bot":true},
        {"id":"U7","name":"x","profile":{"display_name":"Bob"}},{"id":"U<3>","name":"carol"}],
        "response_metadata":{"next_cursor":"dXNlcjp="}}"#;
    let second = r#"{"ok":true,"members":[{"id":"U1","name":"ann"},{"id":"U2","name":"bob"}]}"#;
    let http = FakeHttp::new([Ok(answer(200, r#"{"ok":true}"#)), Ok(answer(200, first)), Ok(answer(200, second))]);
    let prepared = adapter::prepare::<Slack>(&config(), &http, NOW).unwrap();
    assert_eq!(prepared.state, br#"{"users":{"ann":"U1","bob":"U2"}}"#);
    let asked: Vec<(String, String)> =
        http.requests().into_iter().map(|request| (request.method, request.url)).collect();
    let at = |method: &str, path: &str| (method.to_owned(), format!("https://slack.com/api/{path}"));
    assert_eq!(
        asked,
        [
            at("POST", "auth.test"),
            at("GET", "users.list?limit=500"),
            at("GET", "users.list?limit=500&cursor=dXNlcjp%3D"),
        ]
    );
    assert!(http.requests().iter().all(|request| request.header_value("authorization") == Some("Bearer PLACEHOLDER")));
}

#[test]
fn a_display_name_serves_when_no_user_has_that_name() {
    let page = r#"{"ok":true,"members":[{"id":"U7","name":"x","profile":{"display_name":"Ann"}}]}"#;
    let http = FakeHttp::new([Ok(answer(200, r#"{"ok":true}"#)), Ok(answer(200, page))]);
    let prepared = adapter::prepare::<Slack>(&config(), &http, NOW).unwrap();
    assert_eq!(prepared.state, br#"{"users":{"ann":"U7"}}"#);
}

#[test]
fn a_name_that_nobody_has_is_told_once_as_it_was_written() {
    let users = users::Users::from_bytes(STATE);
    let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
    let config = Config {
        mention: names(&["@Ann", "@Ghost", "bob"]),
        mention_monitor: names(&["ghost", "carol", "eve"]),
        ..Config::default()
    };
    assert_eq!(users.nobody(&config), ["@Ghost", "eve"]);
}

#[test]
fn nobody_is_looked_up_when_nobody_is_mentioned() {
    let http = FakeHttp::answering(200, r#"{"ok":true}"#);
    let config = r##"{"channel":"#ops","secrets":{"token":"P"}}"##;
    adapter::prepare::<Slack>(config, &http, NOW).unwrap();
    assert_eq!(http.requests().len(), 1);
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    let mistakes =
        adapter::validate::<Slack>(r#"{"channel":" ","mention":["ann","@"],"api_url":"slack.com"}"#).unwrap_err();
    let pointers: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
    assert_eq!(pointers, ["/channel", "/mention/1", "/api_url"]);
}

#[test]
fn the_origin_it_wants_is_that_of_the_api() {
    for (config, origin) in [
        (r#"{"channel":"C1"}"#, "https://slack.com"),
        (r#"{"channel":"C1","api_url":"http://127.0.0.1:9/api/"}"#, "http://127.0.0.1:9"),
    ] {
        assert_eq!(adapter::validate::<Slack>(config).unwrap()[0].origin, origin);
    }
}

#[test]
fn without_a_token_nothing_is_asked() {
    let http = FakeHttp::default();
    let failure = adapter::prepare::<Slack>(r#"{"channel":"C1"}"#, &http, NOW).unwrap_err();
    assert_eq!((failure.kind, http.requests().len()), (FailureKind::Misconfigured, 0));
}

fn living(receipt: &[u8]) -> Notification {
    let mut told = notification(vec![group("disk full", 60)]);
    (told.intent, told.previous) = (Intent::Update, Some(receipt.to_vec()));
    told
}

const RECEIPT: &[u8] = br##"{"channel":"C1","ts":"1.2","named":"#ops"}"##;

#[test]
fn a_living_message_is_changed_in_place() {
    let http = FakeHttp::answering(200, r#"{"ok":true,"channel":"C1","ts":"1.2","text":"x"}"#);
    let told = send(&http, &living(RECEIPT)).unwrap();
    assert_eq!((told.updated_in_place, told.receipt.as_deref()), (true, Some(RECEIPT)));
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(request.url, "https://slack.com/api/chat.update");
    let text = "Message `\"disk full\"` was repeated *60* time(s).\n<@U1> <@U2>";
    let expect = json!({"channel": "C1", "ts": "1.2", "text": text, "parse": "none", "link_names": false});
    assert_eq!(body(&request), expect);
}

#[test]
fn a_message_that_is_gone_is_posted_anew() {
    for word in ["message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"] {
        let gone = answer(200, &format!(r#"{{"ok":false,"error":"{word}"}}"#));
        let http = FakeHttp::new([Ok(gone), Ok(answer(200, POSTED))]);
        let told = send(&http, &living(RECEIPT)).unwrap();
        assert!(!told.updated_in_place && told.receipt.is_some(), "{word}");
        let urls: Vec<String> = http.requests().into_iter().map(|request| request.url).collect();
        assert_eq!(urls, ["https://slack.com/api/chat.update", "https://slack.com/api/chat.postMessage"]);
    }
}

#[test]
fn a_receipt_that_cannot_be_read_or_is_of_another_channel_means_a_new_message() {
    let http = FakeHttp::answering(200, POSTED);
    assert!(!send(&http, &living(b"junk")).unwrap().updated_in_place);
    let elsewhere = br##"{"channel":"C2","ts":"1.2","named":"#old"}"##;
    let http = FakeHttp::answering(200, POSTED);
    assert!(!send(&http, &living(elsewhere)).unwrap().updated_in_place, "the config names another channel now");
    assert_eq!(http.requests()[0].url, "https://slack.com/api/chat.postMessage");
}

#[test]
fn a_change_that_fails_for_another_reason_is_tried_again() {
    let http = FakeHttp::answering(200, r#"{"ok":false,"error":"ratelimited"}"#);
    assert_eq!(send(&http, &living(RECEIPT)).unwrap_err().kind, FailureKind::RateLimited);
    assert_eq!(http.requests().len(), 1);
}

#[test]
fn what_another_sender_could_not_tell_says_so_first_and_cannot_mention() {
    let mut told = notification(vec![group("disk full", 3)]);
    told.reason = "escalated".into();
    told.extra =
        json!({"escalated_from": {"sender": "hook", "code": "x", "error": "sender hook: <!channel>"}}).to_string();
    let text = text_of(&told);
    assert!(text.starts_with("Escalated: sender hook: &lt;!channel&gt;\nMessage "), "{text}");
}
