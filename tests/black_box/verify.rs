//! `mag verify`: beside a running mag and on what a stopped one left.

use std::fs;
use std::path::Path;

use super::support::{Answer, Home, Mag, Receiver, classic};

/// A sender `hook` that tells two messages of a group together.
fn config(receiver: &Receiver) -> String {
    let url = receiver.url("/");
    format!(
        "[route]\nmax_messages = 2\ntime_limit = \"1h\"\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

#[test]
fn a_store_is_verified_while_mag_runs_and_after_it() {
    let receiver = Receiver::start().answers_next(Answer::status(400));
    let mag = Mag::with(&config(&receiver));
    mag.takes(&classic(&["refused", "refused", "waiting"]));
    mag.says("dead letters");
    let said =
        "root for hook: 3 accepted = 1 open + 0 held + 0 waiting + 0 frozen + 0 told + 2 dead + 0 dropped\nmag.db: ok";
    mag.home().runs(&["verify"]).must_be(0, said, "");
    let home = mag.stops();
    home.runs(&["verify", "mag.db"]).must_be(0, said, "");
}

/// Changes bytes as a disk does that forgets them: the file's time stays.
fn rots(path: &Path, bytes: &[u8], others: &[u8]) {
    let mut all = fs::read(path).expect("a store");
    let at = all.windows(bytes.len()).position(|part| part == bytes).expect("they are there");
    all[at..at + others.len()].copy_from_slice(others);
    let written = fs::metadata(path).and_then(|found| found.modified()).expect("a time");
    fs::write(path, all).expect("it is written");
    let file = fs::File::options().write(true).open(path).expect("a store");
    file.set_modified(written).expect("a time");
}

#[test]
fn a_file_that_changed_since_the_stop_though_nobody_wrote_it_is_found() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver));
    mag.takes(&classic(&["disk full"]));
    let home = mag.stops();
    rots(&home.path("mag.db"), b"disk full", b"disk fulm");
    let wrong = "wrong: the file is damaged: bytes of it changed since mag stopped, though nobody wrote it";
    let ended = home.runs(&["verify"]);
    assert!(ended.code == Some(1) && ended.stdout.contains(wrong), "{ended:#?}");
}

#[test]
fn commits_that_are_missing_at_the_end_are_found() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver));
    mag.takes(&classic(&["a"]));
    let home = mag.stops();
    let older = fs::read(home.path("mag.db")).expect("a store");
    let mag = home.start();
    mag.takes(&classic(&["b"]));
    let home = mag.stops().file("mag.db", &older);
    let ended = home.runs(&["verify"]);
    assert!(
        ended.code == Some(1) && ended.stdout.contains("commits are missing, so its log is damaged or gone"),
        "{ended:#?}"
    );
}

#[test]
fn a_count_that_was_changed_by_hand_is_found() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver));
    mag.takes(&classic(&["a"]));
    let home = mag.stops();
    home.store().spoilt_by("UPDATE windows SET count = 7");
    let ended = home.runs(&["verify"]);
    let said = "root for hook: 1 accepted = 1 open + 0 held + 0 waiting + 0 frozen + 0 told + 0 dead + 0 dropped\n\
                wrong: route root, sender hook: open is 1, its rows hold 7\nmag.db: 1 thing is wrong";
    ended.must_be(1, said, "");
}

#[test]
fn a_damaged_file_and_one_that_is_not_there_are_said() {
    let home = Home::with("").file("broken.db", &[b"SQLite format 3\0".as_slice(), &[7; 5_000]].concat());
    home.runs(&["verify", "broken.db"]).must_fail_with(1, &["mag: the store broken.db is damaged: "]);
    home.runs(&["verify"]).must_fail_with(1, &["mag: cannot use the store mag.db: there is no such file"]);
    Home::with("[store]\npath = \":memory:\"\n").runs(&["verify"]).must_fail_with(2, &["there is no file to verify"]);
}
