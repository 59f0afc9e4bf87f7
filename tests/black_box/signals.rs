//! How mag stops: with everything committed, soon, and at once when it is asked twice.

use std::thread;

use super::support::{Answer, Mag, Receiver, Wire, classic};

const COUNTS_ONLY: &str = "[route]\nmax_messages = 1000000\ntime_limit = \"1h\"\nsenders = []\n";

#[test]
fn sigterm_commits_and_acknowledges_what_has_arrived() {
    for signal in ["TERM", "INT"] {
        let mag = Mag::with(COUNTS_ONLY);
        let mut wire = Wire::with_acks(mag.address());
        wire.writes(b"{\"text\":\"a\"}\n");
        wire.is_acked(1);
        wire.writes(&"{\"text\":\"a\"}\n".repeat(2_000).into_bytes());
        mag.gets_signal(signal);
        let answers = wire.hears_to_the_end();
        let acked = answers.lines().last().expect("an ack").to_owned();
        let home = mag.ends_well();
        let accepted = home.store().account("root", "").accepted;
        assert_eq!(acked, format!("{{\"acked\":{accepted}}}"), "the last ack is what is in the store");
        assert_eq!(accepted, 2_001, "what had arrived before the signal is taken");
    }
}

#[test]
fn sigterm_ends_a_client_that_never_stops_sending() {
    let mag = Mag::with(COUNTS_ONLY);
    let address = mag.address();
    let (started, first_ack) = std::sync::mpsc::sync_channel(1);
    let client = thread::spawn(move || {
        let mut wire = Wire::with_acks(address);
        wire.writes(b"{\"text\":\"a\"}\n");
        let mut acked = wire.next_ack(0);
        started.send(()).expect("the test waits");
        // Until mag closes: each ack asks for the next message.
        while wire.writes_while_open(b"{\"text\":\"a\"}\n") {
            let Some(line) = wire.hears_while_open() else { break };
            let ack: serde_json::Value = serde_json::from_str(&line).expect("an ack");
            acked = ack["acked"].as_u64().expect("a number");
        }
        acked
    });
    first_ack.recv().expect("the client starts");
    let home = mag.stops();
    let acked = client.join().expect("the client ends");
    let accepted = u64::try_from(home.store().account("root", "").accepted).expect("a count");
    assert!(accepted >= acked, "acknowledged {acked}, found {accepted}");
}

#[test]
fn whoever_sees_an_orderly_end_while_mag_stops_is_counted() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wires: Vec<_> = (0..40).map(|n| (format!("number {n}"), mag.wire())).collect();
    for (text, wire) in &mut wires {
        wire.writes(format!("STRING\n{text}\n").as_bytes());
    }
    mag.gets_signal("TERM");
    let orderly = wires.into_iter().filter_map(|(text, wire)| wire.ends_orderly_after(b"").then_some(text));
    let orderly: Vec<_> = orderly.collect();
    let counted = mag.ends_well().store().open_windows();
    for text in orderly {
        assert!(counted.contains(&(text.clone(), 1)), "{text} is not counted");
    }
}

#[test]
fn who_writes_to_a_mag_that_has_stopped_cannot_mistake_it_for_success() {
    let mag = Mag::with(COUNTS_ONLY);
    let mut wire = mag.wire();
    wire.writes(b"STRING\nin time\n");
    mag.takes(&classic(&["in time"]));
    let home = mag.stops();
    assert_eq!(home.store().open_windows(), [("in time".to_owned(), 2)]);
    let orderly = wire.ends_orderly_after(b"STRING\ntoo late\n");
    assert!(!orderly, "the end of the connection says that the last message is committed");
}

#[test]
fn a_call_in_flight_may_end_before_mag_does() {
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    let home = mag.stops();
    assert_eq!(home.store().only_delivery().state, "delivered");
}

#[test]
fn a_call_that_hangs_is_cut_off_and_repeated_by_the_next_start() {
    let receiver = Receiver::start().answers_next(Answer::hang());
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         timeout = \"60s\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.gets_signal("TERM");
    mag.says("a call was cut off by the stop");
    let mag = mag.ends_well().start();
    assert_eq!(receiver.request(2).header("webhook-id"), receiver.request(1).header("webhook-id"));
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, 1);
}

#[test]
fn a_second_signal_ends_mag_at_once() {
    let receiver = Receiver::start().answers_next(Answer::hang());
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         timeout = \"60s\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.gets_signal("TERM");
    mag.says("another signal ends mag at once");
    mag.gets_signal("TERM");
    mag.says("ended at once by a second signal");
    let home = mag.ends_well();
    assert_eq!(home.store().account("root", "hook").frozen, 1);
}

#[test]
fn a_hang_up_during_the_start_is_obeyed_after_it() {
    // What the start runs sends it, once.
    let command = "[ -e sent ] || { touch sent; kill -HUP $PPID; }; echo token";
    let config = format!(
        "[route]\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig.url = \"http://127.0.0.1:9/\"\n\
         secrets.token = {{ command = [\"/bin/sh\", \"-c\", \"{command}\"] }}\n"
    );
    let mag = Mag::with(&config);
    mag.says("SIGHUP: reading the config again");
    mag.says("the config is read again, nothing is different");
    mag.stops();
}
