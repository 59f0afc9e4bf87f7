//! The Slack sender against a double of Slack that takes nothing Slack would not take.

use std::time::Duration;

use serde_json::json;

use super::support::{Answer, Home, Receiver, Slack, TOKEN, classic, free_port};

/// Tells through Slack by count, and monitors at once.
fn home(slack: &Slack, route: &str) -> Home {
    let config = format!(
        "[route]\n{route}\nsenders = [\"slack\"]\n[[route.routes]]\nmatch = ['kind=\"monitor\"']\nmax_messages = 1\n{}",
        slack.sender()
    );
    Home::with(&config).env("SLACK_TOKEN", TOKEN)
}

#[test]
fn a_flush_by_count_is_told_in_the_go_services_words_with_its_mentions() {
    let slack = Slack::start();
    let mag = home(&slack, "max_messages = 30").start();
    mag.says("sender slack: ready (slack ");
    mag.takes(&classic(&["disk full"; 30]));
    assert_eq!(slack.text(1), "Message `\"disk full\"` was repeated *30* time(s).\n<@U1ANN> <@U2BOB>");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "slack").told, 30);
    assert_eq!((slack.requests("auth.test").len(), slack.requests("chat.postMessage").len()), (1, 1));
    assert_eq!(slack.requests("users.list").len(), 3, "every page is read once");
}

#[test]
fn a_digest_is_one_line_a_group_most_first() {
    let slack = Slack::start();
    let mag = home(&slack, "time_limit = \"1s\"").start();
    mag.takes(&classic(&["once", "often", "often"]));
    let text = slack.text(1);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("Message `\"often\"` was repeated *2* time(s) for last "), "{text}");
    assert!(lines[1].starts_with("Message `\"once\"` was repeated *1* time(s) for last "), "{text}");
    assert!(lines[..2].iter().all(|line| line.ends_with(" second.") || line.ends_with(" seconds.")), "{text}");
    assert_eq!(lines[2], "<@U1ANN> <@U2BOB>");
    mag.stops();
}

#[test]
fn a_monitor_is_told_as_its_text_alone_and_mentions_its_own_people() {
    let slack = Slack::start();
    let mag = home(&slack, "").start();
    mag.takes(b"{\"kind\":\"monitor\",\"text\":\"Number of `X` errors is -5 for last *300* seconds.\"}\n");
    assert_eq!(slack.text(1), "Number of `X` errors is -5 for last *300* seconds.\n<@U3CAROL>");
    mag.takes(b"{\"kind\":\"monitor\",\"text\":\"again\",\"count\":3}\n");
    assert_eq!(slack.text(2), "again (3 times)\n<@U3CAROL>");
    mag.stops();
}

#[test]
fn no_text_can_ping_or_link() {
    let slack = Slack::start();
    let mag = home(&slack, "max_messages = 1").start();
    mag.takes(&classic(&["<!channel> & <@U1ANN> <https://evil.example|click>"]));
    let told = "Message `\"&lt;!channel&gt; &amp; &lt;@U1ANN&gt; &lt;https://evil.example|click&gt;\"` was repeated *1* \
                time(s).\n<@U1ANN> <@U2BOB>";
    assert_eq!(slack.text(1), told);
    mag.takes(b"{\"kind\":\"monitor\",\"text\":\"<!here> & co\"}\n");
    assert_eq!(slack.text(2), "&lt;!here&gt; &amp; co\n<@U3CAROL>");
    let post = slack.post(1).json();
    assert_eq!((&post["link_names"], &post["parse"]), (&json!(false), &json!("none")));
    mag.stops();
}

#[test]
fn texts_are_quoted_as_go_quotes() {
    let slack = Slack::start();
    let mag = home(&slack, "max_messages = 1").start();
    let text = "\u{0}\u{1b}\u{7f}\u{a0}\u{200b}\u{e0001}\"\\\té";
    mag.takes(format!("{}\n", json!({ "text": text })).as_bytes());
    let quoted = r#""\x00\x1b\x7f\u00a0\u200b\U000e0001\"\\\té""#;
    assert_eq!(slack.text(1), format!("Message `{quoted}` was repeated *1* time(s).\n<@U1ANN> <@U2BOB>"));
    mag.stops();
}

