//! `mag check`: every class of mistake with its place, all of them at once.

use super::support::{Home, squeezed};

/// What `mag check` says about a config that is wrong.
#[track_caller]
fn check(config: &str, said: &str) {
    let ended = Home::with_exactly(config).runs(&["check", "--config", "mag.toml"]);
    let stderr: Vec<_> = ended.stderr.lines().map(str::trim_start).collect();
    assert_eq!((ended.code, ended.stdout.as_str(), stderr.join("\n")), (Some(2), "", squeezed(said)));
}

#[test]
fn all_mistakes_of_a_file_come_in_one_run_each_with_line_and_caret() {
    let config = r#"[[listen]]
adress = "0.0.0.0:3050"

[route]
max_mesages = 3
time_limit = "30 parsecs"
senders = ["consle"]

[[route.routes]]
match = ['kind="monitor']

[senders.console]
plugin = "consol"
rate = "20 per minute"
fallback = "mail"
"#;
    let ended = Home::with_exactly(config).runs(&["check", "--config", "mag.toml"]);
    let said = r#"mag.toml:2:1: error: unknown key `adress` in [[listen]], did you mean `address`?
adress = "0.0.0.0:3050"
^
mag.toml:5:1: error: unknown key `max_mesages` in [route], did you mean `max_messages`?
max_mesages = 3
^
mag.toml:6:14: error: `time_limit`: expected a duration like "30s", found "30 parsecs"
time_limit = "30 parsecs"
             ^
mag.toml:7:12: error: unknown sender `consle`, did you mean `console`?
senders = ["consle"]
           ^
mag.toml:10:16: error: `match`: no closing quote
match = ['kind="monitor']
               ^
mag.toml:13:10: error: unknown plugin `consol`, did you mean `console`?
plugin = "consol"
         ^
mag.toml:14:8: error: `rate`: expected a rate like "20/m", found "20 per minute"
rate = "20 per minute"
       ^
mag.toml:15:12: error: `fallback`: unknown sender `mail`, expected one of console
fallback = "mail"
           ^"#;
    ended.must_be(2, "", said);
}

#[test]
fn broken_toml_is_said_with_its_place() {
    let ended = Home::with_exactly("[route]\nmax_messages = \n").runs(&["check", "--config", "mag.toml"]);
    ended.must_fail_with(2, &["mag.toml:2:", ": error: ", "max_messages = \n"]);
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    check(
        "[route]\nmax_messages = \"30\"",
        "mag.toml:2:16: error: `max_messages`: expected a whole number of 1 or more, found string
         max_messages = \"30\"
                        ^",
    );
}

#[test]
fn a_route_that_no_message_can_reach_is_an_error() {
    let config =
        "[senders.console]\nplugin = \"console\"\n[[route.routes]]\n[[route.routes]]\nmatch = ['kind=\"x\"']\n";
    let ended = Home::with_exactly(config).runs(&["check", "--config", "mag.toml"]);
    ended.must_fail_with(2, &["mag.toml:4:", "[[route.routes]]", "^"]);
}

#[test]
fn keys_of_later_versions_are_refused_by_that_name() {
    check(
        "[admin]\ntoken = \"x\"",
        "mag.toml:2:1: error: `token` is not in this version
         token = \"x\"
         ^",
    );
}

#[test]
fn what_a_plugin_says_about_its_config_is_shown_at_its_place() {
    let config = "[route]\nsenders = [\"mail\"]\n[senders.mail]\nplugin = \"email\"\n\
                  smtp = { url = \"smtp://127.0.0.1\" }\nconfig = { from = \"a@example.org\", to = [\"b@example.org\", \"nobody\"] }\n";
    check(
        config,
        "mag.toml:6:59: error: an address is needed, as in ops@example.org or Ops <ops@example.org>
         config = { from = \"a@example.org\", to = [\"b@example.org\", \"nobody\"] }
                                                                 ^",
    );
}

#[test]
fn a_secret_that_the_plugin_needs_is_asked_for() {
    let config = "[senders.team]\nplugin = \"slack\"\nconfig = { channel = \"#ops\" }\n";
    let ended = Home::with_exactly(config).runs(&["check", "--config", "mag.toml"]);
    ended.must_fail_with(2, &["mag.toml:", "plugin slack needs secrets.token"]);
}

#[test]
fn a_variable_that_is_not_set_is_named() {
    let config = "[senders.team]\nplugin = \"slack\"\nconfig = { channel = \"#ops\" }\nsecrets.token = { env = \"NOT_THERE\" }\n";
    let home = Home::with_exactly(config);
    for command in ["check", "run"] {
        home.runs(&[command, "--config", "mag.toml"]).must_fail_with(2, &["mag.toml:4:", "NOT_THERE"]);
    }
}

#[test]
fn a_good_config_is_said_to_be_good() {
    let config = "[route]\nsenders = [\"console\"]\n[[route.routes]]\nmatch = ['kind=\"monitor\"']\n\
                  [senders.console]\nplugin = \"console\"\n[senders.spare]\nplugin = \"console\"\n";
    let ended = Home::with_exactly(config).runs(&["check", "--config", "mag.toml"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "2 senders, 2 routes: ok"), "{ended:#?}");
    assert!(ended.stderr.contains("spare"), "a sender nobody uses is a warning: {ended:#?}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let home = Home::with_exactly("");
    for command in ["check", "run"] {
        home.runs(&[command, "--config", "away.toml"]).must_fail_with(2, &["away.toml", "--config"]);
    }
    let home = home.env("MAG_CONFIG", "away.toml");
    home.runs(&["check"]).must_fail_with(2, &["away.toml", "MAG_CONFIG"]);
}

#[test]
fn the_folders_own_file_is_taken_when_none_is_named() {
    let home = Home::with("[route]\nmax_mesages = 3\n");
    home.runs(&["check"]).must_fail_with(2, &["mag.toml:4:1: error: unknown key `max_mesages`"]);
}

#[test]
fn without_any_file_the_shipped_defaults_are_checked_and_said() {
    let home = Home::with("");
    std::fs::remove_file(home.path("mag.toml")).expect("removed");
    let ended = home.runs(&["check"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "1 sender, 1 route: ok"), "{ended:#?}");
    assert!(ended.stderr.contains("shipped defaults"), "{ended:#?}");
}

#[test]
fn arguments_that_nobody_knows_end_with_the_same_status() {
    Home::with("").runs(&["chek"]).must_fail_with(2, &["chek", "check"]);
}

#[test]
fn the_version_and_the_list_of_senders_are_data() {
    let home = Home::with(
        "[senders.console]\nplugin = \"console\"\n[senders.hook]\nplugin = \"webhook\"\nconfig = { url = \"http://x/\" }\n[route]\nsenders = [\"hook\", \"console\"]\n",
    );
    let version = home.runs(&["--version"]);
    version.must_be(0, &format!("mag {}", env!("CARGO_PKG_VERSION")), "");
    let list = home.runs(&["sender", "list"]);
    assert_eq!(
        (list.code, list.stdout.as_str()),
        (Some(0), "console\tconsole\tunlimited\nhook\twebhook\t10/s"),
        "{list:#?}"
    );
}
