//! HTTP/2 as its frames stand on the wire.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::harness::{self, Mag, settings, soon, start, start_as};
use crate::ingest::{Flight, Settings};

/// What a client says first, with settings of which there are none.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `POST /` with more to come.
const HEADERS: &[u8] = b"\0\0\x03\x01\0\0\0\0\x01\x83\x84\x86";
/// `x: y`, and still more to come.
const CONTINUATION: &[u8] = b"\0\0\x05\x09\0\0\0\0\x01\x00\x01x\x01y";

/// `POST /` with a body to come.
const ASKS: &[u8] = b"\0\0\x03\x01\x04\0\0\0\x01\x83\x84\x86";
/// The body, two bytes.
const BODY: &[u8] = b"\0\0\x02\0\x01\0\0\0\x01hi";
/// Is answered after all that was answered before.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";

/// The next frame: its kind, its flags, and what it holds.
async fn frame(client: &mut TcpStream) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    client.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    client.read_exact(&mut payload).await.unwrap();
    (head[3], head[4], payload)
}

/// What is answered when `begin` comes, and then a piece of `more`, over and over, each second until the end.
async fn trickle(mag: &Mag, begin: &[u8], more: &[&[u8]]) -> Vec<u8> {
    let mut client = mag.connect().await;
    client.write_all(begin).await.unwrap();
    harness::trickle(client, more.iter().copied().cycle()).await
}

fn says(told: &[u8], what: &[u8]) -> bool {
    told.windows(what.len()).any(|window| window == what)
}

#[tokio::test]
async fn a_head_that_is_begun_must_be_whole_soon_however_its_frames_trickle_in() {
    let mag = start(9, true).await;
    let bytes: Vec<&[u8]> = CONTINUATION.chunks(1).collect();
    // Far fewer than make a head with too many frames, or a frame that is wrong, even when all come late.
    let rare = |piece: &'static [u8]| [piece, b"", b"", b""];
    let cases: [(&[u8], &[&[u8]]); 3] = [(HEADERS, &rare(CONTINUATION)), (HEADERS, &bytes), (b"", &rare(b"\0"))];
    for (number, (begin, more)) in (1..).zip(cases) {
        let told = trickle(&mag, &[HELLO, begin].concat(), more).await;
        assert!(says(&told, b"\0\0\0\x0ba head took longer than 10 s"), "case {number}: {told:?}");
        assert_eq!(mag.counted(|c| &c.refused_connections), number);
    }
}

#[tokio::test]
async fn a_refused_request_is_answered_once_its_small_body_is_there_and_its_stream_is_not_reset() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.write_all(&[HELLO, ASKS, PING].concat()).await.unwrap();
    while !matches!(frame(&mut client).await, (6, 1, _)) {}
    client.write_all(BODY).await.unwrap();
    let mut kinds = Vec::new();
    // The last of the answer, and then whatever else is said of its stream.
    let mut answer = Vec::new();
    loop {
        let (kind, flags, payload) = frame(&mut client).await;
        kinds.push(kind);
        match (kind, flags & 1) {
            (0, end) => {
                answer.extend(payload);
                if end == 1 {
                    client.write_all(PING).await.unwrap();
                }
            }
            (6, 1) => break,
            _ => {}
        }
    }
    assert!(says(&answer, b"there is nothing at /"), "{answer:?}");
    assert!(!kinds.contains(&3), "a stream is reset: {kinds:?}");
}

#[tokio::test]
async fn heads_whose_bodies_are_still_to_come_count_and_who_waits_longest_is_refused() {
    let flight = Flight::new(256 * 1024);
    let mag = start_as(Settings { flight, ..settings() }, |_| {}).await;
    let mut client = mag.connect().await;
    client.write_all(HELLO).await.unwrap();
    for number in 0..90_u8 {
        // `POST /api/v1/messages`, with a body to come.
        let head = [b"\x83\x86\x04\x10/api/v1/messages\x00\x01x\x7e".as_slice(), &[b'y'; 126]].concat();
        let length = u8::try_from(head.len()).unwrap();
        let frame = [&[0, 0, length, 1, 4, 0, 0, 0, 2 * number + 1][..], &head].concat();
        client.write_all(&frame).await.unwrap();
    }
    let refused = async {
        loop {
            let (kind, _, payload) = frame(&mut client).await;
            if kind == 0 && says(&payload, b"memory is short and this request waited longest") {
                break;
            }
        }
    };
    soon(refused).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_is_asked_ends_whatever_pings_it_answers() {
    for (idle_timeout, seconds) in [(None, 60), (Some(Duration::from_secs(3)), 3)] {
        let mag = start_as(Settings { idle_timeout, ..settings() }, |_| {}).await;
        let mut client = mag.connect().await;
        let started = Instant::now();
        client.write_all(HELLO).await.unwrap();
        let mut kinds = Vec::new();
        let mut head = [0; 9];
        while client.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[2])];
            client.read_exact(&mut payload).await.unwrap();
            kinds.push(head[3]);
            if head[3] == 6 && head[4] == 0 {
                client.write_all(&[&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &payload].concat()).await.unwrap();
            }
        }
        let elapsed = started.elapsed().as_secs();
        assert!((seconds..seconds + 4).contains(&elapsed), "after {elapsed} s");
        assert!(kinds.contains(&7), "it is told: {kinds:?}");
    }
}
