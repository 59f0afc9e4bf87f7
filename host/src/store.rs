//! What survives: windows, queue, deliveries, ledger. The only module that knows SQL.
//!
//! **One writer thread** owns the one connection that writes and checkpoints; everybody else sends commands and waits
//! for the answer, which never comes before the commit returned. Reading at a start happens before the thread exists.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rusqlite::ErrorCode;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::timestamp::context::ContextV7;
use uuid::{Timestamp, Uuid};

use crate::alerts::Alert;
use crate::clock;
use crate::ids::{Ids, Memory};
use crate::limits;
use crate::message::{GroupId, Millis};
use crate::silence::Silences;
use crate::telemetry::metrics::Metrics;

mod alerts;
mod audit;
mod backup;
mod bury;
mod changes;
mod damage;
mod deliveries;
mod delivery;
mod error;
mod escalate;
mod file;
mod filling;
mod freeze;
mod full;
mod health;
mod identities;
mod ledger;
mod left;
mod letters;
mod lock;
mod look;
mod mark;
mod noted;
mod queue;
mod receipts;
mod reserve;
mod room;
mod routing;
mod rows;
mod schema;
mod settings;
mod silences;
mod start;
mod tested;
#[cfg(test)]
mod tests;
mod trim;
mod wal;
mod windows;
mod writer;

pub use backup::{BackupError, backup};
pub use changes::{Changes, Clock, Closed, SavedClock, SavedWindow, SweepPart, WindowChange};
pub use delivery::{Attempted, Delivery, Escalation, Freeze, Outcome, Tries};
pub use error::OpenError;
pub use file::check_place;
pub use left::Left;
pub use letters::{Deed, LetterError, Moved, Which};
pub use look::{
    Account, AttemptLine, DeliveryLine, Facts, GroupLine, Letter, LetterPage, LookError, Looked, OpenRoute, Overview,
    Reader, SenderLine, holder, look,
};
pub use noted::Noted;
pub use routing::Routing;
pub use settings::Settings;
pub use silences::{SilenceError, SilenceWish};
pub use tested::TEST_TEXT;
pub use trim::Trimmed;

use file::{Opened, Wanted, open_file};
use full::Fullness;
use lock::beside;
use mark::Watch;
use room::{Room, RoomLog};
use writer::{Command, Writer};

/// The store no longer answers: it failed, or mag is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store has stopped")]
pub struct Stopped;

/// What a commit waits for; nothing is lost, nothing is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Somebody else writes the file.
    #[error("is locked by another program")]
    Busy,
    /// There is no room for anything new; what is there goes on being told.
    #[error("has no room: the disk is full, or `[limits] store` is reached; nothing new is taken in")]
    Full,
    /// Nor is there for telling what is there.
    #[error("has no room, not even to tell what waits: the disk is full, or `[limits] store` is reached")]
    Spent,
}

impl Trouble {
    /// Whether it is want of room.
    #[must_use]
    pub fn is_full(self) -> bool {
        matches!(self, Self::Full | Self::Spent)
    }
}

/// What a start found in the file.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Windows that go on.
    pub windows: Vec<SavedWindow>,
    /// Clocks that were running.
    pub clocks: Vec<SavedClock>,
    /// Deliveries that go on.
    pub deliveries: Vec<Delivery>,
    /// Sender and time of the attempts of the last minutes.
    pub attempts: Vec<(String, Millis)>,
    /// Senders whose destination asked to be left alone, and until when.
    pub paused: Vec<(String, Millis)>,
    /// When each sender last delivered something.
    pub last_delivered: Vec<(String, Millis)>,
    /// Deliveries that went to the dead letters because their sender is gone.
    pub buried: u64,
    /// The row of the next window.
    pub next_row: i64,
    /// The ids that came before.
    pub ids: Ids,
    /// Messages that each route ever took in.
    pub accepted: Vec<(String, u64)>,
    /// Alerts that fire.
    pub alerts: Vec<Alert>,
}

/// A commit that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number; one sequence orders all of them.
    pub seq: u64,
    /// How long it took, so that the engine can leave the disk nine times as long in peace.
    pub took: Duration,
    /// Groups that a silence kept from being told.
    pub held: Vec<GroupId>,
}

