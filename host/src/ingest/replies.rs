//! What a connection tells its client: errors at once, acks after the commit, all while reading goes on.
//!
//! A client that never reads costs one bounded buffer and blocks nobody: acks are cumulative, so the newest replaces
//! the others, and when too many errors wait, only that client is not read on.

use std::fmt::Write as _;
use std::io;
use std::mem::take;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::WriteHalf;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::limits;

/// Between the reading and the writing side of one connection.
#[derive(Debug, Default)]
pub(super) struct Replies {
    waiting: Mutex<Waiting>,
    changed: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    text: String,
    /// Messages before the client asked for acks; they are not in the number it is told.
    unasked: Option<u64>,
    /// The commit after which the connection may close.
    until: Option<u64>,
    /// The client takes no replies any more.
    broken: bool,
    /// Whether anything was ever told.
    told: bool,
}

impl Replies {
    /// Tells `text` as soon as the client takes it.
    pub(super) fn push(&self, text: &str) {
        self.change(|waiting| {
            waiting.told = true;
            if !waiting.broken {
                waiting.text.push_str(text);
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

    /// Whether the client wants acks.
    pub(super) fn acks_wanted(&self) -> bool {
        self.look(|waiting| waiting.unasked.is_some())
    }

    /// Nothing more will be read: [`Replies::write`] ends when commit `number` is told.
    pub(super) fn close_after(&self, number: u64) {
        self.change(|waiting| waiting.until = Some(number));
    }

    /// Whether too much waits for the client to take it.
    pub(super) fn is_full(&self) -> bool {
        self.look(|waiting| waiting.text.len() >= limits::REPLY_BYTES)
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
        client: &mut WriteHalf<'_>,
        mut progress: watch::Receiver<u64>,
        stop: &CancellationToken,
    ) -> bool {
        let mut acked = 0;
        let mut engine_lives = true;
        loop {
            let committed = *progress.borrow_and_update();
            let (mut text, unasked, until) =
                self.look(|waiting| (take(&mut waiting.text), waiting.unasked, waiting.until));
            self.room.notify_one();
            let ackable = unasked.map_or(0, |unasked| committed.saturating_sub(unasked));
            if ackable > acked {
                acked = ackable;
                writeln!(text, "{{\"acked\":{acked}}}").expect("writing into a string cannot fail");
            }
            if !text.is_empty() {
                if write_all(client, text.as_bytes(), stop).await.is_err() {
                    self.change(|waiting| {
                        waiting.broken = true;
                        waiting.text = String::new();
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
async fn write_all(client: &mut WriteHalf<'_>, text: &[u8], stop: &CancellationToken) -> io::Result<()> {
    let given_up = async {
        stop.cancelled().await;
        sleep(Duration::from_millis(limits::STOP_WRITE_MILLIS)).await;
    };
    tokio::select! {
        written = client.write_all(text) => written,
        () = given_up => Err(io::ErrorKind::TimedOut.into()),
    }
}
