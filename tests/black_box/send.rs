//! `mag send` against the real daemon.

use std::net::TcpListener;

use super::support::{Certificate, Home, Mag, free_port};

const COUNTS_ONLY: &str = "[route]\nmax_messages = 1000000\ntime_limit = \"1h\"\nsenders = []\n";

#[test]
fn words_are_one_message_with_what_the_flags_say() {
    let mag = Mag::with(COUNTS_ONLY);
    let to = mag.address().to_string();
    let flags = ["--kind", "backup", "--severity", "error", "--label", "host=db1", "--label", "app=shop"];
    let words = [&["send", "--to", &to][..], &flags, &["disk", "full"]].concat();
    mag.home().runs(&words).must_be(0, "", "");
    // Acknowledged means committed: a crash right behind it takes nothing.
    let store = mag.crashes().store();
    assert_eq!(store.open_windows(), [("disk full".to_owned(), 1)]);
    let column = |name| store.only_window(name).expect("a value");
    assert_eq!((column("kind"), column("severity")), ("backup".to_owned(), "error".to_owned()));
    assert_eq!(column("labels"), r#"{"app":"shop","host":"db1"}"#);
}

#[test]
fn a_dash_sends_each_line_of_standard_input() {
    let mag = Mag::with(COUNTS_ONLY);
    let to = mag.address().to_string();
    let input = format!("{}\nlast without its end", "disk full\r\n".repeat(5_000));
    mag.home().runs_with(&["send", "--to", &to, "-"], input.as_bytes()).must_be(0, "", "");
    let expected = [("disk full".to_owned(), 5_000), ("last without its end".to_owned(), 1)];
    assert_eq!(mag.crashes().store().open_windows(), expected);
}

#[test]
fn the_variable_mag_address_says_where() {
    let mag = Mag::with(COUNTS_ONLY);
    let elsewhere = Home::with("").env("MAG_ADDRESS", &mag.address().to_string());
    elsewhere.runs(&["send", "hello"]).must_be(0, "", "");
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 1)]);
}

#[test]
fn a_message_that_is_refused_ends_with_1_and_the_reason() {
    let mag = Mag::with(COUNTS_ONLY);
    let to = mag.address().to_string();
    let long = format!("x={}", "y".repeat(5_000));
    let ended = mag.home().runs(&["send", "--to", &to, "--label", &long, "hello"]);
    ended.must_fail_with(1, &["mag refused message 1: label `x` is longer than 4096 bytes"]);
    assert!(mag.stops().store().open_windows().is_empty());
}

#[test]
fn a_mag_that_is_not_there_ends_with_75() {
    let to = format!("127.0.0.1:{}", free_port());
    let ended = Home::with("").runs(&["send", "--to", &to, "hello"]);
    ended.must_fail_with(75, &[&to, "mag run"]);
}

#[test]
fn a_mag_that_does_not_answer_ends_with_75() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = silent.local_addr().expect("its address").to_string();
    let ended = Home::with("").runs(&["send", "--to", &to, "--timeout", "200ms", "hello"]);
    ended.must_fail_with(75, &["no ack"]);
}

/// A config that listens there, and only counts.
fn listening(listen: &str) -> String {
    format!("[[listen]]\n{listen}\n{COUNTS_ONLY}")
}

#[test]
fn where_nobody_says_otherwise_the_config_says_where_mag_is() {
    let port = free_port();
    let mag = Mag::with(&listening(&format!("address = \"0.0.0.0:{port}\"\nprotocol = \"ndjson\"")));
    mag.home().runs(&["send", "hello"]).must_be(0, "", "");
    mag.home().runs(&["watch", "--", "echo", "hello"]).must_be(0, "hello", "");
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 2)]);
}

#[test]
fn a_unix_socket_is_spoken_to_by_config_and_by_name() {
    let other = format!(
        "address = \"127.0.0.1:{}\"\nprotocol = \"syslog\"\n[[listen]]\naddress = \"unix:mag.sock\"",
        free_port()
    );
    let mag = Mag::with(&listening(&other));
    mag.home().runs(&["send", "hello"]).must_be(0, "", "");
    mag.home().runs(&["send", "--to", "unix:mag.sock", "hello"]).must_be(0, "", "");
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 2)]);
}

