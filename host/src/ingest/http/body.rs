//! The body of a request: read within bounds of size and time, and decompressed within bounds of size.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::http::StatusCode;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::super::Shared;
use super::kept::Kept;
use crate::limits;
use crate::protocol::http::Refusal;
use crate::protocol::inflate::{Coding, Error, inflate};

/// A body as it came.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bytes,
    capacity: usize,
    coding: Coded,
}

/// What the header says of it.
#[derive(Clone, Copy, Debug)]
enum Coded {
    Not,
    As(Coding),
    /// In one of two ways, as some clients say for either.
    Either,
}

/// Reads a whole body. What it takes is in the request's account, so that many slow ones cannot take all memory.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Incoming,
    kept: &Kept<'_>,
    shared: &Shared,
) -> Result<Body, Refusal> {
    let coding = coding(headers)?;
    if body.size_hint().lower() > limits::HTTP_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let whole = collect(body, kept, shared);
    match timeout(Duration::from_secs(limits::HTTP_BODY_SECONDS), whole).await {
        Ok(bytes) => {
            let (bytes, capacity) = bytes?;
            Ok(Body { bytes, capacity, coding })
        }
        Err(_) => Err(Refusal {
            status: StatusCode::REQUEST_TIMEOUT,
            why: format!("the body took longer than {} s", limits::HTTP_BODY_SECONDS),
        }),
    }
}

/// Lets what is left of a refused body come, if it is little and soon: clients take an answer before their last byte, or
/// the reset of a stream that is behind it (RFC 9113 section 8.1), for a failure of the connection.
pub(super) async fn skip(mut body: Incoming) {
    let until = Instant::now() + Duration::from_millis(limits::LINGER_MILLIS);
    let mut left = limits::LINGER_BYTES;
    while let Ok(Some(Ok(frame))) = timeout_at(until, body.frame()).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

async fn collect(body: &mut Incoming, kept: &Kept<'_>, shared: &Shared) -> Result<(Bytes, usize), Refusal> {
    let mut bytes = Collected::default();
    let mut counted = 0;
    let started = shared.clock.instant();
    loop {
        let frame = tokio::select! {
            // What is there already needs no timer.
            biased;
            frame = body.frame() => frame,
            () = sleep_until(started + allowed(bytes.len())) => {
                let why = format!("the body came slower than {} B/s", limits::HTTP_BODY_BYTES_PER_SECOND);
                return Err(Refusal { status: StatusCode::REQUEST_TIMEOUT, why });
            }
            () = too_late(shared) => {
                let why = "mag stops: send it again".to_owned();
                return Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, why });
            }
        };
        let Some(frame) = frame else {
            let capacity = bytes.capacity();
            return Ok((bytes.whole(), capacity));
        };
        let frame = frame.map_err(|error| Refusal::bad(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits::HTTP_BODY_BYTES {
            return Err(too_large());
        }
        bytes.add(data, body);
        if bytes.capacity() > counted {
            counted = bytes.capacity();
            kept.with(counted);
        }
    }
}

/// The pieces of a body in one. When that is one piece it is not copied; the first of several is, because it keeps a
/// whole read buffer from being used again.
#[derive(Debug, Default)]
struct Collected {
    only: Bytes,
    joined: Vec<u8>,
}

impl Collected {
    fn len(&self) -> usize {
        self.only.len() + self.joined.len()
    }

    fn capacity(&self) -> usize {
        self.only.len() + self.joined.capacity()
    }

    /// Adds a piece; `body` is what comes behind it.
    fn add(&mut self, piece: Bytes, body: &Incoming) {
        if self.joined.is_empty() && body.is_end_stream() {
            self.only = piece;
            return;
        }
        // Nobody gets more memory for bytes that are only announced than for those that came.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX).min(piece.len());
        self.joined.reserve(piece.len() + announced);
        self.joined.extend_from_slice(&piece);
    }

    fn whole(self) -> Bytes {
        if self.joined.is_empty() { self.only } else { self.joined.into() }
    }
}

/// How long so many bytes may have been in coming, and the next one with them.
fn allowed(bytes: usize) -> Duration {
    let millis = bytes as u64 * 1_000 / limits::HTTP_BODY_BYTES_PER_SECOND;
    Duration::from_secs(limits::HTTP_BODY_GRACE_SECONDS) + Duration::from_millis(millis)
}

/// A stopping mag waits for a body only as long as for anything else that comes in.
async fn too_late(shared: &Shared) {
    shared.stop.cancelled().await;
    sleep(Duration::from_millis(limits::STOP_READ_MILLIS)).await;
}

fn too_large() -> Refusal {
    let most = limits::HTTP_BODY_BYTES / (1024 * 1024);
    Refusal::too_large(format!("the body is larger than {most} MiB: send it in several requests"))
}

fn coding(headers: &HeaderMap) -> Result<Coded, Refusal> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(Coded::Not) };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coded::Not),
        "gzip" | "x-gzip" => Ok(Coded::As(Coding::Gzip)),
        "deflate" => Ok(Coded::As(Coding::Zlib)),
        "zstd" => Ok(Coded::As(Coding::Zstd)),
        "gzip,deflate" | "gzip, deflate" => Ok(Coded::Either),
        other => Err(Refusal::unknown_kind(format!(
            "Content-Encoding {other:?} is not known here: use gzip, deflate, zstd or none"
        ))),
    }
}

impl Body {
    /// What it takes in memory as it came.
    pub(super) fn bytes(&self) -> usize {
        self.capacity
    }

    /// The bytes that were compressed, unless they take long to read.
    ///
    /// # Errors
    ///
    /// When they are not what the header says.
    pub(super) fn small(&self) -> Result<Option<Bytes>, Refusal> {
        if self.bytes.len() > limits::HTTP_SMALL_BYTES {
            return Ok(None);
        }
        match self.inflated(limits::HTTP_SMALL_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::TooLarge(_)) => Ok(None),
            Err(error) => Err(refusal(&error)),
        }
    }

    /// The bytes that were compressed.
    ///
    /// # Errors
    ///
    /// When they are not what the header says, or more than mag reads.
    pub(super) fn inflate(self) -> Result<Bytes, Refusal> {
        self.inflated(limits::HTTP_INFLATED_BYTES).map_err(|error| refusal(&error))
    }

    fn inflated(&self, most: usize) -> Result<Bytes, Error> {
        let coding = match self.coding {
            Coded::Not => return Ok(Bytes::clone(&self.bytes)),
            Coded::As(coding) => coding,
            Coded::Either => Coding::of(&self.bytes).unwrap_or(Coding::Gzip),
        };
        inflate(coding, &self.bytes, most).map(Bytes::from)
    }

    /// What a body is told that should hold one small thing.
    pub(super) fn too_large_for_one() -> Refusal {
        Refusal::too_large(format!("the body is larger than {} KiB", limits::HTTP_SMALL_BYTES / 1024))
    }
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Not(..) => Refusal::bad(format!("the body is {error}")),
        Error::TooLarge(_) => Refusal::too_large(format!("the body is {error}")),
    }
}
