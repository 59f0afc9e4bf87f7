//! What `amtool`, Grafana and other clients of Alertmanager ask: the alerts that fire, their groups, silences, status.
//!
//! It reads the store through connections of its own and changes nothing but by commands to its writer; what takes long
//! is done beside the runtime's threads, a few answers at a time, each for a bounded time and of a bounded size. So it
//! can hold up nobody. Answers look as in Alertmanager's API v2; a refusal is a JSON text.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use hyper::http::{Method, StatusCode};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::limits;
use crate::message::Millis;
use crate::protocol::http::Answer;
use crate::protocol::http::desk::{Asked, Desk, Page};
use crate::route::Routes;
use crate::store::{LookError, SilenceError, SilenceWish, Stopped, Store};

mod form;
mod listing;
mod wanted;

use listing::{Filter, Scene};

/// Answers in Alertmanager's place.
#[derive(Debug)]
pub struct Alertmanager {
    store: Store,
    routes: watch::Receiver<Routes>,
    clock: Clock,
    started: Millis,
    stopping: CancellationToken,
    /// An answer may be large; so few are made at a time.
    turns: Arc<Semaphore>,
}

/// The right to make an answer that takes long or much. It goes along with the work, which goes on when whoever asked
/// has gone.
type Turn = OwnedSemaphorePermit;

/// What cannot be answered.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
    }

    fn too_large() -> Self {
        let most = limits::ALERT_ANSWER_BYTES / (1024 * 1024);
        Self::bad(format!("the answer has more than {most} MiB: ask for less of it with filter="))
    }

    /// As Alertmanager says it.
    fn told(self) -> Answer {
        let body = serde_json::Value::from(self.1).to_string().into_bytes();
        Answer { status: self.0, content_type: JSON, body, trailers: None }
    }
}

