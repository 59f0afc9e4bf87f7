//! Requests and their answers: which path is what, and how an answer looks on the wire.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::{Method, StatusCode};
use hyper::{Request, Response};
use serde::Serialize;

use super::report::{DeliveryReport, LetterList, SilenceList, StoreReport};
use super::usage::UsageReport;
use super::{Admin, change, guard, metrics, page, probe};
use crate::limits;
use crate::store::LookError;

/// What goes back.
pub(super) type Answer = Response<Full<Bytes>>;

/// A request that cannot be done, as a person reads it.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl Refusal {
    pub(super) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self(status, why.into())
    }
}

impl From<LookError> for Refusal {
    fn from(error: LookError) -> Self {
        let status = match error {
            LookError::Stopped(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
enum Place<'p> {
    Page,
    Health,
    Ready,
    Metrics,
    Status,
    Store,
    Letters,
    Letter(&'p str),
    Delivery(&'p str),
    Replay,
    Drop,
    Sender(&'p str),
    Test(&'p str),
    Silences,
    ExpireSilences,
}

impl<'p> Place<'p> {
    fn find(path: &'p str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts.as_slice() {
            [""] => Self::Page,
            ["healthz"] => Self::Health,
            ["readyz"] => Self::Ready,
            ["metrics"] => Self::Metrics,
            ["api", "v1", "status"] => Self::Status,
            ["api", "v1", "store"] => Self::Store,
            ["api", "v1", "dlq"] => Self::Letters,
            ["api", "v1", "dlq", "replay"] => Self::Replay,
            ["api", "v1", "dlq", "drop"] => Self::Drop,
            ["api", "v1", "dlq", id] => Self::Letter(id),
            ["api", "v1", "deliveries", id] => Self::Delivery(id),
            ["api", "v1", "senders", name] => Self::Sender(name),
            ["api", "v1", "senders", name, "test"] => Self::Test(name),
            ["api", "v1", "silences"] => Self::Silences,
            ["api", "v1", "silences", "expire"] => Self::ExpireSilences,
            _ => return None,
        })
    }

    /// Whether it takes requests that change something, and whether any others.
    fn changes(&self) -> (bool, bool) {
        match self {
            Self::Replay | Self::Drop | Self::Test(_) | Self::ExpireSilences => (true, false),
            Self::Silences => (true, true),
            _ => (false, true),
        }
    }
}

/// Answers a request, whatever it is.
pub(super) async fn answer(admin: &Admin, request: Request<Incoming>) -> Answer {
    if let Err(why) = guard::check(request.headers(), request.uri()) {
        return refuse(Refusal::new(StatusCode::FORBIDDEN, why));
    }
    let path = request.uri().path().to_owned();
    let Some(place) = Place::find(&path) else {
        return refuse(Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at {path}")));
    };
    let allowed = match place.changes() {
        (true, false) => "POST",
        (true, true) => "GET, HEAD, POST",
        _ => "GET, HEAD",
    };
    let method = request.method();
    if !allowed.split(", ").any(|allowed| method == allowed) {
        let mut answer = refuse(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {allowed}")));
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        return answer;
    }
    let answered =
        if method == Method::POST { post(admin, &place, request).await } else { get(admin, &place, &request).await };
    answered.unwrap_or_else(refuse)
}

async fn get(admin: &Admin, place: &Place<'_>, request: &Request<Incoming>) -> Result<Answer, Refusal> {
    let store = &admin.store;
    match place {
        Place::Health => Ok(probe::health(admin).await),
        Place::Ready => Ok(probe::ready(admin)),
        Place::Metrics => metrics::answer(admin).await,
        Place::Status => Ok(json(StatusCode::OK, &admin.status().await?)),
        Place::Store => {
            let facts = store.look(|reader| reader.facts()).await?;
            Ok(json(StatusCode::OK, &StoreReport::new(facts, store.metrics().trimmed.get())))
        }
        Place::Letters => {
            let Page { sender, before, limit } = Page::of(request.uri().query().unwrap_or_default())?;
            let page = store.look(move |reader| reader.letters(sender.as_deref(), before.as_deref(), limit)).await?;
            Ok(json(StatusCode::OK, &LetterList::from(page)))
        }
        Place::Letter(id) | Place::Delivery(id) => {
            let dead = matches!(place, Place::Letter(_));
            let wanted = (*id).to_owned();
            let found = store.look(move |reader| reader.delivery(&wanted)).await?;
            match found.filter(|found| !dead || found.letter.state == "dead") {
                Some(found) => Ok(json(StatusCode::OK, &DeliveryReport::from(found))),
                None if dead => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no dead letter {id}"))),
                None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("there is no delivery {id}"))),
            }
        }
        Place::Sender(name) => match admin.host.usage(name) {
            Some(usage) => Ok(json(StatusCode::OK, &UsageReport::new(name, &usage))),
            None => Err(Refusal::new(StatusCode::NOT_FOUND, format!("no sender {name} has been called"))),
        },
        Place::Silences => {
            let silences = store.look(|reader| reader.silences()).await?;
            Ok(json(StatusCode::OK, &SilenceList::new(&silences, admin.clock.now())))
        }
        _ => Ok(page::answer(&admin.status().await?)),
    }
}

async fn post(admin: &Admin, place: &Place<'_>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    match place {
        Place::Test(name) => change::test(admin, name, request.uri().query().unwrap_or_default()).await,
        Place::Silences => change::silence(admin, request).await,
        Place::ExpireSilences => change::expire(admin, request).await,
        Place::Replay => change::letters(admin, crate::store::Deed::Replay, request).await,
        _ => change::letters(admin, crate::store::Deed::Drop, request).await,
    }
}

/// What a query asks of a list.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    sender: Option<String>,
    before: Option<String>,
    limit: u32,
}

impl Page {
    fn of(query: &str) -> Result<Self, Refusal> {
        let mut page = Self { sender: None, before: None, limit: limits::LETTER_PAGE };
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "sender" => page.sender = Some(value.into_owned()),
                "before" => page.before = Some(value.into_owned()),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=limits::LETTER_PAGE).contains(limit));
                    page.limit = limit.ok_or_else(|| {
                        let why = format!("limit is a number from 1 to {}", limits::LETTER_PAGE);
                        Refusal::new(StatusCode::BAD_REQUEST, why)
                    })?;
                }
                _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, "a list takes sender, before and limit")),
            }
        }
        Ok(page)
    }
}