#[test]
fn tls_is_spoken_with_a_mag_that_is_known_by_its_certificate_or_by_who_signed_it() {
    let (port, certificate) = (free_port(), Certificate::for_names(&["localhost"]));
    let tls = format!("address = \"127.0.0.1:{port}\"\ntls = {{ cert = \"cert.pem\", key = \"key.pem\" }}");
    let home = Home::with(&listening(&tls)).file("cert.pem", certificate.pem().as_bytes());
    let mag = home.file("key.pem", certificate.key_pem().as_bytes()).start();
    mag.home().runs(&["send", "hello"]).must_be(0, "", "");
    let to = format!("tls:localhost:{port}");
    mag.home().runs(&["send", "--to", &to, "--ca", "cert.pem", "hello"]).must_be(0, "", "");
    // An authority that signed nothing of it, or another name, is nobody to talk to.
    mag.home().runs(&["send", "--to", &to, "hello"]).must_fail_with(75, &["cannot reach mag at tls:localhost:"]);
    let named = format!("tls:127.0.0.1:{port}");
    mag.home().runs(&["send", "--to", &named, "--ca", "cert.pem", "hello"]).must_fail_with(75, &["certificate"]);
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 2)]);
}

#[test]
fn a_port_that_wants_a_certificate_is_shown_one() {
    let (port, server) = (free_port(), Certificate::for_names(&["localhost"]));
    let client = Certificate::for_names(&["client"]);
    let home = Home::with(&listening(&format!(
        "address = \"127.0.0.1:{port}\"\n\
         tls = {{ cert = \"cert.pem\", key = \"key.pem\", client_ca = \"client.pem\" }}"
    )));
    let home = home.file("cert.pem", server.pem().as_bytes()).file("key.pem", server.key_pem().as_bytes());
    let home = home.file("client.pem", client.pem().as_bytes()).file("client-key.pem", client.key_pem().as_bytes());
    let mag = home.start();
    let to = format!("tls:localhost:{port}");
    let named = ["send", "--to", &to, "--ca", "cert.pem", "hello"];
    let own = ["--cert", "client.pem", "--key", "client-key.pem"];
    let run = |before: &[&str], after: &[&str]| mag.home().runs(&[before, after].concat());
    run(&named, &own).must_be(0, "", "");
    run(&["send", "hello"], &own).must_be(0, "", "");
    let watched = [&["watch"][..], &own, &["--", "echo", "hello"]].concat();
    run(&watched, &[]).must_be(0, "hello", "");
    run(&named, &[]).must_fail_with(75, &["mag at tls:localhost:"]);
    run(&["send", "hello"], &[]).must_fail_with(2, &["one with client_ca needs --cert and --key"]);
    run(&named, &["--cert", "client.pem"]).must_fail_with(2, &["--key"]);
    let together = ["--cert", "client.pem", "--key", "key.pem"];
    run(&named, &together).must_fail_with(2, &["client.pem and key.pem do not go together"]);
    let no_key = ["--cert", "client.pem", "--key", "client.pem"];
    run(&named, &no_key).must_fail_with(2, &["client.pem: no private key in PEM"]);
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 3)]);
}

#[test]
fn a_certificate_that_no_server_may_show_is_refused_with_what_to_do() {
    let (port, certificate) = (free_port(), Certificate::of_an_authority());
    let tls = format!("address = \"127.0.0.1:{port}\"\ntls = {{ cert = \"cert.pem\", key = \"key.pem\" }}");
    let home = Home::with(&listening(&tls)).file("cert.pem", certificate.pem().as_bytes());
    let mag = home.file("key.pem", certificate.key_pem().as_bytes()).start();
    let to = format!("tls:localhost:{port}");
    let refused = mag.home().runs(&["send", "--to", &to, "--ca", "cert.pem", "hello"]);
    refused.must_fail_with(75, &["marked as an authority's", "-addext basicConstraints=critical,CA:FALSE"]);
    // Where the config names it, it is known as it is.
    mag.home().runs(&["send", "hello"]).must_be(0, "", "");
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 1)]);
}

