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
    home.runs(&["run"]).must_fail_with(1, &["mag.db is a database, but not one of mag's"]);
    assert!(std::fs::read(home.path("mag.db")).expect("the file") == before, "somebody else's file is changed");
    assert_eq!(beside_the_store(&home), Vec::<String>::new());
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

/// The names of what lies beside `mag.db`.
fn beside_the_store(home: &Home) -> Vec<String> {
    let entries = std::fs::read_dir(home.path("")).expect("the folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("mag.db") && name != "mag.db").collect()
}

#[test]
fn what_is_no_file_is_no_store_and_is_named() {
    let home = Home::with(CONSOLE);
    std::fs::create_dir(home.path("mag.db")).expect("a folder");
    home.runs(&["check"]).must_fail_with(2, &["mag.db is a folder"]);
    home.runs(&["run"]).must_fail_with(1, &["mag.db is a folder"]);
    assert_eq!(beside_the_store(&home), Vec::<String>::new());
    let made = std::process::Command::new("mkfifo").arg(home.path("pipe")).status().expect("mkfifo runs");
    assert!(made.success());
    home.runs(&["verify", "pipe"]).must_fail_with(1, &["pipe is no plain file"]);
}

/// A store that was cut to a part after mag stopped.
fn cut(config: &str) -> (Home, Vec<u8>) {
    let mag = Mag::with(config);
    mag.takes(&classic(&["a"; 5]));
    let home = mag.stops();
    let mut bytes = std::fs::read(home.path("mag.db")).expect("the file");
    bytes.truncate(bytes.len() / 2);
    std::fs::write(home.path("mag.db"), &bytes).expect("the file");
    (home, bytes)
}

fn moved_aside(home: &Home) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(home.path("")).expect("the folder").map(|entry| entry.expect("an entry").path());
    // Beside it may lie what SQLite made of its log.
    let aside = entries.filter(|path| {
        path.to_string_lossy().contains("mag.db.damaged-")
            && path.extension().is_some_and(|ending| ending.to_string_lossy().ends_with('Z'))
    });
    aside.map(|path| std::fs::read(path).expect("the file")).collect()
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is_until_it_is_to_be_replaced() {
    let (home, bytes) = cut(CONSOLE);
    home.runs(&["run"]).must_fail_with(1, &["mag.db is damaged: ", "--repair", "on_damage"]);
    assert!(std::fs::read(home.path("mag.db")).expect("the file") == bytes, "it is changed");
    assert_eq!(moved_aside(&home), [[0; 0]; 0]);
    let mag = home.start_by(&["run", "--repair"]);
    mag.says("the damaged store is now ");
    mag.takes(&classic(&["b"]));
    let home = mag.stops();
    assert!(moved_aside(&home) == [bytes], "it is kept as it was");
    assert_eq!(home.store().open_windows(), [("b".to_owned(), 1)]);
}

#[test]
fn a_damaged_store_is_replaced_where_the_config_says_so() {
    let (home, bytes) = cut(&format!("[store]\non_damage = \"replace\"\n{CONSOLE}"));
    let home = home.start().stops();
    assert!(moved_aside(&home) == [bytes], "it is kept as it was");
}

#[test]
fn a_config_that_does_not_load_leaves_a_store_as_it_is() {
    let mag = Mag::with(CONSOLE);
    mag.takes(&classic(&["a"; 5]));
    let home = mag.stops();
    let bytes = |home: &Home| std::fs::read(home.path("mag.db")).expect("the file");
    let before = bytes(&home);
    for wrong in ["[route]\nsenders = [\"nobody\"]\n", "[senders.x]\nplugin = \"./none.wasm\"\n", "[route\n"] {
        home.configure(wrong);
        assert_eq!(home.runs(&["run", "--config", "mag.toml"]).code, Some(2), "{wrong}");
        assert!(bytes(&home) == before, "{wrong}");
    }
    home.configure(CONSOLE);
    let mag = home.start();
    mag.says("continued 1 group, 5 messages, from mag.db");
    mag.stops();
}

#[test]
fn what_is_no_database_is_named_and_left_as_it_is() {
    let home = Home::with(CONSOLE).file("mag.db", b"remember the milk\n");
    home.runs(&["run", "--repair"]).must_fail_with(1, &["mag.db is not a database"]);
    home.runs(&["verify"]).must_fail_with(1, &["mag.db is not a database"]);
    assert_eq!(std::fs::read(home.path("mag.db")).expect("the file"), b"remember the milk\n");
    assert_eq!(beside_the_store(&home), Vec::<String>::new());
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
