//! One connection: bytes out, replies in, never blocked for longer than asked.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::transport::Transport;

/// A longer reply is not mag's.
const REPLY_BYTES: usize = 64 * 1024;

/// The time, for waiting.
#[expect(clippy::disallowed_methods, reason = "a client has no clock that a test could hold")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A connection to mag.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: Box<dyn Transport>,
    /// Replies read and not yet given out.
    replies: Vec<u8>,
    /// mag sends no more.
    pub(crate) ended: bool,
}

impl Wire {
    /// Over a connection that was just made.
    pub(crate) fn over(stream: Box<dyn Transport>) -> Self {
        Self { stream, replies: Vec::new(), ended: false }
    }

    /// Writes what it can within `patience`; 0 when nothing could be written.
    pub(crate) fn write(&mut self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        self.stream.set_write_timeout(patience.max(Duration::from_millis(1)))?;
        match self.stream.write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if is_wait(&error) => Ok(0),
            other => other,
        }
    }

    /// Reads what there is, waiting for it at most `patience`; says whether anything came.
    pub(crate) fn read(&mut self, patience: Duration) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        let read = if patience.is_zero() {
            self.stream.set_nonblocking(true)?;
            let read = self.stream.read(&mut bytes);
            self.stream.set_nonblocking(false)?;
            read
        } else {
            self.stream.set_read_timeout(patience)?;
            self.stream.read(&mut bytes)
        };
        match read {
            Ok(0) => self.ended = true,
            Ok(count) => self.replies.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            Err(error) if is_wait(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.replies.len() > REPLY_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "the answer is not mag's"));
        }
        Ok(true)
    }

    /// The next whole line of what was read.
    pub(crate) fn reply(&mut self) -> Option<Vec<u8>> {
        let end = self.replies.iter().position(|byte| *byte == b'\n')?;
        let line = self.replies.drain(..=end).collect();
        Some(line)
    }

    /// Tells mag that nothing more comes.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.stream.finish()
    }
}

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
