//! HTTP requests as they stand on the wire, against an engine that only counts and confirms.

use std::io::Write as _;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::counts;
use super::harness::{Mag, rest, soon, start};
use crate::limits;

/// Posts a body with these further fields, and gives back status and body of the answer.
async fn post(mag: &Mag, fields: &str, body: &[u8]) -> (u16, String) {
    ask(mag, "POST /api/v1/messages", fields, body).await
}

async fn ask(mag: &Mag, line: &str, fields: &str, body: &[u8]) -> (u16, String) {
    let mut client = mag.connect().await;
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nHost: mag\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    // A body that is refused early may not be taken.
    drop(client.write_all(body).await);
    answer(&rest(&mut client).await)
}

fn answer(text: &str) -> (u16, String) {
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.trim_end().to_owned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn objects_arrays_ndjson_and_text_come_to_the_same_messages() {
    let mag = start(9, true).await;
    let json = "Content-Type: application/json\r\n";
    let one = r#"{"accepted":1,"errors":[]}"#.to_owned();
    let two = r#"{"accepted":2,"errors":[]}"#.to_owned();
    assert_eq!(post(&mag, json, b"{\"text\":\n \"a\"}").await, (200, one.clone()));
    assert_eq!(post(&mag, json, br#"[{"text":"a"},{"text":"b","count":3}]"#).await, (200, two.clone()));
    let lines = b"{\"text\":\"a\"}\n\n{\"text\":\"b\"}\n";
    assert_eq!(post(&mag, "Content-Type: application/x-ndjson\r\n", lines).await, (200, two.clone()));
    assert_eq!(post(&mag, "Content-Type: text/plain; charset=utf-8\r\n", b"a\r\n\nb\n").await, (200, two.clone()));
    // What `curl -d` says of everything.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(post(&mag, form, b"a").await, (200, one.clone()));
    assert_eq!(post(&mag, form, br#"{"text":"a"}"#).await, (200, one));
    assert_eq!(post(&mag, form, lines).await, (200, two));
    assert_eq!(mag.engine.counts(), counts(&[("a", 7), ("b", 6)]));
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_number_and_the_rest_is_taken() {
    let mag = start(9, true).await;
    let json = "Content-Type: application/json\r\n";
    let (status, body) = post(&mag, json, br#"[{"text":"a"},{"text":7},3,{"text":"b"}]"#).await;
    assert_eq!(status, 200);
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["accepted"], 2);
    assert_eq!(told["errors"][0], serde_json::json!({ "index": 1, "error": "`text` must be a string" }));
    assert_eq!(told["errors"][1]["index"], 2);
    assert_eq!(mag.engine.counts(), counts(&[("a", 1), ("b", 1)]));
    let (status, body) = post(&mag, json, br#"[{"text":"a"},"#).await;
    assert_eq!(status, 400);
    assert!(body.contains("the body is not JSON"), "{body}");
    assert_eq!(post(&mag, json, br#"{"txt":"a"}"#).await.0, 400);
    assert_eq!(mag.engine.total(), 2, "nothing of a body that is no JSON is taken");
    assert_eq!(mag.counted(|c| &c.refused_lines), 5);
}

#[tokio::test]
async fn of_very_many_mistakes_the_first_are_told_and_all_are_counted() {
    let mag = start(9, true).await;
    let body = format!("[{}7]", "7,".repeat(limits::HTTP_ERRORS));
    let (status, body) = post(&mag, "Content-Type: application/json\r\n", body.as_bytes()).await;
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, told["errors"].as_array().map(Vec::len)), (400, Some(limits::HTTP_ERRORS)));
    assert_eq!(told["refused"], limits::HTTP_ERRORS + 1);
}

#[tokio::test]
async fn a_call_of_grpc_that_is_refused_is_counted_too() {
    let mag = start(9, true).await;
    let call = "POST /opentelemetry.proto.collector.logs.v1.LogsService/Export";
    assert_eq!(ask(&mag, call, "Content-Type: application/grpc\r\n", b"x").await.0, 200);
    assert_eq!(mag.counted(|c| &c.refused_lines), 1);
}

#[tokio::test]
async fn compressed_bodies_are_read_and_bombs_are_not() {
    let mag = start(9, true).await;
    let body = br#"{"text":"a"}"#;
    assert_eq!(post(&mag, "Content-Encoding: gzip\r\n", &gzip(body)).await.0, 200);
    let zstd_body = zstd::encode_all(&body[..], 0).unwrap();
    assert_eq!(post(&mag, "Content-Encoding: zstd\r\n", &zstd_body).await.0, 200);
    // pygelf says both and means either.
    assert_eq!(post(&mag, "Content-Encoding: gzip,deflate\r\n", &gzip(body)).await.0, 200);
    let zlib = b"\x78\x9c\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x4a\x54\xaa\x05\x00\x1a\xa1\x03\xe1";
    assert_eq!(post(&mag, "Content-Encoding: gzip,deflate\r\n", zlib).await.0, 200);
    assert_eq!(mag.engine.total(), 4);
    let bomb = gzip(&vec![b'x'; limits::HTTP_INFLATED_BYTES + 1]);
    assert_eq!(post(&mag, "Content-Encoding: gzip\r\n", &bomb).await.0, 413);
    let bomb = zstd::encode_all(&vec![b'x'; limits::HTTP_INFLATED_BYTES + 1][..], 0).unwrap();
    assert_eq!(post(&mag, "Content-Encoding: zstd\r\n", &bomb).await.0, 413);
    assert_eq!(post(&mag, "Content-Encoding: gzip\r\n", b"no gzip at all").await.0, 400);
    assert_eq!(post(&mag, "Content-Encoding: br\r\n", b"x").await.0, 415);
    assert_eq!(mag.engine.total(), 4);
}

#[tokio::test]
async fn wrong_paths_methods_types_and_sizes_have_answers_of_their_own() {
    let mag = start(9, true).await;
    assert_eq!(ask(&mag, "POST /nowhere", "", b"x").await.0, 404);
    assert_eq!(ask(&mag, "GET /api/v1/messages", "", b"").await.0, 405);
    assert_eq!(post(&mag, "Content-Type: image/png\r\n", b"x").await.0, 415);
    let large = vec![b'x'; limits::HTTP_BODY_BYTES + 1];
    assert_eq!(post(&mag, "", &large).await.0, 413);
    assert_eq!(mag.engine.total(), 0);
}

#[tokio::test]
async fn an_answer_comes_after_the_commit_and_not_before() {
    let mag = start(9, false).await;
    let mut client = mag.connect().await;
    client.write_all(b"POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\n\r\na").await.unwrap();
    soon(mag.engine.has(1)).await;
    assert!(timeout(Duration::from_millis(50), client.read_u8()).await.is_err(), "answered before the commit");
    mag.stop.cancel();
    mag.engine.may_confirm.cancel();
    assert_eq!(answer(&rest(&mut client).await), (200, r#"{"accepted":1,"errors":[]}"#.to_owned()));
}

#[tokio::test]
async fn a_stop_waits_for_no_body_that_is_long_in_coming() {
    let mag = start(9, true).await;
    let (mut slow, mut idle) = (mag.connect().await, mag.connect().await);
    slow.write_all(b"POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    idle.write_all(b"POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\n\r\na").await.unwrap();
    soon(mag.engine.has(1)).await;
    mag.stop.cancel();
    assert_eq!(answer(&rest(&mut slow).await), (503, r#"{"error":"mag stops: send it again"}"#.to_owned()));
    assert_eq!(answer(&rest(&mut idle).await).0, 200, "and is closed then");
    assert_eq!(mag.stopped().await.total(), 1);
}

#[tokio::test]
async fn a_request_with_more_different_messages_than_mag_holds_is_refused_whole() {
    let mag = start(9, true).await;
    let lines: String = (0..300_000).map(|n| format!("line {n}\n")).collect();
    let (status, body) =
        post(&mag, "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", &gzip(lines.as_bytes())).await;
    assert_eq!(status, 413);
    assert!(body.contains("send them in several"), "{body}");
    assert_eq!(mag.engine.total(), 0);
}
