//! Secrets that plugins put into bodies, paths and logins, against providers that repeat in their errors what they got.

use serde_json::json;

use super::super::support::{Answer, Home, Receiver, Request, classic};
use super::{all_answers, must_show_nothing};

/// What providers get, by the variable that holds it: with characters that each place writes in a way of its own.
const VALUES: [(&str, &str); 8] = [
    ("PUSH_TOKEN", "push-canary/11 aa"),
    ("PUSH_USER", "user-canary&22=bb"),
    ("PAGER", "pager\"canary\\33cc"),
    ("TELEGRAM", "123456:tele-canary-44dd"),
    ("TWILIO", "twilio-canary:55ee"),
    ("ZULIP", "zulip-canary-66ff"),
    ("MATRIX", "matrix-canary-77gg"),
    ("DISCORD_PATH", "discord-canary-88hh-0123456789"),
];
/// The senders; each has one of these in a request.
const SENDERS: [&str; 7] = ["push", "pager", "tele", "sms", "zulip", "matrix", "discord"];

/// An error in the words of all of them, which says what was sent from shortly before the secret on.
fn repeats(request: &Request) -> Answer {
    let sent = format!("{} {} {}", request.target, request.header("authorization").unwrap_or_default(), request.text());
    let at = ["canary", "Basic "].iter().filter_map(|word| sent.find(word)).min().unwrap_or_default();
    let said = format!("no: {}", sent.get(at.saturating_sub(20)..).unwrap_or(&sent));
    let mut body = json!({
        "ok": false, "error_code": 400, "description": said, "code": 50_035, "message": said, "status": "no",
        "result": "error", "msg": said, "errcode": "M_INVALID_PARAM", "error": said,
    });
    if request.target.starts_with("/push") {
        body = json!({ "status": 0, "errors": [said] });
    }
    // A header is one line of visible characters.
    let head: String = sent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(1_000).collect();
    Answer::json(&body).with_status(400).header("x-saw", &head).header("location", &request.target)
}

fn config(receiver: &Receiver) -> String {
    let url = |path: &str| receiver.url(path);
    format!(
        r#"
[admin]
address = "127.0.0.1:0"
[route]
max_messages = 1
senders = ["push", "pager", "tele", "sms", "zulip", "matrix", "discord"]
[senders.push]
plugin = "pushover"
config = {{ api_url = "{}" }}
secrets.token = {{ env = "PUSH_TOKEN", in = ["body"] }}
secrets.user = {{ env = "PUSH_USER", in = ["body"] }}
[senders.pager]
plugin = "pagerduty"
config = {{ api_url = "{}" }}
secrets.routing_key = {{ env = "PAGER", in = ["body"] }}
[senders.tele]
plugin = "telegram"
config = {{ chat_id = -1001, api_url = "{}" }}
secrets.token = {{ env = "TELEGRAM" }}
[senders.sms]
plugin = "twilio"
config = {{ account_sid = "AC0123456789abcdef0123456789abcdef", from = "+15005550006", to = ["+491510000001"], api_url = "{}" }}
secrets.auth_token = {{ env = "TWILIO" }}
[senders.zulip]
plugin = "zulip"
config = {{ url = "{}", email = "mag-bot@zulip.example", channel = "ops" }}
secrets.api_key = {{ env = "ZULIP" }}
[senders.matrix]
plugin = "matrix"
config = {{ url = "{}", room = "!a:matrix.example" }}
secrets.token = {{ env = "MATRIX" }}
[senders.discord]
plugin = "discord"
secrets.url = {{ env = "DISCORD" }}
"#,
        url("/push"),
        url("/pager"),
        url("/tele"),
        url("/sms"),
        url("/zulip"),
        url("/matrix"),
    )
}

/// What a provider must have got, in the form of the place where it stands.
const SENT: [(&str, &str); 7] = [
    ("/push/", "token=push-canary%2F11%20aa&user=user-canary%2622%3Dbb&"),
    ("/pager/", r#""routing_key":"pager\"canary\\33cc""#),
    ("/tele/", "/tele/bot123456:tele-canary-44dd/sendMessage"),
    ("/sms/", "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjp0d2lsaW8tY2FuYXJ5OjU1ZWU="),
    ("/zulip/", "Basic bWFnLWJvdEB6dWxpcC5leGFtcGxlOnp1bGlwLWNhbmFyeS02NmZm"),
    ("/matrix/", "Bearer matrix-canary-77gg"),
    ("/discord/", "/discord/api/webhooks/1/discord-canary-88hh-0123456789"),
];

/// The values, and how they were sent.
fn hidden() -> Vec<String> {
    let values = VALUES.iter().map(|(_, value)| *value);
    let forms = [
        "canary",
        "Canary",
        "%2F11",
        "%2622",
        "QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjp0d2lsaW8t",
        "bWFnLWJvdEB6dWxpcC5leGFtcGxlOnp1bGlwLWNhbmFye",
    ];
    values.chain(forms).map(str::to_owned).collect()
}

#[test]
fn secrets_in_bodies_paths_and_logins_show_nowhere_though_every_provider_repeats_them() {
    let receiver = Receiver::answering(repeats);
    let home = VALUES.iter().fold(Home::with(&config(&receiver)), |home, (name, value)| home.env(name, value));
    let whole = receiver.url(&format!("/discord/api/webhooks/1/{}", VALUES[7].1));
    // Libraries say at this level what they do, too.
    let mag = home.env("DISCORD", &whole).start_by(&["run", "-vvvv", "--config", "mag.toml"]);
    mag.takes(&classic(&["disk full"]));
    for (path, expect) in SENT {
        let request = receiver.gets(path, |all| all.iter().find(|request| request.target.starts_with(path)).cloned());
        let sent =
            format!("{} {} {}", request.target, request.header("authorization").unwrap_or_default(), request.text());
        assert!(sent.contains(expect), "no {expect} in {sent}");
    }
    let letters = mag
        .admin()
        .gets("/api/v1/dlq", |list| (list.json()["total"] == SENDERS.len()).then(|| list.json()["letters"].clone()));
    // Each of them did repeat it, and it was blanked where it stood.
    for letter in letters.as_array().expect("letters") {
        let error = letter["error"].as_str().expect("an error");
        assert!(error.contains("***") || error.contains("(secret "), "{letter}");
    }
    let mut shown = all_answers(&mag);
    for sender in SENDERS {
        let ended = mag.home().runs(&["sender", "inspect", sender]);
        shown += &format!("{}\n{}\n", ended.stdout, ended.stderr);
    }
    let hidden = hidden();
    must_show_nothing(&shown, &hidden);
    must_show_nothing(&mag.said().join("\n"), &hidden);
    let home = mag.stops();
    for secret in &hidden {
        home.must_show_nowhere(secret);
    }
}
