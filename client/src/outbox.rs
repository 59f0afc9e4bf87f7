//! Messages on their way: written or not, until mag says that they are committed. No I/O.

use std::collections::VecDeque;

use crate::error::Refusal;

/// Refusals kept word for word; the others are only counted.
const REFUSALS: usize = 100;

/// The bytes of all messages without an ack, in order, and where each begins.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Bytes at the front that belong to messages already done with.
    start: usize,
    /// Bytes up to here are written on this connection.
    written: usize,
    entries: VecDeque<Entry>,
    /// Messages ever queued.
    queued: u64,
    /// The connection's number of the line of the first entry.
    front_line: u64,
    /// What this connection acknowledged so far.
    acked: u64,
    refusals: Vec<Refusal>,
    refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Counted from the client's first message.
    message: u64,
    len: usize,
    refused: bool,
}

impl Outbox {
    /// Adds what `write` writes as one message.
    pub(crate) fn queue<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let before = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(before);
            return Err(error);
        }
        self.queued += 1;
        let len = self.bytes.len() - before;
        self.entries.push_back(Entry { message: self.queued, len, refused: false });
        Ok(())
    }

    /// Messages ever queued.
    pub(crate) fn queued(&self) -> u64 {
        self.queued
    }

    /// Messages without an answer.
    pub(crate) fn open(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(!entry.refused)).sum()
    }

    /// Whether nothing waits for an answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that wait for an answer.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes that this connection has not got yet.
    pub(crate) fn unwritten(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// The connection took `count` more bytes.
    pub(crate) fn wrote(&mut self, count: usize) {
        self.written = self.written.saturating_add(count).min(self.bytes.len());
    }

    /// Forgets messages that are written whole: the classic protocol will never say more of them.
    pub(crate) fn forget_written(&mut self) {
        while let Some(entry) = self.entries.front().copied()
            && self.start + entry.len <= self.written
        {
            self.drop_front(entry);
        }
        self.compact();
    }

    /// A new connection knows nothing: everything that is not answered goes again, its first line having this number.
    pub(crate) fn rewind(&mut self, first_line: u64) {
        let mut kept = Vec::with_capacity(self.held());
        let mut at = self.start;
        for entry in &self.entries {
            if !entry.refused {
                kept.extend_from_slice(self.bytes.get(at..at + entry.len).unwrap_or_default());
            }
            at += entry.len;
        }
        self.entries.retain(|entry| !entry.refused);
        self.bytes = kept;
        (self.start, self.written, self.acked, self.front_line) = (0, 0, 0, first_line);
    }

    /// mag committed the first `acked` taken messages of this connection.
    ///
    /// Errors of earlier lines have come before, so what is still open in front of an acknowledged message is it.
    pub(crate) fn ack(&mut self, acked: u64) {
        while let Some(entry) = self.entries.front().copied()
            && (entry.refused || self.acked < acked)
        {
            self.acked += u64::from(!entry.refused);
            self.drop_front(entry);
        }
        self.compact();
    }

    /// mag refused the connection's line `line`.
    pub(crate) fn refuse(&mut self, line: u64, error: &str) {
        let index = line.checked_sub(self.front_line).and_then(|index| usize::try_from(index).ok());
        let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) else { return };
        if entry.refused {
            return;
        }
        entry.refused = true;
        self.refused += 1;
        if self.refusals.len() < REFUSALS {
            self.refusals.push(Refusal { message: entry.message, error: error.to_owned() });
        }
        self.ack(self.acked);
    }

    /// What was refused since the last time: the first of them, and how many.
    pub(crate) fn take_refusals(&mut self) -> (Vec<Refusal>, u64) {
        (std::mem::take(&mut self.refusals), std::mem::take(&mut self.refused))
    }

    fn drop_front(&mut self, entry: Entry) {
        self.entries.pop_front();
        self.start += entry.len;
        self.front_line += 1;
    }

    /// Moves the rest to the front when at least half is done with: each byte is moved once on average.
    fn compact(&mut self) {
        if self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.written = self.written.saturating_sub(self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outbox;

    fn outbox(lines: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.rewind(2);
        for line in lines {
            outbox
                .queue(|out| {
                    out.extend_from_slice(line.as_bytes());
                    Ok::<_, ()>(())
                })
                .unwrap();
        }
        outbox
    }

    #[test]
    fn acknowledged_messages_are_forgotten_and_only_the_others_go_again() {
        let mut outbox = outbox(&["a\n", "bb\n", "c\n", "d\n"]);
        outbox.wrote(7);
        outbox.ack(2);
        assert_eq!((outbox.open(), outbox.unwritten()), (2, &b"d\n"[..]));
        outbox.rewind(2);
        assert_eq!(outbox.unwritten(), b"c\nd\n");
        outbox.wrote(4);
        outbox.ack(2);
        assert!(outbox.is_empty());
        assert_eq!(outbox.held(), 0);
    }

    #[test]
    fn refused_messages_are_told_by_their_number_and_never_go_again() {
        let mut outbox = outbox(&["a\n", "b\n", "c\n"]);
        outbox.wrote(6);
        outbox.refuse(3, "no");
        assert_eq!(outbox.open(), 2);
        outbox.rewind(2);
        assert_eq!(outbox.unwritten(), b"a\nc\n");
        outbox.wrote(4);
        outbox.refuse(3, "no again");
        outbox.refuse(99, "never sent");
        outbox.ack(1);
        assert!(outbox.is_empty());
        let (refusals, refused) = outbox.take_refusals();
        assert_eq!(refused, 2);
        assert_eq!(refusals.iter().map(|r| r.message).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_refusal_alone_leaves_nothing_open() {
        let mut outbox = outbox(&["a\n"]);
        outbox.wrote(2);
        outbox.refuse(2, "no");
        assert!(outbox.is_empty());
    }

    #[test]
    fn classic_forgets_what_is_written_whole() {
        let mut outbox = outbox(&["aa\n", "bb\n"]);
        outbox.wrote(4);
        outbox.forget_written();
        assert_eq!((outbox.open(), outbox.unwritten()), (1, &b"b\n"[..]));
        outbox.rewind(1);
        assert_eq!(outbox.unwritten(), b"bb\n");
    }
}