#[test]
fn the_variable_mag_token_counts_more_than_the_configs_token() {
    let port = free_port();
    let config =
        listening(&format!("address = \"127.0.0.1:{port}\"\nprotocol = \"http\"\ntoken = {{ file = \"token\" }}"));
    let mag = Home::with(&config).file("token", b"canary-of-the-port\n").start();
    let elsewhere = |token: &str| Home::with(&config).file("token", b"another\n").env("MAG_TOKEN", token);
    elsewhere("canary-of-the-port").runs(&["send", "hello"]).must_be(0, "", "");
    // Empty is unset.
    elsewhere("").runs(&["send", "hello"]).must_fail_with(77, &["it answers 401"]);
    // The config's is not even read.
    let absent = Home::with(&config).env("MAG_TOKEN", "canary-of-the-port");
    absent.runs(&["send", "hello"]).must_be(0, "", "");
    assert_eq!(mag.stops().store().open_windows(), [("hello".to_owned(), 2)]);
}

#[test]
fn a_config_with_mistakes_does_not_hide_how_to_go_on_without_it() {
    let home = Home::with("[[listen]]\naddres = 1\n");
    home.runs(&["send", "hello"]).must_fail_with(2, &["addres", "say where mag is with --to"]);
    for command in [&["status"][..], &["dlq", "list"], &["silence", "list"], &["test", "notify", "x"]] {
        home.runs(command).must_fail_with(2, &["addres", "say where the running mag is with --admin"]);
    }
}

#[test]
fn a_file_without_end_is_no_certificate() {
    let to = format!("tls:localhost:{}", free_port());
    let endless = Home::with("").runs(&["send", "--to", &to, "--ca", "/dev/zero", "hello"]);
    endless.must_fail_with(2, &["/dev/zero: it is a device, not a regular file"]);
}

#[test]
fn a_port_with_a_token_is_posted_to_with_the_token_that_the_config_or_the_variable_names() {
    let (port, certificate) = (free_port(), Certificate::for_names(&["localhost"]));
    let home = Home::with(&listening(&format!(
        "address = \"127.0.0.1:{port}\"\nprotocol = \"http\"\ntoken = {{ file = \"token\" }}\n\
         tls = {{ cert = \"cert.pem\", key = \"key.pem\" }}"
    )));
    let home = home.file("cert.pem", certificate.pem().as_bytes()).file("key.pem", certificate.key_pem().as_bytes());
    let mag = home.file("token", b"canary-of-the-port\n").start();
    let lines = "a\n".repeat(3_000);
    mag.home().runs_with(&["send", "-"], lines.as_bytes()).must_be(0, "", "");
    mag.home().runs(&["watch", "--", "echo", "a"]).must_be(0, "a", "");
    let long = format!("x={}", "y".repeat(5_000));
    let refused = mag.home().runs(&["send", "--label", &long, "b"]);
    refused.must_fail_with(1, &["mag refused message 1: label `x` is longer than 4096 bytes"]);
    let to = format!("https://localhost:{port}");
    let elsewhere = |token: &str| {
        let home = Home::with("").env("MAG_TOKEN", token).file("ca.pem", certificate.pem().as_bytes());
        home.runs(&["send", "--to", &to, "--ca", "ca.pem", "c"])
    };
    elsewhere("canary-of-the-port").must_be(0, "", "");
    let wrong = elsewhere("another");
    wrong.must_fail_with(77, &["it answers 401: this listener wants its token"]);
    assert!(!wrong.stderr.contains("another") && !wrong.stderr.contains("mag run"), "{wrong:?}");
    let expect = [("a".to_owned(), 3_001), ("c".to_owned(), 1)];
    assert_eq!(mag.stops().store().open_windows(), expect);
}

#[test]
fn a_config_without_a_port_for_it_is_said() {
    let home = Home::with(&listening("address = \"127.0.0.1:0\""));
    home.runs(&["send", "hello"]).must_fail_with(2, &["say where mag is with --to"]);
}
