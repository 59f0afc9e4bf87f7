//! One connection to mag, byte by byte: what the clients of all protocols come down to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// mag answers far sooner; only a mistake waits this long.
const LIMIT: Duration = Duration::from_secs(120);

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    /// Connects.
    #[track_caller]
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("mag accepts");
        stream.set_nodelay(true).expect("an open socket");
        stream.set_read_timeout(Some(LIMIT)).expect("an open socket");
        stream.set_write_timeout(Some(LIMIT)).expect("an open socket");
        Self { stream: BufReader::new(stream) }
    }

    /// Connects and asks for acks.
    #[track_caller]
    pub(crate) fn with_acks(address: SocketAddr) -> Self {
        let mut wire = Self::to(address);
        wire.writes(b"{\"ack\":true}\n");
        wire
    }

    /// Writes all of it.
    #[track_caller]
    pub(crate) fn writes(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("mag reads");
    }

    /// Sends no more; what mag says can still be read.
    pub(crate) fn finishes(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("an open socket");
    }

    /// The next line that mag says; `None` at the end of what it says.
    #[track_caller]
    pub(crate) fn hears(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).expect("mag answers in time");
        (count > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// The next line that mag says, which must be an object.
    #[track_caller]
    pub(crate) fn hears_json(&mut self) -> Value {
        let line = self.hears().expect("an answer before the end");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
    }

    /// Everything that mag says until it closes.
    #[track_caller]
    pub(crate) fn hears_to_the_end(&mut self) -> String {
        let mut said = Vec::new();
        self.stream.read_to_end(&mut said).expect("mag closes in time");
        String::from_utf8(said).expect("mag says UTF-8")
    }

    /// Reads acks until message `number` is acknowledged. Acks must grow, and never tell of more than was sent.
    #[track_caller]
    pub(crate) fn is_acked(&mut self, number: u64) {
        let mut acked = 0;
        while acked < number {
            acked = self.next_ack(acked);
        }
        assert_eq!(acked, number, "more messages are acknowledged than were sent");
    }

    /// The next ack, which must be more than `before`.
    #[track_caller]
    pub(crate) fn next_ack(&mut self, before: u64) -> u64 {
        let answer = self.hears_json();
        let acked = answer.get("acked").and_then(Value::as_u64);
        let acked = acked.unwrap_or_else(|| panic!("expected an ack, found {answer}"));
        assert!(acked > before, "the ack {acked} does not grow from {before}");
        acked
    }

    /// Writes a last time, sends no more, and reads to the end: whether that end is an orderly one, with nothing said.
    pub(crate) fn ends_orderly_after(mut self, bytes: &[u8]) -> bool {
        let stream = self.stream.get_mut();
        let written = stream.write_all(bytes).is_ok();
        // On the loopback a reset is there before this call; over a network the call comes first and succeeds.
        drop(stream.shutdown(Shutdown::Write));
        written && self.ends_orderly()
    }

    /// Whether the connection ends in an orderly way and with nothing said, instead of by a reset.
    ///
    /// A classic client that sees such an end after it shut down writing knows that mag has all of it.
    pub(crate) fn ends_orderly(mut self) -> bool {
        let mut said = Vec::new();
        self.stream.read_to_end(&mut said).is_ok() && said.is_empty()
    }

    /// Writes, unless mag has closed the connection.
    pub(crate) fn writes_while_open(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Everything that mag says until it ends the connection, in order or not; `None` when it does not end it.
    pub(crate) fn hears_all_while_open(&mut self) -> Option<String> {
        let mut said = Vec::new();
        match self.stream.read_to_end(&mut said) {
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => None,
            // What came before a reset was said all the same.
            _ => Some(String::from_utf8_lossy(&said).into_owned()),
        }
    }

    /// The next line, unless mag has closed the connection.
    pub(crate) fn hears_while_open(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.stream.read_line(&mut line).unwrap_or(0);
        (count > 0).then_some(line)
    }
}
