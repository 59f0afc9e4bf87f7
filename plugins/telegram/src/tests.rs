//! What Telegram gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, json, notification, updating};
use mag_plugin_sdk::{Group, Severity, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"chat_id":-1001,"silent":true,"message_thread_id":5,"secrets":{"token":"PLACEHOLDER"}}"#;
const SENT: &str = r#"{"ok":true,"result":{"message_id":42,"date":1,"chat":{"id":-1001,"type":"supergroup"}}}"#;
const RECEIPT: &[u8] = br#"{"at":"-1001","id":"42"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Telegram>(CONFIG, b"", notification, http, NOW)
}

fn refusal(code: u16, description: &str) -> String {
    json!({ "ok": false, "error_code": code, "description": description }).to_string()
}

#[test]
fn a_message_is_sent_with_documented_arguments() {
    let http = FakeHttp::answering(200, SENT);
    let told = send(&http, &notification(vec![group("disk <full>", 30)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://api.telegram.org/botPLACEHOLDER/sendMessage")
    );
    let text = "Message <code>&quot;disk &lt;full&gt;&quot;</code> was repeated <b>30</b> time(s).";
    assert_eq!(
        json(&request),
        json!({
            "chat_id": "-1001", "text": text, "parse_mode": "HTML", "link_preview_options": { "is_disabled": true },
            "message_thread_id": 5, "disable_notification": true,
        })
    );
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));
}

#[test]
fn what_is_at_least_a_warning_makes_a_sound() {
    let http = FakeHttp::answering(200, SENT);
    send(&http, &notification(vec![Group { severity: Some(Severity::Warning), ..group("a", 1) }])).unwrap();
    assert_eq!(json(&http.requests()[0])["disable_notification"], Value::Null);
}

#[test]
fn a_living_message_is_edited_and_sent_anew_when_it_is_gone() {
    let http = FakeHttp::answering(200, SENT);
    assert!(send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let [request] = http.requests().try_into().unwrap();
    assert!(request.url.ends_with("/editMessageText"));
    assert_eq!(json(&request)["message_id"], json!(42));
    let same = refusal(400, "Bad Request: message is not modified: specified new message content is the same");
    assert!(send(&FakeHttp::answering(400, &same), &updating(RECEIPT)).unwrap().updated_in_place);
    let gone = answer(400, &refusal(400, "Bad Request: message to edit not found"));
    let http = FakeHttp::new([Ok(gone), Ok(answer(200, SENT))]);
    assert!(!send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
}

#[test]
fn a_group_that_has_moved_is_told_at_its_new_place() {
    let moved = r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1009}}"#;
    let http = FakeHttp::new([Ok(answer(400, moved)), Ok(answer(200, SENT))]);
    send(&http, &notification(vec![group("a", 1)])).unwrap();
    assert_eq!(json(&http.requests()[1])["chat_id"], json!(-1009));
}

#[test]
fn each_answer_means_what_telegram_documents() {
    let pause = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 17","parameters":{"retry_after":17}}"#;
    for (status, body, kind, after_ms) in [
        (429, pause.to_owned(), FailureKind::RateLimited, Some(17_000)),
        (401, refusal(401, "Unauthorized"), FailureKind::Misconfigured, None),
        (404, refusal(404, "Not Found"), FailureKind::Misconfigured, None),
        (403, refusal(403, "Forbidden: bot was kicked from the group chat"), FailureKind::Misconfigured, None),
        (400, refusal(400, "Bad Request: chat not found"), FailureKind::Misconfigured, None),
        (400, refusal(400, "Bad Request: TOPIC_CLOSED"), FailureKind::Misconfigured, None),
        (400, refusal(400, "Bad Request: message is too long"), FailureKind::Permanent, None),
        (500, refusal(500, "Internal Server Error"), FailureKind::Retry, None),
    ] {
        let failure = send(&FakeHttp::answering(status, &body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (kind, after_ms), "{body}");
        assert!(failure.message.starts_with("telegram says "), "{}", failure.message);
    }
}

#[test]
fn the_longest_text_fits() {
    let http = FakeHttp::answering(200, SENT);
    send(&http, &notification(vec![group(&"<&\"".repeat(20_000), 3)])).unwrap();
    let text = json(&http.requests()[0])["text"].as_str().unwrap().to_owned();
    assert!((3_000..=4_096).contains(&text.encode_utf16().count()) && text.ends_with("time(s)."), "{text}");
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Html, |all| {
        let http = FakeHttp::answering(200, SENT);
        send(&http, all).unwrap();
        vec![json(&http.requests()[0])["text"].as_str().unwrap().to_owned()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointer) in [
        (r#"{"chat_id":""}"#, "/chat_id"),
        (r#"{"chat_id":0}"#, "/chat_id"),
        (r#"{"chat_id":"channel"}"#, "/chat_id"),
        (r#"{"chat_id":"@ops","api_url":"api.telegram.org"}"#, "/api_url"),
        (r#"{"chat_id":"@ops","chat":1}"#, "/chat"),
    ] {
        let mistakes = adapter::validate::<Telegram>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
    assert_eq!(adapter::validate::<Telegram>(CONFIG).unwrap()[0].origin, "https://api.telegram.org");
}
