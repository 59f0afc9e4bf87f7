//! What comes in over HTTP: which path speaks which format, what a body holds, and how each format answers.
//!
//! Pure functions of a request: no I/O, no clock. A format reads a whole body, already decompressed and of bounded size,
//! and gives its messages to whoever [`Take`]s them.

use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::http::{Method, StatusCode, Uri};

use super::Parsed;
use crate::message::Posted;

mod alertmanager;
mod cloudevents;
pub mod desk;
mod gelf;
mod messages;
mod otlp;
mod sentry;

/// A request without its body.
#[derive(Debug)]
pub struct Head<'a> {
    /// Path and query.
    pub uri: &'a Uri,
    /// All header fields.
    pub headers: &'a HeaderMap,
    /// A longer text is cut here, in bytes.
    pub text_bytes: usize,
}

impl<'h> Head<'h> {
    /// The media type of the body, in lower case and without parameters; empty when none is named.
    #[must_use]
    pub fn media_type(&self) -> String {
        let whole = self.word(CONTENT_TYPE.as_str());
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The value of a header field; empty when it is not there or not ASCII.
    #[must_use]
    pub fn word(&self, name: &str) -> &'h str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Takes what a body holds, one after the other.
pub trait Take {
    /// A message.
    fn message(&mut self, message: Parsed<'_>);
    /// Something that is no message and means nothing to mag.
    fn skip(&mut self);
    /// By what name the client knows the request: its answer may repeat it.
    fn name(&mut self, name: &str);
    /// An alert.
    fn alert(&mut self, alert: Posted<'_>);
    /// Something that is not taken: its number in the body, from 0, and why.
    fn refuse(&mut self, index: u64, why: String);
}

/// What a body came to, once all that was taken of it is committed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Messages taken: those that are committed, also those that were known already by their id.
    pub accepted: u64,
    /// Messages that were not taken.
    pub refused: u64,
    /// Why, by their numbers in the body, from 0; of very many only the first ones.
    pub errors: Vec<(u64, String)>,
    /// By what name the client knows the request.
    pub name: Option<String>,
}

/// A request of which nothing is taken.
#[derive(Debug)]
pub struct Refusal {
    /// What kind of mistake it is.
    pub status: StatusCode,
    /// What is wrong and what to do, in one sentence.
    pub why: String,
}

impl Refusal {
    /// A request that is wrong in itself.
    #[must_use]
    pub fn bad(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, why: why.into() }
    }

    /// A request of which there is too much.
    #[must_use]
    pub fn too_large(why: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, why: why.into() }
    }

    /// A body of a kind that cannot be read.
    #[must_use]
    pub fn unknown_kind(why: impl Into<String>) -> Self {
        Self { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, why: why.into() }
    }
}

/// What goes back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The media type of its body.
    pub content_type: &'static str,
    /// Its body.
    pub body: Vec<u8>,
    /// Fields after the body: how gRPC says what came of a call.
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// A body of this media type.
    #[must_use]
    pub fn of(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status, content_type, body, trailers: None }
    }

    /// JSON, on one line.
    #[must_use]
    pub fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        Self::of(status, "application/json", format!("{value}\n").into_bytes())
    }

    /// `{"error": …}`, as all formats answer that have no form of their own.
    #[must_use]
    pub fn error(refusal: &Refusal) -> Self {
        Self::json(refusal.status, &serde_json::json!({ "error": refusal.why }))
    }
}

/// A format that comes over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// mag's own: JSON, NDJSON or plain text.
    Messages,
    /// OTLP logs over plain HTTP.
    Otlp,
    /// OTLP logs over gRPC.
    OtlpGrpc,
    /// CloudEvents, one or a batch.
    CloudEvents,
    /// GELF.
    Gelf,
    /// Sentry's envelopes.
    SentryEnvelope,
    /// Sentry's events, each alone.
    SentryStore,
    /// Alertmanager's API v2, as Prometheus and vmalert speak it.
    Alerts,
    /// What an Alertmanager tells its webhooks.
    AlertWebhook,
}

impl Format {
    /// What is spoken at `path`; `None` when nothing is.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/api/v1/messages" => Some(Self::Messages),
            "/api/v2/alerts" => Some(Self::Alerts),
            "/api/v1/alertmanager" => Some(Self::AlertWebhook),
            "/api/v1/events" => Some(Self::CloudEvents),
            "/gelf" => Some(Self::Gelf),
            "/v1/logs" => Some(Self::Otlp),
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Self::OtlpGrpc),
            _ => sentry::at(path).map(|endpoint| match endpoint {
                sentry::Endpoint::Envelope => Self::SentryEnvelope,
                sentry::Endpoint::Store => Self::SentryStore,
            }),
        }
    }

    /// What a request brings to be let in, where this format has a place of its own for it.
    #[must_use]
    pub fn key<'h>(self, head: &Head<'h>) -> Option<&'h str> {
        match self {
            Self::SentryEnvelope | Self::SentryStore => sentry::key(head),
            _ => None,
        }
    }

    /// What a request does to show a token.
    #[must_use]
    pub fn how_to_show_a_token(self) -> &'static str {
        match self {
            Self::SentryEnvelope | Self::SentryStore => "it is the key of the DSN, as in http://TOKEN@HOST/1",
            _ => "send the header `Authorization: Bearer TOKEN`",
        }
    }

    /// Methods that it takes.
    #[must_use]
    pub fn methods(self) -> &'static [Method] {
        match self {
            // What is asked there is answered elsewhere.
            Self::Alerts => &[Method::GET, Method::POST],
            _ => &[Method::POST],
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    ///
    /// Why nothing of it can be taken; what was given to `take` until then must not be used.
    pub fn read(self, head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
        match self {
            Self::Messages => messages::read(head, body, take),
            Self::CloudEvents => cloudevents::read(head, body, take),
            Self::Gelf => gelf::read(head, body, take),
            Self::Otlp => otlp::read(head, body, take),
            Self::OtlpGrpc => otlp::read_call(head, body, take),
            Self::SentryEnvelope => sentry::read_envelope(head, body, take),
            Self::SentryStore => sentry::read_store(head, body, take),
            Self::Alerts => alertmanager::read(head, body, take),
            Self::AlertWebhook => alertmanager::read_webhook(head, body, take),
        }
    }

    /// How it says what came of a request.
    #[must_use]
    pub fn answer(self, head: &Head<'_>, came: Result<&Outcome, &Refusal>) -> Answer {
        match self {
            Self::Messages | Self::CloudEvents => messages::answer(came),
            Self::Gelf => gelf::answer(came),
            Self::Otlp => otlp::answer(head, came),
            Self::OtlpGrpc => otlp::answer_call(came),
            Self::SentryEnvelope | Self::SentryStore => sentry::answer(came),
            Self::Alerts | Self::AlertWebhook => alertmanager::answer(came),
        }
    }
}

#[cfg(test)]
mod tests;
