//! HTTP/2 as its frames stand on the wire.

use tokio::io::AsyncWriteExt as _;

use super::harness::{self, Mag, start};

/// What a client says first, with settings of which there are none.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// `POST /` with more to come.
const HEADERS: &[u8] = b"\0\0\x03\x01\0\0\0\0\x01\x83\x84\x86";
/// `x: y`, and still more to come.
const CONTINUATION: &[u8] = b"\0\0\x05\x09\0\0\0\0\x01\x00\x01x\x01y";

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
    let cases: [(&[u8], &[&[u8]]); 3] = [(HEADERS, &[CONTINUATION]), (HEADERS, &bytes), (b"", &[b"\0"])];
    for (number, (begin, more)) in (1..).zip(cases) {
        let told = trickle(&mag, &[HELLO, begin].concat(), more).await;
        assert!(says(&told, b"\0\0\0\x0ba head took longer than 10 s"), "case {number}: {told:?}");
        assert_eq!(mag.counted(|c| &c.refused_connections), number);
    }
}
