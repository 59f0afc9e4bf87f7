//! The admin listener of a running mag, asked byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use mag_testkit::wait_for;
use serde_json::Value;

use super::wire::Wire;

/// mag answers far sooner; only a mistake waits this long.
const LIMIT: Duration = Duration::from_secs(120);

/// An answer, whole.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Reads what a server said until it closed.
    #[track_caller]
    pub(crate) fn read(said: &str) -> Self {
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {said:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// The body, which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    /// Checks that it is a refusal with this status, and what it says.
    #[track_caller]
    pub(crate) fn must_refuse(&self, status: u16, said: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let error = self.json()["error"].as_str().expect("an error in words").to_owned();
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin(pub(super) SocketAddr);

impl Admin {
    /// Where it is, as a command is told.
    pub(crate) fn address(self) -> String {
        self.0.to_string()
    }

    /// A connection to it.
    pub(crate) fn wire(self) -> Wire {
        Wire::to(self.0)
    }

    /// Reads something.
    #[track_caller]
    pub(crate) fn get(self, path: &str) -> Reply {
        self.asks(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.0))
    }

    /// Sends JSON.
    #[track_caller]
    pub(crate) fn post(self, path: &str, body: &str) -> Reply {
        self.asks(&format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.0,
            body.len()
        ))
    }

    /// Sends these bytes and reads to the end.
    #[track_caller]
    pub(crate) fn asks(self, request: &str) -> Reply {
        let mut wire = self.wire();
        wire.writes(request.as_bytes());
        Reply::read(&wire.hears_to_the_end())
    }

    /// Sends these bytes and reads to the end, unless it is closed at once because too many are open.
    pub(crate) fn asks_while_open(self, request: &str) -> Option<Reply> {
        let mut wire = self.wire();
        wire.writes_while_open(request.as_bytes());
        wire.hears_all_while_open().filter(|said| !said.is_empty()).map(|said| Reply::read(&said))
    }

    /// Asks until there is an answer; each question takes its time.
    #[track_caller]
    pub(crate) fn asks_until_answered(self, request: &str) -> Reply {
        wait_for("an answer", LIMIT, || Ok(self.asks_while_open(request))).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Asks until `found` finds what it looks for; each question takes its time.
    #[track_caller]
    pub(crate) fn gets<R>(self, path: &str, found: impl Fn(&Reply) -> Option<R>) -> R {
        let mut last = None;
        let waited = wait_for(path, LIMIT, || {
            let reply = self.get(path);
            let found = found(&reply);
            last = Some(reply);
            Ok(found)
        });
        waited.unwrap_or_else(|error| panic!("{error}; there is only {last:#?}"))
    }
}
