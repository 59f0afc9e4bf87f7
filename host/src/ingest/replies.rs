//! What a connection tells its client: errors at once, acks after the commit, all while reading goes on.
//!
//! A client that never reads costs one bounded buffer and blocks nobody: acks are cumulative, so the newest replaces
//! the others, and when too many errors wait, only that client is not read on.

use std::collections::VecDeque;
use std::io;
use std::io::Write as _;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::message::{Answers, Refusal};

/// Characters of a client's id that an error repeats.
const SHOWN_CHARS: usize = 64;

/// Between the reading and the writing side of one connection.
#[derive(Debug)]
pub(super) struct Replies {
    waiting: Mutex<Waiting>,
    changed: Notify,
    room: Notify,
    /// What is decided of messages with an id, after they were taken.
    answers: Arc<Answers>,
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    /// What is told after a commit: the messages it must hold, and the bytes. In rising order.
    promised: VecDeque<(u64, Vec<u8>)>,
    /// How many bytes that is.
    promised_bytes: usize,
    /// Whether anything was ever promised: from then on, every message is committed at once.
    promises: bool,
    /// Bytes that are being written, and that the client has not taken yet.
    writing: usize,
    /// Messages before the client asked for acks; they are not in the number it is told.
    unasked: Option<u64>,
    /// The commit after which the connection may close.
    until: Option<u64>,
    /// The client takes no replies any more.
    broken: bool,
    /// Whether anything was ever told.
    told: bool,
}

impl Waiting {
    /// Takes what may be told now that the first `committed` messages are on disk.
    fn due(&mut self, committed: u64) -> Vec<u8> {
        let mut text = take(&mut self.text);
        while self.promised.front().is_some_and(|(number, _)| *number <= committed)
            && let Some((_, bytes)) = self.promised.pop_front()
        {
            self.promised_bytes = self.promised_bytes.saturating_sub(bytes.len());
            text.extend_from_slice(&bytes);
        }
        text
    }
}

/// Messages that were refused after they were taken, so that they are in no ack.
#[derive(Debug, Default)]
struct Refused {
    /// Their numbers among the messages taken, as far as the commits have not come to them.
    ahead: VecDeque<u64>,
    /// How many of those before stood behind the wish for acks.
    behind: u64,
}

impl Refused {
    /// How many of the messages up to `committed` are in no ack for whoever asked after message `unasked`.
    fn upto(&mut self, committed: u64, unasked: Option<u64>) -> u64 {
        while let Some(number) = self.ahead.front().copied()
            && number <= committed
        {
            self.ahead.pop_front();
            self.behind += u64::from(unasked.is_some_and(|unasked| number > unasked));
        }
        self.behind
    }
}

fn refusal(refused: &Refusal) -> String {
    format!("{}\n", serde_json::json!({ "error": reason(refused), "line": refused.line }))
}

/// What a client is told of a message that is refused for its id.
pub(super) fn reason(refused: &Refusal) -> String {
    let mut id: String = refused.id.chars().take(SHOWN_CHARS).collect();
    if id.len() < refused.id.len() {
        id.push('…');
    }
    format!("another message came with the id `{id}` before")
}

impl Replies {
    pub(super) fn new(answers: Arc<Answers>) -> Self {
        Self { waiting: Mutex::default(), changed: Notify::new(), room: Notify::new(), answers }
    }

    /// Tells `text` as soon as the client takes it.
    pub(super) fn push(&self, text: &str) {
        self.change(|waiting| {
            waiting.told = true;
            if !waiting.broken {
                waiting.text.extend_from_slice(text.as_bytes());
            }
        });
    }

    /// From now on tells how far messages after the first `accepted` ones are committed. Asking again changes nothing.
    pub(super) fn want_acks(&self, accepted: u64) {
        self.change(|waiting| {
            waiting.told = true;
            waiting.unasked.get_or_insert(accepted);
        });
    }

