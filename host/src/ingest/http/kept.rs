//! What one request keeps while it waits: its head until it is answered, its body until it is read, its mistakes until
//! they are told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::http::{StatusCode, Version};
use tokio::sync::Notify;

use super::super::flight::{Flight, Held};
use crate::limits;
use crate::protocol::http::Refusal;

/// The account of one request. Whoever keeps more has not waited yet.
pub(super) struct Kept<'f> {
    flight: &'f Flight,
    evicted: Arc<Notify>,
    head_bytes: usize,
    /// An HTTP/1.1 connection has one request at a time, so it may keep as much as any connection.
    free_bytes: usize,
    held: Mutex<Option<Held>>,
    /// Whether the engine has it, and will count it.
    is_sent: AtomicBool,
}

impl<'f> Kept<'f> {
    /// From now on the head counts.
    pub(super) fn new(parts: &Parts, flight: &'f Flight) -> Self {
        let fields = parts.headers.iter();
        let fields: usize =
            fields.map(|(name, value)| limits::HTTP_FIELD_BYTES + name.as_str().len() + value.len()).sum();
        let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
        let is_h2 = parts.version == Version::HTTP_2;
        let (of_its_own, free_bytes) = if is_h2 { (limits::HTTP_STREAM_BYTES, 0) } else { (0, limits::FREE_BYTES) };
        let head_bytes = of_its_own + fields + path;
        let kept = Self {
            flight,
            evicted: Arc::default(),
            head_bytes,
            free_bytes,
            held: Mutex::default(),
            is_sent: AtomicBool::default(),
        };
        kept.with(0);
        kept
    }

    /// So many bytes are kept beside the head.
    pub(super) fn with(&self, bytes: usize) {
        let bytes = self.head_bytes.saturating_add(bytes);
        self.hold((bytes > self.free_bytes).then_some(bytes));
    }

    /// The request has a place where it is read and merged, which stands for all that it takes.
    pub(super) fn is_at_work(&self) {
        self.hold(None);
    }

    /// From now on it is never turned away: whoever is told to send again what the engine counts is counted twice.
    pub(super) fn is_sent(&self) {
        self.is_sent.store(true, Ordering::Relaxed);
    }

    fn hold(&self, bytes: Option<usize>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Given back first: else the request could make room for itself.
        drop(held.take());
        *held = bytes.map(|bytes| self.flight.hold_for(bytes, &self.evicted));
    }

    /// Returns when others need the memory more.
    pub(super) async fn evicted(&self) -> Refusal {
        self.evicted.notified().await;
        if self.is_sent.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            why: "memory is short and this request waited longest: send it again".to_owned(),
        }
    }
}

/// Makes a head of HTTP/2 as large as what it says: as it came it is pieces of the buffers that it was read into.
pub(super) fn compact(parts: &mut Parts) {
    for value in parts.headers.values_mut() {
        if let Ok(mut own) = HeaderValue::from_bytes(value.as_bytes()) {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
    if let Ok(own) = parts.uri.to_string().parse() {
        parts.uri = own;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Request;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_turned_away_when_memory_is_short_and_who_is_being_counted_is_not() {
        let flight = Flight::new(1024 * 1024);
        let parts = Request::post("/").body(()).unwrap().into_parts().0;
        let (waits, sent) = (Kept::new(&parts, &flight), Kept::new(&parts, &flight));
        waits.with(400_000);
        sent.with(400_000);
        sent.is_sent();
        let _other = flight.hold(900_000);
        assert!(timeout(Duration::from_secs(1), waits.evicted()).await.is_ok());
        assert!(timeout(Duration::from_secs(1), sent.evicted()).await.is_err());
    }
}
