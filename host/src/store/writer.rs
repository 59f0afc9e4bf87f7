//! The one thread that writes: takes what commands are waiting, makes one transaction of them, then answers all.
//!
//! It never answers before the commit returned. A busy file is waited for, so is a full disk (`full.rs`); every other
//! error of a commit means that nobody knows what is on disk, so the writer stops for good and mag comes back through recovery.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::full::{Fullness, HELD_PAUSE, Held, Leaves};
use super::ledger::Moves;
use super::mark::Mark;
use super::reserve::Reserve;
use super::room::{Room, RoomLog};
use super::wal::Growth;
use super::windows::Books;
use super::{
    Attempted, Changes, Committed, Delivery, Escalation, Freeze, LetterError, Moved, Routing, SilenceError,
    SilenceWish, Trimmed, Trouble, bury, deliveries, escalate, freeze, is_busy, ledger, letters, silences, start,
    tested, trim, windows,
};
use crate::clock::{Clock, as_millis};
use crate::limits;
use crate::message::{GroupId, Millis};
use crate::silence::Silences;
use crate::telemetry::metrics::Metrics;

/// Everything that changes the store.
pub(super) enum Command {
    /// What the engine counted and closed.
    Change { changes: Changes, done: oneshot::Sender<Committed> },
    /// The sender is idle and within its budget: freeze the next delivery for it as soon as there is one.
    Arm { freeze: Freeze, frozen: oneshot::Sender<Delivery> },
    /// No longer; answered when it can no longer happen.
    Disarm { sender: String, done: oneshot::Sender<()> },
    /// Another attempt begins.
    Begin { delivery: Delivery, done: oneshot::Sender<()> },
    /// An attempt ended.
    Finish { attempted: Attempted, done: oneshot::Sender<()> },
    /// A person decided about dead letters.
    Letters { request: letters::Request, done: oneshot::Sender<Result<Moved, LetterError>> },
    /// A person makes, changes or ends a silence.
    Silence { wish: SilenceWish, done: oneshot::Sender<Result<String, SilenceError>> },
    /// A person wants to see a sender work.
    Test { sender: String, wait: Duration, done: oneshot::Sender<Result<String, LetterError>> },
    /// Somebody reads a store that has no file to read; changes nothing.
    Look(Box<dyn FnOnce(&Connection) + Send>),
    /// Another sender shall tell what this one cannot.
    Escalate { escalation: Escalation, done: oneshot::Sender<usize> },
    /// The config has other routes or senders now; answered with the messages that each route ever took in.
    Refit { routing: Routing, known: Vec<String>, queue: u64, done: oneshot::Sender<Vec<(String, u64)>> },
    /// A sender is gone, and so is what it was doing: some of what is left goes to the dead letters.
    Bury { sender: String, done: oneshot::Sender<u64> },
    /// The file may become so large from now on; changes no row.
    Rebound { max_bytes: Option<u64>, done: oneshot::Sender<()> },
    /// Forget what was told before then.
    Trim { before: Millis, done: oneshot::Sender<Trimmed> },
}

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) routing: Routing,
    pub(super) clock: Clock,
    pub(super) failed: watch::Sender<Option<String>>,
    /// What a commit waits for right now.
    pub(super) trouble: watch::Sender<Option<Trouble>>,
    pub(super) metrics: Metrics,
    /// The senders of the config.
    pub(super) known: HashSet<String>,
    /// Senders that wait for something to tell.
    pub(super) armed: HashMap<String, (Freeze, oneshot::Sender<Delivery>)>,
    /// Sweeps whose last part is still to come: their rows are not ready.
    pub(super) sweeping: HashSet<u64>,
    /// All silences, also for whoever shows what they keep from being told.
    pub(super) silences: watch::Sender<Silences>,
    /// What waits for each sender.
    pub(super) room: Room,
    pub(super) room_log: RoomLog,
    /// Rows trimmed in one transaction, so that nobody waits long for it.
    pub(super) trim: u32,
    /// How far trimming came.
    pub(super) trimming: trim::Place,
    /// Between two tries while the disk is full.
    pub(super) full_pause: Duration,
    /// Pages that the file may have, if it has a bound.
    pub(super) pages: Option<u32>,
    /// Whether it ever had one.
    pub(super) was_bounded: bool,
    pub(super) reserve: Reserve,
    pub(super) fullness: Fullness,
    /// Commands that wait for room on the disk.
    pub(super) held: Option<Held>,
    /// How far the store came, outside of it.
    pub(super) mark: Mark,
    /// The file, if there is one.
    pub(super) path: Option<PathBuf>,
    pub(super) log_growth: Growth,
}

