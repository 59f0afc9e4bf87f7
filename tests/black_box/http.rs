//! `POST /api/v1/messages` by curl, over HTTP/1.1 and HTTP/2.

use super::support::{Mag, curl};

const COUNTS_ONLY: &str = "[route]\nmax_messages = 1000000000000\ntime_limit = \"1h\"\nsenders = []\n";

/// What curl is answered, and in which version of HTTP.
fn posts(mag: &Mag, arguments: &[&str]) -> Option<String> {
    let url = format!("http://{}/api/v1/messages", mag.address());
    curl("HTTP2", &[&["--write-out", "%{http_version}", "--data", "disk full", &url], arguments].concat())
}

#[test]
fn curl_posts_over_either_version_and_is_answered_after_the_commit() {
    let mag = Mag::with(COUNTS_ONLY);
    let accepted = "{\"accepted\":1,\"errors\":[]}\n";
    let Some(told) = posts(&mag, &["--http2-prior-knowledge"]) else { return };
    assert_eq!(told, format!("{accepted}2"));
    // It asks for an upgrade, which a server may leave out: the request counts once.
    assert_eq!(posts(&mag, &["--http2"]), Some(format!("{accepted}1.1")));
    assert_eq!(posts(&mag, &["--http1.1", "--header", "Content-Type: text/plain"]), Some(format!("{accepted}1.1")));
    assert_eq!(mag.crashes().store().open_windows(), [("disk full".to_owned(), 3)]);
}
