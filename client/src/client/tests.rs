//! The client against servers that answer by a script.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{Client, Protocol};
use crate::{Error, Message, Refusal};

/// One accepted connection of a scripted server.
struct Peer {
    lines: BufReader<TcpStream>,
}

impl Peer {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn say(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).unwrap();
    }
}

/// A server that plays `script` and gives back what it returns.
fn server<T: Send + 'static>(
    script: impl FnOnce(&mut dyn FnMut() -> Peer) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let playing = spawn(move || {
        let mut accept = || Peer { lines: BufReader::new(listener.accept().unwrap().0) };
        script(&mut accept)
    });
    (address, playing)
}

fn client(address: SocketAddr) -> Client {
    Client::builder(address.to_string()).timeout(Duration::from_secs(120)).ids(false).connect().unwrap()
}

#[test]
fn flush_waits_for_the_acks() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        let heard = [peer.line(), peer.line(), peer.line()];
        peer.say("{\"acked\":1}\n{\"ack");
        peer.say("ed\":2}\n");
        heard
    });
    let mut client = client(address);
    client.send(&Message::new("a")).unwrap();
    client.send_all(["b".into()]).unwrap();
    client.flush().unwrap();
    assert_eq!(client.unacknowledged(), 0);
    assert_eq!(playing.join().unwrap(), ["{\"ack\":true}\n", "{\"text\":\"a\"}\n", "{\"text\":\"b\"}\n"]);
}

#[test]
fn only_what_was_not_acknowledged_is_sent_again() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        (0..4).for_each(|_| drop(peer.line()));
        peer.say("{\"error\":\"no\",\"line\":3}\n{\"acked\":1}\n");
        drop(peer);
        let mut peer = accept();
        let heard = [peer.line(), peer.line()];
        peer.say("{\"acked\":1}\n");
        heard
    });
    let mut client = client(address);
    client.send_all(["a".into(), "bad".into(), "c".into()]).unwrap();
    let Err(Error::Refused { first, refused: 1 }) = client.flush() else { panic!("nothing refused") };
    assert_eq!(first, Refusal { message: 2, error: "no".into() });
    assert_eq!(playing.join().unwrap(), ["{\"ack\":true}\n", "{\"text\":\"c\"}\n"]);
    client.close().unwrap();
}

#[test]
fn what_is_sent_again_has_the_same_id_and_no_other_message_has_it() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        let first = [peer.line(), peer.line(), peer.line()];
        drop(peer);
        let mut peer = accept();
        let second = [peer.line(), peer.line(), peer.line()];
        peer.say("{\"acked\":2}\n");
        (first, second)
    });
    let mut client = Client::builder(address.to_string()).timeout(Duration::from_secs(120)).connect().unwrap();
    client.send_all(["a".into(), "a".into()]).unwrap();
    client.close().unwrap();
    let (first, second) = playing.join().unwrap();
    assert_eq!(first, second);
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    assert_ne!(id(&first[1]), id(&first[2]));
    assert!(id(&first[1]).ends_with("-1"), "{first:?}");
}

#[test]
fn without_reconnect_a_broken_connection_is_an_error_and_the_message_is_kept() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        (0..2).for_each(|_| drop(peer.line()));
    });
    let mut client = Client::builder(address.to_string()).reconnect(false).connect().unwrap();
    client.send(&Message::new("a")).unwrap();
    assert!(matches!(client.flush(), Err(Error::NotReached { .. })));
    assert_eq!(client.unacknowledged(), 1);
    playing.join().unwrap();
}

#[test]
fn a_mag_that_never_answers_is_no_ack() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        let mut all = String::new();
        peer.lines.read_to_string(&mut all).unwrap();
    });
    let mut client = Client::builder(address.to_string()).timeout(Duration::from_millis(50)).connect().unwrap();
    client.send(&Message::new("a")).unwrap();
    assert!(matches!(client.flush(), Err(Error::NoAck { unacknowledged: 1, .. })));
    drop(client);
    playing.join().unwrap();
}

#[test]
fn nobody_there_is_told_at_once() {
    // Bound and not listened on, so nobody else gets it.
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = port.local_addr().unwrap().as_socket().unwrap();
    let error = Client::connect(address.to_string()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot reach mag at {address}: ")), "{error}");
}

#[test]
fn somebody_else_on_the_port_is_told_and_not_tried_again() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        peer.line();
        peer.say("HTTP/1.1 400 Bad Request\r\n");
        peer.line();
    });
    let mut client = client(address);
    client.send(&Message::new("a")).unwrap();
    let error = client.flush().unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach mag at {address}: the answer is not mag's"));
    playing.join().unwrap();
}

#[test]
fn classic_waits_for_the_end_when_it_closes() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        let mut all = String::new();
        peer.lines.read_to_string(&mut all).unwrap();
        peer.lines.get_mut().shutdown(Shutdown::Write).unwrap();
        all
    });
    let mut client = Client::builder(address.to_string()).protocol(Protocol::Classic).connect().unwrap();
    client.send(&Message::new("a")).unwrap();
    assert!(matches!(client.send(&Message::new("a\nb")), Err(Error::Invalid(_))));
    client.send(&Message::new("b").severity("error")).unwrap();
    client.close().unwrap();
    assert_eq!(playing.join().unwrap(), "STRING\na\nERROR\nb\n");
}

#[test]
fn more_than_fits_in_memory_goes_through_a_window() {
    let (address, playing) = server(|accept| {
        let mut peer = accept();
        peer.line();
        let mut taken = 0_u64;
        while taken < 200_000 {
            peer.line();
            taken += 1;
            if taken.is_multiple_of(5_000) {
                peer.say(&format!("{{\"acked\":{taken}}}\n"));
            }
        }
    });
    let mut client = client(address);
    let text = "x".repeat(100);
    for _ in 0..200_000 {
        client.queue(&Message::new(text.as_str())).unwrap();
        assert!(client.outbox.held() <= super::WINDOW_BYTES + 1_000);
    }
    client.close().unwrap();
    playing.join().unwrap();
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_an_address_too_and_a_program_may_connect_in_its_own_way() {
    use std::os::unix::net::UnixListener;
    let folder = std::env::temp_dir().join(format!("mag-client-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let playing = spawn(move || {
        (0..2)
            .map(|_| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut wish, mut line) = (String::new(), String::new());
                lines.read_line(&mut wish).unwrap();
                lines.read_line(&mut line).unwrap();
                stream.write_all(b"{\"acked\":1}\n").unwrap();
                line
            })
            .collect::<Vec<_>>()
    });
    let builder = Client::builder(format!("unix:{}", path.display())).timeout(Duration::from_secs(120)).ids(false);
    let mut client = builder.connect().unwrap();
    client.send(&Message::new("a")).unwrap();
    client.close().unwrap();
    let own = path.clone();
    let dial =
        move |_patience| Ok(Box::new(std::os::unix::net::UnixStream::connect(&own)?) as Box<dyn crate::Transport>);
    let builder = Client::builder("somewhere").timeout(Duration::from_secs(120)).ids(false);
    let mut client = builder.dial(dial).connect().unwrap();
    client.send(&Message::new("b")).unwrap();
    client.close().unwrap();
    assert_eq!(playing.join().unwrap(), ["{\"text\":\"a\"}\n", "{\"text\":\"b\"}\n"]);
    std::fs::remove_dir_all(&folder).unwrap();
}
