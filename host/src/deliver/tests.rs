//! The sender's task over a real store, with tokio's clock paused and a plugin that answers by script.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::group::group_id;
use crate::matcher::Field;
use crate::message::{DEFAULT_KIND, Group, Labels, Message, Reason};
use crate::sender::{FailureKind, Fault};
use crate::store::{self, Attempted, Changes, Closed, Outcome, Routing};

mod attempts;
mod clock;
mod pace;
mod prepared;
mod stop;
mod trouble;

const NOON: u64 = 1_700_000_000_000;
/// How exactly a test sees when something happens.
const STEP: Duration = Duration::from_millis(50);

/// How the plugin answers a call.
enum Answer {
    Delivered,
    Failed(Failure),
    /// Not before the test is over.
    Never,
}

/// A call of `send`, as the plugin saw it.
struct Call {
    at: Instant,
    state: Vec<u8>,
    told: Notification,
}

impl Call {
    /// Of the first group: tests tell one at a time.
    fn text(&self) -> &str {
        self.told.groups.first().map_or("", |group| group.text.as_str())
    }
}

type Script<I, O> = Arc<dyn Fn(I) -> O + Send + Sync>;

/// Answers by script and says what it was called with.
struct Fake {
    send: Script<Notification, Answer>,
    /// Given how often it was called before.
    prepare: Script<u32, Result<Prepared, Failure>>,
    prepares: Arc<AtomicU32>,
    calls: mpsc::Sender<Call>,
}

impl Plugin for Fake {
    async fn prepare(&self) -> Result<Prepared, Failure> {
        // A real one waits for its destination, so others run meanwhile.
        tokio::task::yield_now().await;
        (self.prepare)(self.prepares.fetch_add(1, Ordering::Relaxed))
    }

    async fn send(&self, state: &[u8], n: &Notification) -> Result<Delivered, Failure> {
        let call = Call { at: Instant::now(), state: state.to_vec(), told: n.clone() };
        assert!(self.calls.try_send(call).is_ok(), "the test looks at the calls");
        match (self.send)(n.clone()) {
            Answer::Delivered => Ok(Delivered::default()),
            Answer::Failed(failure) => Err(failure),
            Answer::Never => std::future::pending().await,
        }
    }
}

fn failure(kind: FailureKind) -> Failure {
    let (code, message) = ("code".to_owned(), "sender hook: no".to_owned());
    Failure { kind, code, message, after: None, maybe_delivered: false, progress: None, fault: None }
}

fn failed(kind: FailureKind) -> Answer {
    Answer::Failed(failure(kind))
}

/// To be tried again after that time.
fn retry_after(seconds: u64) -> Answer {
    Answer::Failed(Failure { after: Some(Duration::from_secs(seconds)), ..failure(FailureKind::Retry) })
}

fn prepared(state: u32, valid_for: Option<Duration>) -> Result<Prepared, Failure> {
    Ok(Prepared { state: state.to_le_bytes().to_vec(), valid_for })
}

/// Keeps tokio from moving the paused clock by itself whenever all tasks wait for the store's thread.
struct StillTime {
    _held: std::sync::mpsc::SyncSender<()>,
}

impl StillTime {
    fn new() -> Self {
        let (held, ended) = std::sync::mpsc::sync_channel::<()>(0);
        tokio::task::spawn_blocking(move || ended.recv().expect_err("nothing is ever sent"));
        Self { _held: held }
    }
}

/// What differs between tests; a run can be started with it any number of times.
#[derive(Clone)]
struct Setup {
    settings: Settings,
    path: Option<PathBuf>,
    clock: Clock,
    send: Script<Notification, Answer>,
    prepare: Script<u32, Result<Prepared, Failure>>,
}

impl Setup {
    /// One group a notification, no budget, in memory.
    fn new(send: impl Fn(Notification) -> Answer + Send + Sync + 'static) -> Self {
        // Waits are drawn at random on this thread: two that end in one step would change the order of calls.
        fastrand::seed(1);
        let settings = Settings {
            name: "hook".to_owned(),
            plugin: "fake 0.1.0".to_owned(),
            max_groups: 1,
            split: true,
            rate: None,
            burst: 3,
            living: None,
            concurrency: 1,
            timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(24 * 60 * 60),
            fallback: None,
        };
        let prepare = Arc::new(|before| prepared(before, None));
        Self { settings, path: None, clock: Clock::derived(NOON), send: Arc::new(send), prepare }
    }

    fn preparing(self, prepare: impl Fn(u32) -> Result<Prepared, Failure> + Send + Sync + 'static) -> Self {
        Self { prepare: Arc::new(prepare), ..self }
    }

