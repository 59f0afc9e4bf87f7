//! Real connections against an engine that only counts and confirms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::message::Ack;

mod answers;
mod datagrams;
mod greeting;
mod harness;
mod http;
mod http2;
mod ports;

use harness::{cut_off, line, rest, soon, start, start_in, start_with};

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect()
}

#[test]
fn the_task_of_a_connection_is_small_whatever_else_it_could_have_been() {
    fn bytes<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }
    let bytes = bytes(super::one);
    assert!(bytes <= 2_560, "{bytes} bytes: ten thousand silent connections have one each");
}

#[tokio::test]
async fn a_classic_client_that_sees_the_end_knows_that_all_is_committed() {
    let mag = start(9, true).await;
    assert_eq!(mag.exchange("STRING\na\nSTRING\nb\r\nSTRING\na\nSTRING\nhal").await, "");
    assert_eq!(mag.engine.counts(), counts(&[("a", 2), ("b", 1)]));
    assert_eq!((mag.counted(|c| &c.messages), mag.counted(|c| &c.partial)), (3, 1));
    let engine = mag.stopped().await;
    assert_eq!(engine.entries.lock().unwrap()[0].message.source, "127.0.0.1");
}

#[tokio::test]
async fn a_client_does_not_see_the_end_before_the_commit() {
    let mag = start(9, false).await;
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\n").await.unwrap();
    client.shutdown().await.unwrap();
    soon(mag.engine.has(1)).await;
    let early = timeout(Duration::from_millis(50), client.read_u8()).await;
    assert!(early.is_err(), "closed before the commit");
    mag.engine.may_confirm.cancel();
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn an_unknown_command_is_answered_and_what_came_before_it_counts() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\nHELP me\nSTRING\nb\n").await.unwrap();
    assert_eq!(rest(&mut client).await, "Command \"HELP me\" is not registered.\n\n");
    assert_eq!(mag.engine.counts(), counts(&[("a", 1)]));
    assert_eq!(mag.counted(|c| &c.refused_lines), 1);
}

#[tokio::test]
async fn the_reply_is_not_lost_to_a_client_that_goes_on_sending() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    let much = [b"WHAT\n".as_slice(), &b"STRING\nb\n".repeat(3_000)].concat();
    client.write_all(&much).await.unwrap();
    assert_eq!(rest(&mut client).await, "Command \"WHAT\" is not registered.\n\n");
    assert_eq!(mag.engine.total(), 0);
}

#[tokio::test]
async fn a_client_that_never_closes_is_served_and_does_not_hold_up_the_stop() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\nSTRING\n").await.unwrap();
    soon(mag.engine.has(1)).await;
    client.write_all(b"b\n").await.unwrap();
    soon(mag.engine.has(2)).await;
    let counters = Arc::clone(&mag.counters);
    assert_eq!(counters.connections.load(Ordering::Relaxed), 1);
    let engine = mag.stopped().await;
    assert_eq!(engine.counts(), counts(&[("a", 1), ("b", 1)]));
    assert_eq!(counters.connections.load(Ordering::Relaxed), 0);
    cut_off(&mut client).await;
}

#[tokio::test]
async fn bytes_that_come_one_by_one_are_the_same_messages() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.set_nodelay(true).unwrap();
    for byte in b"STRING\r\ndisk full\r\nERROR\nboom\n" {
        client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(mag.engine.counts(), counts(&[("boom", 1), ("disk full", 1)]));
}

#[tokio::test]
async fn many_messages_in_one_packet_come_merged() {
    let mag = start(9, true).await;
    assert_eq!(mag.exchange("STRING\ndisk full\n".repeat(5_000)).await, "");
    assert_eq!(mag.engine.counts(), counts(&[("disk full", 5_000)]));
    let entries = mag.engine.entries.lock().unwrap().len();
    assert!(entries < 100, "{entries} entries of 5,000 equal messages");
}

