//! Where a guest's standard output and standard error go: into bounded buffers, then onto mag's own standard output
//! (the bundled `console`) or into the log (all others).
//!
//! A guest never writes to a file handle itself: a blocked pipe must delay only the sender that prints.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::limit::Limit;
use super::text;
use crate::limits;

/// A buffer that a guest writes into. What goes past its end is dropped, not refused: a talkative guest still works.
#[derive(Clone, Debug)]
pub(super) struct Capture {
    held: Arc<Mutex<Held>>,
    max: usize,
    terminal: bool,
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// What was written, kept or not.
    written: usize,
}

/// What a guest wrote into the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Clean, never empty, no more than may be.
    pub(super) lines: Vec<String>,
    /// How many there were in the bytes that were kept.
    pub(super) count: usize,
    /// What it wrote.
    pub(super) bytes: usize,
    /// Which limit cut it, if one did.
    pub(super) cut: Option<Limit>,
}

impl Capture {
    pub(super) fn new(max: usize, terminal: bool) -> Self {
        Self { held: Arc::default(), max, terminal }
    }

    /// What was written, and leaves the buffer empty.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner)).bytes
    }

    /// What was written, as at most so many lines for the log; leaves the buffer empty.
    pub(super) fn lines(&self, most: usize) -> Lines {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines = log_lines(&held.bytes);
        let count = lines.len();
        lines.truncate(most);
        let cut = (held.written > held.bytes.len()).then_some(Limit::LogSize);
        Lines { lines, count, bytes: held.written, cut: cut.or((count > most).then_some(Limit::LogLines)) }
    }

    fn push(&self, bytes: &[u8]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.written = held.written.saturating_add(bytes.len());
        let room = self.max.saturating_sub(held.bytes.len());
        held.bytes.extend(bytes.iter().take(room));
    }
}

impl IsTerminal for Capture {
    fn is_terminal(&self) -> bool {
        self.terminal
    }
}

impl StdoutStream for Capture {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this one, and it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Capture {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Capture {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(limits::PLUGIN_WRITE_BYTES)
    }
}

/// What a person sees of a guest's log output: clean lines.
fn log_lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(|line| text::line(line, limits::PLUGIN_MESSAGE_CHARS))
        .filter(|line| !line.is_empty())
        .collect()
}

struct Job {
    text: String,
    done: oneshot::Sender<io::Result<()>>,
}

/// The thread that owns mag's standard output. It ends when the last handle is gone.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    jobs: mpsc::Sender<Job>,
    terminal: bool,
}

impl Printer {
    pub(super) fn start(mut out: Box<dyn Write + Send>, terminal: bool) -> io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job>(limits::PRINT_QUEUE);
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            while let Some(job) = waiting.blocking_recv() {
                let result = out.write_all(job.text.as_bytes()).and_then(|()| out.flush());
                // Whoever asked may have run out of time meanwhile; the text is printed all the same.
                drop(job.done.send(result));
            }
        })?;
        Ok(Self { jobs, terminal })
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints the whole of it and returns when it is out.
    pub(super) async fn print(&self, bytes: &[u8]) -> io::Result<()> {
        let (done, printed) = oneshot::channel();
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "nobody prints any more");
        let job = Job { text: text::printable(bytes), done };
        self.jobs.send(job).await.map_err(|_the_job| gone())?;
        printed.await.map_err(|_never_answered| gone())?
    }
}

#[cfg(test)]
mod tests {
    use super::{Capture, Limit, Printer, log_lines};
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_buffer_holds_no_more_than_its_bound() {
        let capture = Capture::new(5, false);
        capture.push(b"abc");
        capture.push(b"defg");
        capture.push(b"h");
        assert_eq!(capture.take(), b"abcde");
        assert_eq!(capture.take(), b"");
    }

    #[test]
    fn what_goes_into_the_log_is_cut_at_its_bytes_and_at_its_lines() {
        let written = |max, bytes: &[u8], most| {
            let capture = Capture::new(max, false);
            capture.push(bytes);
            capture.lines(most)
        };
        let whole = written(100, b"a\nb\n", 2);
        assert_eq!((whole.lines.len(), whole.count, whole.bytes, whole.cut), (2, 2, 4, None));
        let bytes = written(3, b"a\nb\nc\n", 9);
        assert_eq!((bytes.lines.len(), bytes.bytes, bytes.cut), (2, 6, Some(Limit::LogSize)));
        let lines = written(100, b"a\nb\nc\n", 2);
        assert_eq!((lines.lines.len(), lines.count, lines.cut), (2, 3, Some(Limit::LogLines)));
    }

    #[test]
    fn log_lines_are_clean_and_never_empty() {
        assert_eq!(log_lines(b"one\x1b[31m\r\n\n  two\xff\n"), ["one\u{fffd}[31m", "two\u{fffd}"]);
    }

    #[tokio::test]
    async fn what_is_printed_is_out_when_print_returns() {
        let out = Shared::default();
        let printer = Printer::start(Box::new(out.clone()), true).unwrap();
        printer.print("\u{1b}[1mdisk full\u{1b}[0m\u{7}\n".as_bytes()).await.unwrap();
        assert_eq!(out.0.lock().unwrap().as_slice(), "\u{1b}[1mdisk full\u{1b}[0m\u{fffd}\n".as_bytes());
        assert!(printer.is_terminal());
    }
}
