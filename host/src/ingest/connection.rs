//! One connection, from its first byte to its close.
//!
//! Reading and telling go on side by side in one task. What was read is sent on merged; nothing is told before it is
//! committed.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::Shared;
use super::buffer::Work;
use super::carrier::{Carrier, Reading};
use super::counters::Tally;
use super::flight::{Held, Pass};
use super::replies::Replies;
use crate::limits;
use crate::message::{Ack, Answers, Batch};
use crate::protocol::{Decoder, Last, Spoken};

mod absorb;

use absorb::Absorbed;
pub(super) use absorb::take;

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client sends no more.
    Finished,
    /// What it sent cannot be read on.
    Refused,
    /// It sent nothing for so long that the operator wants it closed.
    Idle,
    /// mag stops.
    Stopped,
    /// The connection broke.
    Broken,
    /// Nobody takes batches any more.
    EngineGone,
}

/// Serves one connection that speaks a protocol of its own, not HTTP, until it is closed.
/// `spoken` is left out when its first bytes did not tell it yet.
pub(super) async fn run(mut stream: Carrier, spoken: Option<Spoken>, peer: &str, shared: &Shared) {
    let answers = Arc::new(Answers::default());
    let replies = Replies::new(Arc::clone(&answers));
    let (progress, committed) = watch::channel(0);
    let (read, mut write) = stream.split();
    // Boxed, so that its place is not there once more in every future that holds it.
    let reader = Box::new(Reader {
        stream: read,
        peer,
        shared,
        replies: &replies,
        progress: Arc::new(progress),
        answers: Arc::clone(&answers),
        decoder: spoken.map_or_else(
            || Decoder::new(shared.settings.line),
            |spoken| Decoder::speaking(spoken, shared.settings.line),
        ),
        work: None,
        rest: Vec::new(),
        seat: None,
        tally: Tally::default(),
        accepted: 0,
        promised: 0,
        stride: 1,
        stop_at: None,
    });
    let (end, committed) = tokio::join!(reader.run(), replies.write(&mut write, committed, &shared.stop));
    if !committed {
        tracing::debug!(peer, "a connection is closed unanswered");
    }
    let promised = matches!(end, End::Finished | End::Idle) || replies.anything_told();
    if committed && promised && !matches!(end, End::Broken | End::EngineGone) {
        if let Some(socket) = stream.tcp() {
            super::end_in_order(&socket);
        }
        // Inside TLS an end is only in order when it is said (RFC 8446 section 6.1).
        if timeout_at(Instant::now() + patience(shared), stream.shutdown()).await.is_err() {
            tracing::debug!(peer, "a client does not take the end of its connection");
        }
    }
    if matches!(end, End::Refused | End::Stopped) && replies.anything_told() {
        linger(&mut stream, patience(shared)).await;
    }
}

/// How long a client has to take the end of its connection.
pub(super) fn patience(shared: &Shared) -> Duration {
    let stopping = shared.stop.is_cancelled();
    Duration::from_millis(if stopping { limits::STOP_LINGER_MILLIS } else { limits::LINGER_MILLIS })
}

/// Closing with unread bytes would reset the connection, and the client could lose what it was told.
pub(super) async fn linger(stream: &mut Carrier, patience: Duration) {
    let until = Instant::now() + patience;
    if !timeout_at(until, stream.shutdown()).await.is_ok_and(|ended| ended.is_ok()) {
        return;
    }
    let mut left = limits::LINGER_BYTES;
    // Not in the future: every connection would have it.
    let mut bytes = vec![0; 1024];
    while left > 0 {
        match timeout_at(until, stream.read(&mut bytes)).await {
            Ok(Ok(count)) if count > 0 => left = left.saturating_sub(count),
            _ => return,
        }
    }
    // Whoever sends on and on has until then to hear that nobody reads.
    sleep_until(until).await;
}

struct Reader<'c> {
    stream: Reading<'c>,
    peer: &'c str,
    shared: &'c Shared,
    replies: &'c Replies,
    progress: Arc<watch::Sender<u64>>,
    answers: Arc<Answers>,
    decoder: Decoder,
    /// Kept between two reads only when most of a buffer is the beginning of a line; and at the end, for what is merged.
    work: Option<Work>,
    /// The beginning of a line, while the connection waits for the rest of it.
    rest: Vec<u8>,
    seat: Option<Pass>,
    tally: Tally,
    /// Messages taken so far, one for each however often it says it happened.
    accepted: u64,
    /// The last number for which an ack was asked of the engine.
    promised: u64,
    /// Messages that are looked up together; few while many are not known.
    stride: usize,
    /// When reading ends because mag stops.
    stop_at: Option<Instant>,
}

