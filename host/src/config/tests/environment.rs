//! Each variable of the Go service, and what is said about one that is wrong.

use super::*;

const SLACK: [(&str, &str); 2] = [("SLACK_TOKEN", "xoxb-canary"), ("SLACK_CHANNEL", "#ops")];

#[track_caller]
fn with(text: &str, variables: &[(&str, &str)]) -> Config {
    match Config::load(&source(text), &env(variables)) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// The first address, the variables that had an effect, the warnings.
fn listens(text: &str, variables: &[(&str, &str)]) -> (String, String, String) {
    let config = with(text, variables);
    (config.listen[0].address.clone(), config.from_env.join(" "), config.warnings.join("\n"))
}

#[track_caller]
fn check_listen(variables: &[(&str, &str)], address: &str, used: &str, warnings: &str) {
    let text = "[[listen]]\naddress = \"127.0.0.1:4000\"\n[[listen]]\naddress = \"b:1\"";
    assert_eq!(listens(text, variables), (address.to_owned(), used.to_owned(), warnings.to_owned()));
}

#[test]
fn listen_address_changes_the_host_of_the_first_listener() {
    check_listen(&[("LISTEN_ADDRESS", "10.0.0.1")], "10.0.0.1:4000", "LISTEN_ADDRESS", "");
    check_listen(&[("LISTEN_ADDRESS", "::1")], "[::1]:4000", "LISTEN_ADDRESS", "");
    let warning = "LISTEN_ADDRESS: warning: expected a host or an IP address without a port";
    check_listen(&[("LISTEN_ADDRESS", "a:1")], "127.0.0.1:4000", "", warning);
}

#[test]
fn the_misspelled_listen_address_loses_against_the_right_one() {
    check_listen(&[("LSITEN_ADDRESS", "10.0.0.2")], "10.0.0.2:4000", "LSITEN_ADDRESS", "");
    let both = [("LSITEN_ADDRESS", "10.0.0.2"), ("LISTEN_ADDRESS", "10.0.0.1")];
    check_listen(&both, "10.0.0.1:4000", "LISTEN_ADDRESS", "");
}

#[test]
fn listen_port_changes_the_port_of_the_first_listener() {
    check_listen(&[("LISTEN_PORT", "5000")], "127.0.0.1:5000", "LISTEN_PORT", "");
    let warning = "LISTEN_PORT: warning: expected a whole number from 1 to 65535, 4000 is used";
    for bad in ["abc", "0", "-1", "65536", "1.5"] {
        check_listen(&[("LISTEN_PORT", bad)], "127.0.0.1:4000", "", warning);
    }
    assert_eq!(listens("", &[("LISTEN_PORT", "5000")]).0, "0.0.0.0:5000");
}

#[test]
fn an_empty_value_is_unset() {
    let names = [
        "LISTEN_ADDRESS",
        "LSITEN_ADDRESS",
        "LISTEN_PORT",
        "AGG_MAX_MESSAGES",
        "AGG_TIME_LIMIT",
        "SLACK_TOKEN",
        "SLACK_CHANNEL",
        "NOTIFY_USERS",
        "NOTIFY_MONITOR_USERS",
        "SLACK_API_URL",
        "API_ADDRESS",
        "API_TOKEN",
        "API_TOKEN_REFRESH_INTERVAL",
        "API_TOKEN_REFRESH_ADDRESS",
        "MONITOR_INTERVAL",
        "MONITOR_MAX_STORED_ITEMS",
        "FKP_THRESHOLD",
        "MAG_LOG",
        "STATE_DIRECTORY",
    ];
    let config = with("", &names.map(|name| (name, "")));
    assert_eq!((config.from_env.len(), config.warnings.len()), (0, 0));
    assert_eq!(format!("{:?}", config.route), format!("{:?}", load("").route));
    assert_eq!((config.senders.len(), config.monitors.len()), (1, 0));
}

#[test]
fn agg_max_messages_and_agg_time_limit_change_the_root_and_what_inherits_from_it() {
    let text = "[route]\nmax_messages = 5\n[[route.routes]]\nmatch = ['a=x']\nmax_messages = 1";
    let config = with(text, &[("AGG_MAX_MESSAGES", "7"), ("AGG_TIME_LIMIT", "90")]);
    assert_eq!((config.route.max_messages, config.route.time_limit.as_secs()), (7, 90));
    assert_eq!((config.route.routes[0].max_messages, config.route.routes[0].time_limit.as_secs()), (1, 90));
    assert_eq!(config.from_env, ["AGG_MAX_MESSAGES", "AGG_TIME_LIMIT"]);
}

#[test]
fn a_bad_number_is_a_warning_and_the_default() {
    let config = with("", &[("AGG_MAX_MESSAGES", "many"), ("AGG_TIME_LIMIT", "30s")]);
    assert_eq!((config.route.max_messages, config.route.time_limit.as_secs()), (30, 30));
    let expect = expect![[r#"
        AGG_MAX_MESSAGES: warning: expected a whole number of 1 or more, 30 is used
        AGG_TIME_LIMIT: warning: expected a whole number of 1 or more, 30 is used"#]];
    expect.assert_eq(&config.warnings.join("\n"));
    assert_eq!(config.from_env, [""; 0]);
}

#[test]
fn slack_token_and_channel_make_a_sender_and_a_monitor_route() {
    let config = with("", &SLACK);
    let names: Vec<&str> = config.senders.iter().map(|sender| sender.name.as_str()).collect();
    assert_eq!(names, ["slack"]);
    let slack = &config.senders[0];
    assert_eq!(slack.plugin, Plugin::Bundled("slack".into()));
    assert_eq!(slack.config.to_string(), r##"{"channel":"#ops"}"##);
    assert_eq!(slack.secrets["token"].source, SecretSource::Env("SLACK_TOKEN".into()));
    assert_eq!(slack.rate, Some(Rate { count: 20, per: Duration::from_secs(60) }));
    assert_eq!((config.route.senders.concat(), config.warnings.len()), ("slack".to_owned(), 0));
    let monitor = &config.route.routes[0];
    assert_eq!((monitor.id.as_str(), monitor.max_messages), (r#"kind="monitor""#, 1));
    assert_eq!(monitor.senders, ["slack"]);
    assert_eq!(config.from_env, ["SLACK_TOKEN", "SLACK_CHANNEL"]);
    assert!(!format!("{config:?}").contains("canary"));
    assert_eq!(config.report("slack", "/channel", "no such channel"), "SLACK_TOKEN: error: no such channel");
}

#[test]
fn the_users_to_notify_and_the_api_url_go_into_its_config() {
    let more = [
        ("NOTIFY_USERS", "@ann, bob,,"),
        ("NOTIFY_MONITOR_USERS", "carol"),
        ("SLACK_API_URL", "http://localhost:1/api"),
    ];
    let config = with("", &[&SLACK[..], &more[..]].concat());
    let json = r##"{"api_url":"http://localhost:1/api","channel":"#ops","mention":["ann","bob"],"mention_monitor":["carol"]}"##;
    assert_eq!(config.senders[0].config.to_string(), json);
    let used = ["SLACK_TOKEN", "SLACK_CHANNEL", "NOTIFY_USERS", "NOTIFY_MONITOR_USERS", "SLACK_API_URL"];
    assert_eq!(config.from_env, used);
}

#[test]
fn one_of_token_and_channel_alone_does_nothing() {
    for one in SLACK {
        let config = with("", &[one, ("NOTIFY_USERS", "ann")]);
        assert_eq!((config.senders[0].name.as_str(), config.from_env.len()), ("console", 0));
    }
}

#[test]
fn the_made_sender_takes_the_consoles_place_and_joins_any_other() {
    let senders = |text: &str| with(text, &SLACK).route.senders.join(" ");
    let console = "[senders.console]\nplugin = \"console\"\n";
    let hook = "[senders.hook]\nplugin = \"webhook\"\n";
    assert_eq!(senders(&format!("{console}[route]\nsenders = ['console']")), "slack");
    assert_eq!(senders(&format!("{console}{hook}")), "slack");
    assert_eq!(senders(&format!("{hook}[route]\nsenders = ['hook']")), "hook slack");
    assert_eq!(senders(&format!("{hook}{console}[route]\nsenders = ['console', 'hook']")), "console hook slack");
    let file = with(include_str!("../../../../mag.toml"), &SLACK);
    assert_eq!((file.route.senders.concat(), file.route.routes.len(), file.warnings.len()), ("slack".to_owned(), 1, 0));
    assert_eq!(file.route.routes[0].senders, ["slack"]);
}

#[test]
fn a_slack_sender_in_the_file_is_left_alone() {
    for name in ["slack", "team"] {
        let config = with(&format!("[senders.{name}]\nplugin = \"slack\""), &SLACK);
        assert_eq!(
            (config.senders.len(), config.route.senders.concat(), config.from_env.len()),
            (1, name.to_owned(), 0)
        );
    }
}

#[test]
fn a_monitor_route_is_made_only_if_no_child_takes_monitor_messages() {
    let children = |matcher: &str| with(&format!("[[route.routes]]\nmatch = [{matcher}]"), &SLACK).route.routes.len();
    assert_eq!(children("'kind=~\"m.*\"'"), 1);
    assert_eq!(children(""), 1);
    assert_eq!(children("'kind=\"other\"'"), 2);
}

#[test]
fn api_address_makes_the_monitor_of_the_go_service() {
    let config = with("", &[("API_ADDRESS", "https://api.example.org/campaigns")]);
    let monitor = &config.monitors[0];
    let example = load(
        "[monitors.api]\nurl = \"https://api.example.org/campaigns\"\nitems = \"/campaigns\"\nid = \"/id\"\n\
         value = \"/errors/FREQUENCY_KEY_PRESENT\"\nalert_if = \"delta < 1000\"\ntext = \"Number of \
         `FREQUENCY_KEY_PRESENT` errors for all campaigns is {delta} for last *{seconds}* seconds.\"",
    );
    assert_eq!(format!("{monitor:?}"), format!("{:?}", example.monitors[0]));
    assert_eq!(config.from_env, ["API_ADDRESS"]);
}

#[test]
fn the_monitors_own_variables() {
    let variables = [
        ("API_ADDRESS", "https://a.org/c"),
        ("API_TOKEN", "canary"),
        ("API_TOKEN_REFRESH_ADDRESS", "https://a.org/r"),
        ("API_TOKEN_REFRESH_INTERVAL", "60"),
        ("MONITOR_INTERVAL", "10"),
        ("MONITOR_MAX_STORED_ITEMS", "4"),
        ("FKP_THRESHOLD", "5"),
    ];
    let config = with("", &variables);
    let monitor = &config.monitors[0];
    assert_eq!(monitor.headers["Authorization"], "Bearer ${secret:token}");
    assert_eq!(monitor.secrets["token"], SecretSource::Env("API_TOKEN".into()));
    let refresh = monitor.token_refresh.as_ref().expect("made");
    assert_eq!((refresh.url.marked().as_str(), refresh.every.as_secs()), ("https://a.org/r", 60));
    assert_eq!((monitor.interval.as_secs(), monitor.keep), (10, 4));
    assert_eq!(monitor.alert_if, AlertIf { op: Comparison::Less, threshold: 5.0 });
    assert_eq!(config.from_env.len(), variables.len());
    assert_eq!(with("", &variables[..3]).monitors[0].token_refresh.as_ref().map(|r| r.every.as_secs()), Some(86_400));
}

#[test]
fn the_monitors_variables_that_are_wrong() {
    let variables = [
        ("API_ADDRESS", "https://a.org/c"),
        ("API_TOKEN_REFRESH_ADDRESS", "https://a.org/r"),
        ("MONITOR_INTERVAL", "0"),
        ("MONITOR_MAX_STORED_ITEMS", "1"),
        ("FKP_THRESHOLD", "x"),
    ];
    let config = with("", &variables);
    assert_eq!((config.monitors[0].interval.as_secs(), config.monitors[0].keep), (300, 2));
    let expect = expect![[r#"
        API_TOKEN_REFRESH_ADDRESS: warning: not used, because API_TOKEN is not set
        MONITOR_INTERVAL: warning: expected a whole number of 1 or more, 300 is used
        MONITOR_MAX_STORED_ITEMS: warning: one snapshot cannot be compared, 2 are kept
        FKP_THRESHOLD: warning: expected a whole number of 1 or more, 1000 is used"#]];
    expect.assert_eq(&config.warnings.join("\n"));
    let mistakes = Config::load(&source(""), &env(&[("API_ADDRESS", "not a url")])).expect_err("no URL");
    expect![[r#"API_ADDRESS: error: expected a URL like "https://example.org/numbers""#]]
        .assert_eq(&mistakes.to_string());
}

#[test]
fn a_monitor_of_that_name_in_the_file_is_left_alone() {
    let text = "[monitors.api]\nurl = \"https://b.org\"\nitems = \"\"\nid = \"/id\"\nvalue = \"/v\"\nalert_if = \"delta < 1\"\ntext = \"x\"";
    let config = with(text, &[("API_ADDRESS", "https://a.org/c")]);
    assert_eq!((config.monitors.len(), config.monitors[0].url.marked().as_str()), (1, "https://b.org/"));
    expect!["API_ADDRESS: warning: not used, because the file has [monitors.api]"]
        .assert_eq(&config.warnings.join("\n"));
}

#[test]
fn mag_log_sets_the_level() {
    let config = with("[log]\nlevel = \"error\"\nformat = \"json\"", &[("MAG_LOG", "Debug")]);
    assert_eq!(
        (config.log.level, config.log.json, config.from_env.concat()),
        (tracing::Level::DEBUG, true, "MAG_LOG".to_owned())
    );
    let config = with("", &[("MAG_LOG", "loud")]);
    assert_eq!(config.log.level, tracing::Level::INFO);
    expect!["MAG_LOG: warning: expected one of error, warn, info, debug, trace"].assert_eq(&config.warnings.join("\n"));
}
