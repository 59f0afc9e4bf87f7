//! The side for programs that must never wait: a bounded buffer, and a thread that empties it into mag.
//!
//! Nothing here blocks whoever sends, and nothing needs a runtime: a [`Flush`] is a future for whoever has one.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::client::{BACKOFF, Builder, Client};
use crate::error::Error;
use crate::message::Message;
use crate::wire::now;

/// Messages that the thread hands on together.
const BATCH: usize = 1_000;
/// What waiting messages may take beside their number, in bytes: long ones must not take all memory while mag is away.
const BYTES: usize = 16 * 1024 * 1024;
/// What is told, once there is room again, of messages that found none.
const DROPPED: &str = "messages were dropped by a client of mag: its buffer was full";

/// Sends messages from any thread or task, without ever waiting; made by [`Builder::background`].
///
/// Clones share the buffer. When the last one is gone, the thread sends what is in the buffer and ends; a process that
/// must know waits for [`Background::close`].
#[derive(Clone)]
pub struct Background {
    handle: Arc<Handle>,
}

/// A message that found the buffer full, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full(pub Box<Message>);

/// Messages that were not acknowledged, or were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// How many wait still.
    pub waiting: u64,
    /// How many were dropped because the buffer was full, ever.
    pub dropped: u64,
    /// How many mag refused or could not be sent at all, ever.
    pub refused: u64,
    /// What went wrong last, in words.
    pub error: Option<String>,
    /// Whether that was mag not letting this client in: see [`Error::is_denied`].
    pub denied: bool,
}

/// The last clone of a [`Background`] drops it.
struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Message>,
    /// What those take.
    bytes: usize,
    /// Messages ever put into the buffer.
    taken: u64,
    /// Messages of those that are answered.
    answered: u64,
    dropped: u64,
    /// Dropped messages that mag was told of.
    told: u64,
    refused: u64,
    error: Option<String>,
    denied: bool,
    /// Nobody sends any more.
    closed: bool,
    /// Who waits until so many are answered.
    wakers: Vec<(u64, Waker)>,
}

impl Builder {
    /// A sender that never waits, with a buffer of `messages` and of 16 MiB: when it is full, further ones are dropped and
    /// counted, and mag is told how many as soon as it can be.
    ///
    /// Connects when the first message is there, and again as often as it takes; a mag that is away is no error.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn background(self, messages: usize) -> io::Result<Background> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), most: messages.max(1) });
        let client = self.reconnect(true).unconnected();
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("mag-client".to_owned()).spawn(move || empty(&of_thread, client))?;
        Ok(Background { handle: Arc::new(Handle(shared)) })
    }
}

impl Background {
    /// Puts a message into the buffer; never waits.
    ///
    /// # Errors
    ///
    /// [`Full`] when there is no room: the message is counted as dropped, and is not sent.
    pub fn send(&self, message: Message) -> Result<(), Full> {
        let shared = &self.handle.0;
        let mut state = shared.look();
        let bytes = state.bytes.saturating_add(message.bytes());
        if state.waiting.len() >= shared.most || (bytes > BYTES && !state.waiting.is_empty()) {
            state.dropped += 1;
            return Err(Full(Box::new(message)));
        }
        state.bytes = bytes;
        state.waiting.push_back(message);
        state.taken += 1;
        drop(state);
        shared.changed.notify_all();
        Ok(())
    }

    /// Messages that were dropped because the buffer was full, ever.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.handle.0.look().dropped
    }

    /// Ready when everything that was sent before is answered by mag, however long that takes: use it with the timeout of
    /// your runtime.
    #[must_use]
    pub fn flush(&self) -> Flush {
        let shared = Arc::clone(&self.handle.0);
        let until = shared.look().taken;
        Flush { shared, until }
    }

    /// Waits, at most `patience`, until everything that was sent is answered by mag, or mag does not let this client in. This
    /// one blocks.
    ///
    /// # Errors
    ///
    /// [`Unsent`] when something waits still, or was ever dropped or refused.
    pub fn close(self, patience: Duration) -> Result<(), Unsent> {
        let shared = &self.handle.0;
        let end = now() + patience;
        let mut state = shared.look();
        let until = state.taken;
        while state.answered < until {
            let left = end.saturating_duration_since(now());
            if left.is_zero() || state.denied {
                break;
            }
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.outcome(until)
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}

/// Waits for mag's answers; made by [`Background::flush`].
pub struct Flush {
    shared: Arc<Shared>,
    until: u64,
}

impl Future for Flush {
    type Output = Result<(), Unsent>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.look();
        if state.answered >= self.until {
            return Poll::Ready(state.outcome(self.until));
        }
        state.wakers.retain(|(_, waker)| !waker.will_wake(cx.waker()));
        state.wakers.push((self.until, cx.waker().clone()));
        Poll::Pending
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flush").field("until", &self.until).finish_non_exhaustive()
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer for mag is full, the message is dropped")
    }
}

