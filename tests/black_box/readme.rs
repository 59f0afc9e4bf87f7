//! What the README shows, with the config that is shipped.

use super::support::{Home, Mag, classic, free_port};

const README: &str = include_str!("../../README.md");
const SHIPPED: &str = include_str!("../../mag.toml");

/// The shipped config, on a port that is free.
fn shipped() -> Home {
    let port = free_port().to_string();
    // Several tests run at a time.
    let config = SHIPPED.replace("127.0.0.1:3051", "127.0.0.1:0");
    Home::with_exactly(&config).env("LISTEN_ADDRESS", "127.0.0.1").env("LISTEN_PORT", &port)
}

/// `mag send -` with these lines as its input.
#[track_caller]
fn pipe_into_send(mag: &Mag, lines: &str) {
    let to = mag.address().to_string();
    mag.home().runs_with(&["send", "--to", &to, "-"], lines.as_bytes()).must_be(0, "", "");
}

#[test]
fn thirty_lines_piped_into_mag_send_are_told_as_one() {
    let mag = shipped().start();
    pipe_into_send(&mag, &"disk full\n".repeat(30));
    assert_eq!(mag.prints("disk full"), r#"Message "disk full" was repeated 30 time(s)."#);
    let home = mag.stops();
    let account = home.store().account("root", "console");
    assert_eq!((account.accepted, account.told), (30, 30));
}

#[test]
fn thirty_messages_of_the_go_services_protocol_are_told_as_one() {
    let mag = shipped().start();
    mag.takes(&classic(&["disk full"; 30]));
    assert_eq!(mag.prints("disk full"), r#"Message "disk full" was repeated 30 time(s)."#);
    mag.stops();
}

#[test]
fn three_less_are_told_when_the_time_is_over_together_with_all_other_open_groups() {
    let mag = shipped().env("AGG_TIME_LIMIT", "1").start();
    pipe_into_send(&mag, &format!("{}{}", "disk full\n".repeat(27), "link down\n".repeat(4)));
    mag.prints("link down");
    let told = mag.printed();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with(r#"Message "disk full" was repeated 27 time(s) for last "#), "{told:?}");
    assert!(told[1].starts_with(r#"Message "link down" was repeated 4 time(s) for last "#), "{told:?}");
    assert!(told.iter().all(|line| line.ends_with(" second.") || line.ends_with(" seconds.")), "{told:?}");
    mag.stops();
}

#[test]
fn the_shipped_config_is_good() {
    shipped().runs(&["check"]).must_be(0, "1 sender, 2 routes: ok", "");
}

/// What the README shows, in this language, after these words.
#[track_caller]
fn shown(after: &str, language: &str) -> &'static str {
    let (_, rest) = README.split_once(after).unwrap_or_else(|| panic!("the README does not say {after:?}"));
    let block = rest.split_once(&format!("```{language}\n")).and_then(|(_, rest)| rest.split_once("\n```"));
    block.unwrap_or_else(|| panic!("nothing in {language} after {after:?}")).0
}

#[test]
fn mag_check_says_of_four_senders_what_is_shown() {
    let home = Home::with_exactly(shown("Four of them in one config", "toml")).file("hook-token", b"x\n");
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(home.path("hook-token"), only_mine).expect("a file of the folder");
    let ended = home.env("SLACK_TOKEN", "xoxb-1").env("SMTP_PASSWORD", "p").runs(&["check"]);
    ended.must_be(0, shown("`mag check` says of each sender what it asks for", "text"), "");
}

#[test]
fn nothing_but_notifications_stands_on_standard_output() {
    let mag = shipped().start();
    mag.says("sender console: ready (console ");
    mag.takes(&classic(&["a"; 30]));
    mag.prints("Message");
    assert_eq!(mag.printed().len(), 1);
    assert!(mag.said().iter().all(|line| !line.contains("repeated")));
    mag.stops();
}