#[tokio::test]
async fn acks_count_lines_after_the_wish_and_come_after_the_commit() {
    let mag = start(9, false).await;
    let mut client = mag.connect().await;
    client.write_all(b"{\"text\":\"before\"}\n{\"ack\":true}\n").await.unwrap();
    client.write_all(b"{\"text\":\"a\",\"count\":7}\n\n[]\n{\"text\":\"b\"}\n").await.unwrap();
    let error = line(&mut client).await;
    assert_eq!(
        error,
        "{\"error\":\"a line must be a JSON object, such as {\\\"text\\\":\\\"disk full\\\"}\",\"line\":5}\n"
    );
    soon(mag.engine.has(9)).await;
    assert!(timeout(Duration::from_millis(50), client.read_u8()).await.is_err(), "an ack before the commit");
    mag.engine.may_confirm.cancel();
    let mut ack = line(&mut client).await;
    while ack == "{\"acked\":1}\n" {
        ack = line(&mut client).await;
    }
    assert_eq!(ack, "{\"acked\":2}\n");
    client.write_all(b"{\"text\":\"c\"}\n").await.unwrap();
    assert_eq!(line(&mut client).await, "{\"acked\":3}\n");
    client.write_all(b"{\"text\":\"d\"}").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "{\"acked\":4}\n");
}

#[tokio::test]
async fn ndjson_without_a_wish_for_acks_is_silent_but_committed_at_the_end() {
    let mag = start(9, true).await;
    assert_eq!(mag.exchange("{\"text\":\"a\",\"pid\":1}\n{\"text\":\"a\",\"pid\":2}\n").await, "");
    assert_eq!(mag.engine.counts(), counts(&[("a", 2)]));
    assert_eq!(mag.counted(|c| &c.ignored_keys), 2);
}

#[tokio::test]
async fn the_last_ack_is_sent_when_mag_stops() {
    let mag = start(9, false).await;
    let mut client = mag.connect().await;
    client.write_all(b"{\"ack\":true}\n{\"text\":\"a\"}\n{\"text\":\"half").await.unwrap();
    soon(mag.engine.has(1)).await;
    mag.stop.cancel();
    mag.engine.may_confirm.cancel();
    assert_eq!(rest(&mut client).await, "{\"acked\":1}\n");
    drop(client);
    let counters = Arc::clone(&mag.counters);
    mag.stopped().await;
    assert_eq!(counters.partial.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_has_arrived_is_read_when_mag_stops() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\n").await.unwrap();
    soon(mag.engine.has(1)).await;
    client.write_all(&b"STRING\na\n".repeat(20_000)).await.unwrap();
    let engine = mag.stopped().await;
    assert_eq!(engine.counts(), counts(&[("a", 20_001)]));
}

#[tokio::test]
async fn an_engine_that_is_gone_confirms_nothing() {
    let (batches, receiver) = mpsc::channel(1);
    let mag = start_with(9, batches, Arc::default()).await;
    let mut client = mag.connect().await;
    client.write_all(b"{\"ack\":true}\n{\"text\":\"a\"}\n").await.unwrap();
    drop(receiver);
    client.write_all(b"{\"text\":\"b\"}\n").await.unwrap();
    let mut text = Vec::new();
    // An end or a reset, whichever the client sees first: but no ack.
    let end = soon(client.read_to_end(&mut text)).await;
    assert!(text.is_empty(), "{end:?} {text:?}");
}

#[tokio::test]
async fn a_batch_dropped_unconfirmed_closes_its_connection_without_an_ack() {
    let (batches, mut receiver) = mpsc::channel(1);
    let mag = start_with(9, batches, Arc::default()).await;
    let mut client = mag.connect().await;
    client.write_all(b"{\"ack\":true}\n{\"text\":\"a\"}\n").await.unwrap();
    client.shutdown().await.unwrap();
    while soon(receiver.recv()).await.is_some_and(|batch| batch.ack.is_none()) {}
    drop(receiver);
    cut_off(&mut client).await;
}

#[tokio::test]
async fn a_client_that_never_reads_its_answers_harms_nobody() {
    let mag = start(9, true).await;
    let deaf = mag.connect().await;
    deaf.set_nodelay(true).unwrap();
    let (_unread, mut writes) = deaf.into_split();
    let flood = tokio::spawn(async move {
        let lines = b"[]\n".repeat(10_000);
        while writes.write_all(&lines).await.is_ok() {}
    });
    for round in 1..=20 {
        assert_eq!(mag.exchange("STRING\na\n").await, "");
        assert_eq!(mag.engine.total(), round);
    }
    mag.stopped().await;
    flood.abort();
}

#[tokio::test]
async fn acks_nobody_reads_do_not_hold_up_reading() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.write_all(b"{\"ack\":true}\n").await.unwrap();
    for _ in 0..200 {
        client.write_all(&b"{\"text\":\"a\"}\n".repeat(1_000)).await.unwrap();
    }
    client.shutdown().await.unwrap();
    soon(mag.engine.has(200_000)).await;
    let told = rest(&mut client).await;
    assert_eq!(told.lines().last(), Some("{\"acked\":200000}"));
}