    fn at(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    fn start(&self) -> Run {
        let mut routing = Routing::new(&["hook".to_owned()]);
        routing.add("root".into(), vec!["hook".to_owned()]);
        let settings = store::Settings::new(self.path.as_deref());
        let names = ["hook".to_owned(), "mail".to_owned()];
        let opened = store::open(&settings, &routing, &names, self.clock.clone());
        let (store, writer, found) = opened.expect("the store opens");
        let ago = |began: u64| Duration::from_millis(self.clock.now().saturating_sub(began));
        let spent = found.attempts.into_iter().map(|(_, began)| ago(began)).collect();
        let unfinished = found.deliveries.clone();
        let paused_until = found.paused.into_iter().find(|(sender, _)| sender == "hook").map(|(_, until)| until);
        let last_delivered = found.last_delivered.into_iter().find(|(sender, _)| sender == "hook").map(|(_, at)| at);
        let resume = Resume { deliveries: found.deliveries, spent, paused_until, last_delivered };
        let (calls, called) = mpsc::channel(1_000);
        let prepares = Arc::new(AtomicU32::new(0));
        let (send, prepare) = (Arc::clone(&self.send), Arc::clone(&self.prepare));
        let plugin = Fake { send, prepare, prepares: Arc::clone(&prepares), calls };
        let stop = CancellationToken::new();
        let (shown, health) = watch::channel(Health::default());
        let (look, store_of_task, clock) = (Arc::<Notify>::default(), store.clone(), self.clock.clone());
        let surroundings = Surroundings {
            store: store_of_task,
            clock,
            stop: stop.clone(),
            ending: stop.clone(),
            settled: CancellationToken::new(),
            health: shown,
            look: Arc::clone(&look),
        };
        let task = tokio::spawn(run(plugin, None, self.settings.clone(), resume, surroundings));
        Run { _still: StillTime::new(), store, writer, called, prepares, stop, task, unfinished, health, look }
    }
}

/// A sender's task, from start to stop.
struct Run {
    _still: StillTime,
    store: Store,
    writer: store::Running,
    called: mpsc::Receiver<Call>,
    prepares: Arc<AtomicU32>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    /// What the start found.
    unfinished: Vec<Delivery>,
    /// What others see of it.
    health: watch::Receiver<Health>,
    look: Arc<Notify>,
}

impl Run {
    /// A window of this text closes.
    async fn close(&self, text: &str, count: u64) {
        let message = Message {
            text: text.to_owned(),
            kind: DEFAULT_KIND.into(),
            severity: None,
            labels: Labels::default(),
            source: "".into(),
        };
        let group = Group {
            id: group_id("root", &[Field::Text], &message),
            route: "root".into(),
            kind: message.kind.into(),
            source: None,
            text: message.text,
            severity: None,
            labels: message.labels,
            annotations: Labels::default(),
            count,
            total: count,
            first_seen: NOON,
            last_seen: NOON,
            opened: NOON,
            closed: NOON,
            samples: Vec::new(),
            reason: Reason::Count,
        };
        let changes = Changes { closed: vec![Closed { row: 0, added: count, group }], ..Changes::default() };
        self.store.change(changes).await.expect("the store runs");
    }

    /// Lets the task do all that it can do without waiting for a time.
    async fn settle(&self) {
        for _ in 0..4 {
            // When this is answered, so is all that was asked before.
            self.store.trim(0).await.expect("the store runs");
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// The next call, and when it comes; `None` when it does not come in that time.
    async fn within(&mut self, time: Duration) -> Option<Call> {
        self.in_steps(STEP, time).await
    }

    async fn in_steps(&mut self, step: Duration, time: Duration) -> Option<Call> {
        let until = Instant::now() + time;
        loop {
            self.settle().await;
            match self.called.try_recv() {
                Ok(call) => return Some(call),
                Err(_) if Instant::now() >= until => return None,
                Err(_) => tokio::time::advance(step.min(until - Instant::now())).await,
            }
        }
    }

    /// The call that comes without any waiting, however often the task asks the store first.
    async fn now(&mut self) -> Call {
        for _ in 0..100 {
            if let Some(call) = self.within(Duration::ZERO).await {
                return call;
            }
        }
        panic!("no call came at once");
    }

    /// The next call and how long it took to come.
    async fn next(&mut self) -> (Call, Duration) {
        let before = Instant::now();
        let call = self.within(Duration::from_secs(400)).await.expect("a call");
        let waited = call.at - before;
        (call, waited)
    }

    fn prepares(&self) -> u32 {
        self.prepares.load(Ordering::Relaxed)
    }

    /// Stops everything; what was asked of the store is in it then.
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the task does not panic");
        drop(self.store);
        self.writer.wait();
    }
}

/// A file for one test; the folder goes with it.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mag.db");
    (folder, path)
}

#[track_caller]
fn balanced(path: &Path) {
    assert_eq!(store::verify(path).expect("the file reads"), Vec::<String>::new());
}

/// The seconds, for what only a step's length makes inexact.
#[track_caller]
fn about(waited: Duration, least: u64, most: u64) {
    let range = Duration::from_secs(least)..=Duration::from_secs(most) + STEP * 2;
    assert!(range.contains(&waited), "{waited:?}, not {least} to {most} s");
}
