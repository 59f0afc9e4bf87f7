//! What a homeserver gets, and what each of its answers means.

use mag_plugin_sdk::adapter;
use mag_plugin_sdk::testing::{
    FakeHttp, Shown, answer, check_nothing_acts, group, group_by_time, json, notification, updating,
};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str =
    r#"{"url":"https://matrix.example/","room":"!abc:matrix.example","secrets":{"token":"PLACEHOLDER"}}"#;
const SENT: &str = r#"{"event_id":"$YUwRidLecu:example.com"}"#;
const RECEIPT: &[u8] = br#"{"at":"!abc:matrix.example","id":"$YUwRidLecu:example.com"}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Matrix>(CONFIG, b"", notification, http, NOW)
}

#[test]
fn a_message_is_an_event_whose_transaction_is_the_notification() {
    let http = FakeHttp::answering(200, SENT);
    let told = send(&http, &notification(vec![group("disk <full>", 30), group_by_time("b", 2)])).unwrap();
    let [request] = http.requests().try_into().unwrap();
    let path =
        "_matrix/client/v3/rooms/%21abc%3Amatrix.example/send/m.room.message/0193c2f0-7d11-7000-8000-00000000002a";
    assert_eq!((request.method.as_str(), request.url), ("PUT", format!("https://matrix.example/{path}")));
    assert_eq!(
        json(&http.requests()[0]),
        json!({
            "msgtype": "m.text", "format": "org.matrix.custom.html", "m.mentions": {},
            "body": "Message \"disk <full>\" was repeated 30 time(s).\nMessage \"b\" was repeated 2 time(s) for last 30 seconds.",
            "formatted_body": "Message <code>&quot;disk &lt;full&gt;&quot;</code> was repeated <b>30</b> time(s).<br>\
                               Message <code>&quot;b&quot;</code> was repeated <b>2</b> time(s) for last 30 seconds.",
        })
    );
    assert_eq!(told.receipt.as_deref(), Some(RECEIPT));
}

#[test]
fn a_living_message_is_replaced_and_keeps_its_first_event() {
    let http = FakeHttp::answering(200, r#"{"event_id":"$edit"}"#);
    let told = send(&http, &updating(RECEIPT)).unwrap();
    assert_eq!((told.updated_in_place, told.receipt.as_deref()), (true, Some(RECEIPT)));
    let body = json(&http.requests()[0]);
    assert_eq!(body["m.relates_to"], json!({ "rel_type": "m.replace", "event_id": "$YUwRidLecu:example.com" }));
    assert_eq!(body["m.new_content"]["body"], "Message \"disk full\" was repeated 31 time(s).");
    assert_eq!((&body["m.mentions"], &body["m.new_content"]["m.mentions"]), (&json!({}), &json!({})));
}

#[test]
fn a_message_that_the_homeserver_does_not_know_is_sent_anew_as_another_transaction() {
    let unknown = r#"{"errcode":"M_UNKNOWN","error":"Can't send relation to unknown event"}"#;
    let http = FakeHttp::new([Ok(answer(400, unknown)), Ok(answer(200, SENT))]);
    assert!(!send(&http, &updating(RECEIPT)).unwrap().updated_in_place);
    let [edit, post] = http.requests().try_into().unwrap();
    assert!(edit.url.ends_with("-edit") && !post.url.ends_with("-edit"), "{} {}", edit.url, post.url);
}

#[test]
fn each_answer_means_what_the_specification_says() {
    for (status, body, kind, after_ms) in [
        (
            429,
            r#"{"errcode":"M_LIMIT_EXCEEDED","error":"Too many requests","retry_after_ms":2500}"#,
            FailureKind::RateLimited,
            Some(2_500),
        ),
        (401, r#"{"errcode":"M_UNKNOWN_TOKEN","error":"Unrecognised access token"}"#, FailureKind::Misconfigured, None),
        (403, r#"{"errcode":"M_FORBIDDEN","error":"User not in room"}"#, FailureKind::Misconfigured, None),
        (413, r#"{"errcode":"M_TOO_LARGE","error":"event too large"}"#, FailureKind::Permanent, None),
        (500, r#"{"errcode":"M_UNKNOWN","error":"Internal server error"}"#, FailureKind::Retry, None),
    ] {
        let failure = send(&FakeHttp::answering(status, body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (kind, after_ms), "{status}");
        assert!(failure.code.starts_with("M_"), "{}", failure.code);
    }
}

#[test]
fn the_largest_edit_fits_into_an_event() {
    let text = "\"<&\u{e0001}".repeat(20_000);
    let http = FakeHttp::answering(200, SENT);
    send(&http, &Notification { groups: vec![group(&text, 3)], ..updating(RECEIPT) }).unwrap();
    let size = http.requests()[0].body.len();
    assert!((30_000..64_000).contains(&size), "{size}");
}

#[test]
fn no_text_can_mention_link_or_be_markup() {
    check_nothing_acts(Shown::Html, |all| {
        let http = FakeHttp::answering(200, SENT);
        send(&http, all).unwrap();
        let body = json(&http.requests()[0]);
        assert_eq!(body["m.mentions"], json!({}));
        vec![body["formatted_body"].as_str().unwrap().replace("<br>", "\n")]
    });
    check_nothing_acts(Shown::Plain, |all| {
        let http = FakeHttp::answering(200, SENT);
        send(&http, all).unwrap();
        vec![json(&http.requests()[0])["body"].as_str().unwrap().to_owned()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        (r##"{"url":"matrix.example","room":"#ops:matrix.example"}"##, vec!["/url", "/room"]),
        (r#"{"url":"https://matrix.example","room":"!a:b","rooms":[]}"#, vec!["/rooms"]),
    ] {
        let mistakes = adapter::validate::<Matrix>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    assert_eq!(adapter::validate::<Matrix>(CONFIG).unwrap()[0].origin, "https://matrix.example");
}
