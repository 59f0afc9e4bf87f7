//! Accepts connections and turns their bytes into batches of merged messages.
//!
//! Knows nothing of routes, windows or the store. What it promises: whoever is answered is committed, a full engine
//! stops the reading, and no connection can harm another one.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::limits;
use crate::message::Batch;
use crate::protocol::{Spoken, detect};

use carrier::Carrier;

mod buffer;
mod carrier;
mod connection;
mod counters;
mod door;
mod flight;
pub mod handles;
mod http;
mod merge;
mod replies;

pub use counters::Counters;
pub use flight::Flight;

/// What the operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at a time; one more is closed at once.
    pub connections: usize,
    /// Bytes of a text before it is cut; never more than [`limits::TEXT_BYTES`].
    pub line: usize,
    /// The memory of all connections.
    pub flight: Flight,
}

/// What all connections share.
struct Shared {
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    clock: Clock,
    stop: CancellationToken,
    counters: Arc<Counters>,
    spares: buffer::Spares,
    door: door::Door,
}

impl Shared {
    /// A longer text is cut here.
    fn text_bytes(&self) -> usize {
        self.settings.line.min(limits::TEXT_BYTES)
    }

    /// Whether one connection more would be too many; listeners that share their counters share the limit.
    fn is_full(&self) -> bool {
        let open = self.counters.connections.load(Ordering::Relaxed);
        usize::try_from(open).unwrap_or(usize::MAX) >= self.settings.connections
    }
}

/// Takes in messages until `stop`; returns when all its connections are done.
///
/// A connection is done when what it brought is committed, so with a store that never commits this never returns:
/// drop it then, and its connections end with it, unanswered.
///
/// Beyond `settings.connections` a connection is accepted and closed at once. Left in the backlog it would look open
/// to its client, which could wait there for ever for an answer that nobody is going to give.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    clock: Clock,
    stop: CancellationToken,
    counters: Arc<Counters>,
) {
    let shared = Arc::new(Shared {
        settings,
        batches,
        clock,
        stop,
        counters,
        spares: buffer::Spares::default(),
        door: door::Door::default(),
    });
    let mut connections = JoinSet::new();
    let mut log = RefusalLog::default();
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            Some(ended) = connections.join_next() => note(&ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if shared.is_full() => {
                    drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO)));
                    shared.counters.refused_connections.fetch_add(1, Ordering::Relaxed);
                    log.refused(shared.clock.instant(), shared.settings.connections);
                    drop(stream);
                }
                Ok((stream, peer)) => {
                    let open = Open::new(Arc::clone(&shared.counters));
                    connections.spawn(one(stream, peer.ip(), open, Arc::clone(&shared)));
                }
                Err(error) => {
                    log.failed(shared.clock.instant(), &error);
                    sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MILLIS)).await;
                }
            },
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note(&ended);
    }
}

async fn one(stream: TcpStream, peer: IpAddr, _open: Open, shared: Arc<Shared>) {
    let peer: Arc<str> = peer.to_canonical().to_string().into();
    let mut carrier = Carrier::from(stream);
    prepare(&carrier);
    match spoken(&mut carrier, &shared.stop).await {
        Some(Spoken::Http) => http::run(carrier, false, &peer, &shared).await,
        Some(Spoken::Http2) => http::run(carrier, true, &peer, &shared).await,
        spoken => connection::run(carrier, spoken, &peer, &shared).await,
    }
}

/// Finds out what a connection speaks, by its first bytes; `None` when it ended or mag stops before that shows.
async fn spoken(carrier: &mut Carrier, stop: &CancellationToken) -> Option<Spoken> {
    let mut first = [0; limits::DETECT_BYTES];
    let mut filled = 0;
    let mut spoken = None;
    while spoken.is_none()
        && let Some(space) = first.get_mut(filled..)
    {
        let read = tokio::select! {
            biased;
            read = carrier.read(space) => read,
            () = stop.cancelled() => break,
        };
        // An end or a fault shows again to whoever reads on.
        let Some(count) = read.ok().filter(|count| *count > 0) else { break };
        filled += count;
        spoken = detect(first.get(..filled).unwrap_or_default());
    }
    carrier.unread(first.get(..filled).unwrap_or_default());
    spoken
}

/// Small replies leave at once, and a peer that is gone is found; a system that can do neither still serves.
fn prepare(carrier: &Carrier) {
    end_by_reset(carrier);
    let Some(socket) = carrier.tcp() else { return };
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(limits::KEEPALIVE_SECONDS));
    let set = socket.set_tcp_keepalive(&keepalive).and_then(|()| socket.set_tcp_nodelay(true));
    if let Err(error) = set {
        tracing::debug!(%error, "cannot set options of a connection");
    }
}

/// From now on the connection ends by a reset, even if the whole process is killed: an orderly end tells a client that
/// all it sent is committed, so only [`end_in_order`] allows one.
fn end_by_reset(carrier: &Carrier) {
    linger(carrier, Some(Duration::ZERO));
}

/// All that the client sent is committed, or it was told how far: it may see an orderly end.
fn end_in_order(carrier: &Carrier) {
    linger(carrier, None);
}

fn linger(carrier: &Carrier, time: Option<Duration>) {
    let set = carrier.tcp().map_or(Ok(()), |socket| socket.set_linger(time));
    if let Err(error) = set {
        tracing::debug!(%error, "cannot choose how a connection ends");
    }
}

fn note(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a mistake of mag's own");
    }
}

/// Counts a connection as long as it lives, however it ends.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        counters.connections.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says at most once in a while that connections are refused.
#[derive(Default)]
struct RefusalLog {
    silent_until: Option<Instant>,
    refused: u64,
}

impl RefusalLog {
    fn refused(&mut self, now: Instant, limit: usize) {
        self.refused += 1;
        if self.may_speak(now) {
            tracing::warn!(limit, refused = self.refused, "too many connections, new ones are closed at once");
            self.refused = 0;
        }
    }

    fn failed(&mut self, now: Instant, error: &std::io::Error) {
        if self.may_speak(now) {
            tracing::warn!(%error, "cannot accept connections");
        }
    }

    fn may_speak(&mut self, now: Instant) -> bool {
        let silent = self.silent_until.is_some_and(|until| now < until);
        if !silent {
            self.silent_until = Some(now + Duration::from_secs(limits::REFUSAL_LOG_SECONDS));
        }
        !silent
    }
}

#[cfg(test)]
mod tests;
