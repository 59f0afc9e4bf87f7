//! The rules of a port: TLS, tokens, labels, PROXY headers, unix sockets, and how many connections and how long.

use std::fs;
use std::iter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::counts;
use super::harness::{Mag, cut_off, line, passes, rest, settings, soon, start_as, trickle};
use crate::config::{Certificate, Protocol, SecretValue};
use crate::file::tests::{Held, pipe};
use crate::ingest::{Addresses, Bound, Certificates, Door, Listener, Settings};
use crate::limits;

/// Writes a new certificate for `localhost` of a new authority, and gives back the authority's certificate in PEM.
fn certificate(folder: &Path) -> String {
    let authority = CertifiedIssuer::self_signed(CertificateParams::default(), KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let of_server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("cert.pem"), of_server.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    authority.pem()
}

fn tls_config(folder: &Path) -> Certificate {
    Certificate { cert: folder.join("cert.pem"), key: folder.join("key.pem"), client_ca: None }
}

async fn tls_connect(mag: &Mag, authority: &str, own: Option<(&str, &str)>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, mag.connect().await).await
}

#[tokio::test]
async fn every_protocol_runs_inside_tls_and_the_end_means_committed_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let authority = certificate(folder.path());
    let tls = Certificates::load(&tls_config(folder.path())).unwrap();
    let mag = start_as(settings(), |listener| listener.tls = Some(tls)).await;
    let mut client = tls_connect(&mag, &authority, None).await.unwrap();
    client.write_all(&b"STRING\na\n".repeat(10_000)).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    let mut client = tls_connect(&mag, &authority, None).await.unwrap();
    client
        .write_all(b"POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 1\r\n\r\nb")
        .await
        .unwrap();
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(mag.engine.counts(), counts(&[("a", 10_000), ("b", 1)]));
}

#[tokio::test]
async fn plain_bytes_to_a_port_with_tls_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let tls = Certificates::load(&tls_config(folder.path())).unwrap();
    let mag = start_as(settings(), |listener| listener.tls = Some(tls)).await;
    assert_eq!(mag.exchange("STRING\na\n").await, "this port speaks TLS\n");
    let told = mag.exchange("GET / HTTP/1.1\r\nHost: m\r\n\r\n").await;
    assert!(told.starts_with("HTTP/1.1 400 ") && told.ends_with("use https://\r\n"), "{told}");
    let length: usize = told.split("Content-Length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(told.split_once("\r\n\r\n").unwrap().1.len(), length);

    let mut counted = 2;
    for said in [&b"{\"ack\":true}\n"[..], b"<13>a\n", b"1 open 0\n", b"\x92\xa3app", b"\0"] {
        assert_eq!(mag.exchange(said).await, "this port speaks TLS\n", "{}", said.escape_ascii());
        counted += 1;
        assert_eq!(mag.counted(|c| &c.refused_connections), counted, "{}", said.escape_ascii());
    }
    assert_eq!(mag.engine.total(), 0);
}

