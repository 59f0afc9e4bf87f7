//! A receiver: records every request, answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mag_testkit::http::Server;
use serde_json::Value;

pub(crate) use mag_testkit::http::Answer;

use super::record::Record;

/// One request, whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query, as they were sent.
    pub(crate) target: String,
    whole: mag_testkit::http::Request,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.whole.header(name)
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.whole.body).expect("a body of text")
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.whole.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// How long after `earlier` it came.
    pub(crate) fn after(&self, earlier: &Self) -> Duration {
        self.whole.after(&earlier.whole)
    }
}

/// The server. Without a script every request is answered with 200.
pub(crate) struct Receiver {
    server: Server,
    requests: Arc<Record<Request>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl Receiver {
    /// A server that answers 200 once its script is over.
    pub(crate) fn start() -> Self {
        Self::answering(|_| Answer::status(200))
    }

    /// A server that answers by this rule once its script is over.
    pub(crate) fn answering(rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let requests = Arc::<Record<Request>>::default();
        let script = Arc::<Mutex<VecDeque<Answer>>>::default();
        let (record, scripted) = (Arc::clone(&requests), Arc::clone(&script));
        let server = Server::start(move |whole| {
            let whole = whole.clone();
            let request = Request { method: whole.method.clone(), target: whole.target.clone(), whole };
            let scripted = scripted.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let answer = scripted.unwrap_or_else(|| rule(&request));
            record.push(request);
            answer
        });
        Self { server: server.expect("a free port"), requests, script }
    }

    /// The next request is answered with this; called again, the one after it, and so on.
    pub(crate) fn answers_next(self, answer: Answer) -> Self {
        self.will_answer(answer);
        self
    }

    pub(super) fn will_answer(&self, answer: Answer) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// A URL of this server; `path` begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// The `number`-th request, counted from 1, as soon as it came.
    #[track_caller]
    pub(crate) fn request(&self, number: usize) -> Request {
        self.requests.wait_for(&format!("request {number}"), |all| all.get(number.checked_sub(1)?).cloned())
    }

    /// Waits until `found` finds what it looks for among the requests so far.
    #[track_caller]
    pub(crate) fn gets<R>(&self, what: &str, found: impl Fn(&[Request]) -> Option<R>) -> R {
        self.requests.wait_for(what, found)
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.all()
    }
}
