//! The head of an HTTP/1.1 request: once begun it must be whole soon, however its bytes trickle in, and whoever sends a
//! wrong one is told why.
//!
//! hyper's own time for a head begins with the wait for a request, so it is as long as a client may keep its connection;
//! and what hyper itself answers has no text. Knows nothing of what a request means.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::carrier::Carrier;
use crate::limits;

/// How an answer begins that says what the client did wrong.
const WRONG: &[u8] = b"HTTP/1.1 4";

/// Where the requests of one connection are.
#[derive(Debug, Default)]
pub(super) struct Watch {
    stage: Mutex<Stage>,
    begun: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing of a request has come.
    #[default]
    Waits,
    /// A head has begun to come.
    Head(Instant),
    /// It is none: what hyper said of it is held back.
    Wrong(StatusCode),
    /// A request is being answered.
    Asked,
    /// Its answer is on the way.
    Answered,
}

impl Watch {
    fn step(&self, step: impl FnOnce(Stage) -> Option<Stage>) -> Option<Stage> {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let next = step(*stage)?;
        *stage = next;
        Some(next)
    }

    fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head is whole.
    pub(super) fn asked(&self) {
        self.step(|_| Some(Stage::Asked));
    }

    /// Its answer is made.
    pub(super) fn answered(&self) {
        self.step(|_| Some(Stage::Answered));
    }

    /// What hyper wanted to say of a head that it could not read.
    pub(super) fn wrong(&self) -> Option<StatusCode> {
        match self.stage() {
            Stage::Wrong(status) => Some(status),
            _ => None,
        }
    }

    /// Returns when a head that is begun takes too long.
    pub(super) async fn late(&self) {
        loop {
            let Stage::Head(since) = self.stage() else {
                self.begun.notified().await;
                continue;
            };
            sleep_until(since + Duration::from_secs(limits::HTTP_HEAD_SECONDS)).await;
            if self.stage() == Stage::Head(since) {
                return;
            }
        }
    }

    fn came(&self) {
        if self.step(|stage| (stage == Stage::Waits).then(|| Stage::Head(Instant::now()))).is_some() {
            self.begun.notify_one();
        }
    }

    /// Whether these bytes are hyper's own word about a head, to be held back.
    fn holds_back(&self, bytes: &[u8]) -> bool {
        let status = || {
            let digits = bytes.strip_prefix(WRONG)?.get(..2)?;
            StatusCode::from_bytes(&[b"4", digits].concat()).ok()
        };
        let step = |stage| match stage {
            Stage::Head(_) => status().map(Stage::Wrong),
            Stage::Wrong(status) => Some(Stage::Wrong(status)),
            Stage::Waits | Stage::Asked | Stage::Answered => None,
        };
        self.step(step).is_some()
    }
}

/// A connection whose requests are watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) carrier: Carrier,
    pub(super) watch: Arc<Watch>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = pin!(&mut self.carrier).poll_read(cx, into);
        if into.filled().len() > before {
            self.watch.came();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.watch.holds_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        pin!(&mut self.carrier).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if pieces.iter().find(|piece| !piece.is_empty()).is_some_and(|first| self.watch.holds_back(first)) {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        pin!(&mut self.carrier).poll_write_vectored(cx, pieces)
    }

    /// Otherwise hyper copies every answer, and nobody knows any more how much memory those take that nobody reads.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = pin!(&mut self.carrier).poll_flush(cx);
        if polled.is_ready() {
            self.watch.step(|stage| (stage == Stage::Answered).then_some(Stage::Waits));
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.wrong().is_some() {
            return Poll::Ready(Ok(()));
        }
        pin!(&mut self.carrier).poll_shutdown(cx)
    }
}
