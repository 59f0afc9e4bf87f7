//! Looking in over HTTP, on the loopback: whether mag is well, what it counts, dead letters, tests of senders.
//!
//! It reads through connections of its own and changes nothing but by commands to the store's writer, so it can hold up
//! nobody. It answers only to loopback names and to no other web page, and what it shows of messages can never act.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::deliver::Health;
use crate::deliver::health::State;
use crate::ingest;
use crate::limits;
use crate::message::{Batch, Millis};
use crate::sender::Host;
use crate::store::{LookError, Store, Trouble};

mod answer;
mod change;
mod guard;
mod metrics;
mod page;
mod probe;
mod reload;
mod report;
mod turns;
mod usage;

pub use reload::{Loaded, LoadedReport, Reload, Reloaded, Unchanged};
pub use report::{
    At, Decided, DeliveryReport, Intake, LetterList, LetterReport, LetterTexts, Queued, Selection, SenderReport,
    SilenceList, SilenceMade, SilenceReport, SilenceWanted, SilencesNamed, Status, StoreReport,
};
use report::{Live, StoreSize};
use turns::{Turn, Turns};
pub use usage::{CallReport, LimitReport, UsageReport};

/// What there is to look at.
#[derive(Debug)]
pub struct Admin {
    /// Rows, and the way to change them.
    pub store: Store,
    /// Who takes messages in.
    pub intake: Arc<ingest::Counters>,
    /// To ask the engine for a sign of life; weak, because whoever can send keeps the engine waiting.
    pub batches: mpsc::WeakSender<Batch>,
    /// The senders of the config that mag runs with, by name.
    pub senders: watch::Receiver<Senders>,
    /// The config itself…
    pub loaded: watch::Receiver<Loaded>,
    /// …and the way to have it read again.
    pub reload: mpsc::Sender<Reload>,
    /// What the calls of plugins use.
    pub host: Host,
    /// The time for people.
    pub clock: Clock,
    /// When this mag started.
    pub started: Millis,
    /// Cancelled as soon as mag takes no more messages.
    pub stopping: CancellationToken,
}

/// Senders by name.
pub type Senders = BTreeMap<String, Seen>;

/// What is seen of a sender.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How it is doing.
    pub health: watch::Receiver<Health>,
    /// Told when a person asks it for something: it tries at once.
    pub look: Arc<Notify>,
}

impl Admin {
    /// How each sender of the config is doing, and the word for it: a store without any room keeps a sender that is well
    /// from telling.
    fn health(&self) -> BTreeMap<String, (Health, &'static str)> {
        let spent = self.store.trouble() == Some(Trouble::Spent);
        let word = |health: &Health| match health.state {
            State::Ready if spent => "no-room",
            state => state.as_str(),
        };
        let senders = self.senders.borrow();
        let now = senders.iter().map(|(name, seen)| (name.clone(), seen.health.borrow().clone()));
        now.map(|(name, health)| (name, (health.clone(), word(&health)))).collect()
    }

    /// What there is, in one answer.
    async fn status(&self) -> Result<Status, LookError> {
        let (overview, (bytes, wal_bytes)) =
            self.store.look(|reader| Ok((reader.overview()?, reader.sizes()?))).await?;
        let path = self.store.path().map(|path| path.display().to_string());
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let intake = Intake {
            connections: now(&self.intake.connections),
            messages: now(&self.intake.messages),
            refused_lines: now(&self.intake.refused_lines),
            refused_connections: now(&self.intake.refused_connections),
        };
        let live = Live {
            started: self.started,
            ready: probe::reason(self).unwrap_or_else(|| probe::READY.to_owned()),
            health: self.health(),
            intake,
            loaded: self.loaded.borrow().clone(),
        };
        Ok(Status::new(overview, Some(live), StoreSize { path, bytes, wal_bytes, commit: 0 }, self.clock.now()))
    }
}

/// Answers until `stop`, and then has a moment for the last answers; nothing of it is left. Once `closing`, whoever was let
/// in before is still answered.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>, closing: CancellationToken, stop: CancellationToken) {
    let (mut turns, mut connections) = (Turns::default(), JoinSet::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = closing.cancelled() => break,
            Some(ended) = connections.join_next() => note(&ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // One more is closed at once: whoever looks in asks again.
                    if turns.make_room() {
                        let turn = Turn::of_client(admin.clock.clone());
                        let task = connections.spawn(one(stream, Arc::clone(&admin), turn.clone()));
                        turns.push(turn, task);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "[admin] cannot accept connections");
                    sleep(Duration::from_millis(limits::ACCEPT_PAUSE_MILLIS)).await;
                }
            },
        }
    }
    drop(listener);
    let answered = async {
        while let Some(ended) = connections.join_next().await {
            note(&ended);
        }
    };
    let late = async {
        stop.cancelled().await;
        sleep(Duration::from_millis(limits::STOP_LINGER_MILLIS)).await;
    };
    tokio::select! {
        () = answered => {}
        () = late => {}
    }
    connections.shutdown().await;
}

fn note(ended: &Result<(), JoinError>) {
    // One that was turned away is cancelled.
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(%error, "a request to [admin] ended by a mistake of mag's own");
    }
}

/// One connection is one request, and has an end however slow its client is.
async fn one(stream: TcpStream, admin: Arc<Admin>, turn: Turn) {
    let service = service_fn(|mut request| {
        let (admin, turn) = (Arc::clone(&admin), turn.clone());
        async move {
            turn.is_mags();
            // Whoever reads the body waits for the client again.
            request.extensions_mut().insert(turn.clone());
            let answer = answer::answer(&admin, request).await;
            turn.is_clients();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::ADMIN_HEADER_SECONDS))
        .max_buf_size(limits::ADMIN_HEADER_BYTES)
        .max_headers(limits::ADMIN_HEADER_FIELDS)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(Duration::from_secs(limits::ADMIN_CONNECTION_SECONDS), connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to [admin] broke off"),
        Err(_) => tracing::debug!("a connection to [admin] took too long and was closed"),
    }
}