    /// Tells the client these bytes once its first `accepted` messages are committed.
    pub(super) fn promise(&self, accepted: u64, bytes: Vec<u8>) {
        self.change(|waiting| {
            waiting.told = true;
            waiting.promises = true;
            if !waiting.broken {
                waiting.promised_bytes = waiting.promised_bytes.saturating_add(bytes.len());
                waiting.promised.push_back((accepted, bytes));
            }
        });
    }

    /// Whether the client wants acks.
    pub(super) fn acks_wanted(&self) -> bool {
        self.look(|waiting| waiting.promises || waiting.unasked.is_some())
    }

    /// Nothing more will be read: [`Replies::write`] ends when commit `number` is told.
    pub(super) fn close_after(&self, number: u64) {
        self.change(|waiting| waiting.until = Some(number));
    }

    /// Whether too much waits for the client to take it.
    pub(super) fn is_full(&self) -> bool {
        self.look(|waiting| waiting.text.len().saturating_add(waiting.promised_bytes) >= limits::REPLY_BYTES)
    }

    /// Bytes that wait for the client to take them.
    pub(super) fn bytes(&self) -> usize {
        self.look(|waiting| waiting.text.len().saturating_add(waiting.promised_bytes).saturating_add(waiting.writing))
    }

    /// Waits until no longer too much waits.
    pub(super) async fn room(&self) {
        while self.is_full() {
            self.room.notified().await;
        }
    }

    /// Whether the client could lose something by a reset.
    pub(super) fn anything_told(&self) -> bool {
        self.look(|waiting| waiting.told && !waiting.broken)
    }

    /// Writes until the connection may close; says whether all that was read is committed.
    pub(super) async fn write(
        &self,
        client: &mut (impl AsyncWrite + Unpin),
        mut progress: watch::Receiver<u64>,
        stop: &CancellationToken,
    ) -> bool {
        let mut acked = 0;
        let mut engine_lives = true;
        let mut refused = Refused::default();
        loop {
            let committed = *progress.borrow_and_update();
            // After the commit was seen, because what it refused is told before its ack.
            for one in self.answers.take_refusals() {
                refused.ahead.push_back(one.number);
                self.push(&refusal(&one));
            }
            let (mut text, unasked, until) =
                self.look(|waiting| (waiting.due(committed), waiting.unasked, waiting.until));
            self.room.notify_one();
            let left_out = refused.upto(committed, unasked);
            let ackable = unasked.map_or(0, |unasked| committed.saturating_sub(unasked).saturating_sub(left_out));
            if ackable > acked {
                acked = ackable;
                writeln!(text, "{{\"acked\":{acked}}}").expect("writing into a vector cannot fail");
            }
            if !text.is_empty() {
                self.look(|waiting| waiting.writing = text.len());
                let written = write_all(client, &text, stop).await;
                self.look(|waiting| waiting.writing = 0);
                if written.is_err() {
                    self.change(|waiting| {
                        waiting.broken = true;
                        waiting.text = Vec::new();
                        waiting.promised = VecDeque::new();
                        waiting.promised_bytes = 0;
                    });
                }
                continue;
            }
            match until {
                Some(until) if committed >= until => return true,
                Some(_) if !engine_lives => return false,
                _ => {}
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.answers.told() => {}
                alive = progress.changed(), if engine_lives => engine_lives = alive.is_ok(),
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Waiting)) {
        self.look(change);
        self.changed.notify_one();
        self.room.notify_one();
    }

    fn look<T>(&self, look: impl FnOnce(&mut Waiting) -> T) -> T {
        look(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes all of it, unless mag stops and the client still takes nothing.
async fn write_all(client: &mut (impl AsyncWrite + Unpin), text: &[u8], stop: &CancellationToken) -> io::Result<()> {
    let given_up = async {
        stop.cancelled().await;
        sleep(Duration::from_millis(limits::STOP_WRITE_MILLIS)).await;
    };
    let written = async {
        client.write_all(text).await?;
        client.flush().await
    };
    tokio::select! {
        written = written => written,
        () = given_up => Err(io::ErrorKind::TimedOut.into()),
    }
}
