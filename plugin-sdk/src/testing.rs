//! What a sender's own tests need: notifications, and a network that answers as told. Not in the component.

mod acting;
mod payloads;

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::http::{Http, HttpError, Request, Response};
use crate::{Group, Intent, Notification};

pub use acting::{Shown, check_nothing_acts};
pub use payloads::{is_hidden, payloads};

/// A network that gives prepared answers in order and remembers what it was asked.
#[derive(Debug, Default)]
pub struct FakeHttp {
    answers: RefCell<VecDeque<Result<Response, HttpError>>>,
    requests: RefCell<Vec<Request>>,
}

impl FakeHttp {
    /// The answers, first one first. After the last there is no connection.
    #[must_use]
    pub fn new(answers: impl IntoIterator<Item = Result<Response, HttpError>>) -> Self {
        Self { answers: RefCell::new(answers.into_iter().collect()), requests: RefCell::default() }
    }

    /// One answer.
    #[must_use]
    pub fn answering(status: u16, body: &str) -> Self {
        Self::new([Ok(answer(status, body))])
    }

    /// What was asked so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.borrow().clone()
    }
}

impl Http for FakeHttp {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        self.requests.borrow_mut().push(request.clone());
        let next = self.answers.borrow_mut().pop_front();
        next.unwrap_or_else(|| Err(HttpError::NotSent("the test has no more answers".to_owned())))
    }
}

/// A request's body, read as JSON.
///
/// # Panics
/// When it is none.
#[must_use]
#[expect(clippy::panic, reason = "it fails the test that calls it")]
pub fn json(request: &Request) -> serde_json::Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|error| panic!("no JSON: {error}: {request:?}"))
}

/// A request's body, read as a form: names and values in order.
#[must_use]
pub fn form(request: &Request) -> Vec<(String, String)> {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    body.split('&').map(pair).collect()
}

fn decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(code, 16).ok());
        bytes.extend(rest.bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer without headers.
#[must_use]
pub fn answer(status: u16, body: &str) -> Response {
    Response { status, body: body.as_bytes().to_vec(), ..Response::default() }
}

/// A group of the default kind that was closed by its count.
#[must_use]
pub fn group(text: &str, count: u64) -> Group {
    Group {
        id: "00c0ffee00c0ffee".to_owned(),
        route: "root".to_owned(),
        kind: "default".to_owned(),
        source: Some("10.0.0.7".to_owned()),
        text: text.to_owned(),
        severity: None,
        labels: Vec::new(),
        annotations: Vec::new(),
        count,
        total: count,
        first_seen: 784_111_777_000,
        last_seen: 784_111_777_042,
        opened: 784_111_777_000,
        closed: 784_111_807_000,
        samples: Vec::new(),
        reason: "count".to_owned(),
        state: String::new(),
        resolved: false,
        links: Vec::new(),
        extra: String::new(),
    }
}

/// The same, closed by its route's clock after 30 s.
#[must_use]
pub fn group_by_time(text: &str, count: u64) -> Group {
    Group { reason: "time".to_owned(), ..group(text, count) }
}

/// A first attempt to post these groups.
#[must_use]
pub fn notification(groups: Vec<Group>) -> Notification {
    Notification {
        id: "0193c2f0-7d11-7000-8000-00000000002a".to_owned(),
        attempt: 1,
        sender: "team".to_owned(),
        kind: groups.first().map_or_else(|| "default".to_owned(), |group| group.kind.clone()),
        reason: groups.first().map_or_else(|| "time".to_owned(), |group| group.reason.clone()),
        period_ms: 30_000,
        title: groups.first().map_or_else(String::new, |group| group.text.clone()),
        body: None,
        groups,
        omitted_groups: 0,
        omitted_messages: 0,
        sent_at: 784_111_807_005,
        timeout_ms: 10_000,
        intent: Intent::Post,
        previous: None,
        progress: None,
        links: Vec::new(),
        extra: "{}".to_owned(),
    }
}

/// A first attempt to bring up to date what this receipt names.
#[must_use]
pub fn updating(receipt: &[u8]) -> Notification {
    let group = Group { count: 31, ..group("disk full", 1) };
    Notification { intent: Intent::Update, previous: Some(receipt.to_vec()), ..notification(vec![group]) }
}