impl std::error::Error for Full {}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waiting, dropped, refused, error, .. } = self;
        write!(f, "messages for mag: {waiting} still waiting, {dropped} dropped, {refused} refused")?;
        error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
    }
}

impl std::error::Error for Unsent {}

impl State {
    fn outcome(&self, until: u64) -> Result<(), Unsent> {
        let waiting = until.saturating_sub(self.answered);
        if waiting == 0 && self.dropped == 0 && self.refused == 0 {
            return Ok(());
        }
        let (dropped, refused, denied) = (self.dropped, self.refused, self.denied);
        Err(Unsent { waiting, dropped, refused, error: self.error.clone(), denied })
    }
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next messages, once there are any; `None` when there never will be.
    fn next(&self) -> Option<Vec<Message>> {
        let mut state = self.look();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.waiting.len().min(BATCH);
        let next: Vec<Message> = state.waiting.drain(..count).collect();
        state.bytes -= next.iter().map(Message::bytes).sum::<usize>();
        Some(next)
    }

    /// How many were dropped since mag was last told so.
    fn untold(&self) -> u64 {
        let mut state = self.look();
        let untold = state.dropped - state.told;
        state.told = state.dropped;
        untold
    }

    fn failed(&self, error: &Error, refused: u64) {
        let mut state = self.look();
        state.refused += refused;
        state.error = Some(error.to_string());
        state.denied = error.is_denied();
        drop(state);
        self.changed.notify_all();
    }

    /// Waits so long, or until nobody sends any more, and says whether that is so.
    fn rest(&self, pause: Duration) -> bool {
        let state = self.look();
        let rested = self.changed.wait_timeout_while(state, pause, |state| !state.closed);
        rested.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    fn answered(&self, count: usize) {
        let mut state = self.look();
        state.answered += count as u64;
        state.denied = false;
        let answered = state.answered;
        let (ready, waiting) = std::mem::take(&mut state.wakers).into_iter().partition(|(until, _)| *until <= answered);
        state.wakers = waiting;
        drop(state);
        let ready: Vec<(u64, Waker)> = ready;
        ready.into_iter().for_each(|(_, waker)| waker.wake());
        self.changed.notify_all();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.look().closed = true;
        self.0.changed.notify_all();
    }
}

/// The thread: hands messages to mag until there are no more senders and no more messages.
fn empty(shared: &Shared, mut client: Client) {
    while let Some(messages) = shared.next() {
        for message in &messages {
            match client.queue(message) {
                Ok(()) => {}
                Err(error @ Error::Invalid(_)) => shared.failed(&error, 1),
                // The client keeps it, and the loop below asks again.
                Err(error) => shared.failed(&error, 0),
            }
        }
        let dropped = shared.untold();
        if dropped > 0 {
            let told = Message::new(DROPPED).severity(crate::Severity::Warning).count(dropped);
            if let Err(error) = client.queue(&told) {
                shared.failed(&error, 0);
            }
        }
        if !answered(shared, &mut client) {
            return;
        }
        shared.answered(messages.len());
    }
}

/// Waits until mag has answered everything; `false` when nobody waits for that any more and mag is away.
fn answered(shared: &Shared, client: &mut Client) -> bool {
    let mut pause = BACKOFF.0;
    loop {
        let began = now();
        match client.flush() {
            Ok(()) => return true,
            Err(error @ Error::Refused { .. }) => {
                let Error::Refused { refused, .. } = &error else { return true };
                shared.failed(&error, *refused);
                return true;
            }
            Err(error) => {
                shared.failed(&error, 0);
                // What fails at once would fail again and again.
                let left = pause.saturating_sub(now().saturating_duration_since(began));
                if shared.rest(left) {
                    return false;
                }
                if !left.is_zero() {
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
