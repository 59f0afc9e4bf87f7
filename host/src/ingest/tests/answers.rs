//! Answers that nobody reads, and clients that ask much and hear nothing, over HTTP/1.1 and HTTP/2.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::harness::{Mag, rest, settings, soon, start_as};
use crate::ingest::Settings;
use crate::limits;
use crate::protocol::http::Answer;
use crate::protocol::http::desk::{Asked, Desk};

/// One that fills a third of what all unread answers may take.
const ANSWER_BYTES: usize = limits::HTTP_ANSWER_BYTES * 3 / 10;
/// What a client of HTTP/2 begins with: its preface and empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Has the same large answer to everything.
#[derive(Debug, Default)]
struct Talker {
    asked: AtomicUsize,
}

impl Desk for Talker {
    fn answer<'a>(&'a self, _asked: Asked) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Answer::of(StatusCode::OK, "application/json", vec![b'x'; ANSWER_BYTES]) })
    }
}

async fn talkative() -> (Mag, Arc<Talker>) {
    let talker = Arc::new(Talker::default());
    let desk: Arc<dyn Desk> = Arc::<Talker>::clone(&talker);
    (start_as(Settings { desk: Some(desk), ..settings() }, |_| {}).await, talker)
}

async fn asks(mag: &Mag) -> TcpStream {
    let mut client = mag.connect().await;
    client.write_all(b"GET /api/v2/alerts HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").await.unwrap();
    client
}

/// The head of the answer to one more question.
async fn head(mag: &Mag) -> String {
    let mut client = asks(mag).await;
    let mut head = [0; 12];
    soon(client.read_exact(&mut head)).await.unwrap();
    String::from_utf8(head.to_vec()).unwrap()
}

/// Asks until it is answered well: room is given back a moment after a client is gone.
async fn until_there_is_room(mag: &Mag) {
    while head(mag).await != "HTTP/1.1 200" {
        sleep(Duration::from_millis(5)).await;
    }
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of `GET` for a path: method and scheme out of the static table, path and authority as they stand.
fn get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    let block = [&[0x82, 0x86, 0x04, length][..], path.as_bytes(), &[0x01, 1, b'm']].concat();
    frame(0x01, 0x05, stream, &block)
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_and_the_room_comes_back() {
    let (mag, _) = talkative().await;
    let mut unread = Vec::new();
    for _ in 0..3 {
        let client = asks(&mag).await;
        soon(client.readable()).await.unwrap();
        unread.push(client);
    }
    let mut refused = asks(&mag).await;
    let told = rest(&mut refused).await;
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("nobody has read yet"), "{told:.300}");
    // Whoever reads what is his makes room for the next.
    let read = rest(&mut unread.remove(0)).await;
    assert!(read.len() > ANSWER_BYTES);
    soon(until_there_is_room(&mag)).await;
    drop(unread);
    soon(until_there_is_room(&mag)).await;
}

#[tokio::test]
async fn a_hundred_questions_over_http2_that_nobody_hears_the_answers_to_take_no_more_room_than_others() {
    let (mag, talker) = talkative().await;
    let mut deaf = mag.connect().await;
    let questions: Vec<u8> = (0..100).flat_map(|n| get(2 * n + 1, "/api/v2/alerts")).collect();
    deaf.write_all(&[PREFACE, &questions].concat()).await.unwrap();
    let all_asked = async {
        while talker.asked.load(Ordering::Relaxed) < 100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(all_asked).await;
    let told = rest(&mut asks(&mag).await).await;
    assert!(told.starts_with("HTTP/1.1 503 "), "the others took all the room there is: {told:.300}");
    drop(deaf);
    soon(until_there_is_room(&mag)).await;
}

#[tokio::test]
async fn whoever_asks_and_takes_it_back_again_and_again_is_told_to_calm_down_and_counted() {
    let (mag, _) = talkative().await;
    let mut rapid = mag.connect().await;
    let cancel = 8_u32.to_be_bytes();
    let storm: Vec<u8> =
        (0..2_000).flat_map(|n| [get(2 * n + 1, "/"), frame(0x03, 0, 2 * n + 1, &cancel)].concat()).collect();
    // It may be closed before all of it is sent.
    drop(rapid.write_all(&[PREFACE, &storm].concat()).await);
    let mut said = Vec::new();
    drop(soon(rapid.read_to_end(&mut said)).await);
    // GOAWAY ends with the reason: ENHANCE_YOUR_CALM.
    let goaway = said.windows(17).any(|bytes| bytes[3] == 0x07 && bytes[13..] == 11_u32.to_be_bytes());
    assert!(goaway, "{said:?}");
    let counted = async {
        while mag.counted(|c| &c.refused_connections) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(counted).await;
    assert_eq!(head(&mag).await, "HTTP/1.1 200", "others do not notice");
}
