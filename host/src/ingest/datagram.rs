//! Datagrams: each is one message, or a part of one in GELF, from a socket that has no connections.
//!
//! Nobody is answered: what comes while the engine does not take messages waits in the socket's own buffer, and beyond
//! that the system drops it (UDP) or holds the sender back (unix sockets).

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::{UdpSocket, UnixDatagram};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::counters::Tally;
use super::enter::UNIX_PEER;
use super::merge::Merger;
use crate::config::Protocol;
use crate::limits;
use crate::message::{Batch, Millis};
use crate::protocol::gelf::{self, Came, Chunks};
use crate::protocol::{Parsed, syslog};

/// A socket that datagrams come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Datagrams<'s> {
    Udp(&'s UdpSocket),
    Unix(&'s UnixDatagram),
}

impl Datagrams<'_> {
    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.readable().await,
            Self::Unix(socket) => socket.readable().await,
        }
    }

    /// One that has arrived: how long it is, and where it comes from.
    fn receive(&self, into: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
        match self {
            Self::Udp(socket) => socket.try_recv_from(into).map(|(length, peer)| (length, Some(peer.ip()))),
            Self::Unix(socket) => socket.try_recv(into).map(|length| (length, None)),
        }
    }
}

/// Takes in datagrams until mag stops, and then those that have arrived.
pub(super) async fn run(socket: Datagrams<'_>, shared: &Shared) {
    let mut reader = Reader {
        socket,
        shared,
        datagram: vec![0; limits::SYSLOG_FRAME_BYTES + 1],
        merging: Merging { shared, mergers: BTreeMap::new() },
        chunks: Chunks::default(),
        started: shared.clock.instant(),
    };
    let mut stop_at = None;
    while reader.wait(&mut stop_at).await {
        let _seat = shared.settings.flight.seat().await;
        if !reader.take_in(shared.clock.instant() + Duration::from_millis(limits::MERGE_MILLIS)).await {
            return;
        }
    }
    reader.chunks.end();
    let mut tally = Tally { partial: reader.chunks.lost(), ..Tally::default() };
    tally.tell(&shared.counters);
}

fn is_open(readable: io::Result<()>) -> bool {
    readable.inspect_err(|error| tracing::error!(%error, "a socket for datagrams cannot be read any more")).is_ok()
}

struct Reader<'s> {
    socket: Datagrams<'s>,
    shared: &'s Shared,
    datagram: Vec<u8>,
    merging: Merging<'s>,
    chunks: Chunks,
    started: Instant,
}

/// What each peer sent, until it is sent on.
struct Merging<'s> {
    shared: &'s Shared,
    mergers: BTreeMap<Option<IpAddr>, Merger>,
}

