//! The body of a request: read within bounds of size and time, and decompressed within bounds of size.

use std::io::Read;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::http::StatusCode;
use tokio::time::timeout;

use super::super::Shared;
use super::super::flight::Held;
use crate::limits;
use crate::protocol::http::Refusal;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Gzip,
    Deflate,
    Zstd,
}

/// A body as it came.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    coding: Coding,
}

/// Reads a whole body. What it takes counts as held, so that many slow ones cannot take all memory.
pub(super) async fn read(headers: &HeaderMap, body: Incoming, shared: &Shared) -> Result<Body, Refusal> {
    let coding = coding(headers)?;
    if body.size_hint().lower() > limits::HTTP_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let whole = collect(body, shared);
    match timeout(Duration::from_secs(limits::HTTP_BODY_SECONDS), whole).await {
        Ok(bytes) => Ok(Body { bytes: bytes?, coding }),
        Err(_) => Err(Refusal {
            status: StatusCode::REQUEST_TIMEOUT,
            why: format!("the body took longer than {} s", limits::HTTP_BODY_SECONDS),
        }),
    }
}

async fn collect(mut body: Incoming, shared: &Shared) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut held: Option<Held> = None;
    let mut counted = 0;
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = Held::evicted(held.as_ref()) => {
                return Err(Refusal {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    why: "memory is short and this body was long in coming: send it again".to_owned(),
                });
            }
        };
        let Some(frame) = frame else { return Ok(bytes) };
        let frame = frame.map_err(|error| Refusal::bad(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits::HTTP_BODY_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
        if bytes.capacity() > counted {
            counted = bytes.capacity();
            drop(held.take());
            held = shared.settings.flight.hold(counted);
        }
    }
}

fn too_large() -> Refusal {
    let most = limits::HTTP_BODY_BYTES / (1024 * 1024);
    Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        why: format!("the body is larger than {most} MiB: send it in several requests"),
    }
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Coding::None) };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coding::None),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        "zstd" => Ok(Coding::Zstd),
        other => Err(Refusal::unknown_kind(format!(
            "Content-Encoding {other:?} is not known here: use gzip, deflate, zstd or none"
        ))),
    }
}

impl Body {
    /// The bytes that were compressed.
    ///
    /// # Errors
    ///
    /// When they are not what the header says, or more than mag reads.
    pub(super) fn inflate(self) -> Result<Bytes, Refusal> {
        let input = self.bytes.as_slice();
        match self.coding {
            Coding::None => Ok(self.bytes.into()),
            Coding::Gzip => bounded(flate2::read::MultiGzDecoder::new(input), "gzip"),
            Coding::Deflate => bounded(flate2::read::ZlibDecoder::new(input), "deflate"),
            Coding::Zstd => {
                let wrong = |error| Refusal::bad(format!("the body is not zstd: {error}"));
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(wrong)?;
                decoder.window_log_max(limits::ZSTD_WINDOW_LOG).map_err(wrong)?;
                bounded(decoder, "zstd")
            }
        }
    }
}

/// Reads to the end, and not one byte more than the limit: a small body can stand for terabytes.
fn bounded(decoder: impl Read, coding: &str) -> Result<Bytes, Refusal> {
    let mut bytes = Vec::new();
    let most = limits::HTTP_INFLATED_BYTES;
    decoder
        .take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Refusal::bad(format!("the body is not {coding}: {error}")))?;
    if bytes.len() > most {
        return Err(Refusal {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            why: format!("the body is larger than {} MiB when decompressed", most / (1024 * 1024)),
        });
    }
    Ok(bytes.into())
}
