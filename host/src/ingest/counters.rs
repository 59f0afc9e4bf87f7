//! What ingest counts, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::Parsed;

/// Numbers since the start; only [`Counters::connections`] goes down again.
#[derive(Debug, Default)]
pub struct Counters {
    /// Messages taken, each as often as it says it happened.
    pub messages: AtomicU64,
    /// Messages cut off by the end of their stream, and not taken.
    pub partial: AtomicU64,
    /// Messages whose text was too long and is cut.
    pub truncated: AtomicU64,
    /// Messages that were not UTF-8 and are repaired.
    pub replaced: AtomicU64,
    /// Keys that mean nothing to mag.
    pub ignored_keys: AtomicU64,
    /// Lines and commands answered with an error.
    pub refused_lines: AtomicU64,
    /// Connections closed at once because there were too many.
    pub refused_connections: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
}

/// What one connection counted since it last told the others.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) partial: u64,
    pub(super) truncated: u64,
    pub(super) replaced: u64,
    pub(super) ignored_keys: u64,
    pub(super) refused_lines: u64,
}

impl Tally {
    /// Counts a message that is taken.
    #[inline]
    pub(super) fn note(&mut self, message: &Parsed<'_>) {
        self.messages += message.count;
        self.ignored_keys += message.ignored_keys;
        self.truncated += if message.truncated { message.count } else { 0 };
        self.replaced += if message.replaced { message.count } else { 0 };
    }

    /// Adds itself to `counters` and begins anew.
    pub(super) fn tell(&mut self, counters: &Counters) {
        let Self { messages, partial, truncated, replaced, ignored_keys, refused_lines } = std::mem::take(self);
        for (counter, counted) in [
            (&counters.messages, messages),
            (&counters.partial, partial),
            (&counters.truncated, truncated),
            (&counters.replaced, replaced),
            (&counters.ignored_keys, ignored_keys),
            (&counters.refused_lines, refused_lines),
        ] {
            if counted > 0 {
                counter.fetch_add(counted, Ordering::Relaxed);
            }
        }
    }
}
