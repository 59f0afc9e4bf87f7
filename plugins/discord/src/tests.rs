//! What Discord gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, group, json, notification, updating};
use mag_plugin_sdk::{FailureKind, Group, Severity, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"thread_id":"77","secrets":{"url":"https://discord.com/PLACEHOLDER"}}"#;
const MESSAGE: &str = r#"{"id":"1100000000000000001","channel_id":"5","type":0,"content":"","embeds":[]}"#;
const RECEIPT: &[u8] = br#"{"at":"77","id":"1100000000000000001"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Discord>(CONFIG, b"", notification, http, NOW)
}

#[test]
fn a_message_is_an_embed_that_mentions_nobody() {
    let http = FakeHttp::answering(200, MESSAGE);
    let told =
        send(&http, &notification(vec![Group { severity: Some(Severity::Error), ..group("disk full", 30) }])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(request.url, "https://discord.com/PLACEHOLDER?wait=true&thread_id=77");
    let description = "Message `\"disk full\"` was repeated **30** time(s).";
    let embed = json!({
        "title": "ERROR: 30 messages", "description": description, "color": 0xd9_3f_3f,
        "timestamp": "1994-11-06T08:50:07.005Z",
    });
    assert_eq!(json(&request), json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } }));
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));
}

#[test]
fn a_living_message_is_edited_and_posted_anew_when_it_was_deleted() {
    let http = FakeHttp::answering(200, MESSAGE);
    assert!(send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(request.method, "PATCH");
    assert_eq!(request.url, "https://discord.com/PLACEHOLDER/messages/1100000000000000001?thread_id=77");

    let gone = answer(404, r#"{"message":"Unknown Message","code":10008}"#);
    let http = FakeHttp::new([Ok(gone), Ok(answer(200, MESSAGE))]);
    let told = send(&http, &updating(RECEIPT)).unwrap();
    assert_eq!((told.updated_in_place, told.receipt.as_deref()), (false, Some(RECEIPT)));
}

#[test]
fn each_answer_means_what_discord_documents() {
    for (status, body, kind, code, after_ms) in [
        (
            429,
            r#"{"message":"You are being rate limited.","retry_after":1.337,"global":false}"#,
            FailureKind::RateLimited,
            "429",
            Some(1_337),
        ),
        (404, r#"{"message":"Unknown Webhook","code":10015}"#, FailureKind::Misconfigured, "10015", None),
        (401, r#"{"message":"Invalid Webhook Token","code":50027}"#, FailureKind::Misconfigured, "50027", None),
        (400, r#"{"message":"Invalid Form Body","code":50035,"errors":{}}"#, FailureKind::Permanent, "50035", None),
        (502, "<html>", FailureKind::Retry, "502", None),
    ] {
        let failure = send(&FakeHttp::answering(status, body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str(), failure.after_ms), (kind, code, after_ms), "{status}");
        assert!(!failure.maybe_delivered);
    }
    let failure = send(&FakeHttp::answering(404, r#"{"message":"Unknown Webhook","code":10015}"#), &updating(RECEIPT));
    assert_eq!(failure.unwrap_err().kind, FailureKind::Misconfigured);
}

#[test]
fn a_digest_of_many_long_texts_stays_within_discords_limits() {
    let many = (1..=100).map(|n| group(&"\u{202e}\"<`".repeat(1_000), n)).collect();
    let http = FakeHttp::answering(200, MESSAGE);
    send(&http, &notification(many)).unwrap();
    let embed = json(&http.requests()[0])["embeds"][0].clone();
    let of = |key: &str| embed[key].as_str().unwrap().encode_utf16().count();
    assert!(of("description") <= 4_096 && of("description") > 3_000 && of("title") <= 256);
    assert!(embed["description"].as_str().unwrap().contains(" more groups, "));
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Code, |all| {
        let http = FakeHttp::answering(200, MESSAGE);
        send(&http, all).unwrap();
        let body = json(&http.requests()[0]);
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
        ["title", "description"].map(|key| body["embeds"][0][key].as_str().unwrap().to_owned()).to_vec()
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        ("{}", vec!["/url"]),
        (r#"{"url":"example.org","thread_id":"x","username":""}"#, vec!["/url", "/thread_id", "/username"]),
        (r#"{"url":"https://discord.com/api/webhooks/1/t?wait=true"}"#, vec!["/url"]),
        (r#"{"url":"https://discord.com/api/webhooks/1/t","username":"My Discord"}"#, vec!["/username"]),
        (r#"{"ulr":""}"#, vec!["/ulr"]),
    ] {
        let mistakes = adapter::validate::<Discord>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    let [wanted] = adapter::validate::<Discord>(CONFIG).unwrap().try_into().unwrap();
    assert_eq!((wanted.origin.as_str(), wanted.methods), ("https://discord.com", vec!["POST".into(), "PATCH".into()]));
}
