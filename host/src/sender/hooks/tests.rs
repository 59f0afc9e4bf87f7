//! What a guest's requests become, and what is refused, against receivers on this machine.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpHooks};

use super::{Hooks, Note, Reach};
use crate::config::PluginLimits;
use crate::egress::{Client, Grants, Origin};
use crate::sender::limit::{CallLimits, Calling, Limit};
use crate::sender::secrets::tests::declared;
use crate::sender::secrets::{Secrets, Wire};

fn secrets() -> Arc<Secrets> {
    Arc::new(declared(&[("token", "xoxb-hidden")], ""))
}

fn placeholder(secrets: &Secrets) -> String {
    let config: Value = serde_json::from_str(&secrets.guest_config(&json!({})).unwrap()).unwrap();
    config["secrets"]["token"].as_str().unwrap().to_owned()
}

fn reach(granted: &[&str], secrets: Arc<Secrets>) -> Arc<Reach> {
    let mut grants = Grants::none();
    for origin in granted {
        grants.typed(Origin::parse(origin).unwrap());
    }
    Arc::new(Reach { client: Client::new(grants), wire: Wire::new(secrets, &[]), mailer: None })
}

fn call_limits(call: Calling) -> CallLimits {
    CallLimits::new(call, PluginLimits::default(), Duration::from_secs(10))
}

fn hooks(reach: Arc<Reach>) -> Hooks {
    Hooks::new(Some(reach), call_limits(Calling::Send), Some("n1".into()))
}

fn request(url: &str, body: Bytes) -> http::Request<WasiBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    http::Request::post(url).body(body).unwrap()
}

async fn send(hooks: &mut Hooks, request: http::Request<WasiBody>) -> Result<(u16, Bytes), Error> {
    let (response, _) = Pin::from(hooks.send_request(request, None, Box::new(async { Ok(()) }))).await?;
    let (parts, body) = response.into_parts();
    Ok((parts.status.as_u16(), body.collect().await?.to_bytes()))
}

/// Takes one request and answers with what it got.
async fn echo() -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let got = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 8192];
        let n = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    (origin, got)
}

#[tokio::test]
async fn the_secret_comes_in_on_the_wire_and_only_there() {
    let (origin, got) = echo().await;
    let secrets = secrets();
    let placeholder = placeholder(&secrets);
    let mut hooks = hooks(reach(&[&origin], secrets));
    let mut request = request(&format!("{origin}/a/{placeholder}?q={placeholder}"), Bytes::from("body"));
    request.headers_mut().insert("authorization", format!("Bearer {placeholder}").parse().unwrap());
    request.headers_mut().insert("host", "evil.example".parse().unwrap());
    assert_eq!(send(&mut hooks, request).await.unwrap(), (200, Bytes::from("ok")));
    let got = got.await.unwrap();
    assert!(got.starts_with("POST /a/xoxb-hidden?q=xoxb-hidden HTTP/1.1\r\n"), "{got}");
    assert!(got.contains("authorization: Bearer xoxb-hidden\r\n"), "{got}");
    assert!(!got.contains("evil.example"), "{got}");
    assert!(got.ends_with("\r\n\r\nbody"), "{got}");
    assert!(hooks.record().sent() && hooks.record().note().is_none());
}

#[tokio::test]
async fn a_secret_where_it_may_not_stand_lets_nothing_out() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", canary.local_addr().unwrap());
    let secrets = Arc::new(declared(&[("token", "xoxb-hidden")], "secrets.token.origins = [\"https://a.example\"]"));
    let placeholder = placeholder(&secrets);
    let reach = reach(&[&origin], secrets);
    let refused = |note: &str| Some(Note::Secret(note.to_owned()));
    let mut elsewhere = hooks(Arc::clone(&reach));
    let error = send(&mut elsewhere, request(&format!("{origin}/{placeholder}"), Bytes::new())).await.unwrap_err();
    assert!(matches!(error, Error::ConfigurationError), "{error}");
    let why = format!("secrets.token may not go to {origin}: add origins = [\"{origin}\"] to it");
    assert_eq!(elsewhere.record().note(), refused(&why));
    let mut in_the_body = hooks(reach);
    send(&mut in_the_body, request(&origin, Bytes::from(placeholder))).await.unwrap_err();
    let why = "secrets.token may not stand in body: add in = [\"body\"] to it";
    assert_eq!(in_the_body.record().note(), refused(why));
    assert!(!in_the_body.record().sent());
    assert!(tokio::time::timeout(Duration::from_millis(20), canary.accept()).await.is_err());
}

#[tokio::test]
async fn an_answer_that_repeats_a_secret_has_it_blanked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 8192];
        let n = stream.read(&mut request).await.unwrap();
        let got = String::from_utf8_lossy(&request[..n]).into_owned();
        let token = got.split("Bearer ").nth(1).unwrap().split("\r\n").next().unwrap();
        let head =
            format!("HTTP/1.1 400 No\r\nx-saw: {token}\r\ncontent-length: {}\r\n\r\nno {token}", 3 + token.len());
        for byte in head.bytes() {
            stream.write_all(&[byte]).await.unwrap();
        }
    });
    let secrets = secrets();
    let bearer = format!("Bearer {}", placeholder(&secrets));
    let mut hooks = hooks(reach(&[&origin], secrets));
    let mut request = request(&origin, Bytes::new());
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    let sent = Pin::from(hooks.send_request(request, None, Box::new(async { Ok(()) })));
    let (head, body) = sent.await.unwrap().0.into_parts();
    assert_eq!(head.headers["x-saw"], "***********");
    assert_eq!(body.collect().await.unwrap().to_bytes(), "no ***********");
}

