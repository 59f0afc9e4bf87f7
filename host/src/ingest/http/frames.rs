//! The frames of an HTTP/2 connection as they come: a head that is begun must be whole soon, however its frames or their
//! bytes trickle in.
//!
//! A head is a HEADERS frame and all CONTINUATION frames behind it; nothing else may come on the connection in between.
//! Bodies have a time of their own, so DATA frames are not looked at. Knows nothing of what a head says.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::super::carrier::Carrier;
use crate::limits;

/// What a client says first.
const PREFACE_BYTES: usize = 24;
/// Length, kind, flags and stream.
const FRAME_HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// The flag of a frame with which a head ends.
const END_HEADERS: u8 = 4;

/// GOAWAY on stream 0 with code `ENHANCE_YOUR_CALM`: whatever was asked before may have been done.
const GOAWAY: &[u8] = b"\0\0\x24\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\x0ba head took longer than 10 s";

/// How far the frames of a connection have come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Of what a client says first.
    preface: usize,
    /// The head of the frame that is coming.
    head: [u8; FRAME_HEAD_BYTES],
    known: usize,
    /// What is still to come of it.
    left: usize,
    /// A head has begun and its last frame has not.
    open: bool,
    /// Heads, and other frames than DATA, that have begun.
    begun: u64,
    /// Whether something of that kind is not whole.
    partial: bool,
}

impl Frames {
    /// Takes what came.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        let skipped = bytes.len().min(PREFACE_BYTES - self.preface);
        self.preface += skipped;
        bytes = bytes.get(skipped..).unwrap_or_default();
        while !bytes.is_empty() {
            if self.known < FRAME_HEAD_BYTES {
                bytes = self.take_head(bytes);
            } else {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = bytes.get(taken..).unwrap_or_default();
            }
            if self.known == FRAME_HEAD_BYTES && self.left == 0 {
                self.known = 0;
                self.partial = self.open;
            }
        }
    }

    fn take_head<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        if !self.partial {
            self.partial = true;
            self.begun += 1;
        }
        let (new, rest) = bytes.split_at((FRAME_HEAD_BYTES - self.known).min(bytes.len()));
        for (place, byte) in self.head.iter_mut().skip(self.known).zip(new) {
            *place = *byte;
        }
        self.known += new.len();
        if self.known == FRAME_HEAD_BYTES {
            let [high, middle, low, kind, flags, ..] = self.head;
            self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            match kind {
                HEADERS | CONTINUATION => self.open = flags & END_HEADERS == 0,
                // Nothing else may come inside a head: that is for whoever reads the frames to say.
                DATA => self.partial = self.open,
                _ => {}
            }
        }
        rest
    }

    /// The number of what has begun and is not whole, if anything is.
    pub(super) fn partial(&self) -> Option<u64> {
        self.partial.then_some(self.begun)
    }
}

/// A connection that ends when a head is too long in coming.
#[derive(Debug)]
pub(super) struct Framed {
    carrier: Carrier,
    frames: Frames,
    /// What is not whole, and until when it must be.
    until: Option<(u64, Pin<Box<Sleep>>)>,
    /// Whether a piece of an answer waits for room, so that nothing can be said behind it.
    writing: bool,
    late: Arc<AtomicBool>,
}

impl Framed {
    /// Watches a connection, from its first byte on; `late` becomes true when it ends for that reason.
    pub(super) fn new(carrier: Carrier, late: &Arc<AtomicBool>) -> Self {
        let late = Arc::clone(late);
        Self { carrier, frames: Frames::default(), until: None, writing: false, late }
    }

    fn came(&mut self, bytes: &[u8]) {
        self.frames.take(bytes);
        let begun = self.frames.partial();
        if begun == self.until.as_ref().map(|(of, _)| *of) {
            return;
        }
        let time = Duration::from_secs(limits::HTTP_HEAD_SECONDS);
        self.until = begun.map(|begun| (begun, Box::pin(sleep(time))));
    }

    /// Says why, if there is room, and that this is the end.
    fn ends(&mut self, cx: &mut Context<'_>) -> io::Error {
        self.late.store(true, Ordering::Relaxed);
        let told = !self.writing && pin!(&mut self.carrier).poll_write(cx, GOAWAY).is_ready();
        let flushed = told && pin!(&mut self.carrier).poll_flush(cx).is_ready();
        tracing::debug!(flushed, "a head of HTTP/2 took too long");
        io::ErrorKind::TimedOut.into()
    }

    fn noted<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        self.writing = polled.is_pending();
        polled
    }
}

impl AsyncRead for Framed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = pin!(&mut self.carrier).poll_read(cx, into);
        self.came(into.filled().get(before..).unwrap_or_default());
        let late =
            polled.is_pending() && self.until.as_mut().is_some_and(|(_, until)| until.as_mut().poll(cx).is_ready());
        if late { Poll::Ready(Err(self.ends(cx))) } else { polled }
    }
}

impl AsyncWrite for Framed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = pin!(&mut self.carrier).poll_write(cx, bytes);
        self.noted(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = pin!(&mut self.carrier).poll_write_vectored(cx, pieces);
        self.noted(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.carrier).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.carrier).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{END_HEADERS, Frames};

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u8::try_from(payload).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![b'x'; payload]].concat()
    }

    fn partial(cut: &[&[u8]]) -> Option<u64> {
        let mut frames = Frames::default();
        frames.take(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        for bytes in cut {
            frames.take(bytes);
        }
        // However it is cut.
        let mut by_byte = Frames::default();
        let all = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &cut.concat()].concat();
        all.chunks(1).for_each(|byte| by_byte.take(byte));
        assert_eq!(by_byte.partial(), frames.partial());
        frames.partial()
    }

    #[test]
    fn a_head_is_whole_with_the_last_byte_of_its_last_frame() {
        let (whole, begun, more) = (frame(1, END_HEADERS, 5), frame(1, 0, 5), frame(9, 0, 5));
        assert_eq!(partial(&[]), None);
        assert_eq!(partial(&[&whole, &whole]), None);
        assert_eq!(partial(&[&whole, &whole[..13]]), Some(2));
        assert_eq!(partial(&[&begun]), Some(1));
        assert_eq!(partial(&[&begun, &more, &more[..3]]), Some(1), "it is the same head");
        assert_eq!(partial(&[&begun, &more, &frame(9, END_HEADERS, 0)]), None);
        assert_eq!(partial(&[&whole[..1]]), Some(1));
    }

    #[test]
    fn a_body_may_come_slowly_and_other_frames_may_not() {
        let (data, ping) = (frame(0, 0, 200), frame(6, 0, 8));
        assert_eq!(partial(&[&data[..100]]), None);
        assert_eq!(partial(&[&data, &ping]), None);
        assert_eq!(partial(&[&data, &ping[..12]]), Some(2));
        assert_eq!(partial(&[&data[..4]]), Some(1), "nobody knows yet what it is");
    }
}
