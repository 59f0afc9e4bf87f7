//! GELF in datagrams: a message whole or in chunks, plain or compressed.
//!
//! Pure: the time is handed in. Chunks that wait for others are bounded in number, bytes and time; what waits longest goes
//! first.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::limits;
use crate::protocol::inflate::{Coding, inflate};

/// What a chunk begins with.
const MAGIC: [u8; 2] = [0x1E, 0x0F];
/// What a chunk takes beside its bytes, about.
const CHUNK_BYTES: usize = 64;

/// What a datagram came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    /// A whole message, decompressed.
    Message(Vec<u8>),
    /// A chunk, and others are missing.
    Waits,
    /// Nothing that can be read.
    Refused,
    /// Nothing that GELF begins with.
    Other,
}

/// Whose chunk it is: ids are chosen by senders.
type Key = (Option<IpAddr>, [u8; 8]);

#[derive(Debug)]
struct Open {
    key: Key,
    since: u64,
    count: u8,
    parts: BTreeMap<u8, Vec<u8>>,
    bytes: usize,
}

/// Puts chunks together.
#[derive(Debug, Default)]
pub struct Chunks {
    /// In the order of coming.
    open: VecDeque<Open>,
    bytes: usize,
    lost: u64,
}

impl Chunks {
    /// Takes a datagram of `peer`, which came at `now`, in milliseconds that never go back.
    pub fn take(&mut self, peer: Option<IpAddr>, datagram: &[u8], now: u64) -> Came {
        self.give_up(now);
        let Some(chunk) = datagram.strip_prefix(&MAGIC) else { return whole(datagram) };
        let Some((id, [number, count, data @ ..])) = chunk.split_first_chunk::<8>() else { return Came::Refused };
        if !(1..=limits::GELF_CHUNKS).contains(count) || number >= count {
            return Came::Refused;
        }
        let key = (peer, *id);
        let at = self.open.iter().position(|open| open.key == key).unwrap_or_else(|| {
            self.open.push_back(Open { key, since: now, count: *count, parts: BTreeMap::new(), bytes: 0 });
            self.open.len() - 1
        });
        let Some(open) = self.open.get_mut(at) else { return Came::Refused };
        if open.count != *count {
            return Came::Refused;
        }
        match open.parts.get(number) {
            // The network may bring a datagram twice.
            Some(there) if there == data => {}
            Some(_) => return Came::Refused,
            None => {
                open.parts.insert(*number, data.to_vec());
                open.bytes += data.len() + CHUNK_BYTES;
                self.bytes += data.len() + CHUNK_BYTES;
            }
        }
        if open.parts.len() == usize::from(*count)
            && let Some(open) = self.open.remove(at)
        {
            self.bytes = self.bytes.saturating_sub(open.bytes);
            return match whole(&open.parts.into_values().collect::<Vec<_>>().concat()) {
                Came::Other => Came::Refused,
                came => came,
            };
        }
        while self.open.len() > limits::GELF_OPEN || self.bytes > limits::GELF_OPEN_BYTES {
            let mut first = true;
            self.forget(|_| std::mem::replace(&mut first, false));
        }
        Came::Waits
    }

    /// When the oldest message that waits for chunks is given up, in the same milliseconds.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.open.front().map(|open| open.since + limits::GELF_CHUNK_MILLIS + 1)
    }

    /// Gives up what has waited for too long.
    pub fn give_up(&mut self, now: u64) {
        self.forget(|open| now.saturating_sub(open.since) > limits::GELF_CHUNK_MILLIS);
    }

    /// Messages that were given up since the last time, because chunks of them are missing.
    pub fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Gives up what waits: nobody reads on.
    pub fn end(&mut self) {
        self.forget(|_| true);
    }

    /// Gives up the oldest ones for which `is_over` holds.
    fn forget(&mut self, mut is_over: impl FnMut(&Open) -> bool) {
        while self.open.front().is_some_and(&mut is_over) {
            if let Some(open) = self.open.pop_front() {
                self.bytes = self.bytes.saturating_sub(open.bytes);
                self.lost += 1;
            }
        }
    }
}

