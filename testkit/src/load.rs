//! What is sent: made before the clock starts, the same bytes for everybody.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::now;

/// Messages made for one connection; it sends them again and again.
const BLOCK_MESSAGES: u64 = 250_000;
/// One write.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes of a text.
const TEXT_BYTES: usize = 120;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The Go service's protocol.
    Classic,
    /// An object a line.
    Ndjson,
    /// A line of RFC 3164, as `logger` and rsyslog send it.
    Syslog,
}

impl Format {
    /// All names.
    pub const NAMES: [&'static str; 3] = ["classic", "ndjson", "syslog"];

    /// The one of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, &'static str> {
        match name {
            "classic" => Ok(Self::Classic),
            "ndjson" => Ok(Self::Ndjson),
            "syslog" => Ok(Self::Syslog),
            _ => Err("there are classic, ndjson and syslog"),
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Ndjson => "NDJSON",
            Self::Syslog => "syslog 3164",
        }
    }
}

/// What one connection sends.
#[derive(Debug)]
pub struct Share {
    block: Vec<u8>,
    /// Where each message ends in `block`.
    ends: Vec<usize>,
    /// Which text each message of `block` has.
    keys: Vec<u64>,
    messages: u64,
}

/// How often each text stands in all of these together.
#[must_use]
pub fn counts(shares: &[Share]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for share in shares {
        let length = share.keys.len() as u64;
        let (rounds, rest) = (share.messages / length.max(1), share.messages % length.max(1));
        for (key, n) in share.keys.iter().zip(0..) {
            *counts.entry(text_of(*key)).or_insert(0) += rounds + u64::from(n < rest);
        }
    }
    counts
}

/// Splits `messages` of `keys` different texts over `connections`.
#[must_use]
pub fn make(messages: u64, connections: u64, keys: u64, format: Format) -> Vec<Share> {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next_key = move || {
        // xorshift64: even enough, and the same on every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % keys
    };
    (0..connections)
        .map(|at| {
            let messages = messages / connections + u64::from(at < messages % connections);
            let mut share = Share { block: Vec::new(), ends: Vec::new(), keys: Vec::new(), messages };
            for _ in 0..messages.min(BLOCK_MESSAGES) {
                let key = next_key();
                write_message(&mut share.block, key, format);
                share.keys.push(key);
                share.ends.push(share.block.len());
            }
            share
        })
        .collect()
}

/// Splits `messages` over `connections`, no text twice.
#[must_use]
pub fn distinct(messages: u64, connections: u64, format: Format) -> Vec<Share> {
    (0..connections)
        .map(|at| {
            let mut share = Share { block: Vec::new(), ends: Vec::new(), keys: Vec::new(), messages: 0 };
            for key in (0..messages).skip(usize::try_from(at).unwrap_or(usize::MAX)).step_by(step(connections)) {
                write_message(&mut share.block, key, format);
                share.keys.push(key);
                share.ends.push(share.block.len());
                share.messages += 1;
            }
            share
        })
        .collect()
}

fn step(connections: u64) -> usize {
    usize::try_from(connections).unwrap_or(usize::MAX)
}

fn text_of(key: u64) -> String {
    let text = format!("worker {key:08} cannot reach the database: ");
    format!("{text:.<TEXT_BYTES$}")
}

fn write_message(out: &mut Vec<u8>, key: u64, format: Format) {
    let text = text_of(key);
    let (before, after) = match format {
        Format::Classic => ("STRING\n", "\n"),
        Format::Ndjson => ("{\"text\":\"", "\"}\n"),
        Format::Syslog => ("<27>Oct 11 22:14:15 web-1 worker[42]: ", "\n"),
    };
    for part in [before, &text, after] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Sends all shares at once, each over a connection of its own; returns when the other side has closed them all.
///
/// # Errors
/// A connection breaks, or is answered: nothing says that all was taken.
pub fn send(shares: &[Share], to: SocketAddr) -> anyhow::Result<()> {
    send_within(shares, to, Duration::ZERO)
}

/// The same, evenly over this time.
///
/// # Errors
/// A connection breaks, or is answered: nothing says that all was taken.
pub fn send_within(shares: &[Share], to: SocketAddr, time: Duration) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let sending: Vec<_> = shares.iter().map(|share| scope.spawn(move || send_share(share, to, time))).collect();
        for sender in sending {
            sender.join().map_err(|_panic| anyhow::anyhow!("a sending thread panicked"))??;
        }
        Ok(())
    })
}

fn send_share(share: &Share, to: SocketAddr, time: Duration) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).context("cannot connect")?;
    let (begin, mut sent) = (now(), 0_usize);
    // All messages have the same length.
    let length = share.ends.first().copied().unwrap_or(1);
    let nanos_per_byte = time.as_nanos() as f64 / (share.messages.max(1) as f64 * length as f64);
    let mut left = share.messages;
    while left > 0 {
        let messages = usize::try_from(left).unwrap_or(usize::MAX).min(share.ends.len());
        let end = messages.checked_sub(1).and_then(|last| share.ends.get(last)).copied().unwrap_or(0);
        for bytes in share.block.get(..end).unwrap_or_default().chunks(WRITE_BYTES) {
            stream.write_all(bytes).context("cannot send")?;
            sent += bytes.len();
            let due = Duration::from_secs_f64(sent as f64 * nanos_per_byte / 1e9);
            thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        left -= u64::try_from(messages).unwrap_or(left);
    }
    stream.shutdown(Shutdown::Write).context("cannot end sending")?;
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(()),
            Ok(_) => anyhow::bail!("an answer where none belongs: the messages were refused"),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, counts, distinct, make};

    #[test]
    fn distinct_messages_are_each_there_once() {
        let shares = distinct(10, 3, Format::Ndjson);
        assert_eq!(shares.iter().map(|share| share.messages).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!((counts(&shares).len(), counts(&shares).values().sum::<u64>()), (10, 10));
    }

    #[test]
    fn every_message_is_shared_out_once() {
        let shares = make(10, 3, 4, Format::Classic);
        assert_eq!(shares.iter().map(|share| share.messages).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!(shares[0].ends, [128, 256, 384, 512]);
        assert!(shares[0].block.starts_with(b"STRING\nworker 0000000"));
        assert_eq!(counts(&shares).values().sum::<u64>(), 10);
    }
}