thread_local! {
    /// Counts ids of one millisecond, so that they sort in the order in which they were made.
    static IDS: ContextV7 = const { ContextV7::new() };
}

/// A new delivery's id: UUID version 7 (RFC 9562), so that ids sort by time.
fn new_delivery_id(now: Millis) -> String {
    let nanos = u32::try_from(now % 1_000).unwrap_or(0) * 1_000_000;
    IDS.with(|ids| Uuid::new_v7(Timestamp::from_unix(ids, now / 1_000, nanos)).to_string())
}

/// A handle to the writer. Clones are cheap; the writer stops when the last one is gone.
#[derive(Clone, Debug)]
pub struct Store {
    commands: mpsc::Sender<Command>,
    failed: watch::Receiver<Option<String>>,
    trouble: watch::Receiver<Option<Trouble>>,
    silences: watch::Receiver<Silences>,
    metrics: Metrics,
    /// `None` for a store that has no file.
    path: Option<Arc<Path>>,
}

/// Waits for the writer thread's end, and holds the lock until then.
#[derive(Debug)]
pub struct Running {
    thread: thread::JoinHandle<()>,
    _lock: Option<lock::Lock>,
}

impl Running {
    /// Returns when the last command is committed; all handles must be gone before.
    pub fn wait(self) {
        if self.thread.join().is_err() {
            tracing::error!("the store's writer panicked");
        }
    }
}

/// Opens or makes the file, fits it to the config and starts the writer.
///
/// # Errors
///
/// The file is in use, is not mag's, is newer, is damaged, or cannot be read or written.
pub fn open(
    settings: &Settings,
    routing: &Routing,
    senders: &[String],
    clock: clock::Clock,
) -> Result<(Store, Running, Recovered), OpenError> {
    let nobody: Watch = Arc::new(|_deed, _bytes| {});
    open_with(settings, routing, senders, clock, &nobody)
}

/// The same, with who hears of what is done to the files past SQLite.
fn open_with(
    settings: &Settings,
    routing: &Routing,
    senders: &[String],
    clock: clock::Clock,
    watch: &Watch,
) -> Result<(Store, Running, Recovered), OpenError> {
    let path = settings.path.as_deref();
    path.map(check_place).transpose()?;
    let lock = path.map(lock::take).transpose()?;
    let wanted = Wanted { routing, senders, clock: &clock };
    let mut opened = open_file(settings, &wanted, watch);
    if let (true, Some(path), Err(OpenError::Damaged { what, .. })) = (settings.replace_damaged, path, &opened) {
        let aside = damage::move_aside(path, &clock)?;
        tracing::error!("the store {} is damaged: {what}", path.display());
        tracing::error!("the damaged store is now {}, a new one is begun", aside.display());
        opened = open_file(settings, &wanted, watch);
    }
    let Opened { conn, reserve, mark, routing, recovered, pages, silences } = match opened {
        Ok(opened) => opened,
        Err(error) => {
            if let (Some(lock), OpenError::NotADatabase { .. } | OpenError::NotOurs { .. }) = (lock, &error) {
                lock.undo();
            }
            return Err(error);
        }
    };
    // From here on the writer waits by itself, and says so.
    conn.busy_timeout(Duration::ZERO)?;
    let (commands, receiver) = mpsc::channel(limits::STORE_QUEUE);
    let (failed, watch_failed) = watch::channel(None);
    let (trouble, watch_trouble) = watch::channel(None);
    let (silences, watch_silences) = watch::channel(silences);
    let metrics = Metrics::default();
    let writer = Writer {
        log_growth: wal::Growth::new(settings.path.as_deref(), clock.instant()),
        conn,
        routing,
        clock,
        failed,
        trouble,
        metrics: metrics.clone(),
        known: senders.iter().cloned().collect(),
        armed: HashMap::new(),
        sweeping: HashSet::new(),
        silences,
        room: Room::new(settings.queue),
        room_log: RoomLog::default(),
        trim: limits::TRIM_ROWS,
        trimming: trim::Place::default(),
        full_pause: settings.full_pause,
        was_bounded: pages.is_some(),
        pages,
        reserve,
        fullness: Fullness::of(settings),
        held: None,
        mark,
        path: settings.path.clone(),
    };
    let thread = thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writer.run(receiver))
        .map_err(|source| OpenError::File { path: "a thread".to_owned(), source })?;
    let path = settings.path.as_deref().map(Arc::from);
    Ok((
        Store { commands, failed: watch_failed, trouble: watch_trouble, silences: watch_silences, metrics, path },
        Running { thread, _lock: lock },
        recovered,
    ))
}

