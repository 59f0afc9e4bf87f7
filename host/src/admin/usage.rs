//! What a sender's plugin may use and what its last calls used, as the API shows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::At;
use crate::sender::{Allowed, Usage, Used};

/// A sender's limits and its last calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsageReport {
    /// Its name.
    pub sender: String,
    /// Every limit of its calls.
    pub limits: Vec<LimitReport>,
    /// Its last calls, oldest first; kept since mag started.
    pub calls: Vec<CallReport>,
}

/// A limit, and how much of it was used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LimitReport {
    /// Its name, as its key has it.
    pub limit: String,
    /// The code of a failure that it causes.
    pub code: String,
    /// The call that it holds for; with `send` the others too, unless they have one of their own.
    pub call: String,
    /// The key that moves it, below `[senders.NAME]`; `null` where it is fixed.
    pub key: Option<String>,
    /// What a call may have.
    pub allowed: String,
    /// The most that one of the last calls used; `null` where it is not measured, or nothing was.
    pub most: Option<String>,
    /// What the last one used.
    pub last: Option<String>,
}

/// A call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallReport {
    /// When it began.
    pub at: At,
    /// `describe`, `validate`, `prepare` or `send`.
    pub call: String,
    /// `ok`, or the code of its failure.
    pub ended: String,
    /// By limit, what it used; times and sizes have their unit behind the name: `cpu_us`, `memory_bytes`.
    pub used: BTreeMap<String, u64>,
}

impl UsageReport {
    pub(super) fn new(sender: &str, usage: &Usage) -> Self {
        let limits = usage.allowed.iter().map(|allowed| LimitReport::new(allowed, &usage.calls)).collect();
        Self { sender: sender.to_owned(), limits, calls: usage.calls.iter().map(CallReport::new).collect() }
    }
}

impl LimitReport {
    fn new(allowed: &Allowed, calls: &[Used]) -> Self {
        let Allowed { limit, key, .. } = allowed;
        let of_it = calls.iter().filter(|used| limit.key(used.call) == *key);
        let amounts: Vec<u64> = of_it.filter_map(|used| used.amounts.get(limit).copied()).collect();
        let shown = |number: Option<&u64>| number.map(|number| limit.amount(*number).to_string());
        Self {
            limit: limit.name().to_owned(),
            code: limit.code().to_owned(),
            call: allowed.call.as_str().to_owned(),
            key: key.map(str::to_owned),
            allowed: allowed.amount.clone(),
            most: shown(amounts.iter().max()),
            last: shown(amounts.last()),
        }
    }
}

impl CallReport {
    fn new(used: &Used) -> Self {
        Self {
            at: At(used.at),
            call: used.call.as_str().to_owned(),
            ended: used.ended.clone(),
            used: used.amounts.iter().map(|(limit, number)| (limit.measured(), *number)).collect(),
        }
    }
}