#[test]
fn ratelimited_rests_as_long_as_slack_asks_and_never_gives_up() {
    let limited = Answer::status(429).header("Retry-After", "2");
    let slack = Slack::start();
    let mag = home(&slack, "max_messages = 1").start();
    mag.says("sender slack: ready");
    let slack = slack.answers_next(limited);
    mag.takes(&classic(&["a"]));
    let (first, second) = (slack.post(1), slack.post(2));
    assert!(second.after(&first) >= Duration::from_secs(2), "{:?}", second.after(&first));
    assert_eq!(second.json(), first.json());
    let home = mag.stops();
    assert_eq!(home.store().only_delivery().state, "delivered");
}

#[test]
fn a_channel_that_does_not_exist_needs_a_person_and_loses_nothing() {
    let slack = Slack::start();
    let mag = home(&slack, "max_messages = 1").start();
    mag.says("sender slack: ready");
    let slack = slack.answers_next(Answer::json(&json!({ "ok": false, "error": "channel_not_found" })));
    mag.takes(&classic(&["a"]));
    let said = mag.says("channel_not_found");
    assert!(said.contains("sender slack") && said.contains("there is no such channel"), "{said}");
    slack.post(2);
    let home = mag.stops();
    assert_eq!(home.store().account("root", "slack").told, 1);
}

#[test]
fn a_text_that_slack_calls_too_long_is_shortened_and_told() {
    let slack = Slack::start();
    let mag = home(&slack, "max_messages = 1").start();
    mag.says("sender slack: ready");
    let slack = slack.answers_next(Answer::json(&json!({ "ok": false, "error": "msg_too_long" })));
    mag.takes(&classic(&["x".repeat(60_000).as_str()]));
    let length = |number| slack.text(number).chars().count();
    assert!(length(1) > 2_000 && length(2) <= 1_000, "{} and {}", length(1), length(2));
    assert!(slack.text(2).ends_with("was repeated *1* time(s).\n<@U1ANN> <@U2BOB>"), "{}", slack.text(2));
    let home = mag.stops();
    let delivery = home.store().only_delivery();
    assert_eq!((delivery.state.as_str(), delivery.attempt), ("delivered", 1));
}

#[test]
fn a_digest_of_hundreds_of_groups_fits_and_counts_the_rest() {
    let slack = Slack::start();
    // Long enough for all of them to come in before it is over.
    let mag = home(&slack, "time_limit = \"5s\"").start();
    let texts: Vec<_> = (0..300).map(|n| format!("message number {n}")).collect();
    mag.takes(&classic(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
    let text = slack.text(1);
    let told = text.lines().filter(|line| line.starts_with("Message ")).count();
    let rest = 300 - told;
    assert!(text.contains(&format!("and {rest} more groups, {rest} messages\n<@U1ANN>")), "{text}");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "slack").told, 300);
}

#[test]
fn a_token_that_slack_refuses_is_said_and_the_queue_waits() {
    let slack = Slack::start();
    let refusal = Answer::json(&json!({ "ok": false, "error": "invalid_auth" }));
    let slack = slack.answers_next(refusal);
    let mag = home(&slack, "max_messages = 1").start();
    let said = mag.says("invalid_auth");
    assert!(said.contains("sender slack") && said.contains("not ready, its queue waits"), "{said}");
    mag.takes(&classic(&["a"]));
    mag.says("sender slack: ready");
    slack.post(1);
    mag.stops();
}

#[test]
fn the_token_is_shown_nowhere_whatever_goes_wrong() {
    let slack = Slack::start()
        .answers_next(Answer::json(&json!({ "ok": false, "error": format!("bad token {TOKEN}") })))
        .answers_next(Answer::text(&format!("<html>{TOKEN}</html>")))
        .answers_next(Answer::status(401).header("x-token", TOKEN));
    let mag = home(&slack, "max_messages = 1").env("MAG_LOG", "trace").start();
    mag.takes(&classic(&["a"]));
    slack.post(1);
    let home = mag.stops();
    home.must_show_nowhere(TOKEN);
    let online = home.runs(&["check", "--online", "--config", "mag.toml"]);
    assert_eq!(online.code, Some(0), "{online:#?}");
}

