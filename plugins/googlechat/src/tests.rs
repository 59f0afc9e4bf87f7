//! What Google Chat gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, check_nothing_acts, group, json, notification};
use mag_plugin_sdk::{FailureKind, Group, Link, Severity, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"threads":true,"secrets":{"url":"https://chat.googleapis.com/PLACEHOLDER"}}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<GoogleChat>(CONFIG, b"", notification, http, NOW)
}

fn posted(notification: &Notification) -> Value {
    let http = FakeHttp::answering(200, "{}");
    send(&http, notification).unwrap();
    json(&http.requests()[0])
}

fn text(message: &Value) -> String {
    message["cardsV2"][0]["card"]["sections"][0]["widgets"][0]["textParagraph"]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_group_is_a_card_in_its_own_thread() {
    let http = FakeHttp::answering(200, "{}");
    let link = Link { rel: "group".into(), title: "this group".into(), url: "https://mag.example/g".into() };
    let told = Group { severity: Some(Severity::Error), ..group("disk <full>", 30) };
    send(&http, &Notification { links: vec![link], ..notification(vec![told]) }).unwrap();
    let [request] = http.requests().try_into().unwrap();
    let url = "https://chat.googleapis.com/PLACEHOLDER?messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD";
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", url));
    let text =
        "ERROR Message <font color=\"#5f6368\">&quot;disk &lt;full&gt;&quot;</font> was repeated <b>30</b> time(s).";
    let open = json!({ "openLink": { "url": "https://mag.example/g" } });
    let widgets = json!([
        { "textParagraph": { "text": text } },
        { "buttonList": { "buttons": [{ "text": "this group", "onClick": open }] } },
    ]);
    let card = json!({ "header": { "title": "ERROR: 30 messages" }, "sections": [{ "widgets": widgets }] });
    assert_eq!(
        json(&request),
        json!({
            "fallbackText": "ERROR: 30 messages", "cardsV2": [{ "cardId": "mag", "card": card }],
            "thread": { "threadKey": "00c0ffee00c0ffee" },
        })
    );
}

#[test]
fn a_digest_has_no_thread_and_fits_into_32000_bytes() {
    let raw = "\"\\<\u{e0001}ü".repeat(5_000);
    let many = notification((1..=100).map(|n| group(&raw, n)).collect());
    let http = FakeHttp::answering(200, "{}");
    send(&http, &many).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(request.url, "https://chat.googleapis.com/PLACEHOLDER");
    assert!((18_000..=32_000).contains(&request.body.len()), "{}", request.body.len());
    assert!(text(&json(&request)).contains(" more groups, ") && json(&request)["thread"].is_null());
}

#[test]
fn each_answer_means_what_google_documents() {
    for (status, word, kind) in [
        (429, "RESOURCE_EXHAUSTED", FailureKind::RateLimited),
        (401, "UNAUTHENTICATED", FailureKind::Misconfigured),
        (403, "PERMISSION_DENIED", FailureKind::Misconfigured),
        (404, "NOT_FOUND", FailureKind::Misconfigured),
        (400, "INVALID_ARGUMENT", FailureKind::Permanent),
        (503, "UNAVAILABLE", FailureKind::Retry),
    ] {
        let body = json!({ "error": { "code": status, "message": "No.", "status": word } }).to_string();
        let failure = send(&FakeHttp::answering(status, &body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (kind, word));
    }
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Html, |all| {
        let message = posted(all);
        let text = text(&message).replace("<br>", "\n");
        let text = text.replace("<font color=\"#5f6368\">", "<code>").replace("</font>", "</code>");
        vec![text, message["fallbackText"].as_str().unwrap().to_owned()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointer) in [("{}", "/url"), (r#"{"url":"x"}"#, "/url"), (r#"{"thread":true}"#, "/thread")] {
        let mistakes = adapter::validate::<GoogleChat>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
    assert_eq!(adapter::validate::<GoogleChat>(CONFIG).unwrap()[0].origin, "https://chat.googleapis.com");
}
