//! Sockets without connections: a message a datagram.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use tokio::net::{UdpSocket, UnixDatagram};

use super::harness::{Mag, passes, settings, soon, start_as};
use crate::config::Protocol;
use crate::ingest::{Bound, Settings};
use crate::limits;

/// Texts with their sources, and how often each came.
fn counts(mag: &Mag) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for entry in mag.engine.entries.lock().unwrap().iter() {
        *counts.entry((entry.message.source.to_string(), entry.message.text.clone())).or_default() += entry.count;
    }
    counts
}

fn expect<const N: usize>(counts: [(&str, &str, u64); N]) -> BTreeMap<(String, String), u64> {
    counts.into_iter().map(|(source, text, count)| ((source.to_owned(), text.to_owned()), count)).collect()
}

#[tokio::test]
async fn every_udp_datagram_is_a_message_of_its_sender_unless_it_names_a_host() {
    let bound = Bound::udp("127.0.0.1:0").await.unwrap();
    let Bound::Udp(socket) = &bound else { panic!("it is UDP") };
    let address = socket.local_addr().unwrap();
    let mag = start_as(settings(), |listener| {
        listener.socket = bound.into();
        listener.labels = vec![("site".to_owned(), "eu".to_owned())];
    })
    .await;
    let (one, other) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.2:0").await.unwrap());
    for _ in 0..3 {
        for sender in [&one, &other] {
            sender.send_to(b"<34>Oct 11 22:14:15 su: a\n", address).await.unwrap();
        }
        other.send_to(b"<34>1 - web-1 - - - - a", address).await.unwrap();
        other.send_to(b"", address).await.unwrap();
        other.send_to(b"no \xff priority\nand two lines", address).await.unwrap();
    }
    soon(mag.engine.has(12)).await;
    let text = "no \u{fffd} priority\nand two lines";
    let expected = [("127.0.0.1", "a", 3), ("127.0.0.2", "a", 3), ("web-1", "a", 3), ("127.0.0.2", text, 3)];
    assert_eq!(counts(&mag), expect(expected));
    assert!(mag.engine.entries.lock().unwrap().iter().all(|entry| entry.message.labels.get("site") == Some("eu")));
    assert_eq!(mag.counted(|counters| &counters.messages), 12);
    assert_eq!(mag.counted(|counters| &counters.replaced), 3);
    mag.stopped().await;
}

#[tokio::test]
async fn a_unix_socket_takes_datagrams_from_anybody_cuts_long_ones_and_reads_what_arrived_before_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    // What a killed mag leaves.
    drop(UnixDatagram::bind(&path).unwrap());
    let bound = Bound::unix_datagram(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    let taken = Bound::unix_datagram(&path).expect_err("somebody serves it");
    assert_eq!(taken.to_string(), "another process serves this socket");
    let mag = start_as(Settings { line: 5, ..settings() }, |listener| listener.socket = bound.into()).await;
    let sender = UnixDatagram::unbound().unwrap();
    let long = format!("<13>app[7]: {}", "x".repeat(limits::SYSLOG_FRAME_BYTES));
    sender.send_to(long.as_bytes(), &path).await.unwrap();
    for _ in 0..100 {
        soon(sender.send_to(b"<13>Oct 11 22:14:15 app[7]: short", &path)).await.unwrap();
    }
    let counters = std::sync::Arc::clone(&mag.counters);
    let engine = mag.stopped().await;
    assert_eq!(engine.counts(), BTreeMap::from([("xxxxx".to_owned(), 1), ("short".to_owned(), 100)]));
    assert_eq!(counters.truncated.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(!path.exists());
}

fn chunk(number: u8, count: u8, data: &[u8]) -> Vec<u8> {
    [b"\x1e\x0fidentity", &[number, count][..], data].concat()
}

async fn gelf(protocol: Protocol) -> (Mag, UdpSocket, std::net::SocketAddr) {
    let bound = Bound::udp("127.0.0.1:0").await.unwrap();
    let Bound::Udp(socket) = &bound else { panic!("it is UDP") };
    let address = socket.local_addr().unwrap();
    let mag = start_as(settings(), |listener| {
        listener.socket = bound.into();
        listener.protocol = protocol;
    })
    .await;
    (mag, UdpSocket::bind("127.0.0.1:0").await.unwrap(), address)
}

#[tokio::test]
async fn gelf_comes_whole_in_chunks_and_beside_syslog() {
    let (mag, sender, address) = gelf(Protocol::Auto).await;
    let message = b"{\"short_message\":\"a\",\"host\":\"web-1\"}";
    let (first, second) = message.split_at(9);
    for datagram in [
        &message[..],
        &chunk(1, 2, second),
        &chunk(1, 2, second),
        &chunk(1, 2, b"of another message"),
        b"<13>b",
        b"{a text",
        &chunk(0, 2, first),
        &chunk(3, 2, b"no such number"),
        b"\x1f\x8bno gzip",
        &chunk(0, 2, b"never whole"),
    ] {
        sender.send_to(datagram, address).await.unwrap();
    }
    soon(mag.engine.has(4)).await;
    let counters = std::sync::Arc::clone(&mag.counters);
    let expected = [("web-1", "a", 2), ("127.0.0.1", "b", 1), ("127.0.0.1", "{a text", 1)];
    assert_eq!(counts(&mag), expect(expected));
    mag.stopped().await;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((count(&counters.refused_lines), count(&counters.partial)), (3, 1));
}

#[tokio::test]
async fn a_port_for_gelf_takes_nothing_else() {
    let (mag, sender, address) = gelf(Protocol::Gelf).await;
    for datagram in [&b"<13>b"[..], b"{}", b"{\"short_message\":\"a\"}"] {
        sender.send_to(datagram, address).await.unwrap();
    }
    soon(mag.engine.has(1)).await;
    assert_eq!(counts(&mag), expect([("127.0.0.1", "a", 1)]));
    let counters = std::sync::Arc::clone(&mag.counters);
    mag.stopped().await;
    assert_eq!(counters.refused_lines.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_message_that_misses_a_chunk_is_counted_when_its_time_is_over_whether_or_not_anything_comes() {
    let (mag, sender, address) = gelf(Protocol::Auto).await;
    sender.send_to(&chunk(0, 2, b"{\"short"), address).await.unwrap();
    // Once this one is counted, the chunk before it has come.
    sender.send_to(b"<13>a", address).await.unwrap();
    soon(mag.engine.has(1)).await;
    assert_eq!(mag.counted(|counters| &counters.partial), 0);
    passes(Duration::from_millis(limits::GELF_CHUNK_MILLIS)).await;
    let counted = async {
        while mag.counted(|counters| &counters.partial) == 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(counted).await;
}
