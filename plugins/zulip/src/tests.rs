//! What Zulip gets, and what each of its answers means.

use mag_plugin_sdk::adapter;
use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, form, group, notification, updating};
use serde_json::json;

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"url":"https://zulip.example/","email":"mag-bot@zulip.example","channel":"ops","secrets":{"api_key":"PLACEHOLDER"}}"#;
const SENT: &str = r#"{"id":42,"msg":"","result":"success"}"#;
const RECEIPT: &[u8] = br#"{"at":"ops","id":"42"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Zulip>(CONFIG, b"", notification, http, NOW)
}

fn refusal(code: &str, msg: &str) -> String {
    json!({ "result": "error", "code": code, "msg": msg }).to_string()
}

#[test]
fn a_message_goes_to_a_topic_of_a_channel() {
    let http = FakeHttp::answering(200, SENT);
    let told = send(&http, &notification(vec![group("disk `full`", 30)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://zulip.example/api/v1/messages"));
    assert_eq!(request.header_value("mag-basic"), Some("mag-bot@zulip.example; secret=api_key"));
    let fields = [
        ("type", "stream"),
        ("to", "ops"),
        ("content", "Message `\"disk ˋfullˋ\"` was repeated **30** time(s)."),
        ("topic", "team"),
    ];
    assert_eq!(form(&request), fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));
}

#[test]
fn people_are_told_together() {
    let config = r#"{"url":"https://zulip.example","email":"m@z.example","people":["ann@z.example","bob@z.example"]}"#;
    let http = FakeHttp::answering(200, SENT);
    adapter::send::<Zulip>(config, b"", &notification(vec![group("a", 1)]), &http, NOW).unwrap();
    let fields = form(&http.requests()[0]);
    assert_eq!(fields[0].1, "private");
    assert_eq!(fields[1].1, r#"["ann@z.example","bob@z.example"]"#);
    assert_eq!(fields.len(), 3);
}

#[test]
fn a_living_message_is_edited_and_sent_anew_when_it_cannot_be() {
    let http = FakeHttp::answering(200, r#"{"msg":"","result":"success"}"#);
    assert!(send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let [request] = http.requests().try_into().unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("PATCH", "https://zulip.example/api/v1/messages/42"));
    // The sentences are in the bot's language.
    for said in ["Invalid message(s)", "The time limit for editing this message has passed", "Ungültige Nachricht(en)"]
    {
        let http = FakeHttp::new([Ok(answer(400, &refusal("BAD_REQUEST", said))), Ok(answer(200, SENT))]);
        assert!(!send(&http, &updating(RECEIPT)).unwrap().updated_in_place, "{said}");
    }
}

#[test]
fn each_answer_means_what_zulip_documents() {
    let limited = r#"{"code":"RATE_LIMIT_HIT","msg":"API usage exceeded rate limit","result":"error","retry-after":28.706807374954224}"#;
    for (status, body, kind, after_ms) in [
        (429, limited.to_owned(), FailureKind::RateLimited, Some(28_706)),
        (401, refusal("UNAUTHORIZED", "Invalid API key"), FailureKind::Misconfigured, None),
        (400, refusal("STREAM_DOES_NOT_EXIST", "Channel 'ops' does not exist"), FailureKind::Misconfigured, None),
        (400, refusal("BAD_REQUEST", "Invalid email 'ann@zulip.example'"), FailureKind::Misconfigured, None),
        (400, refusal("BAD_REQUEST", "Message must not be empty"), FailureKind::Permanent, None),
        (500, String::new(), FailureKind::Retry, None),
    ] {
        let failure = send(&FakeHttp::answering(status, &body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (kind, after_ms), "{body}");
    }
}

#[test]
fn the_longest_text_fits() {
    let http = FakeHttp::answering(200, SENT);
    send(&http, &notification(vec![group(&"\u{200b}`".repeat(20_000), 3)])).unwrap();
    let told = form(&http.requests()[0])[2].1.encode_utf16().count();
    assert!((6_000..=10_000).contains(&told), "{told}");
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Code, |all| {
        let http = FakeHttp::answering(200, SENT);
        send(&http, all).unwrap();
        let fields = form(&http.requests()[0]);
        assert_eq!(
            fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["type", "to", "content", "topic"]
        );
        vec![fields[2].1.clone()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        (r#"{"url":"z.example","email":"x"}"#, vec!["/url", "/email", "/channel"]),
        (r#"{"url":"https://z.example","email":"a@b","channel":"x","people":["y"]}"#, vec!["/channel", "/people/0"]),
        (r#"{"url":"https://z.example","email":"a@b","channel":"x","topic":""}"#, vec!["/topic"]),
    ] {
        let mistakes = adapter::validate::<Zulip>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    assert_eq!(adapter::validate::<Zulip>(CONFIG).unwrap()[0].origin, "https://zulip.example");
}