impl Reader<'_> {
    async fn run(mut self: Box<Self>) -> End {
        let end = self.read().await;
        let end = self.finish(end).await;
        let until = if matches!(end, End::Broken | End::EngineGone) { 0 } else { self.accepted };
        self.tally.tell(&self.shared.counters);
        self.replies.close_after(until);
        end
        // Here the reader's own end of the watch is dropped: from now on only the engine keeps it open.
    }

    async fn read(&mut self) -> End {
        loop {
            if let Some(end) = self.wait().await {
                return end;
            }
            self.seat = self.shared.settings.flight.seat().await;
            let mut work = self.take_work();
            if let Some(end) = self.take_in(&mut work).await {
                self.work = Some(work);
                return end;
            }
            self.put_back(work);
            self.seat = None;
        }
    }

    fn take_work(&mut self) -> Work {
        let mut work = self.work.take().unwrap_or_else(|| self.shared.spares.take());
        work.merger.enter(self.peer, self.shared.text_bytes());
        if !self.rest.is_empty() {
            work.buffer.refill(&self.rest);
            self.rest = Vec::new();
        }
        work
    }

    /// A connection that waits keeps what it must and no more.
    fn put_back(&mut self, mut work: Work) {
        if work.buffer.filled().len() > limits::READ_BUFFER_BYTES / 2 {
            // Copying this much for every few bytes that come would cost more than it saves.
            self.shared.spares.give_merger(&mut work);
            self.work = Some(work);
            return;
        }
        self.rest = work.buffer.filled().to_vec();
        work.buffer.consume(usize::MAX);
        self.shared.spares.give(work);
    }

    /// Takes note of what is kept while the client is waited for.
    fn hold(&self, buffer: usize) -> Option<Held> {
        self.shared.settings.flight.hold(buffer.saturating_add(self.replies.bytes()))
    }

    /// Others need the memory more: the client hears nothing, so it knows that nothing is promised.
    fn cut_off(&self) -> End {
        self.shared.counters.refused_connections.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = self.peer, "a connection that waits with much unfinished is cut off, memory is short");
        End::Broken
    }

    /// Waits for bytes. A stopping mag waits only for those that have arrived.
    async fn wait(&mut self) -> Option<End> {
        if self.stop_at.is_none() {
            let buffer = self.work.as_ref().map_or(self.rest.len(), |work| work.buffer.capacity());
            if self.is_unheard()
                && let Some(end) = self.until_heard(buffer).await
            {
                return Some(end);
            }
            let held = self.hold(buffer);
            let patience = self.shared.settings.silence(buffer > 0);
            tokio::select! {
                readable = self.stream.readable() => return readable.is_err().then_some(End::Broken),
                () = Held::evicted(held.as_ref()) => return Some(self.cut_off()),
                () = idle(patience) => return Some(End::Idle),
                () = self.shared.stop.cancelled() => {}
            }
        }
        let now = self.shared.clock.instant();
        let stop_at = *self.stop_at.get_or_insert(now + Duration::from_millis(limits::STOP_READ_MILLIS));
        let quiet = now + Duration::from_millis(limits::STOP_QUIET_MILLIS);
        tokio::select! {
            biased;
            () = sleep_until(stop_at) => Some(End::Stopped),
            readable = self.stream.readable() => readable.is_err().then_some(End::Broken),
            () = sleep_until(quiet) => Some(End::Stopped),
        }
    }

    /// Reads and merges what is already waiting, for a bounded time, then sends it on.
    async fn take_in(&mut self, work: &mut Work) -> Option<End> {
        let until = self.shared.clock.instant() + Duration::from_millis(limits::MERGE_MILLIS);
        let end = loop {
            match self.stream.try_read(work.buffer.space()) {
                Ok(0) => break Some(End::Finished),
                Ok(count) => work.buffer.fill(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break Some(End::Broken),
            }
            if let Some(end) = self.absorb_all(work).await {
                break Some(end);
            }
            if self.shared.clock.instant() >= until {
                break None;
            }
        };
        // At the end of the stream the last batch waits for what `finish` adds to it.
        if end.is_some() {
            return end;
        }
        self.send(work, self.replies.acks_wanted()).await.err()
    }

    async fn absorb_all(&mut self, work: &mut Work) -> Option<End> {
        let now = self.shared.clock.now();
        loop {
            match self.absorb(work, now) {
                Absorbed::All => return None,
                Absorbed::Close => return Some(End::Refused),
                Absorbed::End => return Some(End::Finished),
                Absorbed::Turn => {
                    if let Some(end) = self.give_turn(work).await {
                        return Some(end);
                    }
                }
                // What waits for its ack must not wait for a client that does not listen.
                Absorbed::Full => {
                    if let Err(end) = self.send(work, self.replies.acks_wanted()).await {
                        return Some(end);
                    }
                    if self.is_unheard() {
                        // Empty, but as large as it ever was.
                        self.shared.spares.give_merger(work);
                        if let Some(end) = self.until_heard(work.buffer.capacity()).await {
                            return Some(end);
                        }
                    }
                }
            }
        }
    }

    /// What was read can stand for very much, when it is compressed: nobody waits for all of it, and neither does a stop.
    async fn give_turn(&mut self, work: &mut Work) -> Option<End> {
        if self.shared.stop.is_cancelled() {
            let now = self.shared.clock.instant();
            let stop_at = *self.stop_at.get_or_insert(now + Duration::from_millis(limits::STOP_READ_MILLIS));
            if now >= stop_at {
                return Some(End::Stopped);
            }
        }
        if let Err(end) = self.send(work, self.replies.acks_wanted()).await {
            return Some(end);
        }
        // Whoever has the next turn shall know what was learned here, and not learn it anew.
        self.shared.spares.give_merger(work);
        let held = self.hold(work.buffer.capacity());
        self.seat = None;
        yield_now().await;
        tokio::select! {
            seat = self.shared.settings.flight.seat() => self.seat = seat,
            () = Held::evicted(held.as_ref()) => return Some(self.cut_off()),
        }
        work.merger = self.shared.spares.take_merger();
        work.merger.enter(self.peer, self.shared.text_bytes());
        None
    }

    /// Whether the client is told much and does not listen, or much is still to be decided that it may have to be told.
    fn is_unheard(&self) -> bool {
        self.replies.is_full() || self.answers.is_full(limits::OPEN_IDS)
    }

    /// Such a client is not read on. Meanwhile its connection gives its seat to others and keeps `buffer` bytes.
    async fn until_heard(&mut self, buffer: usize) -> Option<End> {
        let seated = self.seat.take().is_some();
        let held = self.hold(buffer);
        let heard = async {
            self.replies.room().await;
            self.answers.room(limits::OPEN_IDS).await;
        };
        tokio::select! {
            () = heard => {}
            () = self.shared.stop.cancelled() => return Some(End::Stopped),
            () = self.shared.batches.closed() => return Some(End::EngineGone),
            () = Held::evicted(held.as_ref()) => return Some(self.cut_off()),
        }
        drop(held);
        if seated {
            self.seat = self.shared.settings.flight.seat().await;
        }
        None
    }

    /// Sends on what is left, and asks for the last ack: who sees the connection close knows that all is committed.
    async fn finish(&mut self, end: End) -> End {
        let mut work = self.take_work();
        let now = self.shared.clock.now();
        match self.decoder.finish(work.buffer.filled()) {
            Last::Nothing => {}
            Last::Message(message) if end == End::Finished => {
                self.tally.note(&message);
                self.accepted += 1;
                take(&mut work.merger, message, self.accepted, now);
            }
            Last::Refused(reply) if end == End::Finished => {
                self.refuse(&reply);
            }
            Last::Message(_) | Last::Refused(_) | Last::Partial => self.tally.partial += 1,
        }
        work.buffer.consume(usize::MAX);
        let answered = !matches!(end, End::Broken | End::EngineGone);
        let sent = if end == End::EngineGone { Err(end) } else { self.send(&mut work, answered).await };
        if work.is_idle() {
            self.shared.spares.give(work);
        }
        sent.err().unwrap_or(end)
    }

    /// Sends on what is merged. With `ack`, the engine confirms all that was taken so far.
    async fn send(&mut self, work: &mut Work, ack: bool) -> Result<(), End> {
        let ack = ack && self.accepted > self.promised;
        if work.merger.is_empty() && !ack {
            return Ok(());
        }
        let load = self.shared.settings.flight.load(work.merger.bytes()).await;
        let mut merged = work.merger.drain();
        self.tally.replaced += merged.odd.replaced;
        self.tally.truncated += merged.odd.truncated;
        self.tally.tell(&self.shared.counters);
        let ack = ack.then(|| {
            self.promised = self.accepted;
            Ack { progress: Arc::clone(&self.progress), upto: self.accepted }
        });
        self.shared.label(&mut merged);
        let mut batch = Batch { entries: merged.entries, numbered: merged.numbered, ack, load, ..Batch::default() };
        if !merged.ids.is_empty() {
            self.answers.hand_over(merged.ids.len());
            batch.answers = Some(Arc::clone(&self.answers));
            batch.ids = merged.ids;
        }
        self.shared.batches.send(batch).await.map_err(|_unsent| End::EngineGone)
    }
}

async fn idle(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => sleep(timeout).await,
        None => pending().await,
    }
}