/// Whether another connection holds the file; trying again helps. What SQLite calls a failed locking protocol is that too:
/// it comes when a hundred tries to begin a transaction found a lock held, so before anything was read or written.
fn is_busy(error: &rusqlite::Error) -> bool {
    use ErrorCode::{DatabaseBusy, DatabaseLocked, FileLockingProtocolFailed};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked | FileLockingProtocolFailed))
}

/// Checks a store's file and its ledger against its rows, reading only, while mag runs or not; returns one sentence for
/// each thing that is wrong.
///
/// # Errors
///
/// The file cannot be read.
pub fn verify(path: &Path) -> Result<Vec<String>, LookError> {
    look(path, |reader| reader.verify())
}

impl Store {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (answer, mut answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_stopped| Stopped)?;
        tokio::select! {
            biased;
            answer = &mut answered => answer.map_err(|_stopped| Stopped),
            // A command that came just when the writer stopped may lie in the channel for ever.
            () = self.commands.closed() => answered.try_recv().map_err(|_none| Stopped),
        }
    }

    /// Writes what the engine counted and closed; returns when it is on disk.
    ///
    /// # Errors
    ///
    /// The store stopped; whether the changes are on disk is unknown.
    pub async fn change(&self, changes: Changes) -> Result<Committed, Stopped> {
        self.ask(|done| Command::Change { changes, done }).await
    }

    /// Asks for the sender's next delivery: its first attempt is begun when the answer comes, however late.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn arm(&self, freeze: Freeze) -> Result<oneshot::Receiver<Delivery>, Stopped> {
        let (frozen, receiver) = oneshot::channel();
        self.commands.send(Command::Arm { freeze, frozen }).await.map_err(|_stopped| Stopped)?;
        Ok(receiver)
    }

    /// Takes [`Store::arm`] back. After the answer the receiver either holds a delivery already or never will.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn disarm(&self, sender: String) -> Result<(), Stopped> {
        self.ask(|done| Command::Disarm { sender, done }).await
    }

    /// Begins the attempt that `delivery` stands at.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn begin(&self, delivery: Delivery) -> Result<(), Stopped> {
        self.ask(|done| Command::Begin { delivery, done }).await
    }

    /// Writes how an attempt ended.
    ///
    /// # Errors
    ///
    /// The store stopped; at the next start the attempt counts as one whose outcome is unknown.
    pub async fn finish(&self, attempted: Attempted) -> Result<(), Stopped> {
        self.ask(|done| Command::Finish { attempted, done }).await
    }

    /// Replays or drops dead letters, at most [`limits::LETTERS`] in one transaction; a sender whose letters are replayed
    /// takes them as soon as it is free.
    ///
    /// # Errors
    ///
    /// The store stopped; or the letters are not there, or their sender is not, and then nothing was done.
    pub async fn letters(&self, which: Which, deed: Deed) -> Result<Result<Moved, LetterError>, Stopped> {
        let mut request = letters::Request { which, deed, after: String::new() };
        let mut all = Moved::default();
        loop {
            let part = request.clone();
            match self.ask(|done| Command::Letters { request: part, done }).await? {
                Ok(moved) => all.add(moved),
                Err(error) => return Ok(Err(error)),
            }
            match all.more_after.take() {
                Some(last) => request.after = last,
                None => return Ok(Ok(all)),
            }
        }
    }

    /// Queues a test notification for a sender, which is dropped if it is not begun while it is waited for; returns the
    /// delivery's id.
    ///
    /// # Errors
    ///
    /// The store stopped, or the sender is not there.
    pub async fn test(&self, sender: String, wait: Duration) -> Result<Result<String, LetterError>, Stopped> {
        self.ask(|done| Command::Test { sender, wait, done }).await
    }

    /// Looks at what is committed: through a connection of its own, or, for a store without a file, between two commits.
    ///
    /// # Errors
    ///
    /// The store stopped, or its file cannot be read.
    pub async fn look<T: Send + 'static>(
        &self,
        looking: impl FnOnce(&Reader<'_>) -> Result<T, LookError> + Send + 'static,
    ) -> Result<T, LookError> {
        let Some(path) = self.path.clone() else {
            let looked = self.ask(|done| {
                Command::Look(Box::new(move |conn| {
                    if done.send(looking(&Reader::new(conn))).is_err() {
                        tracing::debug!("nobody waits any more for what was looked up");
                    }
                }))
            });
            return looked.await?;
        };
        tokio::task::spawn_blocking(move || look(&path, looking)).await.map_err(|_broke_off| Stopped)?
    }

    /// Its file; `None` for `:memory:`.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// All silences as of the last commit, but for how much they held.
    #[must_use]
    pub fn silences(&self) -> Silences {
        self.silences.borrow().clone()
    }

    /// What is counted while mag works.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What a commit waits for right now.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        *self.trouble.borrow()
    }

    /// The same, to wait for it to change.
    #[must_use]
    pub fn watch_trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.clone()
    }

    /// SQLite's words when the store has failed.
    #[must_use]
    pub fn has_failed(&self) -> Option<String> {
        self.failed.borrow().clone()
    }

    /// Lets another sender tell what this one cannot, as far as it was not told already; returns how many notifications
    /// that makes. What waits goes on waiting.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn escalate(&self, escalation: Escalation) -> Result<usize, Stopped> {
        self.ask(|done| Command::Escalate { escalation, done }).await
    }

    /// Fits the file to other routes and senders, as a start does, but buries nothing, and lets so much wait for each
    /// sender from now on; returns the messages that each route
    /// ever took in. Whoever asks has said everything of the routes that were.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn refit(&self, routing: Routing, known: Vec<String>, queue: u64) -> Result<Vec<(String, u64)>, Stopped> {
        self.ask(|done| Command::Refit { routing, known, queue, done }).await
    }

    /// Lets the file become so large from now on, also while there is no room: what waits is tried again at once. What is
    /// in the file stays.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn rebound(&self, max_bytes: Option<u64>) -> Result<(), Stopped> {
        self.ask(|done| Command::Rebound { max_bytes, done }).await
    }

    /// Moves what is left of a sender that is gone to the dead letters, a bounded number of notifications; returns how
    /// many, none for a sender that came back.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn bury(&self, sender: String) -> Result<u64, Stopped> {
        self.ask(|done| Command::Bury { sender, done }).await
    }

    /// What a sender's task left behind that ended, between two commits.
    ///
    /// # Errors
    ///
    /// The store stopped, or its file cannot be read.
    pub async fn left(&self, sender: String, now: Millis) -> Result<Left, LookError> {
        let read = self.ask(|done| {
            Command::Look(Box::new(move |conn| {
                if done.send(left::read(conn, &sender, now, start::BUDGET_MILLIS)).is_err() {
                    tracing::debug!("nobody waits any more for what a sender left");
                }
            }))
        });
        Ok(read.await??)
    }

    /// Forgets what was told before `before`, a bounded number of rows.
    ///
    /// # Errors
    ///
    /// The store stopped.
    pub async fn trim(&self, before: Millis) -> Result<Trimmed, Stopped> {
        self.ask(|done| Command::Trim { before, done }).await
    }

    /// Returns when the store failed, with SQLite's words; while this handle is there it cannot stop in order.
    pub async fn failure(&self) -> String {
        let mut failed = self.failed.clone();
        loop {
            if let Some(error) = failed.borrow_and_update().clone() {
                return error;
            }
            if failed.changed().await.is_err() && failed.borrow().is_none() {
                return "its writer broke off".to_owned();
            }
        }
    }
}