#[tokio::test]
async fn a_full_engine_stops_the_reading() {
    let (batches, mut receiver) = mpsc::channel(1);
    let mag = start_with(9, batches, Arc::default()).await;
    let mut client = mag.connect().await;
    let sent = Arc::new(AtomicU64::new(0));
    let sending = tokio::spawn({
        let sent = Arc::clone(&sent);
        async move {
            for _ in 0..2_000 {
                client.write_all(&b"STRING\ndisk full\n".repeat(1_000)).await.unwrap();
                sent.fetch_add(1_000, Ordering::Relaxed);
            }
            client.shutdown().await.unwrap();
        }
    });
    // Without a receiver nothing but what the system buffers is taken; then all of it comes.
    assert!(
        timeout(Duration::from_millis(300), async {
            while !sending.is_finished() {
                tokio::task::yield_now().await
            }
        })
        .await
        .is_err()
    );
    assert!(sent.load(Ordering::Relaxed) < 2_000_000);
    let mut total = 0;
    while total < 2_000_000 {
        let batch = soon(receiver.recv()).await.unwrap();
        total += batch.messages();
        batch.ack.into_iter().for_each(Ack::confirm);
    }
    sending.await.unwrap();
    drop(receiver);
    mag.stopped().await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let mag = start(2, true).await;
    let mut first = mag.connect().await;
    let mut second = mag.connect().await;
    for client in [&mut first, &mut second] {
        client.write_all(b"{\"ack\":true}\n{\"text\":\"a\"}\n").await.unwrap();
        assert_eq!(line(client).await, "{\"acked\":1}\n");
    }
    let mut third = mag.connect().await;
    cut_off(&mut third).await;
    assert_eq!(mag.counted(|c| &c.refused_connections), 1);
    drop(first);
    while mag.counted(|c| &c.connections) > 1 {
        tokio::task::yield_now().await;
    }
    second.write_all(b"{\"text\":\"a\"}\n").await.unwrap();
    assert_eq!(line(&mut second).await, "{\"acked\":2}\n");
    assert_eq!(mag.exchange("STRING\nb\n").await, "");
    assert_eq!(mag.engine.counts(), counts(&[("a", 3), ("b", 1)]));
}

#[tokio::test]
async fn a_connection_that_breaks_keeps_what_it_brought_and_harms_nobody() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.write_all(b"STRING\na\nSTRING\nhal").await.unwrap();
    soon(mag.engine.has(1)).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(mag.exchange("STRING\nb\n").await, "");
    while mag.counted(|c| &c.connections) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(mag.counted(|c| &c.partial), 1);
    assert_eq!(mag.engine.counts(), counts(&[("a", 1), ("b", 1)]));
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed_at_the_stop() {
    let mag = start(99, true).await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(mag.connect().await);
    }
    while mag.counted(|c| &c.connections) < 50 {
        tokio::task::yield_now().await;
    }
    mag.stopped().await;
    for client in &mut idle {
        cut_off(client).await;
    }
}

