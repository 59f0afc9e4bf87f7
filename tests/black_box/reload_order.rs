//! Reloads that meet: the newest one counts, and whoever asked for another one hears why that one does not.

use std::sync::mpsc::{Receiver as Comes, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::support::{Answer, Ended, Home, Mag, Receiver, classic};

/// Tells `hook` every message, and signs in at `slow`.
fn config(hook: &str, slow: Option<&str>) -> String {
    let slow = slow.map(|url| {
        format!(
            "[senders.slow]\nplugin = \"slack\"\nsecrets.token = {{ env = \"TOKEN\" }}\n\
             config = {{ channel = \"#ops\", api_url = \"{url}\" }}\n"
        )
    });
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\n\
         plugin = \"webhook\"\nconfig = {{ url = \"{hook}\" }}\n{}",
        slow.unwrap_or_default()
    )
}

/// A destination that answers nobody while the gate is held, and says when somebody asks.
fn held(gate: &Arc<Mutex<()>>) -> (Receiver, Comes<()>) {
    let (came, comes) = sync_channel(8);
    let gate = Arc::clone(gate);
    let receiver = Receiver::answering(move |_| {
        came.send(()).expect("the test waits");
        drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
        Answer::status(503)
    });
    (receiver, comes)
}

/// What comes of a reload that somebody asked for, who waits while `meanwhile` happens. It is under way by then: a sender
/// of it signs in.
fn asked_before(mag: &Mag, comes: &Comes<()>, _held: &MutexGuard<'_, ()>, meanwhile: impl FnOnce()) -> Ended {
    let (home, admin) = (mag.home(), mag.admin().address());
    thread::scope(|scope| {
        let asking = scope.spawn(move || home.runs(&["reload", "--admin", &admin]));
        comes.recv().expect("the sender signs in");
        meanwhile();
        asking.join().expect("the command ends")
    })
}

#[test]
fn a_newer_reload_takes_the_place_of_one_that_is_not_done_and_who_asked_for_that_one_is_told() {
    let gate = Arc::new(Mutex::new(()));
    let holding = gate.lock().expect("nobody has it");
    let (receiver, (slow, comes)) = (Receiver::start(), held(&gate));
    let mag = Home::with(&config(&receiver.url("/old"), None)).env("TOKEN", "xoxb-1").start();
    mag.home().configure(&config(&receiver.url("/overtaken"), Some(&slow.url("/api"))));
    let former = asked_before(&mag, &comes, &holding, || {
        mag.home().configure(&config(&receiver.url("/new"), None));
        let newer = mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
        newer.must_be(0, "sender hook: changed (webhook 0.1.0)", "");
    });
    former.must_fail_with(75, &["mag: nothing is reloaded: a newer reload took the place of this one"]);
    assert!(!former.stderr.contains("refused"), "{former:#?}");
    mag.says("the config is read anew, in the place of a reload that was not done");
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).target, "/new");
    let status = mag.admin().get("/api/v1/status").json();
    assert!(status["config"]["refused"].is_null(), "{status}");
    assert!(!status["senders"].to_string().contains("slow"), "nothing of the former one is left: {status}");
    drop(holding);
    mag.stops();
}

#[test]
fn a_reload_that_a_stop_comes_before_says_that_mag_is_stopping() {
    let gate = Arc::new(Mutex::new(()));
    let holding = gate.lock().expect("nobody has it");
    let (receiver, (slow, comes)) = (Receiver::start(), held(&gate));
    let mag = Home::with(&config(&receiver.url("/"), None)).env("TOKEN", "xoxb-1").start();
    mag.home().configure(&config(&receiver.url("/"), Some(&slow.url("/api"))));
    let ended = asked_before(&mag, &comes, &holding, || mag.gets_signal("TERM"));
    ended.must_fail_with(75, &["mag: nothing is reloaded: mag is stopping, the next start reads the config anew"]);
    assert!(!ended.stderr.contains("refused"), "{ended:#?}");
    mag.says("the new config is not taken: mag is stopping, the next start reads it anew");
    drop(holding);
    mag.ends_well();
}
