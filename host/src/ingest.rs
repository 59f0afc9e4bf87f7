//! Accepts connections and turns their bytes into batches of merged messages.
//!
//! Knows nothing of routes, windows or the store. What it promises: whoever is answered is committed, a full engine
//! stops the reading, and no connection can harm another one.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::limits;
use crate::message::Batch;
use crate::protocol::Spoken;
use crate::protocol::http::desk::Desk;

mod addresses;
mod buffer;
mod carrier;
mod connection;
mod counters;
mod datagram;
mod door;
mod enter;
mod flight;
mod greet;
pub mod handles;
mod http;
mod listener;
mod merge;
mod proxy;
mod refusals;
mod replies;
mod tls;

pub use addresses::Addresses;
pub use counters::Counters;
pub use door::Door;
pub use flight::Flight;
pub use listener::{Bound, Listener, SocketFile};
pub use tls::{Certificates, TlsError};

use enter::Entered;
use listener::Accepted;
use refusals::Refusals;

/// What the operator may set for all listeners together.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at a time; one more is closed at once.
    pub connections: usize,
    /// Connections of one address at a time.
    pub addresses: Addresses,
    /// How long a connection may send nothing before it is closed; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// Bytes of a text before it is cut; never more than [`limits::TEXT_BYTES`].
    pub line: usize,
    /// The memory of all connections.
    pub flight: Flight,
    /// Who answers what Alertmanager's API is asked.
    pub desk: Option<Arc<dyn Desk>>,
}

impl Settings {
    /// How long a client may send nothing: what is begun must go on.
    fn silence(&self, is_begun: bool) -> Option<Duration> {
        let line = is_begun.then_some(Duration::from_secs(limits::LINE_SECONDS));
        line.into_iter().chain(self.idle_timeout).min()
    }
}

/// What all connections of a listener share.
struct Shared {
    listener: Listener,
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    clock: Clock,
    stop: CancellationToken,
    counters: Arc<Counters>,
    spares: buffer::Spares,
    refusals: Refusals,
}

impl Shared {
    /// A longer text is cut here.
    fn text_bytes(&self) -> usize {
        self.settings.line.min(limits::TEXT_BYTES)
    }

    /// Gives every message that is told now the labels of the port that it came in at. What is told by number came in at
    /// the same port before.
    fn label(&self, merged: &mut merge::Merged) {
        if self.listener.labels.is_empty() {
            return;
        }
        for entry in &mut merged.entries {
            entry.message.labels.add_missing(&self.listener.labels);
        }
        for message in merged.numbered.iter_mut().flat_map(|numbered| &mut numbered.new) {
            Arc::make_mut(message).labels.add_missing(&self.listener.labels);
        }
    }

    /// A connection may not speak, or cannot.
    fn turned_away(&self, peer: &dyn Display, why: &dyn Display) {
        self.counters.refused_connections.fetch_add(1, Ordering::Relaxed);
        self.refusals.turned_away(peer, why, self.clock.instant());
    }

    /// Whether one connection more would be too many; listeners that share their counters share the limit.
    fn is_full(&self) -> bool {
        let open = self.counters.connections.load(Ordering::Relaxed);
        usize::try_from(open).unwrap_or(usize::MAX) >= self.settings.connections
    }
}

/// Takes in messages until `stop`, or none of new connections once the listener closes; returns when all its connections
/// are done.
///
/// A connection is done when what it brought is committed, so with a store that never commits this never returns:
/// drop it then, and its connections end with it, unanswered.
///
/// Beyond `settings.connections` a connection is accepted and closed at once. Left in the backlog it would look open
/// to its client, which could wait there for ever for an answer that nobody is going to give.
pub async fn serve(
    listener: Listener,
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    clock: Clock,
    stop: CancellationToken,
    counters: Arc<Counters>,
) {
    let shared = Arc::new(Shared {
        spares: buffer::Spares::new(settings.flight.known_bytes()),
        refusals: Refusals::default(),
        listener,
        settings,
        batches,
        clock,
        stop,
        counters,
    });
    if let Some(socket) = shared.listener.socket.datagrams() {
        return datagram::run(socket, &shared).await;
    }
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            () = shared.listener.closing.cancelled() => break,
            Some(ended) = connections.join_next() => note(&ended),
            accepted = shared.listener.socket.accept() => match accepted {
                Ok(accepted) if shared.is_full() => {
                    if let Accepted::Tcp(stream, _) = &accepted {
                        end_by_reset(&SockRef::from(stream));
                    }
                    shared.counters.refused_connections.fetch_add(1, Ordering::Relaxed);
                    shared.refusals.full(shared.settings.connections, shared.clock.instant());
                    drop(accepted);
                }
                Ok(accepted) => {
                    let open = Open::new(Arc::clone(&shared.counters));
                    connections.spawn(one(accepted, open, Arc::clone(&shared)));
                }
                Err(error) => {
                    shared.refusals.cannot_accept(&error, shared.clock.instant());
                    sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MILLIS)).await;
                }
            },
        }
    }
    while let Some(ended) = connections.join_next().await {
        note(&ended);
    }
}

async fn one(accepted: Accepted, _open: Open, shared: Arc<Shared>) {
    let Some(Entered { mut carrier, peer, _counted }) = enter::enter(accepted, &shared).await else { return };
    let spoken = match enter::spoken(&mut carrier, &shared).await {
        Ok(spoken) => spoken,
        Err(silent) => return silent.end(carrier, &shared).await,
    };
    // Boxed, because it is over before most of a connection's life begins.
    if spoken == Some(Spoken::Forward) && !Box::pin(greet::greet(&mut carrier, &peer, &shared)).await {
        return;
    }
    match spoken {
        // Boxed: else a silent connection of another protocol would be as large.
        Some(Spoken::Http) => Box::pin(http::run(carrier, false, &peer.into(), &shared)).await,
        Some(Spoken::Http2) => Box::pin(http::run(carrier, true, &peer.into(), &shared)).await,
        Some(Spoken::Tls) => enter::refuse_tls(carrier, &peer, &shared).await,
        spoken => connection::run(carrier, spoken, &peer, &shared).await,
    }
}

/// From now on the connection ends by a reset, even if the whole process is killed: an orderly end tells a client that
/// all it sent is committed, so only [`end_in_order`] allows one.
fn end_by_reset(socket: &SockRef<'_>) {
    linger(socket, Some(Duration::ZERO));
}

/// All that the client sent is committed, or it was told how far: it may see an orderly end.
fn end_in_order(socket: &SockRef<'_>) {
    linger(socket, None);
}

fn linger(socket: &SockRef<'_>, time: Option<Duration>) {
    if let Err(error) = socket.set_linger(time) {
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

#[cfg(test)]
mod tests;