/// Decides and confirms as the engine does, with an index of its own.
async fn deciding(mut batches: mpsc::Receiver<crate::message::Batch>, counted: Arc<AtomicU64>) {
    let mut ids = crate::ids::Ids::default();
    while let Some(mut batch) = batches.recv().await {
        ids.settle(&mut batch, 0);
        counted.fetch_add(batch.messages(), Ordering::Relaxed);
        batch.ack.into_iter().for_each(Ack::confirm);
    }
}

#[tokio::test]
async fn a_message_that_came_before_is_acknowledged_and_one_with_other_content_is_refused_at_its_line() {
    let (batches, receiver) = mpsc::channel(4);
    let counted = Arc::new(AtomicU64::new(0));
    tokio::spawn(deciding(receiver, Arc::clone(&counted)));
    let mag = start_with(9, batches, Arc::default()).await;
    let lines = "{\"text\":\"zero\",\"id\":\"0\"}\n{\"ack\":true}\n{\"text\":\"a\",\"id\":\"1\"}\n{\"text\":\"a\",\"id\":\"1\"}\n\
        {\"text\":\"b\",\"id\":\"1\"}\n{\"text\":\"a\",\"count\":4}\n{\"text\":\"b\",\"id\":\"2\",\"time\":7}\n{\"text\":\"b\",\"id\":\"2\",\"time\":8}\n";
    assert_eq!(
        mag.exchange(lines).await.lines().filter(|line| !line.starts_with("{\"acked\":")).collect::<Vec<_>>(),
        ["{\"error\":\"another message came with the id `1` before\",\"line\":5}"]
    );
    assert_eq!(counted.load(Ordering::Relaxed), 1 + 1 + 4 + 1);
    let again = mag.exchange(lines).await;
    assert_eq!(again.lines().last(), Some("{\"acked\":5}"), "{again}");
    assert_eq!(counted.load(Ordering::Relaxed), 7 + 4);
}

#[tokio::test]
async fn errors_come_before_the_acks_of_later_lines_and_acks_leave_out_what_was_refused() {
    let (batches, mut receiver) = mpsc::channel(4);
    let mag = start_with(9, batches, Arc::default()).await;
    let mut client = mag.connect().await;
    client
        .write_all(b"{\"ack\":true}\n{\"text\":\"a\",\"id\":\"1\"}\n{\"text\":\"b\",\"id\":\"1\"}\n{\"text\":\"c\"}\n")
        .await
        .unwrap();
    let mut ids = crate::ids::Ids::default();
    let mut acks = Vec::new();
    while acks.iter().all(|ack: &Ack| ack.upto < 3) {
        let mut batch = soon(receiver.recv()).await.unwrap();
        ids.settle(&mut batch, 0);
        acks.extend(batch.ack);
    }
    assert_eq!(line(&mut client).await, "{\"error\":\"another message came with the id `1` before\",\"line\":3}\n");
    acks.pop().expect("an ack").confirm();
    assert_eq!(line(&mut client).await, "{\"acked\":2}\n");
    client.write_all(b"{\"text\":\"d\"}\n").await.unwrap();
    soon(receiver.recv()).await.unwrap().ack.expect("an ack").confirm();
    assert_eq!(line(&mut client).await, "{\"acked\":3}\n");
}