#[tokio::test]
async fn tls_to_a_plain_port_is_told_so_whatever_is_spoken_there() {
    let authority = certificate(tempfile::tempdir().unwrap().path());
    for protocol in [
        Protocol::Auto,
        Protocol::Classic,
        Protocol::Ndjson,
        Protocol::Gelf,
        Protocol::Syslog,
        Protocol::Relp,
        Protocol::Forward,
        Protocol::Http,
    ] {
        let plain = start_as(settings(), |listener| listener.protocol = protocol).await;
        let error = soon(tls_connect(&plain, &authority, None)).await.expect_err("no TLS here");
        assert!(error.to_string().contains("UnexpectedMessage"), "{protocol:?}: {error}");
        let counted = (plain.counted(|c| &c.refused_connections), plain.counted(|c| &c.partial));
        assert_eq!((plain.engine.total(), counted), (0, (1, 0)), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_port_with_a_client_authority_lets_only_its_clients_in() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (authority, of_clients) = (certificate(folder.path()), certificate(other.path()));
    let client_ca = folder.path().join("clients.pem");
    fs::write(&client_ca, of_clients).unwrap();
    let config = Certificate { client_ca: Some(client_ca), ..tls_config(folder.path()) };
    let tls = Certificates::load(&config).unwrap();
    let mag = start_as(settings(), |listener| listener.tls = Some(tls)).await;
    let read = |name: &str| fs::read_to_string(other.path().join(name)).unwrap();
    let (cert, key) = (read("cert.pem"), read("key.pem"));
    let mut client = tls_connect(&mag, &authority, Some((&cert, &key))).await.unwrap();
    client.write_all(b"STRING\na\n").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    // In TLS 1.3 the client learns it with its first read.
    let mut stranger = tls_connect(&mag, &authority, None).await.unwrap();
    drop(stranger.write_all(b"STRING\nb\n").await);
    assert!(soon(stranger.read_u8()).await.is_err());
    assert_eq!(mag.engine.counts(), counts(&[("a", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_changed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let config = tls_config(folder.path());
    certificate(folder.path());
    let certificates = Certificates::load(&config).unwrap();
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    let used = async |at| Arc::as_ptr(certificates.acceptor(at).await.config());
    let first = used(now).await;
    assert_eq!(used(later(2)).await, first);
    certificate(folder.path());
    assert_eq!(used(later(2)).await, first, "looked at a moment ago");
    let second = used(later(4)).await;
    assert_ne!(second, first);
    fs::write(folder.path().join("key.pem"), "half a file").unwrap();
    assert_eq!(used(later(6)).await, second);
    fs::remove_file(folder.path().join("cert.pem")).unwrap();
    assert_eq!(used(later(8)).await, second);
    let error = Certificates::load(&config).err().unwrap().to_string();
    assert!(error.contains("cert.pem"), "{error}");
}

#[tokio::test]
async fn handshakes_go_on_while_the_certificates_files_do_not_answer() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let certificates = Certificates::load(&tls_config(folder.path())).unwrap();
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    let key = folder.path().join("key.pem");
    let held = Held::new(&key);
    // The first one waits a moment, the others do not.
    let first = Arc::as_ptr(soon(certificates.acceptor(later(2))).await.config());
    for seconds in 4..400 {
        assert_eq!(Arc::as_ptr(soon(certificates.acceptor(later(seconds))).await.config()), first);
    }
    drop(held);
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_key_holds_up_no_handshake_and_none_of_the_looks_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = certificate(folder.path());
    let certificates = Certificates::load(&tls_config(folder.path())).unwrap();
    let mag = start_as(settings(), |listener| listener.tls = Some(certificates)).await;
    let key = folder.path().join("key.pem");
    fs::remove_file(&key).unwrap();
    pipe(&key);
    // Else the last look would not be long enough ago.
    passes(Duration::from_millis(limits::CERTIFICATE_LOOK_MILLIS)).await;
    let mut client = soon(tls_connect(&mag, &authority, None)).await.unwrap();
    client.write_all(b"STRING\na\n").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    fs::remove_file(&key).unwrap();
    let authority = certificate(folder.path());
    // A look that takes long on a busy machine counts from the handshake after it.
    let changed = async {
        while tls_connect(&mag, &authority, None).await.is_err() {
            passes(Duration::from_millis(limits::CERTIFICATE_LOOK_MILLIS)).await;
        }
    };
    soon(changed).await;
}

#[tokio::test]
async fn requests_need_the_ports_token() {
    let token = Some(SecretValue("s3cret".to_owned()).into());
    let mag = start_as(settings(), |listener| {
        listener.door = Door::new(token);
        listener.protocol = Protocol::Http;
    })
    .await;
    let ask = |field: &'static str| {
        let request = format!(
            "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\n{field}Content-Length: 1\r\n\r\na"
        );
        mag.exchange(request)
    };
    assert!(ask("").await.starts_with("HTTP/1.1 401 "));
    assert!(ask("Authorization: Bearer s3cre\r\n").await.contains("www-authenticate: Bearer"));
    assert!(ask("Authorization: Basic s3cret\r\n").await.starts_with("HTTP/1.1 401 "));
    assert!(ask("Authorization: Bearer s3cret\r\n").await.starts_with("HTTP/1.1 200 "));
    assert!(mag.exchange("STRING\na\n").await.starts_with("HTTP/1.1 400 "), "nothing else is spoken there");
    assert_eq!(mag.engine.total(), 1);
}

#[tokio::test]
async fn a_ports_labels_are_given_to_messages_that_do_not_have_them() {
    let labels = vec![("site".to_owned(), "eu".to_owned()), ("app".to_owned(), "x".to_owned())];
    let mag = start_as(settings(), |listener| listener.labels = labels).await;
    mag.exchange(r#"{"text":"a","labels":{"site":"us","z":"1"}}"#).await;
    let entries = mag.engine.entries.lock().unwrap();
    let labels: Vec<_> = entries[0].message.labels.iter().collect();
    assert_eq!(labels, [("app", "x"), ("site", "us"), ("z", "1")]);
}

#[tokio::test]
async fn a_proxy_names_the_peer_and_nobody_comes_in_without_its_header() {
    let mag = start_as(settings(), |listener| listener.trust_proxy = true).await;
    assert_eq!(mag.exchange("PROXY TCP4 192.0.2.7 192.0.2.1 5 6\r\nSTRING\na\n").await, "");
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\nSTRING\na\n").await.unwrap();
    cut_off(&mut client).await;
    let entries = mag.engine.entries.lock().unwrap();
    assert_eq!(entries.iter().map(|entry| entry.message.source.as_str()).collect::<Vec<_>>(), ["192.0.2.7"]);
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may() {
    let limited = Settings { addresses: Addresses::new(Some(2)), ..settings() };
    let mag = start_as(limited, |listener| listener.trust_proxy = true).await;
    let from = |peer: &'static str| format!("PROXY TCP4 {peer} 192.0.2.1 5 6\r\n").into_bytes();
    let (mut first, mut second) = (mag.connect().await, mag.connect().await);
    for client in [&mut first, &mut second] {
        client.write_all(&from("192.0.2.7")).await.unwrap();
        client.write_all(b"{\"ack\":true}\n{\"text\":\"a\"}\n").await.unwrap();
        assert_eq!(line(client).await, "{\"acked\":1}\n");
    }
    let mut third = mag.connect().await;
    third.write_all(&from("192.0.2.7")).await.unwrap();
    cut_off(&mut third).await;
    let message = b"STRING\na\n";
    assert_eq!(mag.exchange([from("192.0.2.8").as_slice(), message].concat()).await, "");
    first.shutdown().await.unwrap();
    assert_eq!(rest(&mut first).await, "");
    assert_eq!(mag.exchange([from("192.0.2.7").as_slice(), message].concat()).await, "");
    assert_eq!(mag.engine.total(), 4);
}

#[tokio::test]
async fn a_port_that_allows_some_networks_turns_all_others_away() {
    let mag = start_as(settings(), |listener| {
        listener.trust_proxy = true;
        listener.allow = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::1/128".parse().unwrap()];
    })
    .await;
    for (peer, family) in [("192.0.2.7", "TCP4"), ("2001:db8::1", "TCP6")] {
        let own = if family == "TCP4" { "192.0.2.1" } else { "2001:db8::2" };
        assert_eq!(mag.exchange(format!("PROXY {family} {peer} {own} 5 6\r\nSTRING\na\n")).await, "");
    }
    let mut stranger = mag.connect().await;
    stranger.write_all(b"PROXY TCP4 198.51.100.7 192.0.2.1 5 6\r\nSTRING\na\n").await.unwrap();
    cut_off(&mut stranger).await;
    assert_eq!((mag.engine.total(), mag.counted(|c| &c.refused_connections)), (2, 1));
}

#[tokio::test]
async fn a_line_that_is_begun_and_not_gone_on_with_ends_the_connection() {
    let mag = start_as(settings(), |_| {}).await;
    let mut client = mag.connect().await;
    client.write_all(b"{\"ack\":true}\n{\"text\":\"a\"}\n{\"text\":\"ha").await.unwrap();
    assert_eq!(line(&mut client).await, "{\"acked\":1}\n", "what was whole is committed");
    passes(Duration::from_secs(limits::LINE_SECONDS)).await;
    assert_eq!(rest(&mut client).await, "");
    assert_eq!((mag.engine.total(), mag.counted(|c| &c.partial)), (1, 1));
}

#[tokio::test]
async fn a_connection_that_sends_nothing_for_too_long_ends_in_order() {
    let impatient = Settings { idle_timeout: Some(Duration::from_millis(200)), ..settings() };
    let mag = start_as(impatient, |_| {}).await;
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\n").await.unwrap();
    assert_eq!(rest(&mut client).await, "", "what it sent is committed");
    assert_eq!(mag.engine.total(), 1);
}

#[tokio::test]
async fn a_connection_that_never_sends_anything_ends_in_order_too() {
    for protocol in [Protocol::Auto, Protocol::Syslog, Protocol::Http] {
        let impatient = Settings { idle_timeout: Some(Duration::from_millis(200)), ..settings() };
        let mag = start_as(impatient, |listener| listener.protocol = protocol).await;
        let mut client = mag.connect().await;
        assert_eq!(rest(&mut client).await, "", "{protocol:?}");
        assert_eq!((mag.counted(|c| &c.partial), mag.counted(|c| &c.refused_connections)), (0, 0), "{protocol:?}");
    }
}

#[tokio::test]
async fn whoever_sends_too_little_to_tell_what_it_speaks_is_not_waited_for() {
    let mag = start_as(settings(), |_| {}).await;
    let started = Instant::now();
    let told = trickle(mag.connect().await, iter::repeat(&b" "[..])).await;
    assert_eq!((told, mag.engine.total(), mag.counted(|c| &c.partial)), (Vec::new(), 0, 1));
    let seconds = started.elapsed().as_secs();
    assert!((limits::LINE_SECONDS..60).contains(&seconds), "after {seconds} s");
}

#[tokio::test]
async fn a_unix_socket_takes_messages_and_its_file_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mag.sock");
    // A killed mag leaves its file.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bound = Bound::unix(&path).unwrap();
    let taken = Bound::unix(&path).expect_err("somebody serves it");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o666, "like a port: its folder says who reaches it");
    let mag = start_as(settings(), |listener| *listener = Listener::plain(bound)).await;
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"STRING\na\n").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    let engine = mag.stopped().await;
    assert_eq!(engine.entries.lock().unwrap()[0].message.source, "unix");
    assert!(!path.exists());
}

#[tokio::test]
async fn whoever_shows_no_token_is_told_how_its_own_format_shows_one() {
    let mag = start_as(settings(), |listener| {
        listener.protocol = Protocol::Http;
        listener.door = Door::new(Some(SecretValue("key".to_owned()).into()));
    })
    .await;
    let head =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let told = mag.exchange(head("/api/1/envelope/")).await;
    assert!(told.starts_with("HTTP/1.1 401 ") && told.contains("it is the key of the DSN"), "{told}");
    let told = mag.exchange(head("/api/v1/messages")).await;
    assert!(told.starts_with("HTTP/1.1 401 ") && told.contains("Authorization: Bearer TOKEN"), "{told}");
    assert_eq!(mag.counted(|c| &c.refused_lines), 2);
}