#[tokio::test]
async fn a_forbidden_origin_sees_no_connection() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", canary.local_addr().unwrap());
    let mut hooks = hooks(reach(&["https://example.org"], secrets()));
    let error = send(&mut hooks, request(&origin, Bytes::new())).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestDenied), "{error}");
    assert_eq!(hooks.record().note(), Some(Note::Origin(origin)));
    assert!(!hooks.record().sent());
    assert!(tokio::time::timeout(Duration::from_millis(20), canary.accept()).await.is_err());
}

#[tokio::test]
async fn a_call_without_network_has_none() {
    let mut hooks = Hooks::new(None, call_limits(Calling::Validate), None);
    let error = send(&mut hooks, request("https://example.org", Bytes::new())).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestDenied), "{error}");
    assert_eq!(hooks.record().note(), Some(Note::Offline));
}

#[tokio::test]
async fn requests_beyond_the_bound_are_refused() {
    let mut hooks = hooks(reach(&[], secrets()));
    for _ in 0..PluginLimits::default().send_requests {
        send(&mut hooks, request("https://a.example", Bytes::new())).await.unwrap_err();
    }
    assert_eq!(hooks.record().note(), Some(Note::Origin("https://a.example".to_owned())), "the first note stays");
    let error = send(&mut hooks, request("https://a.example", Bytes::new())).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLimitReached), "{error}");
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused() {
    let (origin, _got) = echo().await;
    let mut hooks = hooks(reach(&[&origin], secrets()));
    let large = Bytes::from(vec![b'x'; PluginLimits::default().request_bytes + 1]);
    let error = send(&mut hooks, request(&origin, large)).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestBodySize(_)), "{error}");
    assert_eq!(hooks.record().note(), Some(Note::Limit(Limit::RequestSize)));

    let mut many = request(&origin, Bytes::new());
    for n in 0..=PluginLimits::default().header_fields {
        many.headers_mut().append("x-n", n.into());
    }
    let error = send(&mut hooks, many).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestHeaderSectionSize(_)), "{error}");
    assert!(!hooks.record().sent());
}

/// Takes connections and says nothing.
async fn silent() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let open = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    (origin, open)
}

#[tokio::test]
async fn only_so_many_requests_are_under_way_at_a_time_and_each_that_ends_makes_room() {
    let (origin, _open) = silent().await;
    let of = PluginLimits { requests_at_once: 2, ..Default::default() };
    let mut hooks = Hooks::new(
        Some(reach(&[&origin], secrets())),
        CallLimits::new(Calling::Send, of, Duration::from_secs(10)),
        None,
    );
    let ask = |hooks: &mut Hooks| {
        Pin::from(hooks.send_request(request(&origin, Bytes::new()), None, Box::new(async { Ok(()) })))
    };
    let (first, second) = (ask(&mut hooks), ask(&mut hooks));
    let error = ask(&mut hooks).await.err().expect("the third is refused");
    assert!(matches!(error, Error::ConnectionLimitReached), "{error}");
    assert_eq!(hooks.record().note(), Some(Note::Limit(Limit::AtOnce)));
    drop(first);
    let third = ask(&mut hooks);
    let waits = tokio::time::timeout(Duration::from_millis(50), third).await;
    assert!(waits.is_err(), "it went out and waits for its answer");
    drop(second);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up_and_named() {
    let (origin, _open) = silent().await;
    let of = PluginLimits { answer_timeout: Some(Duration::from_secs(1)), ..Default::default() };
    let mut hooks = Hooks::new(
        Some(reach(&[&origin], secrets())),
        CallLimits::new(Calling::Send, of, Duration::from_secs(60)),
        None,
    );
    let error = send(&mut hooks, request(&origin, Bytes::new())).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionReadTimeout), "{error}");
    assert_eq!(hooks.record().note(), Some(Note::Limit(Limit::AnswerTime)));
    assert!(hooks.record().sent(), "it may have arrived");
}

#[tokio::test]
async fn a_method_that_goes_past_the_checks_is_refused_before_anything_is_connected() {
    let canary = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", canary.local_addr().unwrap());
    for method in [http::Method::CONNECT, http::Method::TRACE] {
        let mut hooks = hooks(reach(&[&origin], secrets()));
        let mut request = request(&origin, Bytes::new());
        *request.method_mut() = method.clone();
        let error = send(&mut hooks, request).await.unwrap_err();
        assert!(matches!(error, Error::HttpRequestMethodInvalid), "{error}");
        assert_eq!(hooks.record().note(), Some(Note::Method(method.to_string())));
    }
    assert!(tokio::time::timeout(Duration::from_millis(20), canary.accept()).await.is_err());
}

#[tokio::test]
async fn mail_without_smtp_settings_is_refused_by_name() {
    let mut hooks = hooks(reach(&[], secrets()));
    for url in ["http://mail.mag.internal/", "https://Mail.Mag.Internal.:443/x"] {
        send(&mut hooks, request(url, Bytes::new())).await.unwrap_err();
    }
    assert_eq!(hooks.record().note(), Some(Note::NoSmtp));
}

#[tokio::test]
async fn no_connection_means_not_sent() {
    // Bound and not listened on, so nobody else gets it.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = bound.local_addr().unwrap();
    let origin = format!("http://{closed}");
    let mut hooks = hooks(reach(&[&origin], secrets()));
    let error = send(&mut hooks, request(&origin, Bytes::new())).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionRefused), "{error}");
    assert!(!hooks.record().sent());
}
