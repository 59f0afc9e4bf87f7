//! Where guests may go, and where they may not.

use std::io::{BufRead as _, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mag_testkit::wait_for;

/// Takes requests as a destination does, each on a connection of its own.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddr,
    evil: Arc<AtomicBool>,
}

impl Receiver {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let evil = Arc::<AtomicBool>::default();
        let seen = Arc::clone(&evil);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                // A client that goes away has had enough.
                thread::spawn(move || drop(answer(&stream, &seen)));
            }
        });
        Self { address, evil }
    }

    pub(super) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// Whether any head of a request had this word in it.
    pub(super) fn heard(&self, word: &str) -> bool {
        assert_eq!(word, "evil", "the one word that is listened for");
        self.evil.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: &TcpStream, evil: &AtomicBool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    evil.fetch_or(head.contains("evil"), Ordering::SeqCst);
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path {
        "/endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk)?;
            }
        }
        "/drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"1\r\nx\r\n")?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        _ => stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
    }
}

/// Nobody may come here.
#[derive(Debug)]
pub(super) struct Canary {
    address: SocketAddr,
    peers: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Canary {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let peers = Arc::<Mutex<Vec<SocketAddr>>>::default();
        let seen = Arc::clone(&peers);
        thread::spawn(move || {
            while let Ok((_, peer)) = listener.accept() {
                seen.lock().expect("a list").push(peer);
            }
        });
        Self { address, peers }
    }

    pub(super) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// How many came before one that is let in now: they are taken in the order of coming.
    pub(super) fn connections(&self) -> usize {
        let stream = TcpStream::connect(self.address).expect("the canary listens");
        let own = stream.local_addr().expect("an address");
        let place = || self.peers.lock().expect("a list").iter().position(|peer| *peer == own);
        wait_for("the canary", Duration::from_secs(60), || Ok(place())).expect("it listens")
    }
}
