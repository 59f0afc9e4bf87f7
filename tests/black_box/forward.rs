//! Fluent Forward, from the Python library as the README sets it up, and with acks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use sha2::{Digest as _, Sha512};

use super::support::{Home, Mag, Python, Receiver, from_readme};

/// Three messages of one group are told at once.
fn config(receiver: &Receiver, max_messages: u32) -> String {
    let url = receiver.url("/");
    format!(
        "[route]\nmax_messages = {max_messages}\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

#[test]
fn the_python_library_is_told_with_text_severity_tag_and_labels() {
    let Some(python) = Python::with("fluent") else { return };
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, 3));
    let sender = from_readme("FluentSender(\"app\", host=\"mag.example.org\", port=3050)", mag.address().port());
    let program = format!(
        "from fluent.sender import FluentSender\n\
         sender = {sender}\n\
         for number in range(3):\n    \
             assert sender.emit('shop', {{'message': 'disk full', 'level': 'ERROR', 'host': 'web-1', 'number': number}})\n\
         sender.close()\n"
    );
    python.runs(&program, &[]);
    let group = &receiver.request(1).json()["groups"][0];
    assert_eq!(
        (&group["text"], &group["count"], &group["severity"]),
        (&"disk full".into(), &3.into(), &"error".into())
    );
    // The numbers differ, so the group has none.
    assert_eq!(group["labels"], serde_json::json!({"host": "web-1", "tag": "app.shop"}));
    mag.stops();
}

#[test]
fn a_chunk_is_answered_when_no_crash_can_take_it() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, 1_000_000));
    let mut client = TcpStream::connect(mag.address()).expect("mag listens");
    let entry = b"\x92\x05\x81\xa3log\xa9disk full";
    let chunk = [&b"\x93\xa3app\xdc\x00\x64"[..], &entry.repeat(100), b"\x81\xa5chunk\xa2c1"].concat();
    client.write_all(&chunk).expect("mag reads");
    let expected = b"\x81\xdb\x00\x00\x00\x03ack\xdb\x00\x00\x00\x02c1";
    let mut answer = vec![0; expected.len()];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(answer, expected);
    assert_eq!(mag.crashes().store().open_windows(), [("disk full".to_owned(), 100)]);
}

/// Greets as protocol v1 says it; what mag says of that, as far as it says whether the key is right.
fn greets(mag: &Mag, key: &str) -> (TcpStream, Vec<u8>) {
    let mut client = TcpStream::connect(mag.address()).expect("mag listens");
    let mut hello = [0; 53];
    client.read_exact(&mut hello).expect("a HELO");
    let nonce = hello.get(17..33).expect("it has one");
    let hash = Sha512::new().chain_update("salt").chain_update("web-1").chain_update(nonce).chain_update(key);
    let proof: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let ping = [&b"\x96\xa4PING\xa5web-1\xa4salt\xd9\x80"[..], proof.as_bytes(), b"\xa0\xa0"].concat();
    client.write_all(&ping).expect("mag reads");
    let mut pong = vec![0; 8];
    client.read_exact(&mut pong).expect("a PONG");
    (client, pong)
}

#[test]
fn a_port_with_a_shared_key_is_for_those_who_have_it() {
    let receiver = Receiver::start();
    let port =
        "[[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"forward\"\nshared_key = { env = \"FORWARD_KEY\" }\n";
    let config = format!("{port}{}", config(&receiver, 1));
    let missing =
        "mag.toml:4:14: error: `shared_key` of [[listen]] 127.0.0.1:0: environment variable FORWARD_KEY is not set";
    Home::with(&config).runs(&["check"]).must_fail_with(2, &[missing]);
    let mag = Home::with(&config).env("FORWARD_KEY", "s3cret").start();
    let (mut stranger, pong) = greets(&mag, "other");
    assert_eq!(pong, b"\x95\xd9\x04PONG\xc2");
    let mut rest = Vec::new();
    stranger.read_to_end(&mut rest).expect("an end");
    assert!(rest.starts_with(b"\xd9\x13shared_key mismatch"), "{rest:?}");
    let (mut client, pong) = greets(&mag, "s3cret");
    assert_eq!(pong, b"\x95\xd9\x04PONG\xc3");
    client.write_all(b"\x93\xa3app\x05\x81\xa3log\xa9disk full").expect("mag reads");
    assert_eq!(receiver.request(1).json()["groups"][0]["text"], "disk full");
    mag.stops();
}
