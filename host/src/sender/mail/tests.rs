//! Mail from a guest against a scripted mail server.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Mail, Mailer, Refused, compose, is_for_mail};
use crate::config::{SecretValue, Smtp, Tls};

fn mail() -> Value {
    json!({
        "from": "mag <mag@example.org>",
        "to": ["ops@example.org", "Bob <bob@example.org>"],
        "subject": "disk full",
        "text": "disk full\n.\nQUIT",
        "message_id": "<n1@mag.example.org>",
    })
}

fn with(key: &str, value: &Value) -> Value {
    let mut mail = mail();
    mail[key] = value.clone();
    mail
}

fn composed(mail: Value) -> Result<String, Refused> {
    let mail: Mail = serde_json::from_value(mail).unwrap();
    compose::message(&mail).map(|message| String::from_utf8(message.formatted()).unwrap())
}

/// The header lines of a message, continuation lines joined to theirs.
fn headers(message: &str) -> Vec<String> {
    let head = message.split("\r\n\r\n").next().unwrap();
    head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
}

fn names(message: &str) -> Vec<String> {
    headers(message).iter().map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn a_plain_mail_has_the_headers_it_should_have() {
    let message = composed(mail()).unwrap();
    let headers = headers(&message);
    for expect in [
        "From: mag <mag@example.org>",
        "To: ops@example.org, Bob <bob@example.org>",
        "Subject: disk full",
        "Message-ID: <n1@mag.example.org>",
        "Auto-Submitted: auto-generated",
        "Content-Transfer-Encoding: quoted-printable",
    ] {
        assert!(headers.iter().any(|line| line == expect), "{expect}: {headers:?}");
    }
}

#[test]
fn nothing_in_a_text_begins_a_header_of_its_own() {
    let clean = names(&composed(mail()).unwrap());
    for poison in [
        "a\r\nBcc: evil@example.net",
        "a\nBcc: evil@example.net",
        "a\rBcc: evil@example.net",
        "a\u{0}b",
        "a\u{85}Bcc: x@example.net",
        "a\u{2028}Bcc: x@example.net",
        "a\u{b}\u{c}b",
        "=?utf-8?q?=0D=0ABcc:_evil@example.net?=",
        "\r\n\r\nbody",
        "x\r\n .\r\nQUIT",
        "grün 東京",
    ] {
        let message = composed(with("subject", &json!(poison))).unwrap();
        assert_eq!(names(&message), clean, "{poison:?}");
        assert!(!message.contains("=?utf-8?q?=0D"), "{message}");
        for field in ["from", "reply_to"] {
            if let Ok(message) = composed(with(field, &json!(format!("{poison} <a@example.org>")))) {
                let mut names = names(&message);
                names.retain(|name| name != "Reply-To");
                assert_eq!(names, clean, "{field} {poison:?}: {message}");
            }
        }
        for id in [format!("<{poison}@x>"), format!("<a@x>{poison}"), poison.to_owned()] {
            assert!(composed(with("message_id", &json!(id))).is_err(), "{id:?}");
            assert!(composed(with("in_reply_to", &json!(id))).is_err(), "{id:?}");
            assert!(composed(with("references", &json!([id]))).is_err(), "{id:?}");
        }
    }
}

#[test]
fn a_body_cannot_end_the_mail() {
    for body in ["a\r\n.\r\nMAIL FROM:<x>", "a\n.\nb", "a\r.\rb", ".", "a\r\n.\n", "\n.\r\n.\r.\n", "x\u{0}y"] {
        let message = composed(with("text", &json!(body))).unwrap();
        let body = message.split_once("\r\n\r\n").unwrap().1;
        assert!(!body.replace("\r\n", "").contains(['\r', '\n', '\0']), "{body:?}");
        assert!(body.lines().all(|line| line.len() <= 76), "{body:?}");
    }
}

#[test]
fn text_and_html_stand_side_by_side() {
    let message = composed(with("html", &json!("<p>disk full</p>"))).unwrap();
    assert!(message.contains("multipart/alternative"), "{message}");
    assert!(message.contains("text/plain") && message.contains("text/html"), "{message}");
}

#[test]
fn what_is_no_mail_is_refused() {
    for (key, value) in [
        ("to", json!([])),
        ("to", json!(["nobody"])),
        ("to", json!(vec!["a@example.org"; 101])),
        ("from", json!("")),
        ("text", Value::Null),
    ] {
        assert!(matches!(composed(with(key, &value)), Err(Refused::Invalid(_))), "{key} {value}");
    }
}

#[test]
fn only_the_services_own_name_is_for_it() {
    for (url, expect) in [
        ("http://mail.mag.internal/", true),
        ("https://MAIL.mag.internal.:25/x", true),
        ("http://mail.mag.internal.example.org/", false),
        ("http://xmail.mag.internal/", false),
        ("/", false),
    ] {
        assert_eq!(is_for_mail(&url.parse().unwrap()), expect, "{url}");
    }
}

pub(in crate::sender) type Log = Arc<Mutex<Vec<String>>>;

/// A server that answers each command by the table (first match wins), else with 250, and notes what it hears.
pub(in crate::sender) async fn server(answers: &'static [(&'static str, &'static str)]) -> (u16, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let heard = Arc::clone(&log);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, answers, &heard).await;
    });
    (port, log)
}

