//! Fluent Forward, from the Python library as the README sets it up, and with acks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::support::{Mag, Python, Receiver, from_readme};

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
