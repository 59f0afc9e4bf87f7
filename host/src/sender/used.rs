//! What a sender's last calls used, for whoever wants to know how close to its limits a plugin works.
//!
//! Kept in memory for as long as mag runs; nothing is decided by it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::limit::{CallLimits, Calling, Limit};
use crate::limits;
use crate::message::Millis;

/// One call and what it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// When it began.
    pub at: Millis,
    /// Which export was called.
    pub call: Calling,
    /// `ok`, or the code of its failure.
    pub ended: String,
    /// What is measured: of each the most at a time or in one, in microseconds, bytes, or things.
    pub amounts: BTreeMap<Limit, u64>,
}

impl Used {
    /// Nothing of such a call.
    pub(super) fn none(call: Calling) -> Self {
        Self { at: 0, call, ended: "ok".to_owned(), amounts: BTreeMap::new() }
    }

    pub(super) fn note(&mut self, limit: Limit, number: usize) {
        self.amounts.insert(limit, number as u64);
    }

    pub(super) fn note_time(&mut self, limit: Limit, time: Duration) {
        self.amounts.insert(limit, u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

/// What a sender may use, and what its last calls did.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Each limit of `send` and `prepare`: its call, its key below `[senders.NAME]`, its value.
    pub allowed: Vec<Allowed>,
    /// Its last calls, oldest first.
    pub calls: Vec<Used>,
}

/// How much of something a call may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Of what.
    pub limit: Limit,
    /// In which call.
    pub call: Calling,
    /// The key that moves it, below `[senders.NAME]`; none where it is fixed.
    pub key: Option<&'static str>,
    /// As it is written.
    pub amount: String,
}

/// The last calls of one sender.
#[derive(Debug, Default)]
pub(super) struct LastCalls(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Those of the last call.
    limits: Option<CallLimits>,
    calls: VecDeque<Used>,
}

impl LastCalls {
    pub(super) fn add(&self, limits: &CallLimits, used: Used) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.limits = Some(*limits);
        if known.calls.len() >= limits::PLUGIN_CALLS_KEPT {
            known.calls.pop_front();
        }
        known.calls.push_back(used);
    }

    pub(super) fn usage(&self) -> Usage {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = known.limits.as_ref().map(allowed).unwrap_or_default();
        Usage { allowed, calls: known.calls.iter().cloned().collect() }
    }
}

/// What the calls of a sender may have: of `send`, and of the others where another key says it.
pub(super) fn allowed(limits: &CallLimits) -> Vec<Allowed> {
    let of = |call: Calling| {
        let limits = limits.of_call(call);
        Limit::ALL.map(|limit| Allowed { limit, call, key: limit.key(call), amount: limits.allowed(limit).to_string() })
    };
    let mut all: Vec<Allowed> = of(Calling::Send).into();
    for other in [Calling::Prepare, Calling::Validate].map(of).into_iter().flatten() {
        let asks_nobody = other.call == Calling::Validate && !matches!(other.limit, Limit::Time | Limit::Cpu);
        if !asks_nobody && all.iter().all(|known| known.key != other.key) {
            all.push(other);
        }
    }
    all
}
