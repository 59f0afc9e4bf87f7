//! What keeps mag from starting, and what a start says.

use std::net::TcpListener;

use super::support::{Home, Mag, Receiver, classic};

const CONSOLE: &str = "[senders.console]\nplugin = \"console\"\n";

#[test]
fn a_second_mag_on_the_same_store_is_told_who_has_it() {
    let mag = Mag::with(CONSOLE);
    let ended = mag.home().runs(&["run", "--config", "mag.toml"]);
    ended.must_fail_with(1, &[&format!("in use by another mag, pid {}", mag.pid())]);
    mag.takes(&classic(&["still here"]));
    mag.stops();
}

#[test]
fn a_crashed_mag_leaves_its_store_free() {
    let home = Mag::with(CONSOLE).crashes();
    home.start().stops();
}

#[test]
fn a_port_that_somebody_has_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    let home = Home::with(&format!("[[listen]]\naddress = \"{address}\"\n{CONSOLE}"));
    home.runs(&["run"]).must_fail_with(1, &[&address, "free the port"]);
    assert!(!home.path("mag.db").exists(), "a start that fails leaves nothing behind");
}

#[test]
fn every_listener_is_said_and_answers() {
    let config = format!("[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"[::1]:0\"\n{CONSOLE}");
    if TcpListener::bind("[::1]:0").is_err() {
        // A machine without IPv6 has one listener less to look at.
        return;
    }
    let mag = Mag::with(&config);
    mag.says("listening on [::1]:");
    mag.takes(&classic(&["a"]));
    mag.stops();
}

#[test]
fn listening_for_everybody_is_said() {
    let mag = Home::with(&format!("[[listen]]\naddress = \"0.0.0.0:0\"\n{CONSOLE}")).start();
    let said = mag.says("listening on 0.0.0.0:");
    assert!(said.contains("open to whoever reaches this machine"), "{said}");
    mag.stops();
}

#[test]
fn a_destination_that_is_down_does_not_keep_mag_from_starting() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    );
    let mag = Mag::with(&config.replace(&url, "http://127.0.0.1:1/"));
    let ready = mag.says("sender hook: ready (webhook ");
    assert!(ready.ends_with(", 10/s)"), "{ready}");
    mag.takes(&classic(&["a"]));
    mag.says("will try again");
    mag.stops();
}

#[test]
fn a_database_of_somebody_else_is_not_touched() {
    let home = Home::with(CONSOLE);
    let other = rusqlite::Connection::open(home.path("mag.db")).expect("a database");
    other.execute_batch("CREATE TABLE mine (x); PRAGMA user_version = 1;").expect("a table");
    drop(other);
    let before = std::fs::read(home.path("mag.db")).expect("the file");
    home.runs(&["run"]).must_fail_with(1, &["not one of mag's"]);
    assert!(std::fs::read(home.path("mag.db")).expect("the file") == before, "somebody else's file is changed");
}

#[test]
fn a_database_of_a_later_mag_is_not_touched() {
    let home = Mag::with(CONSOLE).stops();
    let later = rusqlite::Connection::open(home.path("mag.db")).expect("a database");
    later.execute_batch("PRAGMA user_version = 1000; PRAGMA journal_mode = DELETE;").expect("a version");
    drop(later);
    let before = std::fs::read(home.path("mag.db")).expect("the file");
    home.runs(&["run"]).must_fail_with(1, &["schema 1000"]);
    assert!(std::fs::read(home.path("mag.db")).expect("the file") == before, "a later mag's file is changed");
}

#[test]
fn mag_alone_means_mag_run() {
    let mag = Home::with(CONSOLE).start_by(&[]);
    mag.says("sender console: ready");
    mag.stops();
}

#[test]
fn logs_can_be_json() {
    let mag = Home::with(&format!("[log]\nformat = \"json\"\n{CONSOLE}")).start();
    let said = mag.says("sender console: ready");
    let line: serde_json::Value = serde_json::from_str(&said).expect("a line of JSON");
    assert_eq!(line["level"], "INFO");
    mag.stops();
}
