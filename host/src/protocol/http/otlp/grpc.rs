//! One unary gRPC call over HTTP/2: a message in a frame of five more bytes, and a status behind the answer.

use std::borrow::Cow;
use std::fmt::Write as _;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::StatusCode;

use super::{Answer, Head, Refusal};
use crate::limits;
use crate::protocol::inflate::{Coding, Error, inflate};

/// The message of a call, decompressed.
pub(super) fn message<'a>(head: &Head<'_>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Refusal> {
    let kind = head.media_type();
    if kind != "application/grpc" && !kind.starts_with("application/grpc+proto") {
        return Err(Refusal::unknown_kind(format!(
            "Content-Type {kind:?} is not known here: gRPC sends application/grpc, HTTP goes to /v1/logs"
        )));
    }
    let [compressed, a, b, c, d, message @ ..] = body else {
        return Err(Refusal::bad("the call has no message"));
    };
    if usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])) != Ok(message.len()) {
        return Err(Refusal::bad("the call is not one whole message"));
    }
    let coding = match (compressed, head.word("grpc-encoding")) {
        (0, _) => return Ok(Cow::Borrowed(message)),
        (1, "gzip") => Coding::Gzip,
        (1, "deflate") => Coding::Zlib,
        (1, "zstd") => Coding::Zstd,
        (_, other) => {
            return Err(Refusal::unknown_kind(format!(
                "grpc-encoding {other:?} is not known here: use gzip, deflate, zstd or identity"
            )));
        }
    };
    match inflate(coding, message, limits::HTTP_INFLATED_BYTES) {
        Ok(message) => Ok(Cow::Owned(message)),
        Err(error @ Error::Not(..)) => Err(Refusal::bad(format!("the message is {error}"))),
        Err(error @ Error::TooLarge(_)) => Err(Refusal::too_large(format!("the message is {error}"))),
    }
}

/// An answer with its status behind it.
pub(super) fn answer(came: Result<Vec<u8>, &Refusal>) -> Answer {
    let mut trailers = HeaderMap::new();
    let mut body = Vec::new();
    let code = match came {
        Ok(message) => {
            body.push(0);
            body.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
            body.extend_from_slice(&message);
            0
        }
        Err(refusal) => {
            if let Ok(why) = HeaderValue::try_from(escaped(&refusal.why)) {
                trailers.insert(HeaderName::from_static("grpc-message"), why);
            }
            code(refusal.status)
        }
    };
    trailers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(code)));
    Answer { trailers: Some(trailers), ..Answer::of(StatusCode::OK, "application/grpc", body) }
}

/// The code of gRPC, and of `google.rpc.Status`, for what HTTP says.
pub(super) fn code(status: StatusCode) -> u8 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => 12,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::REQUEST_TIMEOUT => 4,
        _ => 3,
    }
}

/// As gRPC escapes a message: printable ASCII but for `%`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte.into()),
            _ => write!(out, "%{byte:02X}").expect("writing into a string cannot fail"),
        }
    }
    out
}