/// An answer with this body.
pub(super) fn body(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// Text for people and probes.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    body(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// JSON, indented: people read it with curl.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value) {
        Ok(text) => body(status, "application/json", text + "\n"),
        // Only a map whose keys are no texts cannot be written, and none is shown here.
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(Refusal(status, why): Refusal) -> Answer {
    json(status, &serde_json::json!({ "error": why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_thing_or_nothing() {
        assert_eq!(Place::find("/"), Some(Place::Page));
        assert_eq!(Place::find("/api/v1/dlq/replay"), Some(Place::Replay));
        assert_eq!(Place::find("/api/v1/dlq/0190"), Some(Place::Letter("0190")));
        assert_eq!(Place::find("/api/v1/senders/a.b"), Some(Place::Sender("a.b")));
        assert_eq!(Place::find("/api/v1/senders/a.b/test"), Some(Place::Test("a.b")));
        assert_eq!(Place::find("/api/v1/silences/expire"), Some(Place::ExpireSilences));
        for nothing in ["", "*", "//", "/healthz/", "/api", "/api/v1/dlq/a/b", "/api/v2/status", "/../healthz"] {
            assert_eq!(Place::find(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_list_takes_what_it_knows_and_nothing_else() {
        let page = Page::of("sender=a%20b&before=x&limit=7").expect("a page");
        assert_eq!(page, Page { sender: Some("a b".to_owned()), before: Some("x".to_owned()), limit: 7 });
        for wrong in ["limit=0", "limit=-1", "limit=x", "limit=99999", "senders=a"] {
            assert!(Page::of(wrong).is_err(), "{wrong}");
        }
    }
}
