//! HTTP/2 as its frames stand on the wire.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::{self, Mag, start};

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
