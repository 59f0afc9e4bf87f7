//! The client's NDJSON, carried by HTTP: for ports that want a token, which no other protocol can bring.
//!
//! To the client it looks like a connection with acks: what it wrote goes out as a request as soon as it listens, and the
//! answer comes as the lines that it knows. A request is answered after the commit, so an ack means the same.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use mag_client::Transport;
use serde_json::Value;

/// A request has so many bytes, or one line.
const REQUEST_BYTES: usize = 1024 * 1024;
/// A longer answer is not mag's.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Makes a connection in the time that is given.
pub(super) type Dial = Arc<dyn Fn(Duration) -> io::Result<Box<dyn Transport>> + Send + Sync>;

/// What the client takes for a connection: each request has one of its own.
pub(super) struct Posting {
    dial: Dial,
    /// The head of a request, all but the length of its body.
    head: Arc<str>,
    patience: Duration,
    /// Lines that are not sent yet.
    written: Vec<u8>,
    /// Whether the client's wish for acks, its first line, is behind.
    wished: bool,
    /// Messages that were sent, and those that mag took.
    sent: u64,
    acked: u64,
    answers: Vec<u8>,
}

impl Posting {
    pub(super) fn new(dial: Dial, head: Arc<str>, patience: Duration) -> Self {
        let (written, answers) = (Vec::new(), Vec::new());
        Self { dial, head, patience, written, wished: false, sent: 0, acked: 0, answers }
    }

    /// The head of requests to a host, with the token that it wants.
    pub(super) fn head(host: &str, token: Option<&str>) -> Arc<str> {
        let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
        let fields = format!("Host: {host}\r\n{token}Content-Type: application/x-ndjson\r\nConnection: close\r\n");
        format!("POST /api/v1/messages HTTP/1.1\r\n{fields}").into()
    }

    /// Sends the next lines; their answers are there then.
    fn post(&mut self) -> io::Result<()> {
        let most = self.written.get(..REQUEST_BYTES).unwrap_or(&self.written);
        let whole = most.iter().rposition(|byte| *byte == b'\n');
        let end = whole.or_else(|| self.written.iter().position(|byte| *byte == b'\n')).ok_or(ErrorKind::WouldBlock)?;
        let lines: Vec<u8> = self.written.drain(..=end).collect();
        let mut stream = (self.dial)(self.patience)?;
        stream.set_read_timeout(self.patience)?;
        stream.set_write_timeout(self.patience)?;
        let head = format!("{}Content-Length: {}\r\n\r\n", self.head, lines.len());
        stream.write_all(&[head.as_bytes(), &lines].concat())?;
        stream.flush()?;
        let (status, body) = answer(&mut stream)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(accepted) = answer.get("accepted").and_then(Value::as_u64) else {
            let why = answer.get("error").and_then(Value::as_str).unwrap_or("no reason is given");
            // What is refused as a whole is refused the next time too.
            let kind = match status {
                401 | 403 => ErrorKind::PermissionDenied,
                ..500 => ErrorKind::InvalidData,
                _ => ErrorKind::ConnectionAborted,
            };
            return Err(io::Error::new(kind, format!("it answers {status}: {why}")));
        };
        for error in answer.get("errors").and_then(Value::as_array).into_iter().flatten() {
            let index = error.get("index").and_then(Value::as_u64).unwrap_or_default();
            // The wish is line 1.
            let line = serde_json::json!({ "error": error.get("error"), "line": self.sent + index + 2 });
            writeln!(self.answers, "{line}")?;
        }
        self.sent += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.acked += accepted;
        writeln!(self.answers, "{{\"acked\":{}}}", self.acked)
    }
}

/// Status and body of an answer.
fn answer(stream: &mut impl Read) -> io::Result<(u16, Vec<u8>)> {
    let odd = || io::Error::new(ErrorKind::InvalidData, "the answer is not mag's");
    let (mut all, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let found = memchr::memmem::find(&all, b"\r\n\r\n");
        if let Some(end) = found {
            let (head, body) = all.split_at(end + 4);
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.ok_or_else(odd)? {
                let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(odd)?;
                return Ok((status, body.to_vec()));
            }
        }
        let read = stream.read(&mut block)?;
        if read == 0 || all.len() > ANSWER_BYTES {
            return Err(odd());
        }
        all.extend_from_slice(block.get(..read).unwrap_or_default());
    }
}

impl fmt::Debug for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its head holds the token.
        f.debug_struct("Posting").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Read for Posting {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.answers.is_empty() {
            self.post()?;
        }
        let count = bytes.len().min(self.answers.len());
        for (place, byte) in bytes.iter_mut().zip(self.answers.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }
}

impl Write for Posting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        if !self.wished
            && let Some(end) = self.written.iter().position(|byte| *byte == b'\n')
        {
            self.written.drain(..=end);
            self.wished = true;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request takes the time that the connection was given.
impl Transport for Posting {
    fn set_read_timeout(&self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }

    fn set_nonblocking(&self, _nonblocking: bool) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
