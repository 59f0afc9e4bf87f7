//! A real HTTP/1.1 server on the loopback: records every request, answers as it is told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::record::Record;

/// One request, whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as they were sent.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// When its last byte came.
    at: Instant,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// How long after `earlier` it came.
    pub(crate) fn after(&self, earlier: &Self) -> Duration {
        self.at.saturating_duration_since(earlier.at)
    }
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Answered,
    Hangs,
    Resets,
}

impl Answer {
    /// An empty answer with this status.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), ending: Ending::Answered }
    }

    /// 200 with a JSON body.
    pub(crate) fn json(body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), ..Self::status(200) }.header("content-type", "application/json")
    }

    /// 200 with any body.
    pub(crate) fn text(body: &str) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    /// No answer, and the connection stays open.
    pub(crate) fn hang() -> Self {
        Self { ending: Ending::Hangs, ..Self::status(200) }
    }

    /// No answer, and the connection is reset.
    pub(crate) fn reset() -> Self {
        Self { ending: Ending::Resets, ..Self::status(200) }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same with another header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What decides about answers.
type Answers = dyn Fn(&Request) -> Answer + Send + Sync;

/// The server. Without a script every request is answered with 200.
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Arc<Record<Request>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    over: Arc<AtomicBool>,
}

impl Receiver {
    /// A server that answers 200 once its script is over.
    pub(crate) fn start() -> Self {
        Self::answering(|_| Answer::status(200))
    }

    /// A server that answers by this rule once its script is over.
    pub(crate) fn answering(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let receiver = Self { address, requests: Arc::default(), script: Arc::default(), over: Arc::default() };
        let (requests, script) = (Arc::clone(&receiver.requests), Arc::clone(&receiver.script));
        let answers: Arc<Answers> = Arc::new(move |request: &Request| {
            let scripted = script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            scripted.unwrap_or_else(|| rule(request))
        });
        let over = Arc::clone(&receiver.over);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let connection = Connection { requests: Arc::clone(&requests), answers: Arc::clone(&answers) };
                // A client that goes away in the middle ends its connection, nothing else.
                thread::spawn(move || drop(connection.serve(stream)));
            }
        });
        receiver
    }

    /// The next request is answered with this; called again, the one after it, and so on.
    pub(crate) fn answers_next(self, answer: Answer) -> Self {
        self.will_answer(answer);
        self
    }

    pub(super) fn will_answer(&self, answer: Answer) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// A URL of this server; `path` begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The `number`-th request, counted from 1, as soon as it came.
    #[track_caller]
    pub(crate) fn request(&self, number: usize) -> Request {
        self.requests.wait_for(&format!("request {number}"), |all| all.get(number.checked_sub(1)?).cloned())
    }

    /// Waits until `found` finds what it looks for among the requests so far.
    #[track_caller]
    pub(crate) fn gets<R>(&self, what: &str, found: impl Fn(&[Request]) -> Option<R>) -> R {
        self.requests.wait_for(what, found)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.all()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the loop that accepts, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

struct Connection {
    requests: Arc<Record<Request>>,
    answers: Arc<Answers>,
}

impl Connection {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader)? {
            let answer = (self.answers)(&request);
            self.requests.push(request);
            match answer.ending {
                Ending::Answered => write_answer(&mut stream, &answer)?,
                // Until the client gives up.
                Ending::Hangs => return reader.read(&mut [0]).map(drop),
                Ending::Resets => {
                    // Closing with this option sends a reset instead of an orderly end.
                    return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                }
            }
        }
        Ok(())
    }
}

/// The next request; `None` when the client has no more.
fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
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

fn read_line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let count = reader.read_until(b'\n', &mut line)?;
    Ok((count > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned()))
}

fn read_exactly(reader: &mut impl BufRead, length: usize) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
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

fn write_answer(stream: &mut TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), &answer.body].concat())
}

#[expect(clippy::disallowed_methods, reason = "the moment of arrival, which only the real clock knows")]
fn now() -> Instant {
    Instant::now()
}
