//! The reference reader: what counting messages costs at the very least on this machine.
//!
//! One thread, 256 KiB reads, `memchr`, one fast hash table, no UTF-8 check, no limits, no clock, no store. It must
//! never be made slower than it could be: a figure beside it is worth as much as it is fast.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::Context as _;
use clap::Args;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use memchr::memchr;

const READ_BYTES: usize = 256 * 1024;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Ends after so many connections
    #[arg(long, default_value_t = 1)]
    connections: usize,
}

/// Prints its port, serves its connections one after the other, prints how many messages of how many keys came.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).context("cannot listen")?;
    println!("{}", listener.local_addr().context("cannot tell the port")?.port());
    let mut counts = Counts::default();
    let mut buffer = vec![0; READ_BYTES];
    for _ in 0..arguments.connections {
        let (stream, _) = listener.accept().context("cannot accept")?;
        read_all(stream, &mut buffer, &mut counts).context("cannot read")?;
    }
    println!("{} {}", counts.total, counts.slots.len());
    Ok(())
}

fn read_all(mut stream: TcpStream, buffer: &mut [u8], counts: &mut Counts) -> anyhow::Result<()> {
    let mut held = 0;
    loop {
        let space = buffer.get_mut(held..).unwrap_or_default();
        anyhow::ensure!(!space.is_empty(), "a message is longer than the buffer");
        let count = match stream.read(space) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let filled = buffer.get(..held + count).unwrap_or_default();
        let rest = counts.read(filled).len();
        let from = filled.len() - rest;
        buffer.copy_within(from..from + rest, 0);
        held = rest;
    }
}

/// Counts by text.
#[derive(Default)]
struct Counts {
    seed: RandomState,
    table: HashTable<usize>,
    slots: Vec<Slot>,
    total: u64,
}

struct Slot {
    hash: u64,
    text: Box<[u8]>,
    count: u64,
}

impl Counts {
    /// Counts every whole message at the front and gives back the rest.
    fn read<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        loop {
            // An NDJSON line counts as it stands, a classic text without its command.
            let text = bytes.strip_prefix(b"STRING\n").unwrap_or(bytes);
            let Some((line, rest)) = memchr(b'\n', text).and_then(|at| text.split_at_checked(at)) else {
                return bytes;
            };
            bytes = rest.get(1..).unwrap_or_default();
            self.add(line);
        }
    }

    #[inline]
    fn add(&mut self, text: &[u8]) {
        let mut hasher = self.seed.build_hasher();
        hasher.write(text);
        let hash = hasher.finish();
        let slots = &self.slots;
        let same = |at: &usize| slots.get(*at).is_some_and(|slot| *slot.text == *text);
        let hash_of = |at: &usize| slots.get(*at).map_or(0, |slot| slot.hash);
        self.total += 1;
        match self.table.entry(hash, same, hash_of) {
            Entry::Occupied(place) => {
                if let Some(slot) = self.slots.get_mut(*place.get()) {
                    slot.count += 1;
                }
            }
            Entry::Vacant(place) => {
                place.insert(slots.len());
                self.slots.push(Slot { hash, text: text.into(), count: 1 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn it_counts_whole_messages_and_gives_back_the_rest() {
        let mut counts = Counts::default();
        assert_eq!(counts.read(b"STRING\na\nSTRING\nb\nSTRING\na\nSTRING\nhal"), b"STRING\nhal");
        assert_eq!((counts.total, counts.slots.len()), (3, 2));
        assert_eq!(counts.read(b"STRI"), b"STRI");
        assert_eq!(counts.read(b"{\"text\":\"a\"}\n"), b"");
        assert_eq!(counts.slots.iter().map(|slot| slot.count).collect::<Vec<_>>(), [2, 1, 1]);
    }
}