/// A message that is not in chunks.
fn whole(bytes: &[u8]) -> Came {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return Came::Message(bytes.to_vec());
    }
    let Some(coding) = Coding::of(bytes) else { return Came::Other };
    match inflate(coding, bytes, limits::NDJSON_LINE_BYTES) {
        Ok(message) if message.trim_ascii_start().first() == Some(&b'{') => Came::Message(message),
        // An `x` and another letter look like zlib too.
        _ if coding == Coding::Zlib && bytes.is_ascii() => Came::Other,
        _ => Came::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::{any, proptest};

    use super::{Came, Chunks, MAGIC};
    use crate::limits;

    const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    const MESSAGE: &[u8] = b"{\"short_message\":\"a\"}";

    fn chunk(id: u8, number: u8, count: u8, data: &[u8]) -> Vec<u8> {
        [&MAGIC[..], &[id; 8], &[number, count], data].concat()
    }

    fn message() -> Came {
        Came::Message(MESSAGE.to_vec())
    }

    #[test]
    fn chunks_in_any_order_and_twice_make_one_message() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(PEER, &chunk(1, 2, 3, &MESSAGE[9..]), 0), Came::Waits);
        assert_eq!(chunks.take(PEER, &chunk(2, 0, 2, &MESSAGE[..5]), 0), Came::Waits);
        assert_eq!(chunks.take(PEER, &chunk(1, 0, 3, &MESSAGE[..5]), 1), Came::Waits);
        assert_eq!(chunks.take(PEER, &chunk(1, 0, 3, &MESSAGE[..5]), 1), Came::Waits);
        assert_eq!(chunks.take(PEER, &chunk(1, 0, 3, b"of another message"), 1), Came::Refused);
        assert_eq!(chunks.take(None, &chunk(1, 1, 3, b"of another peer"), 1), Came::Waits);
        assert_eq!(chunks.take(PEER, &chunk(1, 1, 4, b"of another count"), 1), Came::Refused);
        assert_eq!(chunks.take(PEER, &chunk(1, 1, 3, &MESSAGE[5..9]), 2), message());
        assert_eq!(chunks.take(PEER, &chunk(2, 1, 2, &MESSAGE[5..]), 2), message());
        chunks.end();
        assert_eq!((chunks.lost(), chunks.bytes), (1, 0));
    }

    #[test]
    fn what_misses_chunks_is_given_up_after_a_while() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(PEER, &chunk(1, 0, 2, &MESSAGE[..5]), 0), Came::Waits);
        assert_eq!(chunks.take(PEER, MESSAGE, limits::GELF_CHUNK_MILLIS), message());
        assert_eq!(chunks.lost(), 0);
        assert_eq!(chunks.take(PEER, &chunk(1, 1, 2, &MESSAGE[5..]), limits::GELF_CHUNK_MILLIS + 1), Came::Waits);
        assert_eq!(chunks.lost(), 1);
        let due = chunks.due().expect("another one waits");
        chunks.give_up(due - 1);
        assert_eq!(chunks.lost(), 0);
        chunks.give_up(due);
        assert_eq!((chunks.lost(), chunks.due()), (1, None));
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_goes_first() {
        let mut chunks = Chunks::default();
        for id in 0..=limits::GELF_OPEN {
            let datagram = [&MAGIC[..], &id.to_be_bytes()[..8], &[0, 2], b"x"].concat();
            assert_eq!(chunks.take(PEER, &datagram, 0), Came::Waits);
        }
        assert_eq!((chunks.open.len(), chunks.lost()), (limits::GELF_OPEN, 1));
        let large = vec![b'x'; limits::GELF_OPEN_BYTES / 4];
        for number in 0..9 {
            chunks.take(PEER, &chunk(255, number, 128, &large), 0);
            assert!(chunks.bytes <= limits::GELF_OPEN_BYTES);
        }
    }

    #[test]
    fn compressed_messages_are_read_and_bombs_are_not() {
        let zlib = |bytes: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let mut chunks = Chunks::default();
        assert_eq!(chunks.take(PEER, &zlib(MESSAGE), 0), message());
        assert_eq!(chunks.take(PEER, &gzip(MESSAGE), 0), message());
        let compressed = gzip(MESSAGE);
        assert_eq!(chunks.take(PEER, &chunk(1, 0, 2, &compressed[..9]), 0), Came::Waits);
        assert_eq!(chunks.take(PEER, &chunk(1, 1, 2, &compressed[9..]), 0), message());
        assert_eq!(chunks.take(PEER, &gzip(&vec![b'{'; limits::NDJSON_LINE_BYTES + 1]), 0), Came::Refused);
        assert_eq!(chunks.take(PEER, b"\x1f\x8b no gzip", 0), Came::Refused);
        assert_eq!(chunks.take(PEER, b"x^ is a text", 0), Came::Other);
        assert_eq!(chunks.take(PEER, b"<13>hello", 0), Came::Other);
    }

    proptest! {
        #[test]
        fn no_datagrams_make_it_panic_or_keep_more_than_they_count(
            datagrams in vec((option::of((0_u8..3, 0_u8..4)), vec(any::<u8>(), 0..40), 0..9_000_u64), 0..40),
        ) {
            let (mut chunks, mut now) = (Chunks::default(), 0);
            for (part, bytes, later) in datagrams {
                now += later;
                let datagram = part.map_or_else(|| bytes.clone(), |(id, number)| chunk(id, number, 3, &bytes));
                chunks.take(PEER, &datagram, now);
                let kept: usize = chunks.open.iter().map(|open| open.bytes).sum();
                assert_eq!(kept, chunks.bytes);
            }
        }
    }
}