/// What counts from a commit on.
struct Refit {
    routing: Routing,
    known: HashSet<String>,
    /// Messages that each route ever took in.
    accepted: Vec<(String, u64)>,
}

impl Refit {
    /// Fits the file to these routes and senders.
    fn to(conn: &Connection, routing: &Routing, known: &[String]) -> rusqlite::Result<Self> {
        let routing = start::fit(conn, routing, known)?;
        Ok(Self { routing, known: known.iter().cloned().collect(), accepted: ledger::accepted(conn)? })
    }
}

/// What a transaction did, kept apart until it is committed.
#[derive(Default)]
pub(super) struct Effects {
    seq: u64,
    /// In the order of the armed senders that got something.
    frozen: Vec<Delivery>,
    /// Of each wish to trim, in the order of the batch.
    trimmed: VecDeque<Trimmed>,
    refit: Option<Refit>,
    /// Of each burial, in the order of the batch.
    buried: VecDeque<u64>,
    /// What a person decided, in the order of the batch.
    letters: VecDeque<Result<Moved, LetterError>>,
    tests: VecDeque<Result<String, LetterError>>,
    silences: VecDeque<Result<String, SilenceError>>,
    /// Groups that silences held in each change, in the order of the batch.
    held: VecDeque<Vec<GroupId>>,
    /// Of each escalation, in the order of the batch.
    escalated: VecDeque<usize>,
}

