//! `mag sender test`: every bundled plugin keeps to the contract, and what cannot be tried is said.

use super::support::Home;

#[track_caller]
fn conforms(plugin: &str) {
    let ended = Home::with("").runs(&["sender", "test", plugin, "--json"]);
    assert_eq!(ended.code, Some(0), "{plugin}: {}{}", ended.stdout, ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("a report is JSON");
    let checks = report["checks"].as_array().expect("a report has checks");
    assert!(checks.len() > 20, "{report}");
    // Only what prints has nobody to ask.
    let skipped = checks.iter().filter(|check| check["result"] == "skipped" && plugin != "console");
    assert_eq!(skipped.count(), 0, "{report}");
}

#[test]
fn the_console_conforms() {
    conforms("console");
}

#[test]
fn email_conforms() {
    conforms("email");
}

#[test]
fn slack_conforms() {
    conforms("slack");
}

#[test]
fn the_webhook_conforms() {
    conforms("webhook");
}

#[test]
fn the_chat_senders_conform() {
    for plugin in ["discord", "googlechat", "matrix", "mattermost", "rocketchat", "teams", "telegram", "zulip"] {
        conforms(plugin);
    }
}

#[test]
fn the_senders_to_phones_and_to_those_on_call_conform() {
    for plugin in ["ntfy", "pagerduty", "pushover", "twilio"] {
        conforms(plugin);
    }
}

#[test]
fn the_table_says_what_each_answer_becomes_and_what_is_recommended() {
    let ended = Home::with("").runs(&["sender", "test", "webhook"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for line in ["reaches https://hooks.example.org", "an unknown key", "webhook conforms: "] {
        assert!(ended.stdout.contains(line), "no {line:?} in {}", ended.stdout);
    }
    let row = |name: &str| ended.stdout.lines().find(|line| line.contains(name)).expect(name).to_owned();
    assert!(row("429, Retry-After").contains("rate-limited, after 7 s"), "{}", ended.stdout);
    assert!(row("dropped").contains("retry, maybe delivered"), "{}", ended.stdout);
}

#[test]
fn what_cannot_be_tried_is_said() {
    let home = Home::with("").file("own.toml", b"[confi]\n").file("none.toml", b"[config]\nurl = \"nowhere\"\n");
    home.runs(&["sender", "test", "slak"]).must_fail_with(2, &["there is no file slak and no bundled plugin"]);
    home.runs(&["sender", "test", "webhook", "--config", "own.toml"]).must_fail_with(2, &["own.toml", "confi"]);
    home.runs(&["sender", "test", "webhook", "--config", "none.toml"])
        .must_fail_with(2, &["config/url", "write a config that it takes into conformance.toml"]);
}
