//! What a call did on the network, counted and written down for whoever judges the call afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::limit::Limit;
use super::super::used::Used;

/// Something a guest tried and may not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sender) enum Note {
    /// An origin that is not granted.
    Origin(String),
    /// A granted origin whose addresses are private.
    Private(String),
    /// What is no URL of an origin, and why.
    Url(String),
    /// A method that goes past the checks.
    Method(String),
    /// More than a call may.
    Limit(Limit),
    /// A request in a call that has no network.
    Offline,
    /// A mail, and the sender has no `smtp`.
    NoSmtp,
    /// A secret where it may not stand; the words are for the operator.
    Secret(String),
}

/// What a call did on the network.
#[derive(Debug, Default)]
pub(in crate::sender) struct Record {
    requests: AtomicU32,
    under_way: AtomicU32,
    sent: AtomicU32,
    note: Mutex<Option<Note>>,
    /// The most that was seen of each.
    most: Mutex<BTreeMap<Limit, usize>>,
}

impl Record {
    pub(in crate::sender) fn note(&self) -> Option<Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a request may have reached its destination.
    pub(in crate::sender) fn sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > 0
    }

    /// Adds what it saw.
    pub(in crate::sender) fn tell(&self, used: &mut Used) {
        used.note(Limit::Requests, self.requests.load(Ordering::Relaxed) as usize);
        for (limit, most) in &*self.most.lock().unwrap_or_else(PoisonError::into_inner) {
            used.note(*limit, *most);
        }
    }

    /// Counts a request, as long as there may be more.
    pub(super) fn count_request(&self, most: u32) -> bool {
        let counted = |count: u32| (count < most).then(|| count + 1);
        self.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, counted).is_ok()
    }

    /// One more exchange is under way, as long as there may be more at a time.
    pub(super) fn begin(self: &Arc<Self>, most: u32) -> Option<UnderWay> {
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        let under_way = UnderWay(Arc::clone(self));
        if now > most {
            return None;
        }
        self.saw(Limit::AtOnce, now as usize);
        Some(under_way)
    }

    /// Before a request goes out: a call that is dropped meanwhile counts as sent.
    pub(super) fn sending(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    /// It is certain now that this request did not arrive.
    pub(super) fn not_sent(&self) {
        self.sent.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn write(&self, note: Note) {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(note);
    }

    /// So much of something there was in one go.
    pub(super) fn saw(&self, limit: Limit, number: usize) {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        let known = most.entry(limit).or_default();
        *known = number.max(*known);
    }

    pub(super) fn saw_time(&self, limit: Limit, time: Duration) {
        self.saw(limit, usize::try_from(time.as_micros()).unwrap_or(usize::MAX));
    }
}

/// An exchange from its request to the end of its answer.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Record>);

impl UnderWay {
    pub(super) fn record(&self) -> &Record {
        &self.0
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
