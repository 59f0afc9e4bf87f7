//! What really goes out: addresses, redirects, sizes, times, against receivers on this machine.

mod evasion;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use super::{Client, Double, EgressError, Fetch, Grants, Origin};

/// Answers each connection with the next of the given texts and counts connections.
async fn server(answers: Vec<String>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            seen.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let n = stream.read(&mut request).await.unwrap();
            assert!(n > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, count)
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn get(url: &str) -> Fetch {
    Fetch {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        max_bytes: 100,
        timeout: Duration::from_secs(20),
        same_origin_redirects: true,
    }
}

fn typed(url: &str) -> Client {
    Client::for_typed([&Url::parse(url).unwrap()]).unwrap()
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let (port, _) = server(vec![answer("200 OK\r\nx-a: b", "hello")]).await;
    let url = format!("http://127.0.0.1:{port}/x");
    let answer = typed(&url).fetch(get(&url)).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"hello"[..]));
    assert_eq!(answer.headers["x-a"], "b");
}

#[tokio::test]
async fn a_name_that_the_operator_typed_may_be_local() {
    let (port, count) = server(vec![answer("204 No Content", "")]).await;
    let url = format!("http://localhost:{port}/");
    assert_eq!(typed(&url).fetch(get(&url)).await.unwrap().status.as_u16(), 204);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_double_answers_instead_of_what_is_granted_and_of_nothing_else() {
    let (port, count) = server(vec![answer("204 No Content", "")]).await;
    let double = Double::at(([127, 0, 0, 1], port).into());
    // Nobody looks this name up, and nothing is encrypted.
    let client = typed("https://hooks.example.invalid:8443").answered_by(Some(double));
    let told = client.fetch(get("https://hooks.example.invalid:8443/x?a=b")).await.unwrap();
    assert_eq!(told.status.as_u16(), 204);
    let other = client.fetch(get("https://other.example.invalid/")).await.unwrap_err();
    assert_eq!(other, EgressError::NotGranted("https://other.example.invalid".to_owned()));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_not_granted_sees_no_connection() {
    let (port, count) = server(vec![answer("200 OK", "")]).await;
    let client = typed("https://example.org");
    let error = client.fetch(get(&format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert_eq!(error, EgressError::NotGranted(format!("http://127.0.0.1:{port}")));
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_declared_origin_with_a_local_address_sees_no_connection() {
    let (port, count) = server(vec![answer("200 OK", ""), answer("200 OK", "")]).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:7f00:1]", "2130706433", "localhost."] {
        let url = format!("http://{host}:{port}/");
        let mut grants = Grants::none();
        grants.declared(Origin::parse(&url).unwrap());
        let error = Client::new(grants).fetch(get(&url)).await.unwrap_err();
        assert!(matches!(error, EgressError::Private(_)), "{host}: {error}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused() {
    let (port, _) = server(vec![answer("200 OK", &"x".repeat(101))]).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(typed(&url).fetch(get(&url)).await.unwrap_err(), EgressError::TooLarge(100));
}

#[tokio::test]
async fn redirects_inside_the_origin_are_followed() {
    let (port, count) = server(vec![
        answer("302 Found\r\nlocation: /b", ""),
        answer("307 T\r\nlocation: c", ""),
        answer("200 OK", "end"),
    ])
    .await;
    let url = format!("http://127.0.0.1:{port}/a");
    assert_eq!(&typed(&url).fetch(get(&url)).await.unwrap().body[..], b"end");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn redirects_elsewhere_are_not_followed() {
    let (port, count) = server(vec![answer("302 Found\r\nlocation: http://localhost:1/", "")]).await;
    let url = format!("http://127.0.0.1:{port}/a");
    let error = typed(&url).fetch(get(&url)).await.unwrap_err();
    assert_eq!(error, EgressError::Redirect("redirected to another origin, http://localhost:1".to_owned()));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_without_location_is_an_answer() {
    let (port, _) = server(vec![answer("308 Permanent Redirect", "body")]).await;
    let url = format!("http://127.0.0.1:{port}/a");
    let answer = typed(&url).fetch(get(&url)).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (308, &b"body"[..]));
}

#[tokio::test]
async fn endless_redirects_end() {
    let (port, count) = server(vec![answer("302 Found\r\nlocation: /a", ""); 10]).await;
    let url = format!("http://127.0.0.1:{port}/a");
    let error = typed(&url).fetch(get(&url)).await.unwrap_err();
    assert_eq!(error, EgressError::Redirect("more than 5 redirects".to_owned()));
    assert_eq!(count.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn no_connection_and_a_broken_one_are_told_apart() {
    // Bound and not listened on, so nobody else gets it.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let closed = bound.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{closed}/");
    let error = typed(&url).fetch(get(&url)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to http://127.0.0.1:{closed}: connection refused"));

    let (port, _) = server(vec!["HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_owned()]).await;
    let url = format!("http://127.0.0.1:{port}/");
    let error = typed(&url).fetch(get(&url)).await.unwrap_err();
    assert_eq!(error, EgressError::Broken(format!("http://127.0.0.1:{port}")));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_tls_error() {
    let (port, _) = server(vec!["SSH-2.0-x\r\n".to_owned()]).await;
    let url = format!("https://127.0.0.1:{port}/");
    let error = typed(&url).fetch(get(&url)).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_server_runs_into_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let fetch = Fetch { timeout: Duration::from_millis(50), ..get(&url) };
    let error = typed(&url).fetch(fetch).await.unwrap_err();
    assert!(matches!(error, EgressError::Timeout(_)), "{error:?}");
}
