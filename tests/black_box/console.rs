//! The console sender: what it prints can do nothing to a terminal, and a reader that sleeps delays nobody else.

use super::support::{Home, Mag, Receiver, classic};

#[test]
fn no_text_can_act_on_the_terminal() {
    let mag = Mag::with("[route]\nmax_messages = 1\n[senders.console]\nplugin = \"console\"\n");
    let text = "\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{200b}\r";
    let line = serde_json::json!({ "text": text, "kind": text, "labels": { text: text }, "severity": "error" });
    mag.takes(format!("{line}\n").as_bytes());
    let told = mag.prints("repeated 1 time(s)");
    assert!(
        told.starts_with(r#"ERROR Message "\x1b]0;title\a\u009b2J\u202e\u200b\r" was repeated 1 time(s). (kind="#),
        "{told:?}"
    );
    assert!(!told.chars().any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c)), "{told:?}");
    mag.stops();
}

#[test]
fn an_output_that_nobody_reads_delays_no_other_sender_and_no_stop() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let home = Home::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"console\", \"hook\"]\n[senders.console]\nplugin = \"console\"\n\
         [senders.hook]\nplugin = \"webhook\"\nrate = \"1000/s\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    let mag = home.with_nobody_reading().start();
    // Far more than a pipe and mag's own queue hold.
    let long = "x".repeat(60_000);
    for number in 1..=40 {
        mag.takes(&classic(&[&format!("{number} {long}")]));
        receiver.request(number);
    }
    let store = mag.stops().store();
    assert_eq!(store.account("root", "hook").told, 40);
    assert_eq!(store.account("root", "console").accepted, 40);
}