#[test]
fn check_online_says_what_signing_in_says() {
    let slack = Slack::start().answers_next(Answer::json(&json!({ "ok": false, "error": "account_inactive" })));
    let home = home(&slack, "");
    let ended = home.runs(&["check", "--online", "--config", "mag.toml"]);
    ended.must_fail_with(1, &["sender slack", "account_inactive", "set a new one"]);
    assert!(slack.requests("chat.postMessage").is_empty(), "a check tells nobody anything");
}

#[test]
fn token_and_channel_in_the_environment_make_a_sender_as_the_go_service_had_it() {
    let slack = Slack::start();
    let port = free_port().to_string();
    let config = "[route]\nmax_messages = 30\n";
    let mag = Home::with(config)
        .env("SLACK_TOKEN", TOKEN)
        .env("SLACK_CHANNEL", "#ops")
        .env("SLACK_API_URL", &slack.api_url())
        .env("NOTIFY_USERS", "@ann, bob")
        .env("NOTIFY_MONITOR_USERS", "carol")
        .env("LISTEN_PORT", &port)
        .env("AGG_MAX_MESSAGES", "2")
        .start();
    assert_eq!(mag.address().port().to_string(), port);
    let said = mag.says("from the environment: ");
    for name in ["SLACK_TOKEN", "SLACK_CHANNEL", "SLACK_API_URL", "NOTIFY_USERS", "NOTIFY_MONITOR_USERS"] {
        assert!(said.contains(name), "{said}");
    }
    mag.takes(&classic(&["a", "a"]));
    assert_eq!(slack.text(1), "Message `\"a\"` was repeated *2* time(s).\n<@U1ANN> <@U2BOB>");
    mag.takes(b"{\"kind\":\"monitor\",\"text\":\"fewer\"}\n");
    assert_eq!(slack.text(2), "fewer\n<@U3CAROL>");
    let home = mag.stops();
    home.must_show_nowhere(TOKEN);
}

#[test]
fn an_address_that_is_not_slack_gets_no_token_by_a_redirect() {
    let trap = Receiver::start();
    let slack = Slack::start().answers_next(Answer::status(307).header("Location", &trap.url("/api/auth.test")));
    let mag = home(&slack, "").start();
    mag.says("not ready, its queue waits");
    mag.says("sender slack: ready");
    mag.stops();
    assert!(trap.requests().is_empty());
}

#[test]
fn a_living_message_is_posted_once_and_grows_in_place_also_after_a_restart() {
    let slack = Slack::start();
    let home = home(&slack, "max_messages = 2");
    let config = std::fs::read_to_string(home.path("mag.toml")).expect("a config");
    let config = config.replace("plugin = \"slack\"", "plugin = \"slack\"\nstyle = \"living\"\nrate = \"10/s\"");
    home.configure(&config);
    let mag = home.start();
    mag.takes(&classic(&["a", "a"]));
    assert_eq!(slack.text(1), "Message `\"a\"` was repeated *2* time(s).\n<@U1ANN> <@U2BOB>");
    mag.takes(&classic(&["a", "a"]));
    assert_eq!(slack.updated_text(1), "Message `\"a\"` was repeated *4* time(s).\n<@U1ANN> <@U2BOB>");
    let mag = mag.stops().start();
    mag.takes(&classic(&["a", "a", "a"]));
    assert_eq!(slack.updated_text(2), "Message `\"a\"` was repeated *7* time(s).\n<@U1ANN> <@U2BOB>");
    mag.takes(&classic(&["b", "b"]));
    assert!(slack.text(2).starts_with("Message `\"b\"` was repeated *2* time(s)."), "another group has its own");
    let home = mag.stops();
    assert_eq!(slack.requests("chat.postMessage").len(), 2);
    assert_eq!(home.store().account("root", "slack").told, 9);
}
