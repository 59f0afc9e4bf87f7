//! HTTP requests as they stand on the wire, against an engine that only counts and confirms.

use std::io::Write as _;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::counts;
use super::harness::{self, Mag, line, passes, rest, settings, soon, start, start_as};
use crate::ingest::{Flight, Settings};
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
    assert_eq!(mag.counted(|c| &c.refused_lines), 4, "each wrong message once, and the body that is no JSON");
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
async fn a_wrong_content_type_is_answered_in_each_formats_own_words_and_counted() {
    let mag = start(9, true).await;
    let told = [
        ("/api/v1/messages", 415, r#"{"error":"Content-Type \"image/png\" is not known here: use application/json"#),
        ("/api/v1/events", 415, r#"{"error":"Content-Type \"image/png\" without a field ce-specversion"#),
        ("/api/v2/alerts", 415, r#""unsupported media type \"image/png\", only [application/json] are allowed"#),
        ("/api/v1/alertmanager", 415, r#""unsupported media type \"image/png\", only [application/json] are allowed"#),
        ("/v1/logs", 415, r#"{"code":12,"message":"Content-Type \"image/png\" is not known here"#),
        // The senders of these name any, so only what is in the body counts.
        ("/gelf", 400, r#"{"error":""#),
        ("/api/1/envelope/", 400, r#"{"detail":""#),
        ("/api/1/store/", 400, r#"{"detail":""#),
        // Its status stands behind the answer.
        ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", 200, ""),
    ];
    for (path, status, begins) in told {
        let before = mag.counted(|c| &c.refused_lines);
        let (code, body) = ask(&mag, &format!("POST {path}"), "Content-Type: image/png\r\n", b"\x89PNG").await;
        assert!(code == status && body.starts_with(begins), "{path}: {code} {body}");
        // The request, and what was in it.
        assert!((1..=2).contains(&(mag.counted(|c| &c.refused_lines) - before)), "{path}");
    }
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

/// What is answered to a request when a piece more of it comes each second, and after how many seconds.
async fn trickle<'p>(mag: &Mag, begin: &str, pieces: impl IntoIterator<Item = &'p [u8]>) -> (u16, String, u64) {
    let mut client = mag.connect().await;
    let started = Instant::now();
    client.write_all(begin.as_bytes()).await.unwrap();
    let told = harness::trickle(client, pieces).await;
    let (status, body) = answer(str::from_utf8(&told).expect("an answer is text"));
    (status, body, started.elapsed().as_secs())
}

#[tokio::test]
async fn a_head_that_is_begun_must_be_whole_soon_however_it_trickles_in() {
    let mag = start(9, true).await;
    let begin = "POST /api/v1/messages HTTP/1.1\r\nX: ";
    let (status, body, seconds) = trickle(&mag, begin, iter::repeat(&b"x"[..])).await;
    assert_eq!((status, body.as_str()), (408, r#"{"error":"the head took longer than 10 s"}"#));
    // What a busy machine takes comes on top.
    assert!((10..30).contains(&seconds), "after {seconds} s");
    assert_eq!(mag.counted(|c| &c.refused_lines), 1);
}

/// A request whose body does not come before its answer; what came after that answer until the end.
async fn told_after_a_late_body(mag: &Mag, head: &str, first: &[u8]) -> (u16, String) {
    let mut client = mag.connect().await;
    client.write_all(&[head.as_bytes(), first].concat()).await.unwrap();
    let mut told = String::new();
    while !told.ends_with("}\n") {
        told.push_str(&line(&mut client).await);
    }
    for _ in 0..3 {
        // Nobody may be there any more.
        drop(client.write_all(b"x").await);
        passes(Duration::from_secs(limits::HTTP_HEAD_SECONDS)).await;
    }
    let mut rest = Vec::new();
    // It may have been cut off.
    drop(soon(client.read_to_end(&mut rest)).await);
    (answer(&told).0, String::from_utf8(rest).unwrap())
}

#[tokio::test]
async fn a_request_that_is_refused_before_its_body_comes_is_answered_once() {
    let mag = start(9, true).await;
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let counted = "Content-Length: 1000\r\n\r\n";
    let mut asked = 0;
    for (line, status) in [
        ("POST /nowhere", 404),
        ("GET /api/v1/messages", 405),
        ("POST /api/v1/messages HTTP/1.1\r\nContent-Encoding: br", 415),
        ("POST /api/v1/messages HTTP/1.1\r\nExpect: 100-continue\r\nContent-Encoding: br", 415),
    ] {
        let line = if line.contains("HTTP/1.1") { line.to_owned() } else { format!("{line} HTTP/1.1") };
        for (rest, first) in [(chunked, &b""[..]), (chunked, b"3\r\nab"), (counted, b""), (counted, b"half")] {
            let head = format!("{line}\r\nHost: m\r\n{rest}");
            assert_eq!(told_after_a_late_body(&mag, &head, first).await, (status, String::new()), "{head}");
            asked += 1;
            assert_eq!(mag.counted(|c| &c.refused_lines), asked, "{head}");
        }
    }
}

#[tokio::test]
async fn a_connection_may_wait_longer_for_its_next_request_than_a_head_may_take() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    for _ in 0..3 {
        passes(Duration::from_secs(3 * limits::HTTP_HEAD_SECONDS)).await;
        client.write_all(b"POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\n\r\na").await.unwrap();
        let mut head = String::new();
        while !head.ends_with("}\n") {
            head.push_str(&line(&mut client).await);
        }
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    assert_eq!((mag.engine.total(), mag.counted(|c| &c.refused_lines)), (3, 0));
}

#[tokio::test]
async fn a_body_must_come_at_a_kilobyte_a_second() {
    let mag = start(9, true).await;
    let begin = "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n";
    let (status, body, seconds) = trickle(&mag, begin, iter::repeat(&b"a"[..])).await;
    assert_eq!((status, body.as_str()), (408, r#"{"error":"the body came slower than 1024 B/s"}"#));
    assert!((5..25).contains(&seconds), "after {seconds} s");
    let (status, _, seconds) = trickle(&mag, begin, iter::repeat_n(&[b'a'; 5_000][..], 20)).await;
    assert_eq!(status, 200, "four times as long, and steady");
    assert!(seconds >= 20, "after {seconds} s");
    assert_eq!((mag.engine.total(), mag.counted(|c| &c.refused_lines)), (1, 1));
}

#[tokio::test]
async fn a_head_that_is_none_is_told_why() {
    let mag = start(9, true).await;
    let large = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "x".repeat(2 * limits::HTTP_BUFFER_BYTES));
    let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(limits::HTTP_HEADER_FIELDS + 1));
    let too_large = r#"{"error":"the head is larger than 16 KiB, or has more than 64 fields"}"#;
    for head in [large, fields] {
        assert_eq!(answer(&mag.exchange(head).await), (431, too_large.to_owned()));
    }
    let (status, body) = answer(&mag.exchange("GET / HTTP/1.1\r\nno field\r\n\r\n").await);
    assert!(status == 400 && body.starts_with(r#"{"error":"this is no request of HTTP/1.1: "#), "{status} {body}");
    assert_eq!(mag.counted(|c| &c.refused_lines), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_long_to_read_keeps_no_seat_from_others() {
    let mag = start(20, true).await;
    // Few bytes that inflate to many, and come to one message.
    let body = gzip(format!("{{\"text\":\"a\",\"x\":[{}0]}}", "0,".repeat(500_000)).as_bytes());
    assert!(body.len() < 32 * 1024, "{} bytes", body.len());
    let head = "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Encoding: gzip\r\n";
    let request = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let answered = Arc::new(AtomicUsize::new(0));
    let mut heavy = Vec::new();
    for _ in 0..6 {
        let mut client = mag.connect().await;
        client.write_all(&request).await.unwrap();
        let answered = Arc::clone(&answered);
        heavy.push(tokio::spawn(async move {
            let told = rest(&mut client).await;
            answered.fetch_add(1, Ordering::Relaxed);
            told
        }));
    }
    // All of them have been asked before.
    let mut honest = mag.connect().await;
    honest.write_all(b"{\"ack\":true}\n{\"text\":\"b\"}\n").await.unwrap();
    assert_eq!(line(&mut honest).await, "{\"acked\":1}\n");
    let before = answered.load(Ordering::Relaxed);
    for task in heavy {
        assert_eq!(answer(&soon(task).await.unwrap()), (200, r#"{"accepted":1,"errors":[]}"#.to_owned()));
    }
    assert!(before < 6, "acknowledged only behind all of them");
    assert_eq!(mag.engine.counts(), counts(&[("a", 6), ("b", 1)]));
}

/// With so much memory for all connections, and an engine that confirms everything.
async fn start_with_memory(flight: &Flight) -> Mag {
    start_as(Settings { flight: flight.clone(), ..settings() }, |_| {}).await
}

#[tokio::test]
async fn whole_bodies_that_wait_for_their_turn_count_and_who_waits_longest_is_refused() {
    let flight = Flight::new(16 * 1024 * 1024);
    let mag = start_with_memory(&flight).await;
    let turn = flight.large().await;
    let body = [b"a\n", &vec![b'\n'; 3_500_000][..]].concat();
    let head = format!(
        "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = Arc::new([head.as_bytes(), &body].concat());
    let (told, mut answers) = tokio::sync::mpsc::channel(9);
    for _ in 0..9 {
        let (mut client, request, told) = (mag.connect().await, Arc::clone(&request), told.clone());
        tokio::spawn(async move {
            client.write_all(&request).await.unwrap();
            told.send(answer(&rest(&mut client).await)).await.unwrap();
        });
    }
    // At most four fit in.
    for _ in 0..5 {
        let (status, why) = soon(answers.recv()).await.unwrap();
        assert_eq!((status, why.contains("memory is short")), (503, true), "{why}");
    }
    drop(turn);
    let mut taken = 0;
    for _ in 0..4 {
        taken += u64::from(soon(answers.recv()).await.unwrap().0 == 200);
    }
    assert!(taken > 0, "whoever waited less is read");
    assert_eq!((mag.engine.total(), mag.counted(|c| &c.refused_lines)), (taken, 0));
}

#[tokio::test]
async fn an_answer_with_many_mistakes_has_few_when_nobody_takes_such_answers() {
    let flight = Flight::new(16 * 1024 * 1024);
    let mag = start_with_memory(&flight).await;
    let waits = flight.answer(limits::HTTP_ANSWER_BYTES - limits::HTTP_FREE_ANSWER_BYTES);
    let body = format!("[{}{{\"text\":\"a\"}}]", "7,".repeat(100));
    let json = "Content-Type: application/json\r\n";
    let told = |answer: (u16, String)| -> (u16, usize, serde_json::Value) {
        let told: serde_json::Value = serde_json::from_str(&answer.1).unwrap();
        (answer.0, told["errors"].as_array().unwrap().len(), told["refused"].clone())
    };
    assert_eq!(told(post(&mag, json, body.as_bytes()).await), (200, 1, 100.into()));
    drop(waits);
    assert_eq!(told(post(&mag, json, body.as_bytes()).await), (200, 100, serde_json::Value::Null));
}

#[tokio::test]
async fn a_stop_reads_no_bodies_that_wait_for_their_turn() {
    let flight = Flight::new(64 * 1024 * 1024);
    let mag = start_with_memory(&flight).await;
    let _turn = flight.large().await;
    let mut client = mag.connect().await;
    let head = "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nContent-Length: 300000\r\n\r\n";
    client.write_all(&[head.as_bytes(), &vec![b'a'; 300_000]].concat()).await.unwrap();
    let arrived = async {
        while flight.held_bytes() < 300_000 {
            tokio::task::yield_now().await;
        }
    };
    soon(arrived).await;
    mag.stop.cancel();
    let (status, why) = answer(&rest(&mut client).await);
    assert_eq!((status, why.as_str()), (503, r#"{"error":"mag stops: send it again"}"#));
    assert_eq!(mag.stopped().await.total(), 0);
}
