//! Says what becomes of connections that are not served: one line in a while for each reason, however many there are.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// What was said, and what not.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    reasons: Mutex<BTreeMap<Reason, Said>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Full,
    Accept,
    Entry,
    Broken,
}

#[derive(Debug, Default)]
struct Said {
    silent_until: Option<Instant>,
    unsaid: u64,
}

impl Refusals {
    /// There are as many connections as may be.
    pub(super) fn full(&self, limit: usize, now: Instant) {
        if let Some(refused) = self.count(Reason::Full, limits::REFUSAL_LOG_SECONDS, now) {
            tracing::warn!(limit, refused, "too many connections, new ones are closed at once");
        }
    }

    /// The system gives no connection.
    pub(super) fn cannot_accept(&self, error: &std::io::Error, now: Instant) {
        if self.count(Reason::Accept, limits::REFUSAL_LOG_SECONDS, now).is_some() {
            tracing::warn!(%error, "cannot accept connections");
        }
    }

    /// A connection may not speak, or cannot.
    pub(super) fn turned_away(&self, peer: &dyn Display, why: &dyn Display, now: Instant) {
        match self.count(Reason::Entry, limits::TURNED_AWAY_LOG_SECONDS, now) {
            Some(turned_away) => tracing::warn!(%peer, %why, turned_away, "a connection was turned away"),
            None => tracing::debug!(%peer, %why, "a connection was turned away"),
        }
    }

    /// A connection cannot be read on, and its protocol has no word for that.
    pub(super) fn broken(&self, peer: &dyn Display, now: Instant) {
        let why = "what it sends is not the protocol that it began with";
        match self.count(Reason::Broken, limits::TURNED_AWAY_LOG_SECONDS, now) {
            Some(ended) => tracing::warn!(%peer, ended, "a connection was ended: {why}"),
            None => tracing::debug!(%peer, "a connection was ended: {why}"),
        }
    }

    /// Counts one more; how many there were since the last line when it is time for the next.
    fn count(&self, reason: Reason, seconds: u64, now: Instant) -> Option<u64> {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let said = reasons.entry(reason).or_default();
        said.unsaid += 1;
        if said.silent_until.is_some_and(|until| now < until) {
            return None;
        }
        said.silent_until = Some(now + Duration::from_secs(seconds));
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_reason_is_said_at_once_then_seldom_and_none_is_forgotten() {
        let refusals = Refusals::default();
        let count = |reason| refusals.count(reason, 60, Instant::now());
        assert_eq!(count(Reason::Entry), Some(1));
        assert_eq!((count(Reason::Entry), count(Reason::Entry)), (None, None));
        assert_eq!(count(Reason::Broken), Some(1));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((count(Reason::Entry), count(Reason::Entry)), (Some(3), None));
    }
}
