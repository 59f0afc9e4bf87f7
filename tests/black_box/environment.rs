//! The Go service's variables where no Slack and no monitor is needed.

use super::support::{Home, classic, free_port};

const CONSOLE: &str = "[senders.console]\nplugin = \"console\"\n";

#[test]
fn listen_port_is_where_mag_listens() {
    let port = free_port().to_string();
    let mag = Home::with(CONSOLE).env("LISTEN_PORT", &port).start();
    assert_eq!(mag.address().to_string(), format!("127.0.0.1:{port}"));
    mag.says("from the environment: LISTEN_PORT");
    mag.stops();
}

#[test]
fn the_misspelled_listen_address_works_and_loses_against_the_right_one() {
    let config = format!("[[listen]]\naddress = \"0.0.0.0:0\"\n{CONSOLE}");
    let mag = Home::with(&config).env("LSITEN_ADDRESS", "127.0.0.1").start();
    assert!(mag.address().ip().is_loopback());
    mag.stops();
    let mag = Home::with(&config).env("LSITEN_ADDRESS", "0.0.0.0").env("LISTEN_ADDRESS", "127.0.0.1").start();
    assert!(mag.address().ip().is_loopback());
    mag.stops();
}

#[test]
fn agg_max_messages_is_when_a_group_is_told() {
    let mag = Home::with(CONSOLE).env("AGG_MAX_MESSAGES", "3").start();
    mag.takes(&classic(&["a"; 3]));
    assert_eq!(mag.prints("Message"), r#"Message "a" was repeated 3 time(s)."#);
    mag.stops();
}

#[test]
fn agg_time_limit_is_when_the_rest_is_told() {
    let mag = Home::with(CONSOLE).env("AGG_TIME_LIMIT", "1").start();
    mag.takes(&classic(&["a"; 3]));
    let told = mag.prints("Message");
    assert!(told.starts_with(r#"Message "a" was repeated 3 time(s) for last "#), "{told}");
    mag.stops();
}

#[test]
fn a_value_that_is_no_number_is_a_warning() {
    let mag = Home::with(CONSOLE).env("AGG_MAX_MESSAGES", "many").env("AGG_TIME_LIMIT", "").start();
    let said = mag.says("AGG_MAX_MESSAGES");
    assert!(said.contains("WARN") && said.contains("30 is used"), "{said}");
    mag.takes(&classic(&["a"; 30]));
    mag.prints("repeated 30 time(s)");
    mag.stops();
}

#[test]
fn mag_config_names_the_file() {
    let home = Home::with_exactly("[[listen]]\naddress = \"not this one\"\n")
        .file("other.toml", format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{CONSOLE}").as_bytes())
        .env("MAG_CONFIG", "other.toml");
    home.runs(&["check"]).must_be(0, "1 sender, 1 route: ok", "");
}