impl Writer {
    /// Runs until every handle is gone or the store failed.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(batch) = self.next(&mut commands) {
            if let Err(error) = self.write(batch) {
                tracing::error!(%error, "the store failed, what is on disk is unknown: stopping, start mag again");
                self.failed.send_replace(Some(self.explain(&error)));
                // What is on disk stays as it is for the next start to look at.
                if let Err(error) = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
                    tracing::debug!(%error, "the log may be emptied");
                }
                return;
            }
        }
        self.close();
    }

    /// An orderly stop: all of the log goes into the file, and what the file then is is noted.
    fn close(mut self) {
        let Some(path) = self.path else { return };
        let emptied = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        if let Err((_, error)) = self.conn.close() {
            tracing::debug!(%error, "the store was not closed in order");
            return;
        }
        match emptied {
            Ok(false) => {
                if let Err(error) = self.mark.stopped(&path) {
                    tracing::debug!(%error, "cannot note how the store was left");
                }
            }
            // Somebody still reads, or the disk is full; the next start goes on with the log.
            left => tracing::debug!(?left, "the store keeps its log"),
        }
    }

    /// What a person is told of an error that stops the store.
    fn explain(&self, error: &rusqlite::Error) -> String {
        let place = self.path.as_ref().map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                format!("{place} is damaged: {error}; the next start looks at all of it")
            }
            _ => format!("{place}: {error}"),
        }
    }

    /// The commands that are waiting. There may be none while others wait for room and it is time to look for it.
    fn next(&mut self, commands: &mut mpsc::Receiver<Command>) -> Option<Vec<Command>> {
        let mut batch = Vec::new();
        if self.held.is_none() {
            batch.push(commands.blocking_recv()?);
        }
        loop {
            let mut gone = false;
            while batch.len() < limits::STORE_GROUP_COMMIT && !gone {
                match commands.try_recv() {
                    Ok(next) => batch.push(next),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => gone = true,
                }
            }
            if gone && batch.is_empty() && !self.holds() {
                return None;
            }
            if !batch.is_empty() || self.retry_due() {
                return Some(self.arm(batch));
            }
            thread::sleep(HELD_PAUSE);
        }
    }

    /// Takes the commands that change no row out of the batch; they count from this transaction on. Who only looks sees
    /// what was committed before.
    fn arm(&mut self, batch: Vec<Command>) -> Vec<Command> {
        let mut rest = Vec::with_capacity(batch.len());
        for command in batch {
            match command {
                Command::Arm { freeze, frozen } => {
                    self.armed.insert(freeze.sender.clone(), (freeze.clone(), frozen));
                    rest.push(Command::Arm { freeze, frozen: oneshot::channel().0 });
                }
                Command::Disarm { sender, done } => {
                    self.armed.remove(&sender);
                    rest.push(Command::Disarm { sender, done });
                }
                Command::Look(look) => look(&self.conn),
                Command::Rebound { max_bytes, done } => {
                    self.rebound(max_bytes);
                    if done.send(()).is_err() {
                        tracing::debug!("nobody waits for another size of the store");
                    }
                }
                other => rest.push(other),
            }
        }
        rest
    }

    /// Tries until it is on disk, as long as the file is busy; `None` when there is no room for it that it may take.
    pub(super) fn commit(
        &mut self,
        batch: &[Command],
        leaves: Leaves,
    ) -> rusqlite::Result<Option<(Effects, Duration)>> {
        let first = self.clock.instant();
        let mut said = false;
        loop {
            let begun = self.clock.instant();
            match self.set_bound(leaves).and_then(|()| self.transaction(batch)) {
                Ok(effects) => {
                    if self.held.is_none() {
                        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
                    }
                    self.mark.committed(effects.seq);
                    if let Some(bytes) = self.log_growth.look(self.clock.instant()) {
                        tracing::warn!(
                            bytes,
                            "the store's log (-wal) cannot be emptied because another program reads the store: end that \
                             reading, `mag store backup` copies what it needs"
                        );
                    }
                    return Ok(Some((effects, begun.elapsed())));
                }
                Err(error) if self.fullness.is(&error) => {
                    self.trouble.send_if_modified(|trouble| {
                        let known = trouble.is_some_and(Trouble::is_full);
                        trouble.get_or_insert(Trouble::Full);
                        !known
                    });
                    return Ok(None);
                }
                Err(error) if !is_busy(&error) => return Err(error),
                Err(_busy) => {
                    self.trouble.send_replace(Some(Trouble::Busy));
                    if !said && first.elapsed() >= SAY_AFTER {
                        said = true;
                        tracing::warn!(
                            waited_ms = as_millis(first.elapsed()),
                            "the store {}; nothing is acknowledged until it can be written",
                            Trouble::Busy
                        );
                    }
                    thread::sleep(BUSY_PAUSE);
                }
            }
        }
    }

    fn transaction(&mut self, batch: &[Command]) -> rusqlite::Result<Effects> {
        let now = self.clock.now();
        let scarce = self.trouble.borrow().is_some_and(Trouble::is_full);
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut effects = Effects { seq: start::next_commit(&transaction)?, ..Effects::default() };
        let mut moves = Moves::default();
        let mut woken: Vec<String> = Vec::new();
        let mut sweeping = self.sweeping.clone();
        let mut room = self.room.clone();
        let mut silences = self.silences.borrow().clone();
        let mut trimming = self.trimming.clone();
        for command in batch {
            match command {
                Command::Change { changes, .. } => {
                    let (moves, room, silences) = (&mut moves, &mut room, &silences);
                    let mut books = Books { routing: &self.routing, moves, room, silences, held: Vec::new() };
                    woken.extend(windows::apply(&transaction, changes, &mut books)?);
                    effects.held.push_back(books.held);
                    if note_sweep(changes, &mut sweeping) {
                        woken.extend(self.armed.keys().cloned());
                    }
                }
                Command::Arm { freeze, .. } => woken.push(freeze.sender.clone()),
                Command::Disarm { .. } => {}
                Command::Begin { delivery, .. } => deliveries::begin(&transaction, delivery, now)?,
                Command::Finish { attempted, .. } => {
                    woken.extend(deliveries::finish(&transaction, attempted, now, &mut moves)?);
                }
                Command::Escalate { escalation, .. } => {
                    effects.escalated.push_back(escalate::all(&transaction, escalation, now, &mut moves)?);
                    woken.push(escalation.fallback.clone());
                }
                Command::Letters { request, .. } => {
                    let done = letters::apply(&transaction, request, &self.known, now, &mut moves)?;
                    woken.extend(done.iter().flat_map(|moved| moved.senders.clone()));
                    effects.letters.push_back(done);
                }
                Command::Silence { wish, .. } => {
                    effects.silences.push_back(silences::apply(&transaction, &mut silences, wish, now)?);
                }
                Command::Test { sender, wait, .. } => {
                    effects.tests.push_back(tested::queue(&transaction, sender, *wait, &self.known, now)?);
                    woken.push(sender.clone());
                }
                // Done before.
                Command::Look(_) | Command::Rebound { .. } => {}
                Command::Refit { routing, known, .. } => effects.refit = Some(Refit::to(&transaction, routing, known)?),
                // One that came back goes on with it.
                Command::Bury { sender, .. } if self.known.contains(sender) => effects.buried.push_back(0),
                Command::Bury { sender, .. } => {
                    effects.buried.push_back(bury::bury(&transaction, sender, now, limits::BURIED, &mut moves)?);
                    room.taken_from(sender);
                }
                Command::Trim { before, .. } => {
                    tested::drop_late(&transaction, None, now)?;
                    effects.trimmed.push_back(trim::step(&transaction, *before, self.trim, &mut trimming)?);
                }
            }
        }
        woken.sort_unstable();
        woken.dedup();
        for (wish, _) in woken.iter().filter_map(|sender| self.armed.get(sender)) {
            effects.frozen.extend(freeze::next(&transaction, wish, &sweeping, now, &mut moves, scarce)?);
            room.taken_from(&wish.sender);
        }
        moves.write(&transaction)?;
        transaction.commit()?;
        self.sweeping = sweeping;
        self.silences.send_replace(silences);
        self.trimming = trimming;
        self.room_log.note(&mut room, &self.metrics, self.clock.instant());
        self.room = room;
        Ok(effects)
    }

    /// Whoever no longer waits for an answer has stopped; what is committed stays committed.
    pub(super) fn answer(&mut self, batch: Vec<Command>, mut effects: Effects, took: Duration) {
        self.metrics.commits.observe(took.as_secs_f64());
        for delivery in std::mem::take(&mut effects.frozen) {
            if let Some((_, frozen)) = self.armed.remove(&delivery.sender)
                && frozen.send(delivery).is_err()
            {
                tracing::debug!("a delivery was frozen while its sender stopped; it goes on at the next start");
            }
        }
        for command in batch {
            let gone = match command {
                Command::Change { done, .. } => {
                    let held = effects.held.pop_front().unwrap_or_default();
                    done.send(Committed { seq: effects.seq, took, held }).is_err()
                }
                Command::Begin { done, .. } | Command::Finish { done, .. } | Command::Disarm { done, .. } => {
                    done.send(()).is_err()
                }
                Command::Escalate { done, .. } => done.send(effects.escalated.pop_front().unwrap_or_default()).is_err(),
                Command::Letters { done, .. } => {
                    effects.letters.pop_front().is_some_and(|moved| done.send(moved).is_err())
                }
                Command::Silence { done, .. } => {
                    effects.silences.pop_front().is_some_and(|done_with| done.send(done_with).is_err())
                }
                Command::Test { done, .. } => effects.tests.pop_front().is_some_and(|id| done.send(id).is_err()),
                Command::Refit { queue, done, .. } => {
                    self.room.rebound(queue);
                    effects.refit.take().is_some_and(|Refit { routing, known, accepted }| {
                        (self.routing, self.known) = (routing, known);
                        done.send(accepted).is_err()
                    })
                }
                Command::Bury { done, .. } => {
                    effects.buried.pop_front().is_some_and(|buried| done.send(buried).is_err())
                }
                Command::Trim { done, .. } => {
                    let trimmed = effects.trimmed.pop_front().unwrap_or_default();
                    self.metrics.trimmed.inc_by(trimmed.forgot as u64);
                    done.send(trimmed).is_err()
                }
                Command::Arm { .. } | Command::Look(_) | Command::Rebound { .. } => false,
            };
            if gone {
                tracing::debug!("a commit is done that nobody waits for any more");
            }
        }
    }
}

/// Takes note of a part of a sweep; says whether it is the last one, with which all are woken.
fn note_sweep(changes: &Changes, sweeping: &mut HashSet<u64>) -> bool {
    let Some(part) = &changes.sweep else { return false };
    if part.whole {
        sweeping.remove(&part.number);
    } else {
        sweeping.insert(part.number);
    }
    part.whole
}

/// Between two tries while somebody else holds the file.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// Somebody looking at the file by hand is no news; this long is.
const SAY_AFTER: Duration = Duration::from_secs(5);
