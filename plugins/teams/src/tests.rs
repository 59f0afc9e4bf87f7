//! What a Teams workflow gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, check_nothing_acts, group, json, notification};
use mag_plugin_sdk::{FailureKind, Group, Link, Severity, adapter};

use super::*;

const NOW: u64 = 784_111_777_000;
const CONFIG: &str = r#"{"secrets":{"url":"https://prod-01.westeurope.logic.azure.com/PLACEHOLDER"}}"#;

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Teams>(CONFIG, b"", notification, http, NOW)
}

fn card(notification: &Notification) -> Value {
    let http = FakeHttp::answering(202, "");
    send(&http, notification).unwrap();
    json(&http.requests()[0])["attachments"][0]["content"].clone()
}

/// The texts of all runs.
fn texts(card: &Value) -> Vec<String> {
    let blocks = card["body"].as_array().unwrap();
    blocks.iter().map(|block| block["inlines"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_message_is_an_adaptive_card_of_text_runs() {
    let http = FakeHttp::answering(202, "");
    let link = Link { rel: "group".into(), title: "this group".into(), url: "https://mag.example/g".into() };
    let groups = vec![Group { severity: Some(Severity::Error), ..group("**disk** full", 30) }];
    send(&http, &Notification { links: vec![link], ..notification(groups) }).unwrap();
    let [request] = http.requests().try_into().unwrap();
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("POST", "https://prod-01.westeurope.logic.azure.com/PLACEHOLDER")
    );
    let title = json!({ "type": "TextRun", "text": "**disk** full", "weight": "bolder", "size": "medium", "color": "attention" });
    let line = json!({ "type": "TextRun", "text": "ERROR Message \"**disk** full\" was repeated 30 time(s)." });
    let content = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "msteams": { "width": "Full" },
        "body": [{ "type": "RichTextBlock", "inlines": [title] }, { "type": "RichTextBlock", "inlines": [line] }],
        "actions": [{ "type": "Action.OpenUrl", "title": "this group", "url": "https://mag.example/g" }],
    });
    let kind = "application/vnd.microsoft.card.adaptive";
    assert_eq!(
        json(&request),
        json!({ "type": "message", "attachments": [{ "contentType": kind, "contentUrl": null, "content": content }] })
    );
}

#[test]
fn the_largest_digest_fits_into_28_kilobytes() {
    let raw = "\"\\\u{e0001}ü".repeat(5_000);
    let mut many = notification((1..=50).map(|n| group(&raw, n)).collect());
    (many.title, many.omitted_groups, many.omitted_messages) = (raw.clone(), 3, 9);
    many.links =
        vec![Link { rel: "group".into(), title: raw, url: format!("https://mag.example/{}", "x".repeat(500)) }; 5];
    let http = FakeHttp::answering(202, "");
    send(&http, &many).unwrap();
    let size = http.requests()[0].body.len();
    assert!((12_000..=28_000).contains(&size), "{size}");
    assert!(texts(&card(&many)).last().unwrap().contains(" more groups, "));
}

#[test]
fn each_answer_means_what_teams_documents() {
    for (status, body, kind) in [
        (429, r#"{"error":{"code":"TooManyRequests","message":"Rate limit is exceeded."}}"#, FailureKind::RateLimited),
        (
            401,
            r#"{"error":{"code":"DirectApiAuthorizationRequired","message":"The request must be authenticated."}}"#,
            FailureKind::Misconfigured,
        ),
        (
            404,
            r#"{"error":{"code":"WorkflowNotFound","message":"The workflow was not found."}}"#,
            FailureKind::Misconfigured,
        ),
        (
            400,
            r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"… with state 'Disabled': trigger is not enabled."}}"#,
            FailureKind::Misconfigured,
        ),
        (
            400,
            r#"{"error":{"code":"TriggerInputSchemaMismatch","message":"The input body does not match."}}"#,
            FailureKind::Misconfigured,
        ),
        (400, r#"{"error":{"code":"InvalidRequestContent","message":"No."}}"#, FailureKind::Permanent),
        (502, "", FailureKind::Retry),
    ] {
        let failure = send(&FakeHttp::answering(status, body), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!(failure.kind, kind, "{status}");
        assert!(body.is_empty() || failure.message.starts_with("teams says "), "{}", failure.message);
    }
}

#[test]
fn no_text_can_hide_anything_or_add_a_line() {
    check_nothing_acts(Shown::Plain, |all| {
        let card = card(all);
        assert!(card["body"].as_array().unwrap().iter().all(|block| block["inlines"][0]["type"] == "TextRun"));
        vec![texts(&card).join("\n")]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointer) in [("{}", "/url"), (r#"{"url":"x"}"#, "/url"), (r#"{"webhook":"x"}"#, "/webhook")] {
        let mistakes = adapter::validate::<Teams>(config).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{config}");
    }
    assert_eq!(adapter::validate::<Teams>(CONFIG).unwrap()[0].origin, "https://prod-01.westeurope.logic.azure.com");
}
