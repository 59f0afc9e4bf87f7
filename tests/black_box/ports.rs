//! Ports as an operator sets them up: more than one, each with rules of its own.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::support::{Home, Receiver, Wire};

fn config(receiver: &Receiver) -> String {
    let url = receiver.url("/");
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\ntoken = {{ env = \"PORT_TOKEN\" }}\n\
         [[listen]]\naddress = \"unix:mag.sock\"\nlabels = {{ site = \"eu\" }}\n\
         [route]\nmax_messages = 2\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    )
}

#[test]
fn a_port_with_a_token_and_a_unix_socket_with_labels_feed_the_same_group() {
    let receiver = Receiver::start();
    let mag = Home::with(&config(&receiver)).env("PORT_TOKEN", "s3cret").start();
    let mut http = Wire::to(mag.address());
    http.writes(
        b"POST /api/v1/messages HTTP/1.1\r\nHost: mag\r\nAuthorization: Bearer s3cret\r\nContent-Length: 9\r\n\r\ndisk full",
    );
    assert_eq!(http.hears().expect("an answer").trim_end(), "HTTP/1.1 200 OK");
    let mut unix = UnixStream::connect(mag.home().path("mag.sock")).expect("mag serves the socket");
    unix.write_all(b"{\"text\":\"disk full\"}\n").expect("mag reads");
    unix.shutdown(Shutdown::Write).expect("an open socket");
    unix.read_to_end(&mut Vec::new()).expect("the end means committed");
    let group = &receiver.request(1).json()["groups"][0];
    assert_eq!((&group["text"], &group["count"]), (&"disk full".into(), &2.into()));
    let home = mag.stops();
    assert!(!home.path("mag.sock").exists(), "the socket goes with mag");
}

#[test]
fn a_token_or_a_certificate_that_is_missing_is_told_before_mag_listens() {
    let receiver = Receiver::start();
    let missing = "mag.toml:4:9: error: `token` of [[listen]] 127.0.0.1:0: environment variable PORT_TOKEN is not set";
    Home::with(&config(&receiver)).runs(&["check"]).must_fail_with(2, &[missing]);
    let tls = "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = { cert = \"no.pem\", key = \"no.key\" }\n";
    let unreadable = "error: `tls` of [[listen]] 127.0.0.1:0: cannot read no.pem: No such file";
    Home::with_exactly(tls).runs(&["check"]).must_fail_with(2, &[unreadable]);
}
