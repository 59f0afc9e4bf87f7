//! What `amtool`, Grafana and other clients of Alertmanager ask: the alerts that fire, their groups, silences, status.
//!
//! It reads the store through connections of its own and changes nothing but by commands to its writer, so it can hold up
//! nobody. Answers look as in Alertmanager's API v2; a refusal is a JSON text.

use std::future::Future;
use std::pin::Pin;

use hyper::http::{Method, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
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

use listing::Filter;

/// Answers in Alertmanager's place.
#[derive(Debug)]
pub struct Alertmanager {
    store: Store,
    routes: watch::Receiver<Routes>,
    clock: Clock,
    started: Millis,
    stopping: CancellationToken,
    /// An answer may be large; so few are made at a time.
    permits: Semaphore,
}

/// What cannot be answered.
#[derive(Debug)]
struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(why: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, why.into())
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
        Box::pin(async move { self.reply(asked).await.unwrap_or_else(|Refusal(status, why)| json(status, &why)) })
    }
}

impl Alertmanager {
    /// Speaks of what `store` holds and of where `routes` lead; ready until `stopping`.
    #[must_use]
    pub fn new(store: Store, routes: watch::Receiver<Routes>, clock: Clock, stopping: CancellationToken) -> Self {
        let permits = Semaphore::new(limits::ALERT_ANSWERS);
        Self { store, routes, started: clock.now(), clock, stopping, permits }
    }

    async fn reply(&self, asked: Asked) -> Result<Answer, Refusal> {
        let Ok(_permit) = self.permits.acquire().await else { return Err(Stopped.into()) };
        let now = self.clock.now();
        match asked.page {
            Page::Alerts => {
                let (alerts, silences) = self.alerts().await?;
                let filter = Filter::of(&asked.query)?;
                Ok(json(StatusCode::OK, &listing::alerts(alerts, &silences, &self.routes.borrow(), &filter, now)))
            }
            Page::Groups => {
                let (alerts, silences) = self.alerts().await?;
                let filter = Filter::of(&asked.query)?;
                Ok(json(StatusCode::OK, &listing::groups(alerts, &silences, &self.routes.borrow(), &filter, now)))
            }
            Page::Status => Ok(json(StatusCode::OK, &form::status(&self.routes.borrow(), self.started))),
            Page::Receivers => Ok(json(StatusCode::OK, &form::receivers(&self.routes.borrow()))),
            Page::Silences if asked.method == Method::POST => {
                let silence = wanted::silence(&asked.body, now).map_err(Refusal::bad)?;
                let id = self.store.silence(SilenceWish::Set(silence)).await??;
                tracing::info!("silence {id} is set over the API");
                Ok(json(StatusCode::OK, &serde_json::json!({ "silenceID": id })))
            }
            Page::Silences => {
                let filter = Filter::of(&asked.query)?;
                let silences = self.store.look(|reader| reader.silences()).await?;
                let shown = silences.iter().filter(|silence| filter.takes_silence(silence));
                Ok(json(StatusCode::OK, &shown.map(|silence| form::silence(silence, now)).collect::<Vec<_>>()))
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
                Ok(json(StatusCode::OK, &form::silence(&silence, now)))
            }
            Page::Healthy => Ok(text(StatusCode::OK, "OK\n")),
            Page::Ready if self.stopping.is_cancelled() || self.store.trouble().is_some() => {
                Ok(text(StatusCode::SERVICE_UNAVAILABLE, "takes no messages now\n"))
            }
            Page::Ready => Ok(text(StatusCode::OK, "OK\n")),
        }
    }

    async fn alerts(&self) -> Result<(Vec<crate::alerts::Alert>, Vec<crate::silence::Silence>), LookError> {
        self.store.look(|reader| Ok((reader.alerts()?, reader.silences()?))).await
    }
}

const JSON: &str = "application/json";

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Answer { status, content_type: JSON, body, trailers: None },
        // Only a map whose keys are no texts cannot be written, and none is shown here.
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    Answer { status, content_type: "text/plain; charset=utf-8", body: text.as_bytes().to_vec(), trailers: None }
}
