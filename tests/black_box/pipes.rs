//! Pipes in the place of files: reading one would wait for whoever writes to it, and nobody does.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::support::{Certificate, Home, Mag, Receiver, classic};

/// Puts a pipe in the place of whatever is there.
#[track_caller]
fn pipe(path: &Path) {
    if path.exists() {
        std::fs::remove_file(path).expect("a file of the folder");
    }
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
}

/// A config that names a pipe, or is one, is refused by a check and by a start.
#[track_caller]
fn check(config: &str, name: &str) {
    let home = Home::with_exactly(config).file("cert.pem", Certificate::new().pem().as_bytes());
    pipe(&home.path(name));
    for command in ["check", "run"] {
        let ended = home.runs(&[command, "--config", "mag.toml"]);
        ended.must_fail_with(2, &[name, "it is a pipe, not a regular file"]);
    }
}

#[test]
fn a_pipe_in_the_place_of_any_file_is_refused_in_words() {
    check("", "mag.toml");
    check("", "mag.lock");
    check(
        "[senders.a]\nplugin = \"webhook\"\nconfig.url = \"http://a.test/\"\nsecrets.t = { file = \"tok\" }\n",
        "tok",
    );
    check("[[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\ntoken = { file = \"tok\" }\n", "tok");
    check("[[listen]]\naddress = \"127.0.0.1:0\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }\n", "key.pem");
    let home = Home::with("");
    pipe(&home.path("own.wasm"));
    home.runs(&["sender", "inspect", "./own.wasm"]).must_fail_with(1, &["it is a pipe, not a regular file"]);
}

#[test]
fn a_sender_tells_and_a_reload_ends_while_a_pipe_stands_in_the_place_of_a_secret() {
    let receiver = Receiver::start();
    let config = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\n\
         plugin = \"webhook\"\nrate = \"1000/s\"\ntimeout = \"3s\"\nsecrets.token = {{ file = \"tok\" }}\n\
         config = {{ url = \"{}\", headers = {{ X-Token = \"${{secret:token}}\" }} }}\n",
        receiver.url("/")
    );
    let mag = Home::with(&config).file("tok", b"first\n").start();
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).header("x-token"), Some("first"));
    pipe(&mag.home().path("tok"));
    let reload = |mag: &Mag| mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    for _ in 0..2 {
        reload(&mag).must_fail_with(1, &["tok: it is a pipe, not a regular file"]);
    }
    // Until the sender finds it.
    let told = (2..).find(|number| {
        mag.takes(&classic(&[&format!("number {number}")]));
        assert_eq!(receiver.request(*number).header("x-token"), Some("first"));
        mag.said().iter().any(|line| line.contains("secrets.token cannot be read again, its last value goes on"))
    });
    std::fs::remove_file(mag.home().path("tok")).expect("the pipe");
    std::fs::write(mag.home().path("tok"), "second\n").expect("the file is written");
    let healed = (told.expect("it is found") + 1..).find(|number| {
        mag.takes(&classic(&[&format!("number {number}")]));
        receiver.request(*number).header("x-token") == Some("second")
    });
    assert!(healed.is_some());
    assert_eq!(reload(&mag).code, Some(0));
    mag.stops();
}
