//! What Rocket.Chat gets, and what each of its answers means.

use mag_plugin_sdk::adapter;
use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, json, notification, updating};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r##"{"url":"https://chat.example","channel":"#ops","user_id":"aobEdbYhXfu5hkeqG","secrets":{"token":"PLACEHOLDER"}}"##;
const POSTED: &str =
    r#"{"ts":1481748965123,"channel":"ops","message":{"_id":"jC9ch","rid":"GENERAL","msg":"x"},"success":true}"#;
const RECEIPT: &[u8] = br##"{"at":"#ops","id":"jC9ch GENERAL"}"##;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<RocketChat>(CONFIG, b"", notification, http, NOW)
}

fn refusal(error: &str, kind: &str) -> String {
    json!({ "success": false, "error": error, "errorType": kind }).to_string()
}

#[test]
fn a_message_is_posted_with_documented_arguments() {
    let http = FakeHttp::answering(200, POSTED);
    let told = send(&http, &notification(vec![group("disk full, @all", 30)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://chat.example/api/v1/chat.postMessage")
    );
    assert_eq!(request.header_value("x-auth-token"), Some("PLACEHOLDER"));
    assert_eq!(request.header_value("x-user-id"), Some("aobEdbYhXfu5hkeqG"));
    let text = "Message `\"disk full, ＠all\"` was repeated *30* time(s).";
    assert_eq!(json(&request), json!({ "channel": "#ops", "text": text, "parseUrls": false }));
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));
}

#[test]
fn a_living_message_is_updated_and_posted_anew_when_it_is_gone() {
    let http = FakeHttp::answering(200, POSTED);
    assert!(send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let body = json(&http.requests()[0]);
    assert_eq!(
        (&body["roomId"], &body["msgId"], &body["previewUrls"]),
        (&json!("GENERAL"), &json!("jC9ch"), &json!([]))
    );
    let gone = answer(400, &refusal("No message found with the id of \"jC9ch\".", ""));
    let http = FakeHttp::new([Ok(gone), Ok(answer(200, POSTED))]);
    assert!(!send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let moved = answer(400, &refusal("The room id provided does not match where the message is from.", ""));
    let http = FakeHttp::new([Ok(moved), Ok(answer(200, POSTED))]);
    assert!(!send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
}

/// Rocket.Chat 7.4 knows no `parseUrls`, and since then what is not known is refused.
#[test]
fn a_server_that_knows_no_switch_for_previews_is_asked_without_it() {
    let said = "must NOT have additional properties\n must match exactly one schema in oneOf [invalid-params]";
    let unknown = || Ok(answer(400, &refusal(said, "invalid-params")));
    let http = FakeHttp::new([unknown(), Ok(answer(200, POSTED))]);
    assert_eq!(send(&http, &notification(vec![group("a", 1)])).unwrap().receipt.as_deref(), Some(RECEIPT));
    let [_, second] = http.requests().try_into().unwrap();
    assert_eq!(json(&second), json!({ "channel": "#ops", "text": "Message `\"a\"` was repeated *1* time(s)." }));

    let http = FakeHttp::new([unknown(), Ok(answer(200, POSTED))]);
    assert!(send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let body = json(&http.requests()[1]);
    assert_eq!((&body["msgId"], &body["previewUrls"]), (&json!("jC9ch"), &Value::Null));

    let http = FakeHttp::new([unknown(), unknown()]);
    assert_eq!(send(&http, &notification(vec![group("a", 1)])).unwrap_err().kind, FailureKind::Permanent);
}

#[test]
fn each_answer_means_what_rocket_chat_documents() {
    for (status, body, kind) in [
        (
            401,
            r#"{"status":"error","message":"You must be logged in to do this."}"#.to_owned(),
            FailureKind::Misconfigured,
        ),
        (400, refusal("[invalid-channel]", "invalid-channel"), FailureKind::Misconfigured),
        (400, refusal("You_have_been_muted", ""), FailureKind::Misconfigured),
        (400, refusal("room_is_blocked", ""), FailureKind::Misconfigured),
        (400, refusal("Body param text is wrong", "error-invalid-params"), FailureKind::Permanent),
        (500, String::new(), FailureKind::Retry),
    ] {
        let failure = send(&FakeHttp::answering(status, &body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!(failure.kind, kind, "{body}");
    }
    let headers = vec![("x-ratelimit-reset".to_owned(), (NOW + 50_000).to_string())];
    let said = refusal("Error, too many requests. Please slow down. [error-too-many-requests]", "");
    let limited = Response { headers, ..answer(429, &said) };
    let failure = send(&FakeHttp::new([Ok(limited)]), &notification(vec![group("a", 1)])).unwrap_err();
    assert_eq!((failure.kind, failure.after_ms), (FailureKind::RateLimited, Some(50_000)));
}

#[test]
fn the_longest_text_fits() {
    let http = FakeHttp::answering(200, POSTED);
    send(&http, &notification(vec![group(&"@🦀".repeat(20_000), 3)])).unwrap();
    let told = json(&http.requests()[0])["text"].as_str().unwrap().encode_utf16().count();
    assert!((3_000..=5_000).contains(&told), "{told}");
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Code, |all| {
        let http = FakeHttp::answering(200, POSTED);
        send(&http, all).unwrap();
        let text = json(&http.requests()[0])["text"].as_str().unwrap().to_owned();
        assert!(!text.contains('@'), "{text}");
        vec![text]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        (r#"{"url":"chat.example","channel":"","user_id":"a b"}"#, vec!["/url", "/channel", "/user_id"]),
        (r##"{"url":"https://chat.example","channel":"#ops"}"##, vec![""]),
    ] {
        let mistakes = adapter::validate::<RocketChat>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    assert_eq!(adapter::validate::<RocketChat>(CONFIG).unwrap()[0].origin, "https://chat.example");
}