impl Reader<'_> {
    /// Waits for datagrams; says whether any may be there. A stopping mag waits only for those that have arrived.
    async fn wait(&mut self, stop_at: &mut Option<Instant>) -> bool {
        while stop_at.is_none() {
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => break,
                // Others take what comes now, and what is there.
                () = self.shared.listener.closing.cancelled() => return false,
                readable = self.socket.readable() => return is_open(readable),
                () = self.overdue() => self.give_up(),
            }
        }
        let now = self.shared.clock.instant();
        let stop_at = *stop_at.get_or_insert(now + Duration::from_millis(limits::STOP_READ_MILLIS));
        let quiet = now + Duration::from_millis(limits::STOP_QUIET_MILLIS);
        tokio::select! {
            biased;
            () = sleep_until(stop_at) => false,
            readable = self.socket.readable() => is_open(readable),
            () = sleep_until(quiet) => false,
        }
    }

    /// Returns when a message has waited too long for its chunks.
    async fn overdue(&self) {
        match self.chunks.due() {
            Some(due) => sleep_until(self.started + Duration::from_millis(due)).await,
            None => pending().await,
        }
    }

    fn give_up(&mut self) {
        self.chunks.give_up(self.now());
        let mut tally = Tally { partial: self.chunks.lost(), ..Tally::default() };
        tally.tell(&self.shared.counters);
    }

    /// Milliseconds since the socket is read.
    fn now(&self) -> u64 {
        millis(self.shared.clock.instant().duration_since(self.started))
    }

    /// Merges what has arrived, for a bounded time, and sends it on; says whether anybody takes it.
    async fn take_in(&mut self, until: Instant) -> bool {
        let now = self.shared.clock.now();
        let mut tally = Tally::default();
        loop {
            match self.socket.receive(&mut self.datagram) {
                Ok((length, peer)) => {
                    let full = self.merge(length, peer, &mut tally, now);
                    if full && !self.send(&mut tally).await {
                        return false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What a peer that is gone makes of an earlier answer, say: the next one may be well.
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be read");
                    break;
                }
            }
            if self.shared.clock.instant() >= until {
                break;
            }
        }
        self.send(&mut tally).await
    }

    /// Takes one datagram; says whether what is merged must be sent on.
    fn merge(&mut self, length: usize, peer: Option<IpAddr>, tally: &mut Tally, now: Millis) -> bool {
        let datagram = self.datagram.get(..length.min(limits::SYSLOG_FRAME_BYTES)).unwrap_or_default();
        if datagram.is_empty() {
            return false;
        }
        let peer = peer.map(|address| address.to_canonical());
        if peer.is_some_and(|peer| !self.shared.listener.allows(peer)) {
            tally.refused_lines += 1;
            return false;
        }
        let named = self.shared.listener.protocol;
        let since = self.now();
        let came = match named {
            Protocol::Syslog => Came::Other,
            _ => self.chunks.take(peer, datagram, since),
        };
        tally.partial += self.chunks.lost();
        let (mut clean, mut kept) = (String::new(), String::new());
        let message = match &came {
            Came::Waits => return false,
            Came::Message(json) => gelf::read(json, &mut clean, &mut kept, self.shared.text_bytes()).ok(),
            Came::Refused | Came::Other => None,
        };
        let message = match message {
            Some(message) => message,
            None if named == Protocol::Gelf || !is_text(&came, datagram) => {
                tally.refused_lines += 1;
                return false;
            }
            None => Parsed { truncated: length > limits::SYSLOG_FRAME_BYTES, ..syslog::message(datagram) },
        };
        tally.note(&message);
        self.merging.add(peer, message, now)
    }

    async fn send(&mut self, tally: &mut Tally) -> bool {
        self.merging.send(tally).await
    }
}

/// Whether a datagram that is no GELF may be a text: a brace may begin one as well.
fn is_text(came: &Came, datagram: &[u8]) -> bool {
    match came {
        Came::Other => true,
        Came::Message(json) => json == datagram,
        Came::Waits | Came::Refused => false,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Merging<'_> {
    /// Merges a message; says whether what is merged must be sent on.
    fn add(&mut self, peer: Option<IpAddr>, message: Parsed<'_>, now: Millis) -> bool {
        let merger = self.mergers.entry(peer).or_insert_with(|| {
            let mut merger = Merger::new(0);
            let name = peer.map_or_else(|| UNIX_PEER.to_owned(), |address| address.to_string());
            merger.enter(&name, self.shared.text_bytes());
            merger
        });
        merger.add(message, None, now);
        merger.is_full() || self.mergers.len() >= limits::DATAGRAM_PEERS
    }

    async fn send(&mut self, tally: &mut Tally) -> bool {
        for mut merger in std::mem::take(&mut self.mergers).into_values() {
            let load = self.shared.settings.flight.load(merger.bytes()).await;
            let mut merged = merger.drain();
            tally.replaced += merged.odd.replaced;
            tally.truncated += merged.odd.truncated;
            self.shared.label(&mut merged);
            let batch = Batch { entries: merged.entries, numbered: merged.numbered, load, ..Batch::default() };
            if self.shared.batches.send(batch).await.is_err() {
                return false;
            }
        }
        tally.tell(&self.shared.counters);
        true
    }
}
