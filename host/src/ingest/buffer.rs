//! The read buffer of a connection, and the few that are kept for the next one to read.
//!
//! A connection holds one only while it has bytes: ten thousand idle connections hold none.

use std::sync::{Mutex, PoisonError};

use super::merge::Merger;
use crate::limits;

/// One byte more than the longest line shows that a line is too long.
const LARGEST_BYTES: usize = limits::NDJSON_LINE_BYTES + 1;

/// Bytes read and not used up.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: vec![0; limits::READ_BUFFER_BYTES], start: 0, end: 0 }
    }
}

impl Buffer {
    /// What is there.
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Drops `count` bytes at the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Room for more, never none: it grows when a decoder leaves a whole buffer unused, and the largest buffer is more
    /// than a decoder ever leaves.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.bytes.len() {
            let doubled = self.bytes.len().saturating_mul(2).min(LARGEST_BYTES);
            self.bytes.resize(doubled, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that `count` bytes of [`Buffer::space`] are filled.
    pub(super) fn fill(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.bytes.len());
    }

    /// Begins anew with bytes that were left earlier.
    pub(super) fn refill(&mut self, rest: &[u8]) {
        self.start = 0;
        while self.bytes.len() <= rest.len() && self.bytes.len() < LARGEST_BYTES {
            let doubled = self.bytes.len().saturating_mul(2).min(LARGEST_BYTES);
            self.bytes.resize(doubled, 0);
        }
        self.end = rest.len().min(self.bytes.len());
        if let (Some(place), Some(rest)) = (self.bytes.get_mut(..self.end), rest.get(..self.end)) {
            place.copy_from_slice(rest);
        }
    }

    /// What it takes in memory.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing is left in it.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// What a connection works with while it has bytes.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) buffer: Buffer,
    /// Boxed, because a work place is moved into what every connection keeps.
    pub(super) merger: Box<Merger>,
}

impl Work {
    /// Whether a connection that waits can do without it.
    pub(super) fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.merger.is_empty()
    }
}

/// Work places nobody uses now. Mergers are kept for what they know.
#[derive(Debug)]
pub(super) struct Spares {
    kept: Mutex<Kept>,
    /// Bytes that each merger may know.
    room: usize,
}

#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Buffer>,
    /// The one that was used last is at the end: it is the next, so that few are filled when few are needed.
    #[expect(clippy::vec_box, reason = "they come and go boxed")]
    mergers: Vec<Box<Merger>>,
}

impl Spares {
    /// None yet; each merger will know at most `room` bytes.
    pub(super) fn new(room: usize) -> Self {
        Self { kept: Mutex::default(), room }
    }

    /// A kept one, or a new one.
    pub(super) fn take(&self) -> Work {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (buffer, merger) = (kept.buffers.pop(), kept.mergers.pop());
        drop(kept);
        let merger = merger.unwrap_or_else(|| Box::new(Merger::new(self.room)));
        Work { buffer: buffer.unwrap_or_default(), merger }
    }

    /// Keeps `work` for later, unless it has grown or there are enough.
    pub(super) fn give(&self, work: Work) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if work.buffer.bytes.len() == limits::READ_BUFFER_BYTES && kept.buffers.len() < limits::SPARE_BUFFERS {
            kept.buffers.push(work.buffer);
        }
        kept.keep(work.merger);
    }

    /// A kept merger, or a new one.
    pub(super) fn take_merger(&self) -> Box<Merger> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).mergers.pop();
        kept.unwrap_or_else(|| Box::new(Merger::new(self.room)))
    }

    /// Keeps a merger whose batches have all been sent.
    pub(super) fn keep_merger(&self, merger: Box<Merger>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).keep(merger);
    }

    /// Leaves `work` with a merger that will know nothing, and keeps the drained one for others.
    pub(super) fn give_merger(&self, work: &mut Work) {
        let merger = std::mem::replace(&mut work.merger, Box::new(Merger::new(0)));
        self.keep_merger(merger);
    }
}

impl Kept {
    fn keep(&mut self, merger: Box<Merger>) {
        if merger.may_know() && merger.is_empty() && self.mergers.len() < limits::SPARE_BUFFERS {
            self.mergers.push(merger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::merge::Merger;
    use super::{Buffer, Spares, Work};
    use crate::limits;

    fn work() -> Work {
        Work { buffer: Buffer::default(), merger: Box::new(Merger::new(1)) }
    }

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.space()[..bytes.len()].copy_from_slice(bytes);
        buffer.fill(bytes.len());
    }

    #[test]
    fn what_is_not_used_up_stays_at_the_front() {
        let mut buffer = Buffer::default();
        put(&mut buffer, b"abcdef");
        buffer.consume(4);
        put(&mut buffer, b"gh");
        assert_eq!(buffer.filled(), b"efgh");
        assert_eq!(buffer.space().len(), limits::READ_BUFFER_BYTES - 4);
        buffer.consume(100);
        assert!(buffer.is_empty());
    }

    #[test]
    fn what_was_left_earlier_is_there_again_with_room_for_more() {
        for left in [1, limits::READ_BUFFER_BYTES, limits::NDJSON_LINE_BYTES] {
            let rest: Vec<u8> = (0..left).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut buffer = Buffer::default();
            put(&mut buffer, b"gone");
            buffer.consume(4);
            buffer.refill(&rest);
            assert!(buffer.filled() == rest);
            assert!(!buffer.space().is_empty());
        }
    }

    #[test]
    fn it_grows_only_when_it_is_full_of_unused_bytes() {
        let mut buffer = Buffer::default();
        put(&mut buffer, &vec![b'x'; limits::READ_BUFFER_BYTES]);
        assert_eq!(buffer.space().len(), limits::READ_BUFFER_BYTES);
        assert_eq!(buffer.filled().len(), limits::READ_BUFFER_BYTES);
    }

    #[test]
    fn grown_buffers_and_more_than_enough_are_not_kept() {
        let spares = Spares::new(1);
        let mut grown = work();
        put(&mut grown.buffer, &vec![b'x'; limits::READ_BUFFER_BYTES]);
        grown.buffer.space();
        spares.give(grown);
        assert!(spares.kept.lock().unwrap().buffers.is_empty());
        for _ in 0..limits::SPARE_BUFFERS + 3 {
            spares.give(work());
        }
        let kept = spares.kept.lock().unwrap();
        assert_eq!((kept.buffers.len(), kept.mergers.len()), (limits::SPARE_BUFFERS, limits::SPARE_BUFFERS));
    }

    #[test]
    fn a_merger_that_may_know_nothing_is_not_kept() {
        let spares = Spares::new(1);
        let mut work = work();
        spares.give_merger(&mut work);
        spares.give(work);
        assert_eq!(spares.kept.lock().unwrap().mergers.len(), 1);
    }
}
