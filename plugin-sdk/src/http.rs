//! The way out: one blocking request, one answer. What an answer means is in [`Response::check`]; the network itself is
//! behind [`Http`], so that a sender's own logic is tested without one.
//!
//! Nothing here follows a redirect, keeps a connection or tries twice: mag does what has to be done again.

mod answer;
mod form;
mod said;
mod secret;
mod url;
#[cfg(target_arch = "wasm32")]
pub(crate) mod wasi;

pub use answer::retry_after_ms;
pub use form::{encode, with_query};
pub use said::{Said, word};
pub use secret::Encoding;
pub use url::Url;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, failure};

/// An answer is read up to this, unless the request says otherwise.
pub const ANSWER_BYTES: usize = 64 * 1024;

/// Sends a request and waits for the answer.
pub trait Http {
    /// Sends it once.
    ///
    /// # Errors
    /// There was no answer.
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Absolute, `http` or `https`.
    pub url: String,
    /// Names and values; `content-length` is set by the client.
    pub headers: Vec<(String, String)>,
    /// May be empty.
    pub body: Vec<u8>,
    /// The answer's body is read up to here.
    pub answer_bytes: usize,
}

impl Request {
    /// A request without a body.
    #[must_use]
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            answer_bytes: ANSWER_BYTES,
        }
    }

    /// `GET`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// `POST`.
    #[must_use]
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body. The content type is for a [`header`](Self::header) to say.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sets the body to plain text, and the content type if there is none yet.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.body(text.into()).content_type("text/plain; charset=utf-8")
    }

    /// Sets the body, and the content type if there is none yet. A value that JSON cannot express (a map with keys that
    /// are no strings) becomes an empty body.
    #[must_use]
    pub fn json(self, value: &impl Serialize) -> Self {
        self.body(serde_json::to_vec(value).unwrap_or_default()).content_type("application/json")
    }

    /// Reads at most this much of the answer's body, 64 KiB unless set.
    #[must_use]
    pub fn answer_bytes(mut self, bytes: usize) -> Self {
        self.answer_bytes = bytes;
        self
    }

    fn content_type(self, name: &str) -> Self {
        if self.header_value("content-type").is_some() { self } else { self.header("content-type", name) }
    }

    /// The value of a header, whatever the case of its name.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values; a value that is not UTF-8 is left out.
    pub headers: Vec<(String, String)>,
    /// At most [`Request::answer_bytes`].
    pub body: Vec<u8>,
    /// Whether there was more of it, or it broke off.
    pub truncated: bool,
}

impl Response {
    /// The value of a header, whatever the case of its name.
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// A failure to try again: the destination took the request and answered something else than it should.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if self.truncated {
                "an answer that is too long or broke off"
            } else {
                "an answer that is no such JSON"
            };
            failure::maybe_delivered("bad-answer", &format!("{what}: {error}"))
        })
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The request can never be sent: its URL or a header is wrong, or mag does not let this sender go there.
    Refused(String),
    /// The body is larger than mag lets out of a sandbox: 1 MiB.
    TooLarge,
    /// No connection: nothing was sent.
    NotSent(String),
    /// Timeout or reset after something went out: the destination may have taken it.
    Broken(String),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Refused(why) => failure::misconfigured("refused", &why),
            HttpError::TooLarge => failure::permanent("too-large", "the request's body is larger than 1 MiB"),
            HttpError::NotSent(why) => failure::retry("no-connection", &why),
            HttpError::Broken(why) => failure::maybe_delivered("broken-off", &why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_body_has_its_content_type() {
        let post = || Request::post("https://example.org/");
        let text = post().text("größer");
        assert_eq!(text.header_value("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(text.body, "größer".as_bytes());
        let json = post().json(&[1, 2]);
        assert_eq!(
            (json.header_value("content-type"), json.body.as_slice()),
            (Some("application/json"), &b"[1,2]"[..])
        );
        let bytes = post().body(b"a=1&b=2");
        assert_eq!((bytes.headers.len(), bytes.body.as_slice()), (0, &b"a=1&b=2"[..]));
    }

    #[test]
    fn a_content_type_that_is_set_stays() {
        let request = Request::new("PUT", "https://example.org/").header("Content-Type", "text/html").text("<p>");
        assert_eq!(request.headers, [("Content-Type".to_owned(), "text/html".to_owned())]);
    }
}
