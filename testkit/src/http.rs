//! A real HTTP/1.1 server on the loopback that answers as it is told to, in all the ways in which servers go wrong.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::now;

/// No request of mag's is larger; a test that meets a larger one has found something.
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// One request, whole.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`, mostly.
    pub method: String,
    /// Path and query, as they were sent.
    pub target: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// When its last byte came.
    pub at: Instant,
}

impl Request {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// How long after `earlier` it came.
    #[must_use]
    pub fn after(&self, earlier: &Self) -> Duration {
        self.at.saturating_duration_since(earlier.at)
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ending: Ending,
}

/// How an answer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All of it, and the connection stays.
    Whole,
    /// Nothing comes, and the connection stays open.
    Hangs,
    /// Nothing comes, and the connection is reset.
    Resets,
    /// Nothing comes, and the connection is closed in order.
    Closes,
    /// The head and half of the body, then a reset.
    ResetsInBody,
    /// One byte, a pause, the next byte.
    Trickles(Duration),
    /// A body without an end, as fast as it is taken.
    Endless,
}

impl Answer {
    /// An empty answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), ending: Ending::Whole }
    }

    /// 200 with a JSON body.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..Self::status(200) }.header("content-type", "application/json")
    }

    /// 200 with any body.
    #[must_use]
    pub fn text(body: &str) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    /// No answer, and the connection stays open.
    #[must_use]
    pub fn hang() -> Self {
        Self { ending: Ending::Hangs, ..Self::status(200) }
    }

    /// No answer, and the connection is reset.
    #[must_use]
    pub fn reset() -> Self {
        Self { ending: Ending::Resets, ..Self::status(200) }
    }

    /// No answer, and the connection is closed.
    #[must_use]
    pub fn close() -> Self {
        Self { ending: Ending::Closes, ..Self::status(200) }
    }

    /// 200, and a reset in the middle of the body.
    #[must_use]
    pub fn reset_in_body() -> Self {
        Self { ending: Ending::ResetsInBody, ..Self::text(&"x".repeat(1_000)) }
    }

    /// 200, one byte at a time with a pause after each.
    #[must_use]
    pub fn trickle(pause: Duration) -> Self {
        Self { ending: Ending::Trickles(pause), ..Self::text(&"x".repeat(1_000)) }
    }

    /// 200, and a body that never ends.
    #[must_use]
    pub fn endless() -> Self {
        Self { ending: Ending::Endless, ..Self::status(200) }
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with another header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What decides about answers.
type Rule = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server; it ends with this value.
pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Server {
    /// A server on a free port that answers by this rule. The rule sees a request as soon as it is whole.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let server = Self { address: listener.local_addr()?, over: Arc::default() };
        let (over, rule): (_, Arc<Rule>) = (Arc::clone(&server.over), Arc::new(rule));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let rule = Arc::clone(&rule);
                // A client that goes away in the middle ends its connection, nothing else.
                thread::spawn(move || drop(serve(stream, &*rule)));
            }
        });
        Ok(server)
    }

    /// A URL of this server; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the loop that accepts, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut stream: TcpStream, rule: &Rule) -> io::Result<()> {
    // What is answered must not wait for what comes behind it.
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_request(&mut reader)? {
        let answer = rule(&request);
        drop(request);
        match answer.ending {
            Ending::Whole => stream.write_all(&[head(&answer), answer.body].concat())?,
            // Until the client gives up.
            Ending::Hangs => return reader.read(&mut [0]).map(drop),
            Ending::Resets => return reset(&stream),
            Ending::Closes => return Ok(()),
            Ending::ResetsInBody => {
                let half = answer.body.len() / 2;
                stream.write_all(&head(&answer))?;
                stream.write_all(answer.body.get(..half).unwrap_or_default())?;
                return reset(&stream);
            }
            Ending::Trickles(pause) => {
                for byte in [head(&answer), answer.body].concat() {
                    stream.write_all(&[byte])?;
                    thread::sleep(pause);
                }
            }
            Ending::Endless => {
                stream.write_all(b"HTTP/1.1 200 Scripted\r\nconnection: close\r\n\r\n")?;
                // Ends when the client closes.
                loop {
                    stream.write_all(&[b'x'; 64 * 1024])?;
                }
            }
        }
    }
    Ok(())
}

/// Closing with this option sends a reset instead of an orderly end.
fn reset(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

fn head(answer: &Answer) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The next request; `None` when the client has no more.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    while let Some(line) = read_line(reader)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let header = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let length = header("content-length").and_then(|(_, value)| value.parse().ok());
    let chunked = header("transfer-encoding").is_some();
    let body = if chunked { read_chunks(reader)? } else { read_exactly(reader, length.unwrap_or(0))? };
    Ok(Some(Request { method, target, headers, body, at: now() }))
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = reader.read_until(b'\n', &mut line)?;
    // A line that broke off is the client's end, not a line.
    let whole = count > 0 && line.ends_with(b"\n");
    Ok(whole.then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
}

fn read_exactly(reader: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES {
        return Err(io::Error::other("a body larger than any of mag's"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = read_line(reader)?.unwrap_or_default();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        body.extend(read_exactly(reader, size)?);
        // The line end behind a chunk, or behind the last one of size 0.
        read_line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
