//! A copy of the store, made while mag runs, is a store that a mag goes on with.

use super::support::{Home, Mag, Receiver, classic};

fn config(receiver: &Receiver, time_limit: &str) -> String {
    let url = receiver.url("/");
    format!(
        "[route]\nmax_messages = 1000\ntime_limit = \"{time_limit}\"\nsenders = [\"hook\"]\n[senders.hook]\n\
         plugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

#[test]
fn a_copy_that_was_made_while_mag_runs_goes_on_where_it_was_and_replaces_nothing() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "1h"));
    mag.takes(&classic(&["a"; 7]));
    let copied = mag.home().runs(&["store", "backup", "copy.db", "--config", "mag.toml"]);
    assert_eq!(copied.code, Some(0), "{copied:#?}");
    assert!(copied.stdout.contains("copied to copy.db, "), "{copied:#?}");
    mag.takes(&classic(&["a"; 5]));
    let again = mag.home().runs(&["store", "backup", "copy.db", "--config", "mag.toml"]);
    again.must_fail_with(1, &["cannot write copy.db, nothing must be there"]);
    let copy = std::fs::read(mag.home().path("copy.db")).expect("the copy");
    mag.stops();
    let mag = Home::with(&config(&receiver, "1s")).file("mag.db", &copy).start();
    mag.says("continued 1 group, 7 messages, from mag.db");
    assert_eq!(receiver.request(1).json()["groups"][0]["count"], 7);
    mag.stops();
}

#[test]
fn without_a_store_there_is_no_copy_and_no_file() {
    let home = Home::with("");
    let ended = home.runs(&["store", "backup", "copy.db", "--config", "mag.toml"]);
    ended.must_fail_with(1, &["mag.db: there is no such file"]);
    assert!(!home.path("copy.db").exists());
}
