//! Requests that change something: dead letters, silences, and tests of senders. Each is a command to the store's writer, and is
//! logged.

use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::http::StatusCode;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::Admin;
use super::answer::{Answer, Refusal, json};
use super::report::{Decided, Queued, Selection, SilenceMade, SilenceWanted, SilencesNamed};
use super::turns::Turn;
use crate::limits;
use crate::matcher::Matcher;
use crate::silence::{self, Silence};
use crate::store::{Deed, LetterError, SilenceError, SilenceWish, Stopped, Which};

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, stopped.to_string())
    }
}

impl From<LetterError> for Refusal {
    fn from(error: LetterError) -> Self {
        let status = match error {
            LetterError::Missing { .. } => StatusCode::NOT_FOUND,
            LetterError::NotDead { .. } | LetterError::SenderGone { .. } => StatusCode::CONFLICT,
            LetterError::TooMany => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

impl From<SilenceError> for Refusal {
    fn from(error: SilenceError) -> Self {
        let status = match error {
            SilenceError::Unknown(_) => StatusCode::NOT_FOUND,
            SilenceError::Expired(_) | SilenceError::TooMany | SilenceError::TooManyRegexes => StatusCode::CONFLICT,
        };
        Self::new(status, error.to_string())
    }
}

impl Admin {
    fn has_sender(&self, name: &str) -> bool {
        self.senders.borrow().contains_key(name)
    }

    fn no_sender(&self, name: &str) -> Refusal {
        let senders = self.senders.borrow();
        let names: Vec<&str> = senders.keys().map(String::as_str).collect();
        let why = format!("there is no sender {name}, only {}", names.join(", "));
        Refusal::new(StatusCode::NOT_FOUND, why)
    }
}

/// Replays or drops the dead letters that the body names.
pub(super) async fn letters(admin: &Admin, deed: Deed, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let selection: Selection = body(request).await?;
    let which = selection.which().ok_or_else(|| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "name exactly one of {\"ids\": […]}, {\"sender\": \"…\"}, {\"all\": true}",
        )
    })?;
    let of_sender = if let Which::Sender(name) = &which { Some(name.clone()) } else { None };
    let moved = admin.store.letters(which, deed).await??;
    if let Some(name) = of_sender.filter(|name| moved.is_nothing() && !admin.has_sender(name)) {
        return Err(admin.no_sender(&name));
    }
    let what = match deed {
        Deed::Replay => "replayed",
        Deed::Drop => "dropped",
    };
    tracing::info!(letters = moved.letters, messages = moved.messages, "a person {what} dead letters");
    Ok(json(StatusCode::OK, &Decided::from(moved)))
}

/// Queues a test notification, for as long as the query says that somebody waits.
pub(super) async fn test(admin: &Admin, name: &str, query: &str) -> Result<Answer, Refusal> {
    let [usual, most] = limits::TEST_WAIT_SECONDS.map(Duration::from_secs);
    let wait = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "wait").map(|(_, value)| value);
    let wait = wait
        .map_or(Some(usual), |value| humantime::parse_duration(&value).ok())
        .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "wait is a duration like 60s"))?;
    let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
    if !admin.has_sender(&name) {
        return Err(admin.no_sender(&name));
    }
    let id = admin.store.test(name.clone(), wait.min(most)).await??;
    if let Some(seen) = admin.senders.borrow().get(&name) {
        seen.look.notify_one();
    }
    tracing::info!(sender = name, id, "a person asked for a test notification");
    Ok(json(StatusCode::ACCEPTED, &Queued { id }))
}

/// Makes the silence that the body describes.
pub(super) async fn silence(admin: &Admin, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let wanted: SilenceWanted = body(request).await?;
    let now = admin.clock.now();
    let bad = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
    let times = (wanted.starts.map_or(now, |starts| starts.0), wanted.ends.0);
    let (texts, words) = (wanted.matchers, (wanted.created_by, wanted.comment));
    let matcher =
        |text: String| Matcher::parse_bounded(&text).map_err(|error| format!("bad matcher {text:?}: {error}"));
    // Compiling takes longer than a thread of the runtime should be held.
    let reading =
        tokio::task::spawn_blocking(move || Silence::wanted(silence::matchers(texts, matcher)?, times, words, now));
    let silence = reading.await.map_err(|_broke_off| Stopped)?.map_err(bad)?;
    let id = admin.store.silence(SilenceWish::Set(silence)).await??;
    tracing::info!("a person made silence {id}");
    Ok(json(StatusCode::CREATED, &SilenceMade { id }))
}

/// Ends the silences that the body names, all or as far as they are there.
pub(super) async fn expire(admin: &Admin, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let wanted: SilencesNamed = body(request).await?;
    let mut expired = Vec::new();
    for id in wanted.ids {
        expired.push(admin.store.silence(SilenceWish::Expire(id)).await??);
    }
    tracing::info!(silences = expired.len(), "a person expired silences");
    Ok(json(StatusCode::OK, &SilencesNamed { ids: expired }))
}

/// The body as JSON, of a size and in a time that harm nobody.
async fn body<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    // A form of a web page cannot send this type.
    if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    let turn = request.extensions().get::<Turn>().cloned();
    turn.iter().for_each(Turn::is_clients);
    let limited = Limited::new(request.into_body(), limits::ADMIN_BODY_BYTES);
    let read = timeout(Duration::from_secs(limits::ADMIN_BODY_SECONDS), limited.collect()).await;
    turn.iter().for_each(Turn::is_mags);
    let whole = match read {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("the body is longer than {} bytes", limits::ADMIN_BODY_BYTES);
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why));
        }
        Ok(Err(error)) => return Err(Refusal::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))),
        Err(_) => return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    };
    serde_json::from_slice(&whole)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body is not what is expected: {error}")))
}