impl From<LookError> for Refusal {
    fn from(error: LookError) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

impl From<SilenceError> for Refusal {
    fn from(error: SilenceError) -> Self {
        let status = match error {
            SilenceError::Unknown(_) => StatusCode::NOT_FOUND,
            SilenceError::TooMany | SilenceError::TooManyRegexes => StatusCode::BAD_REQUEST,
            // As Alertmanager says it; its clients know no other status.
            SilenceError::Expired(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl Desk for Alertmanager {
    fn answer<'a>(&'a self, asked: Asked) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> {
        Box::pin(async move { self.reply(asked).await.unwrap_or_else(Refusal::told) })
    }
}

impl Alertmanager {
    /// Speaks of what `store` holds and of where `routes` lead; ready until `stopping`.
    #[must_use]
    pub fn new(store: Store, routes: watch::Receiver<Routes>, clock: Clock, stopping: CancellationToken) -> Self {
        let turns = Arc::new(Semaphore::new(limits::ALERT_ANSWERS));
        Self { store, routes, started: clock.now(), clock, stopping, turns }
    }

    async fn reply(&self, asked: Asked) -> Result<Answer, Refusal> {
        let now = self.clock.now();
        match asked.page {
            Page::Alerts | Page::Groups => self.alerts(asked, now).await,
            Page::Status => json(StatusCode::OK, &form::status(&self.routes.borrow(), self.started)),
            Page::Receivers => json(StatusCode::OK, &form::receivers(&self.routes.borrow())),
            Page::Silences if asked.method == Method::POST => {
                let read = move || wanted::silence(&asked.body, now).map_err(Refusal::bad);
                let (silence, _turn) = beside(self.turn().await?, read).await?;
                let id = self.store.silence(SilenceWish::Set(silence)).await??;
                tracing::info!("silence {id} is set over the API");
                json(StatusCode::OK, &serde_json::json!({ "silenceID": id }))
            }
            Page::Silences => {
                let (filter, turn) = beside(self.turn().await?, move || Filter::of(&asked.query)).await?;
                let (silences, turn) = self.store.look(move |reader| Ok((reader.silences()?, turn))).await?;
                let write = move || {
                    let shown = silences.iter().filter(|silence| filter.takes_silence(silence));
                    json(StatusCode::OK, &form::Each::of(shown, |silence| form::silence(silence, now)))
                };
                Ok(beside(turn, write).await?.0)
            }
            Page::Silence(id) if asked.method == Method::DELETE => {
                let id = self.store.silence(SilenceWish::Expire(id)).await??;
                tracing::info!("silence {id} is expired over the API");
                Ok(Answer { status: StatusCode::OK, content_type: JSON, body: Vec::new(), trailers: None })
            }
            Page::Silence(id) => {
                let wanted = id.clone();
                let silence = self.store.look(move |reader| reader.silence(&wanted)).await?;
                let silence = silence.ok_or(SilenceError::Unknown(id))?;
                json(StatusCode::OK, &form::silence(&silence, now))
            }
            Page::Healthy => Ok(text(StatusCode::OK, "OK\n")),
            Page::Ready if self.stopping.is_cancelled() || self.store.trouble().is_some() => {
                Ok(text(StatusCode::SERVICE_UNAVAILABLE, "takes no messages now\n"))
            }
            Page::Ready => Ok(text(StatusCode::OK, "OK\n")),
        }
    }

    /// The alerts that fire, as a list or by their groups.
    async fn alerts(&self, asked: Asked, now: Millis) -> Result<Answer, Refusal> {
        let Asked { page, query, .. } = asked;
        let (filter, turn) = beside(self.turn().await?, move || Filter::of(&query)).await?;
        let (alerts, turn) = self.store.look(move |reader| Ok((reader.alerts()?, turn))).await?;
        let clock = self.clock.clone();
        let ends = clock.instant() + limits::ALERT_ANSWER;
        let scene = Scene { silences: self.store.silences(), routes: self.routes.borrow().clone(), filter, now };
        let list = move || {
            let shown = listing::shown(alerts, &scene, || clock.instant() >= ends)?;
            match page {
                Page::Groups => json(StatusCode::OK, &listing::groups(&shown, &scene)),
                _ => json(StatusCode::OK, &listing::alerts(&shown, now)),
            }
        };
        Ok(beside(turn, list).await?.0)
    }

    async fn turn(&self) -> Result<Turn, Stopped> {
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| Stopped)
    }
}

/// Does what may take long on a thread of its own; gives the turn back when it is done.
async fn beside<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<(T, Turn), Refusal> {
    let working = tokio::task::spawn_blocking(move || work().map(|done| (done, turn)));
    working.await.unwrap_or_else(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => Err(Stopped.into()),
    })
}

const JSON: &str = "application/json";

fn json(status: StatusCode, value: &impl Serialize) -> Result<Answer, Refusal> {
    let mut bounded = Bounded(Vec::new());
    match serde_json::to_writer(&mut bounded, value) {
        Ok(()) => Ok(Answer { status, content_type: JSON, body: bounded.0, trailers: None }),
        Err(error) if error.is_io() => Err(Refusal::too_large()),
        // Only a map whose keys are no texts cannot be written, and none is shown here.
        Err(error) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

/// An answer that is given up when it is too large, not looked at afterwards.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limits::ALERT_ANSWER_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: text.as_bytes().to_vec(), trailers: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_too_large_is_given_up_while_it_is_written_and_says_what_to_do() {
        let mebibyte = "x".repeat(1024 * 1024);
        let mut written = 0;
        let all = form::Each::of(0..10_000, |_| {
            written += 1;
            mebibyte.as_str()
        });
        let Refusal(status, why) = json(StatusCode::OK, &all).expect_err("10 GB");
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(why, "the answer has more than 32 MiB: ask for less of it with filter=");
        drop(all);
        assert_eq!(written, 32);
        let little = json(StatusCode::OK, &form::Each::of(0..3, |n| n)).expect("a few numbers");
        assert_eq!(little.body, b"[0,1,2]");
    }

    #[test]
    fn several_of_the_largest_answers_may_wait_for_their_clients() {
        const { assert!(2 * limits::ALERT_ANSWER_BYTES < limits::HTTP_ANSWER_BYTES) };
    }
}