async fn converse(stream: TcpStream, answers: &[(&str, &str)], heard: &Log) {
    let answer_to = |line: &str, usual: &str| {
        let found = answers.iter().find(|(start, _)| line.starts_with(start));
        found.map_or_else(|| usual.to_owned(), |(_, answer)| (*answer).to_owned())
    };
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        heard.lock().unwrap().push(line.trim_end().to_owned());
        let answer = answer_to(&line, if line.starts_with("DATA") { "354 go" } else { "250 ok" });
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        if line.starts_with("DATA") && answer.starts_with('3') {
            let mut content = Vec::new();
            while !content.ends_with(b"\r\n.\r\n") {
                content.push(stream.read_u8().await.unwrap());
            }
            match answer_to("CONTENT", "250 queued").as_str() {
                "drop" => return,
                answer => stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap(),
            }
        }
        line.clear();
    }
}

fn mailer(port: u16, username: Option<&str>, tls: Tls) -> Mailer {
    let settings =
        Smtp { implicit_tls: false, host: "127.0.0.1".to_owned(), port, username: username.map(str::to_owned), tls };
    Mailer::new(&settings, Some(&SecretValue("pass".to_owned()).into()))
}

fn read(answer: &Response<Bytes>) -> (u16, Value) {
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

async fn answer(answers: &'static [(&'static str, &'static str)]) -> (u16, Value) {
    let (port, _) = server(answers).await;
    read(&mailer(port, None, Tls::Auto).answer(mail().to_string().as_bytes()).await)
}

#[tokio::test]
async fn a_mail_is_handed_over() {
    let (port, log) = server(&[]).await;
    let answer = mailer(port, None, Tls::Auto).answer(mail().to_string().as_bytes()).await;
    assert_eq!(read(&answer), (202, json!({ "message_id": "<n1@mag.example.org>", "rejected": [] })));
    let log = log.lock().unwrap().join("\n");
    assert!(
        log.contains("MAIL FROM:<mag@example.org>\nRCPT TO:<ops@example.org>\nRCPT TO:<bob@example.org>\nDATA"),
        "{log}"
    );
}

#[tokio::test]
async fn each_answer_of_the_server_has_its_status() {
    let (status, body) = answer(&[("RCPT TO:<ops", "550 5.1.1 no such user")]).await;
    assert_eq!((status, &body["rejected"]), (202, &json!(["ops@example.org"])));
    assert_eq!(answer(&[("RCPT", "550 no such user")]).await.0, 422);
    assert_eq!(answer(&[("RCPT", "451 grey list")]).await.0, 503);
    assert_eq!(answer(&[("MAIL", "554 go away")]).await.0, 422);
    assert_eq!(answer(&[("DATA", "452 full")]).await.0, 503);
    assert_eq!(answer(&[("CONTENT", "554 spam")]).await.0, 422);
    assert_eq!(answer(&[("CONTENT", "451 later")]).await.0, 503);
    assert_eq!(answer(&[("CONTENT", "drop")]).await.0, 504);
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_again_later() {
    // Bound and not listened on, so nobody else gets it.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = bound.local_addr().unwrap().port();
    let answer = mailer(closed, None, Tls::Auto).answer(mail().to_string().as_bytes()).await;
    assert_eq!(answer.headers()["retry-after"], "60");
    assert_eq!(answer.status().as_u16(), 503);
}

#[tokio::test]
async fn a_login_never_goes_out_unencrypted_unless_asked_for() {
    let (port, log) = server(&[("EHLO", "250-mx\r\n250 AUTH PLAIN LOGIN")]).await;
    let answer = mailer(port, Some("mag"), Tls::Auto).answer(mail().to_string().as_bytes()).await;
    let (status, body) = read(&answer);
    assert_eq!(status, 503);
    assert_eq!(body["error"], "127.0.0.1 does not offer STARTTLS; tls = \"none\" would do without");
    assert!(!log.lock().unwrap().iter().any(|line| line.starts_with("AUTH")));
}

#[tokio::test]
async fn a_login_that_is_refused_is_401_and_its_text_has_no_password() {
    let (port, log) = server(&[("EHLO", "250-mx\r\n250 AUTH PLAIN LOGIN"), ("AUTH", "535 5.7.8 wrong")]).await;
    let answer = mailer(port, Some("mag"), Tls::None).answer(mail().to_string().as_bytes()).await;
    let (status, body) = read(&answer);
    assert_eq!(status, 401, "{body}");
    assert!(log.lock().unwrap().iter().any(|line| line.starts_with("AUTH PLAIN ")));
    assert!(!body.to_string().contains("pass\""), "{body}");
}

#[tokio::test]
async fn a_body_that_is_no_mail_is_400() {
    let mailer = mailer(1, None, Tls::Auto);
    for body in ["", "[]", "{}", "{\"from\":1}"] {
        assert_eq!(mailer.answer(body.as_bytes()).await.status().as_u16(), 400, "{body}");
    }
}
