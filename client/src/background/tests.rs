//! The background sender against servers that answer by a script, or that are not there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, JoinHandle, Thread};

use socket2::{Domain, Socket, Type};

use super::*;

const LONG: Duration = Duration::from_secs(120);

/// Acknowledges every message until its client is gone; gives them back.
fn acks(listener: TcpListener) -> JoinHandle<Vec<String>> {
    thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let mut heard = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap() == 0 {
                assert_eq!(heard.remove(0), "{\"ack\":true}\n");
                return heard;
            }
            if !heard.is_empty() {
                writeln!(stream.get_mut(), "{{\"acked\":{}}}", heard.len()).unwrap();
            }
            heard.push(line);
        }
    })
}

fn background(address: &str, messages: usize) -> Background {
    Client::builder(address).timeout(Duration::from_millis(50)).ids(false).background(messages).unwrap()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What a runtime does with a future.
fn block_on(mut flush: Flush) -> Result<(), Unsent> {
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match Pin::new(&mut flush).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park_timeout(LONG),
        }
    }
}

#[test]
fn who_is_not_let_in_is_told_at_once_and_asks_again_ever_more_rarely() {
    let (asked, asks) = std::sync::mpsc::sync_channel(100);
    let refuses = move |_patience| {
        // The test may be over.
        asked.try_send(now()).unwrap_or_default();
        Err(io::ErrorKind::PermissionDenied.into())
    };
    let client = Client::builder("mag").timeout(LONG).dial(refuses).background(10).unwrap();
    client.send(Message::new("a")).unwrap();
    let times: Vec<_> = (0..4).map(|_| asks.recv_timeout(LONG).unwrap()).collect();
    assert!(times[3] - times[0] >= BACKOFF.0 * 7);
    let unsent = client.close(LONG).unwrap_err();
    assert_eq!((unsent.denied, unsent.waiting, unsent.refused), (true, 1, 0), "{unsent}");
}

#[test]
fn a_flush_is_ready_when_mag_has_answered_all_that_was_sent_before() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = background(&listener.local_addr().unwrap().to_string(), 10);
    let heard = acks(listener);
    client.send("a".into()).unwrap();
    client.clone().send("b".into()).unwrap();
    assert_eq!(block_on(client.flush()), Ok(()));
    assert_eq!(block_on(client.flush()), Ok(()), "nothing waits");
    assert_eq!(client.close(LONG), Ok(()));
    assert_eq!(heard.join().unwrap(), ["{\"text\":\"a\"}\n", "{\"text\":\"b\"}\n"]);
}

#[test]
fn nobody_waits_for_a_mag_that_is_away_and_it_hears_later_how_many_were_dropped() {
    // A port that is taken and not listened on refuses connections, and nobody else gets it.
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = port.local_addr().unwrap().as_socket().unwrap();
    let client = background(&address.to_string(), 3);
    let (mut taken, mut dropped) = (0_usize, 0);
    for _ in 0..5_000 {
        match client.send("a".into()) {
            Ok(()) => taken += 1,
            Err(Full(message)) => {
                assert_eq!(*message, "a".into());
                dropped += 1;
            }
        }
    }
    assert!(taken >= 3 && dropped > 0, "{taken} taken, {dropped} dropped");
    assert_eq!(client.dropped(), dropped);
    let unsent = client.clone().close(Duration::from_millis(1)).unwrap_err();
    assert!(unsent.waiting > 0 && unsent.dropped == dropped, "{unsent}");

    port.listen(1).unwrap();
    let heard = acks(port.into());
    let unsent = block_on(client.flush()).unwrap_err();
    assert_eq!((unsent.waiting, unsent.dropped, unsent.refused), (0, dropped, 0));
    // Whatever the last batch was, the message about the dropped ones came with one of them or comes with the next.
    if client.handle.0.look().told < dropped {
        client.send("b".into()).unwrap();
    }
    drop(client);
    let heard = heard.join().unwrap();
    let count = |line: &&String| serde_json::from_str::<serde_json::Value>(line).unwrap()["count"].as_u64().unwrap();
    let told: u64 = heard.iter().filter(|line| line.contains(DROPPED)).map(|line| count(&line)).sum();
    assert_eq!(told, dropped, "{heard:?}");
    assert!(heard.iter().filter(|line| **line == "{\"text\":\"a\"}\n").count() >= taken);
}

#[test]
fn long_messages_fill_the_buffer_before_there_are_many() {
    let refuses = |_patience| Err(io::ErrorKind::ConnectionRefused.into());
    let client = Client::builder("mag").timeout(LONG).dial(refuses).background(10_000).unwrap();
    let long = "x".repeat(BYTES / 16);
    let taken = (0..100).filter(|_| client.send(Message::new(long.clone())).is_ok()).count();
    // As many as fit, and as many that the thread may have in hand.
    assert!((16..=32).contains(&taken), "{taken} taken");
    assert_eq!(client.dropped(), 100 - taken as u64);
}

#[test]
fn what_mag_refuses_is_counted_and_harms_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        stream.read_line(&mut String::new()).unwrap();
        // Each at once, as mag does: whether both messages come together or the second one waits is chance.
        for answer in ["{\"error\":\"odd\",\"line\":2}", "{\"acked\":1}"] {
            stream.read_line(&mut String::new()).unwrap();
            writeln!(stream.get_mut(), "{answer}").unwrap();
        }
        stream
    });
    // However long the answers take, waiting for one is no error that would stand in the place of the refusal.
    let client = Client::builder(address).timeout(LONG).ids(false).background(10).unwrap();
    client.send("bad".into()).unwrap();
    client.send("good".into()).unwrap();
    let unsent = client.close(LONG).unwrap_err();
    assert_eq!((unsent.waiting, unsent.dropped, unsent.refused), (0, 0, 1));
    assert_eq!(unsent.error.as_deref(), Some("mag refused message 1: odd"));
    drop(answering.join());
}
