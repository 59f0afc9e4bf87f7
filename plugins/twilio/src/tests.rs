//! What Twilio gets, and what each of its answers means.

use mag_plugin_sdk::testing::{FakeHttp, Shown, answer, check_nothing_acts, form, group, group_by_time, notification};
use mag_plugin_sdk::{Group, Severity, adapter};
use serde_json::json;

use super::*;

const NOW: u64 = 784_111_777_000;
const SID: &str = "AC0123456789abcdef0123456789abcdef";
const TAKEN: &str = r#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null}"#;

fn config(from: &str, to: &[&str]) -> String {
    json!({ "account_sid": SID, "from": from, "to": to, "secrets": { "auth_token": "PLACEHOLDER" } }).to_string()
}

fn send(http: &FakeHttp, notification: &Notification) -> Result<Delivered, Failure> {
    adapter::send::<Twilio>(&config("+15005550006", &["+491510000001", "+491510000002"]), b"", notification, http, NOW)
}

fn taken(n: usize) -> FakeHttp {
    FakeHttp::new((0..n).map(|_| Ok(answer(201, TAKEN))))
}

fn refusal(code: u32, status: u16) -> String {
    json!({ "code": code, "message": "No.", "more_info": "https://www.twilio.com/docs/errors/x", "status": status })
        .to_string()
}

#[test]
fn each_number_gets_a_short_message() {
    let http = taken(2);
    let told = Group { severity: Some(Severity::Critical), ..group("disk full", 30) };
    send(&http, &notification(vec![told])).unwrap();
    let [first, second] = http.requests().try_into().unwrap();
    assert_eq!(first.url, format!("https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json"));
    assert_eq!(first.header_value("mag-basic"), Some(format!("{SID}; secret=auth_token").as_str()));
    let body = "CRITICAL Message \"disk full\" was repeated 30 time(s).";
    let fields = [("To", "+491510000001"), ("From", "+15005550006"), ("Body", body)];
    assert_eq!(form(&first), fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(form(&second)[0].1, "+491510000002");
}

#[test]
fn a_messaging_service_takes_the_place_of_a_number() {
    let service = "MG0123456789abcdef0123456789abcdef";
    let http = taken(1);
    adapter::send::<Twilio>(&config(service, &["+491510000001"]), b"", &notification(vec![group("a", 1)]), &http, NOW)
        .unwrap();
    assert_eq!(form(&http.requests()[0])[1], ("MessagingServiceSid".to_owned(), service.to_owned()));
}

#[test]
fn only_who_has_not_got_it_is_told_again() {
    let http = FakeHttp::new([Ok(answer(500, "")), Ok(answer(201, TAKEN))]);
    let first = notification(vec![group("a", 1)]);
    let failure = send(&http, &first).unwrap_err();
    assert_eq!((failure.kind, failure.progress.as_deref()), (FailureKind::Retry, Some(b"01".as_slice())));
    let http = taken(1);
    send(&http, &Notification { progress: failure.progress, ..first }).unwrap();
    assert_eq!(form(&http.requests()[0])[0].1, "+491510000001");
    assert_eq!(http.requests().len(), 1);
}

#[test]
fn a_wrong_number_does_not_give_up_what_can_be_tried_again() {
    let http = FakeHttp::new([Ok(answer(400, &refusal(21_211, 400))), Ok(answer(503, ""))]);
    assert_eq!(send(&http, &notification(vec![group("a", 1)])).unwrap_err().kind, FailureKind::Retry);
}

#[test]
fn each_answer_means_what_twilio_documents() {
    for (status, code, kind) in [
        (401, 20_003, FailureKind::Misconfigured),
        (429, 20_429, FailureKind::RateLimited),
        (400, 21_211, FailureKind::Misconfigured),
        (400, 21_608, FailureKind::Misconfigured),
        (400, 21_610, FailureKind::Misconfigured),
        (400, 21_635, FailureKind::Misconfigured),
        (400, 20_005, FailureKind::Misconfigured),
        (400, 21_611, FailureKind::RateLimited),
        (400, 63_038, FailureKind::RateLimited),
        (400, 21_617, FailureKind::Permanent),
    ] {
        let refused = || Ok(answer(status, &refusal(code, status)));
        let failure = send(&FakeHttp::new([refused(), refused()]), &notification(vec![group("a", 1)])).unwrap_err();
        assert_eq!((failure.kind, failure.code), (kind, code.to_string()));
    }
}

#[test]
fn a_digest_is_the_most_important_and_a_number() {
    let http = taken(2);
    send(&http, &notification((1..=10).map(|n| group_by_time(&"long text ".repeat(20), n)).collect())).unwrap();
    let body = form(&http.requests()[0])[2].1.clone();
    assert!(
        body.chars().count() <= 320 && body.contains("was repeated 10 time(s)") && body.contains(" more groups, "),
        "{body}"
    );
}

#[test]
fn no_text_can_hide_anything_or_add_a_line_or_a_field() {
    check_nothing_acts(Shown::Plain, |all| {
        let http = taken(2);
        send(&http, all).unwrap();
        let fields = form(&http.requests()[0]);
        assert_eq!(fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["To", "From", "Body"]);
        vec![fields[2].1.clone()]
    });
}

#[test]
fn mistakes_in_the_config_are_told_with_their_place() {
    for (config, pointers) in [
        (json!({ "account_sid": "x", "from": "y", "to": [] }), vec!["/account_sid", "/from", "/to"]),
        (
            json!({ "account_sid": SID, "from": "+15005550006", "to": ["0151"], "max_chars": 2_000 }),
            vec!["/max_chars", "/to/0"],
        ),
    ] {
        let mistakes = adapter::validate::<Twilio>(&config.to_string()).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), pointers, "{config}");
    }
    let wanted = adapter::validate::<Twilio>(&config("+15005550006", &["+491510000001"])).unwrap();
    assert_eq!(wanted[0].origin, "https://api.twilio.com");
}
