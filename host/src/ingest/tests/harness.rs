//! An ingest that runs, a client's side of a connection, and an engine that only counts and confirms.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::ingest::{Addresses, Bound, Counters, Flight, Listener, Settings, serve};
use crate::limits;
use crate::message::{Ack, Batch, Entry, Learned};

/// A running ingest and the engine behind it.
pub(super) struct Mag {
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) counters: Arc<Counters>,
    pub(super) serving: JoinHandle<()>,
    pub(super) engine: Arc<Engine>,
}

/// Counts what comes, and confirms it when it may.
#[derive(Default)]
pub(super) struct Engine {
    pub(super) entries: Mutex<Vec<Entry>>,
    pub(super) came: Notify,
    pub(super) may_confirm: CancellationToken,
}

impl Engine {
    pub(super) async fn run(self: Arc<Self>, mut batches: mpsc::Receiver<Batch>) {
        let mut acks: Vec<Ack> = Vec::new();
        let mut learned = Learned::default();
        loop {
            tokio::select! {
                batch = batches.recv() => {
                    let Some(batch) = batch else { break };
                    let numbered = learned.entries(batch.numbered);
                    self.entries.lock().unwrap().extend(batch.entries.into_iter().chain(numbered));
                    self.came.notify_waiters();
                    acks.extend(batch.ack);
                }
                () = self.may_confirm.cancelled(), if !acks.is_empty() => {}
            }
            if self.may_confirm.is_cancelled() {
                acks.drain(..).for_each(Ack::confirm);
            }
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for entry in self.entries.lock().unwrap().iter() {
            *counts.entry(entry.message.text.clone()).or_default() += entry.count;
        }
        counts
    }

    pub(super) fn total(&self) -> u64 {
        self.entries.lock().unwrap().iter().map(|entry| entry.count).sum()
    }

    /// Waits until so many messages came.
    pub(super) async fn has(&self, count: u64) {
        loop {
            let came = self.came.notified();
            if self.total() >= count {
                return;
            }
            came.await;
        }
    }
}

pub(super) async fn start(connections: usize, confirms: bool) -> Mag {
    let engine = Arc::new(Engine::default());
    if confirms {
        engine.may_confirm.cancel();
    }
    let (batches, receiver) = mpsc::channel(limits::BATCH_QUEUE);
    tokio::spawn(Arc::clone(&engine).run(receiver));
    start_with(connections, batches, engine).await
}

pub(super) async fn start_with(connections: usize, batches: mpsc::Sender<Batch>, engine: Arc<Engine>) -> Mag {
    start_in(Flight::new(32 * 1024 * 1024), connections, batches, engine).await
}

/// With as little memory for all connections as `flight` allows.
pub(super) async fn start_in(
    flight: Flight,
    connections: usize,
    batches: mpsc::Sender<Batch>,
    engine: Arc<Engine>,
) -> Mag {
    let settings = Settings { connections, flight, ..settings() };
    let (bound, address) = tcp().await;
    start_at(Listener::plain(bound), address, settings, batches, engine)
}

/// A port with these rules, and an engine that confirms everything.
pub(super) async fn start_as(settings: Settings, rules: impl FnOnce(&mut Listener)) -> Mag {
    let engine = Arc::new(Engine::default());
    engine.may_confirm.cancel();
    let (batches, receiver) = mpsc::channel(limits::BATCH_QUEUE);
    tokio::spawn(Arc::clone(&engine).run(receiver));
    let (bound, address) = tcp().await;
    let mut listener = Listener::plain(bound);
    rules(&mut listener);
    start_at(listener, address, settings, batches, engine)
}

/// What most tests need.
pub(super) fn settings() -> Settings {
    Settings {
        connections: 9,
        addresses: Addresses::default(),
        idle_timeout: None,
        line: limits::TEXT_BYTES,
        flight: Flight::new(32 * 1024 * 1024),
        desk: None,
    }
}

async fn tcp() -> (Bound, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (Bound::Tcp(listener), address)
}

fn start_at(
    listener: Listener,
    address: SocketAddr,
    settings: Settings,
    batches: mpsc::Sender<Batch>,
    engine: Arc<Engine>,
) -> Mag {
    let (stop, counters) = (CancellationToken::new(), Arc::new(Counters::default()));
    let serving =
        tokio::spawn(serve(listener, settings, batches, Clock::system(), stop.clone(), Arc::clone(&counters)));
    Mag { address, stop, counters, serving, engine }
}

impl Mag {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends all of it, shuts down writing, and gives back all that is answered until the end.
    pub(super) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes.as_ref()).await.unwrap();
        client.shutdown().await.unwrap();
        rest(&mut client).await
    }

    pub(super) async fn stopped(self) -> Arc<Engine> {
        self.stop.cancel();
        soon(self.serving).await.unwrap();
        self.engine
    }

    pub(super) fn counted(&self, counter: fn(&Counters) -> &AtomicU64) -> u64 {
        counter(&self.counters).load(Ordering::Relaxed)
    }
}

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(120), future).await.expect("done within 120 s")
}

/// Lets the clock go on by so much, and by no more: a test whose clock stands still would move it whenever all tasks
/// wait, also while bytes are on their way.
pub(super) async fn passes(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// What is answered to such pieces, of which one comes each second, until the end of the connection.
pub(super) async fn trickle<'p>(client: TcpStream, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let (mut read, mut write) = client.into_split();
    let pieces = async {
        for piece in pieces {
            passes(Duration::from_secs(1)).await;
            if write.write_all(piece).await.is_err() {
                break;
            }
            // Others have a turn.
            sleep(Duration::from_millis(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut told = Vec::new();
    let ended = async {
        tokio::select! {
            // The end may be a reset, behind all that was told.
            read = read.read_to_end(&mut told) => drop(read),
            () = pieces => {}
        }
    };
    soon(ended).await;
    told
}

pub(super) async fn rest(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    soon(client.read_to_string(&mut text)).await.unwrap();
    text
}

/// Waits for the end of a connection to which nothing was promised: a reset, so that nobody takes it for a commit.
pub(super) async fn cut_off(client: &mut TcpStream) {
    let ended = soon(client.read_u8()).await.expect_err("nothing is answered");
    assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);
}

/// Reads up to and with the next LF.
pub(super) async fn line(client: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while text.last() != Some(&b'\n') {
        text.push(soon(client.read_u8()).await.unwrap());
    }
    String::from_utf8(text).unwrap()
}
