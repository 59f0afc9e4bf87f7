//! The host's mail service: a guest POSTs a mail as JSON, the host sends it with the sender's `smtp` settings.
//!
//! **Invariant:** nothing that a guest writes can begin a header or an SMTP command of its own.

mod compose;
mod smtp;

use bytes::Bytes;
use http::{Response, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::text;
use crate::limits;

pub(super) use smtp::Mailer;

/// The host name that means this service; no such name can exist outside.
const HOST: &str = "mail.mag.internal";
/// What a guest is asked to wait when the server is away or asks for later.
const RETRY_AFTER_SECONDS: u32 = 60;

/// Whether a request is for this service. Any scheme and port: such a name must not be looked up in any case.
pub(super) fn is_for_mail(uri: &Uri) -> bool {
    uri.host().is_some_and(|host| host.trim_end_matches('.').eq_ignore_ascii_case(HOST))
}

/// Whether an origin that a plugin asked for is this service.
pub(super) fn is_the_service(origin: &str) -> bool {
    origin.parse().is_ok_and(|uri| is_for_mail(&uri))
}

/// A mail as a guest writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    from: String,
    to: Vec<String>,
    #[serde(default)]
    cc: Vec<String>,
    #[serde(default)]
    reply_to: Option<String>,
    subject: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    html: Option<String>,
    message_id: String,
    #[serde(default)]
    in_reply_to: Option<String>,
    #[serde(default)]
    references: Vec<String>,
}

/// Why a mail was not taken.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// It is no mail: 400.
    Invalid(String),
    /// The server said 4xx, or there was no connection: 503.
    Later(String),
    /// Broken off after DATA: 504.
    Unknown(String),
    /// The server said 5xx: 422.
    Never(String),
    /// The login failed: 401.
    Login(String),
}

impl Refused {
    fn answer(&self) -> Response<Bytes> {
        let (status, reason) = match self {
            Self::Invalid(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Later(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
            Self::Unknown(reason) => (StatusCode::GATEWAY_TIMEOUT, reason),
            Self::Never(reason) => (StatusCode::UNPROCESSABLE_ENTITY, reason),
            Self::Login(reason) => (StatusCode::UNAUTHORIZED, reason),
        };
        let reason = text::line(reason, limits::PLUGIN_MESSAGE_CHARS);
        let mut answer = answer(status, &json!({ "error": reason }));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        answer
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}

impl Mailer {
    /// Sends the mail in `body`, and answers as an HTTP server would.
    pub(super) async fn answer(&self, body: &[u8]) -> Response<Bytes> {
        match self.deliver(body).await {
            Ok((message_id, rejected)) => {
                answer(StatusCode::ACCEPTED, &json!({ "message_id": message_id, "rejected": rejected }))
            }
            Err(refused) => refused.answer(),
        }
    }

    async fn deliver(&self, body: &[u8]) -> Result<(String, Vec<String>), Refused> {
        let mail: Mail = serde_json::from_slice(body).map_err(|error| Refused::Invalid(error.to_string()))?;
        let message = compose::message(&mail)?;
        let rejected = self.send(message.envelope(), &message.formatted()).await?;
        Ok((mail.message_id, rejected))
    }
}

#[cfg(test)]
pub(super) mod tests;
