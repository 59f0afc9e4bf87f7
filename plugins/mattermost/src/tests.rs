//! What Mattermost gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, json, notification, updating};
use mag_plugin_sdk::{FailureKind, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const BOT: &str =
    r#"{"url":"https://chat.example/","channel_id":"abcdefghijklmnopqrstuvwxyz","secrets":{"token":"PLACEHOLDER"}}"#;
const WEBHOOK: &str = r#"{"secrets":{"url":"https://chat.example/PLACEHOLDER"}}"#;
const POST: &str = r#"{"id":"8xk4z1","channel_id":"abcdefghijklmnopqrstuvwxyz","message":"x"}"#;
const RECEIPT: &[u8] = br#"{"at":"abcdefghijklmnopqrstuvwxyz","id":"8xk4z1"}"#;

fn send(config: &str, http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Mattermost>(config, b"", notification, http, NOW)
}

fn error(id: &str, status: u16) -> String {
    json!({ "id": id, "message": "No.", "detailed_error": "", "request_id": "x", "status_code": status }).to_string()
}

#[test]
fn a_bot_posts_and_edits() {
    let http = FakeHttp::answering(201, POST);
    let told = send(BOT, &http, &notification(vec![group("disk `full`", 30)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://chat.example/api/v4/posts"));
    assert_eq!(request.header_value("authorization"), Some("Bearer PLACEHOLDER"));
    let message = "Message `\"disk ˋfullˋ\"` was repeated **30** time(s).";
    assert_eq!(json(&request), json!({ "channel_id": "abcdefghijklmnopqrstuvwxyz", "message": message }));
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));

    let http = FakeHttp::answering(200, POST);
    assert!(send(BOT, &http, &updating(RECEIPT)).unwrap().updated_in_place);
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("PUT", "https://chat.example/api/v4/posts/8xk4z1/patch")
    );
}

#[test]
fn a_post_that_is_gone_is_posted_anew() {
    for (status, id) in
        [(404, "app.post.get.app_error"), (400, "api.post.update_post.permissions_time_limit.app_error")]
    {
        let http = FakeHttp::new([Ok(answer(status, &error(id, status))), Ok(answer(201, POST))]);
        assert!(!send(BOT, &http, &updating(RECEIPT)).unwrap().updated_in_place);
    }
    let http = FakeHttp::answering(403, &error("api.context.permissions.app_error", 403));
    assert_eq!(send(BOT, &http, &updating(RECEIPT)).unwrap_err().kind, FailureKind::Misconfigured);
}

#[test]
fn a_webhook_gets_the_text_alone() {
    let http = FakeHttp::answering(200, "ok");
    let told = send(WEBHOOK, &http, &updating(RECEIPT)).unwrap();
    assert_eq!((told.receipt, told.updated_in_place), (None, false));
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://chat.example/PLACEHOLDER"));
    assert_eq!(json(&request), json!({ "text": "Message `\"disk full\"` was repeated **31** time(s)." }));
}

#[test]
fn each_answer_means_what_mattermost_documents() {
    for (status, id, kind) in [
        (401, "api.context.session_expired.app_error", FailureKind::Misconfigured),
        (403, "api.context.permissions.app_error", FailureKind::Misconfigured),
        (400, "api.post.create_post.can_not_post_to_deleted.error", FailureKind::Misconfigured),
        (400, "api.context.invalid_body_param.app_error", FailureKind::Permanent),
        (500, "app.post.save.app_error", FailureKind::Retry),
    ] {
        let failure = send(BOT, &FakeHttp::answering(status, &error(id, status)), &notification(vec![group("a", 1)]))
            .unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (kind, id));
    }
    // The documentation shows seconds and, in its other example, Unix time. Every answer has the header.
    let unix = (NOW / 1_000 + 7).to_string();
    for (status, reset, kind, after_ms) in [
        (429, "3", FailureKind::RateLimited, Some(3_000)),
        (429, unix.as_str(), FailureKind::RateLimited, Some(7_000)),
        (503, "1", FailureKind::Retry, None),
    ] {
        let headers = vec![("X-Ratelimit-Reset".to_owned(), reset.to_owned())];
        let limited = Response { headers, ..answer(status, "limit exceeded") };
        let failure = send(BOT, &FakeHttp::new([Ok(limited)]), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (kind, after_ms), "{status} {reset}");
    }
}

#[test]
fn a_webhook_that_was_deleted_or_is_switched_off_needs_a_person() {
    for (status, id) in [
        (400, "web.incoming_webhook.invalid.app_error"),
        (501, "web.incoming_webhook.disabled.app_error"),
        (403, "web.incoming_webhook.permissions.app_error"),
    ] {
        let http = FakeHttp::answering(status, &error(id, status));
        assert_eq!(send(WEBHOOK, &http, &updating(RECEIPT)).unwrap_err().kind, FailureKind::Misconfigured, "{id}");
    }
}

#[test]
fn the_longest_text_fits() {
    let http = FakeHttp::answering(201, POST);
    send(BOT, &http, &notification(vec![group(&"\u{e0001}`".repeat(20_000), 3)])).unwrap();
    let told = json(&http.requests()[0])["message"].as_str().unwrap().encode_utf16().count();
    assert!((10_000..=16_383).contains(&told), "{told}");
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Code, |all| {
        let http = FakeHttp::answering(201, POST);
        send(BOT, &http, all).unwrap();
        vec![json(&http.requests()[0])["message"].as_str().unwrap().to_owned()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        ("{}", vec!["/url"]),
        (r#"{"url":"chat.example","channel_id":"x","secrets":{"token":"P"}}"#, vec!["/url", "/channel_id"]),
        (r#"{"secrets":{"token":"P"}}"#, vec!["/url", "/channel_id"]),
        (r#"{"channel_id":"x","secrets":{"url":"https://chat.example/P"}}"#, vec!["/channel_id"]),
        (r#"{"channel":""}"#, vec!["/channel"]),
    ] {
        let mistakes = adapter::validate::<Mattermost>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    for config in [BOT, WEBHOOK] {
        assert_eq!(adapter::validate::<Mattermost>(config).unwrap()[0].origin, "https://chat.example");
    }
}