#[tokio::test]
async fn a_client_that_is_refused_and_does_not_listen_is_not_read_on() {
    let (batches, receiver) = mpsc::channel(4);
    tokio::spawn(deciding(receiver, Arc::default()));
    let mag = start_with(9, batches, Arc::default()).await;
    let deaf = mag.connect().await;
    let (_unread, mut writes) = deaf.into_split();
    let flood = tokio::spawn(async move {
        let mut n = 0_u64;
        loop {
            let lines: String = (0..1_000).map(|i| format!("{{\"text\":\"{}\",\"id\":\"1\"}}\n", n + i)).collect();
            n += 1_000;
            if writes.write_all(lines.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = mag.counted(|c| &c.messages);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(!flood.is_finished());
    assert_eq!(mag.exchange("{\"text\":\"x\",\"id\":\"2\"}\n").await, "", "others are served");
    mag.stopped().await;
    flood.abort();
}

#[tokio::test]
async fn many_deaf_clients_leave_seats_to_others() {
    let engine = Arc::new(harness::Engine::default());
    engine.may_confirm.cancel();
    let (batches, receiver) = mpsc::channel(crate::limits::BATCH_QUEUE);
    tokio::spawn(Arc::clone(&engine).run(receiver));
    // One seat, and room for a few that wait.
    let mag = start_in(super::Flight::new(12 * 1024 * 1024), 99, batches, engine).await;
    let mut floods = Vec::new();
    for _ in 0..6 {
        let (unread, mut writes) = mag.connect().await.into_split();
        let lines = b"[]\n".repeat(10_000);
        floods.push(tokio::spawn(async move {
            while writes.write_all(&lines).await.is_ok() {}
            drop(unread);
        }));
    }
    for round in 1..=20 {
        assert_eq!(mag.exchange("STRING\na\n".repeat(1_000)).await, "");
        assert_eq!(mag.engine.total(), round * 1_000);
    }
    mag.stopped().await;
    floods.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn whoever_has_waited_longest_with_half_a_line_makes_room_for_others() {
    let (batches, receiver) = mpsc::channel(4);
    tokio::spawn(Arc::new(harness::Engine::default()).run(receiver));
    let mag = start_in(super::Flight::new(1024 * 1024), 99, batches, Arc::default()).await;
    let half = format!("{{\"text\":\"{}", "x".repeat(50_000));
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = mag.connect().await;
        client.write_all(half.as_bytes()).await.unwrap();
        clients.push(client);
    }
    cut_off(&mut clients[0]).await;
    let mut last = clients.pop().expect("a client");
    last.write_all(b"\"}\n{\"ack\":true}\n[]\n").await.unwrap();
    assert!(line(&mut last).await.starts_with("{\"error\":"), "the newest goes on");
    soon(async {
        while mag.counted(|c| &c.refused_connections) < 15 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(mag.counted(|c| &c.refused_connections) <= 25);
}

#[tokio::test]
async fn a_long_line_that_comes_in_many_pieces_is_whole() {
    let mag = start(9, true).await;
    let mut client = mag.connect().await;
    client.set_nodelay(true).unwrap();
    let text = "0123456789".repeat(60_000);
    let line = format!("{{\"text\":\"a\",\"x\":\"{text}\"}}\n{{\"text\":\"b\"}}\n");
    for piece in line.as_bytes().chunks(7_001) {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(mag.engine.counts(), counts(&[("a", 1), ("b", 1)]));
}

/// Fluent Forward: 30,000,000 entries in some kilobytes; nobody waits for all of them, and a stop does not either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_inflates_to_very_much_takes_turns_with_others_and_holds_up_no_stop() {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let entries = [0x92, 0x00, 0x81, 0xa1, b'm', 0xa1, b'x'].repeat(100_000);
    for _ in 0..300 {
        gzip.write_all(&entries).unwrap();
    }
    let packed = gzip.finish().unwrap();
    let mut message = vec![0x93, 0xa1, b't', 0xc6];
    message.extend_from_slice(&u32::try_from(packed.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&packed);
    message.extend_from_slice(&[0x81, 0xaa]);
    message.extend_from_slice(b"compressed\xa4gzip");
    let mag = start(9, true).await;
    let mut bomb = mag.connect().await;
    bomb.write_all(&message).await.unwrap();
    soon(mag.engine.has(1)).await;
    assert_eq!(mag.exchange("STRING\nother\n").await, "");
    let taken = mag.engine.total();
    assert!(taken < 30_000_000, "the other one waited for all of it");
    mag.stopped().await;
}
