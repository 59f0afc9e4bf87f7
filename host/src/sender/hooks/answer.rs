//! The body of an answer as a guest reads it: counted, with an end in time, and under way until it is read or dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::super::limit::Limit;
use super::record::{Note, UnderWay};

/// The body, and what it holds while it is not read to its end.
pub(super) struct Answer {
    body: WasiBody,
    under_way: Option<UnderWay>,
    began: Instant,
    until: Option<Pin<Box<Sleep>>>,
    bytes: usize,
}

impl Answer {
    pub(super) fn new(body: WasiBody, under_way: UnderWay, began: Instant, until: Option<Instant>) -> Self {
        let until = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
        Self { body, under_way: Some(under_way), began, until, bytes: 0 }
    }

    /// It is read to its end, or broke off: whoever waits for a place gets it.
    fn is_over(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            under_way.record().saw(Limit::AnswerSize, self.bytes);
            under_way.record().saw_time(Limit::AnswerTime, self.began.elapsed());
        }
    }

    fn note(&self, limit: Limit) {
        if let Some(under_way) = &self.under_way {
            under_way.record().write(Note::Limit(limit));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.is_over();
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let late = self.until.as_mut().is_some_and(|until| until.as_mut().poll(context).is_ready());
                if !late {
                    return Poll::Pending;
                }
                self.note(Limit::AnswerTime);
                Some(Err(Error::ConnectionReadTimeout))
            }
        };
        match &frame {
            Some(Ok(frame)) => self.bytes += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(error)) => {
                if matches!(error, Error::HttpResponseBodySize(_)) {
                    self.note(Limit::AnswerSize);
                }
                self.is_over();
            }
            None => self.is_over(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
