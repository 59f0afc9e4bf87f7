//! Names of metrics, each with its help, and the ones that are counted while mag works.
//!
//! The only place where a metric's name stands. Who counts holds a clone of [`Metrics`]; counting takes no lock that
//! anybody waits for long. What can be read at any time, from the store for example, is not counted here but read when
//! somebody asks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

pub use prometheus_client::metrics::counter::Counter;

/// A metric's name, without the `_total` that a counter gets when it is shown, and what it says.
#[derive(Clone, Copy, Debug)]
pub struct Name(pub &'static str, pub &'static str);

impl Name {
    /// Gives `metric` this name in `registry`.
    pub fn register(self, registry: &mut Registry, metric: impl Metric) {
        registry.register(self.0, self.1, metric);
    }
}

/// Which mag this is.
pub const BUILD: Name = Name("mag_build", "The version of mag, always 1");
/// As every Prometheus client names it.
pub const PROCESS_START: Name = Name("process_start_time_seconds", "When this mag started, Unix time");
/// Of the last try.
pub const RELOADED: Name = Name(
    "mag_config_last_reload_successful",
    "1 when mag runs with the newest config that it was told to load, 0 when that one was refused",
);
/// Of the one that counts.
pub const LOADED_AT: Name =
    Name("mag_config_last_reload_success_timestamp_seconds", "Since when mag runs with its config, Unix time");
/// Per messages taken.
pub const MESSAGES: Name = Name("mag_messages_accepted", "Messages taken in, each as often as it says it happened");
/// Of the classic protocol.
pub const PARTIAL: Name = Name("mag_messages_partial", "Messages cut off by the end of their connection, not taken");
/// Longer than a text may be.
pub const TRUNCATED: Name = Name("mag_messages_truncated", "Messages whose text was too long and is cut");
/// Not UTF-8.
pub const REPLACED: Name = Name("mag_messages_replaced", "Messages that were not UTF-8 and are repaired");
/// Of NDJSON.
pub const IGNORED_KEYS: Name = Name("mag_keys_ignored", "Keys of messages that mean nothing to mag");
/// Of both protocols.
pub const REFUSED_LINES: Name = Name("mag_lines_refused", "Lines and commands answered with an error");
/// Sent again.
pub const KNOWN_IDS: Name =
    Name("mag_messages_known", "Messages that came before under their id, and are not counted again");
/// Sent again as another one.
pub const REFUSED_IDS: Name =
    Name("mag_messages_id_refused", "Messages refused because another one came before under their id");
/// Posted again.
pub const REFRESHED_ALERTS: Name =
    Name("mag_alerts_refreshed", "Alerts that were posted again while they fire, and are not counted again");
/// Past `[limits] alerts`.
pub const PAST_ALERTS: Name =
    Name("mag_alerts_past_limit", "Alerts past the limit of those that fire, counted each time they are posted");
/// Past `[limits] groups`.
pub const OVERFLOWED: Name = Name(
    "mag_messages_overflowed",
    "Messages that came when there were too many open groups, and count in an overflow group",
);
/// Past `[limits] queue`.
pub const QUEUE_OVERFLOWED: Name = Name(
    "mag_queue_overflowed_messages",
    "Messages of groups that found no room in the queue of a sender, and count together there",
);
/// Now.
pub const CONNECTIONS: Name = Name("mag_connections", "Connections open now");
/// Over the limit.
pub const REFUSED_CONNECTIONS: Name =
    Name("mag_connections_refused", "Connections closed because of a limit, or of a rule of their port");
/// Windows.
pub const OPEN_GROUPS: Name = Name("mag_open_groups", "Groups that are being counted now, by route");
/// The ledger.
pub const LEDGER: Name = Name(
    "mag_ledger_messages",
    "Messages of a route for a sender by where they are: accepted is the sum of all other terms",
);
/// Waiting groups.
pub const QUEUE: Name = Name("mag_queue_groups", "Groups that wait to be told, by sender");
/// Under way.
pub const UNFINISHED: Name = Name("mag_deliveries_unfinished", "Deliveries under way, by sender and state");
/// Dead.
pub const DEAD: Name = Name("mag_dead_letters", "Dead letters, by sender");
/// Ended.
pub const DELIVERIES: Name = Name("mag_deliveries", "Deliveries that ended, by sender and outcome");
/// Calls.
pub const ATTEMPTS: Name = Name("mag_attempts", "Calls to senders");
/// Calls that failed.
pub const FAILURES: Name = Name("mag_attempt_failures", "Calls that failed, by sender and kind of failure");
/// To others.
pub const ESCALATED: Name =
    Name("mag_escalations", "Times that the fallback was asked to tell what the sender could not");
/// A word for each.
pub const HEALTH: Name = Name("mag_sender_health", "How a sender is doing, as a label, always 1");
/// R5.
pub const RESENDS: Name = Name(
    "mag_resends",
    "Calls for a notification that an earlier call may have told: a crash or an unclear answer came between",
);
/// Durations of commits; their number is its count.
pub const COMMITS: Name = Name("mag_commit_duration_seconds", "How long each commit to the store took");
/// History.
pub const TRIMMED: Name = Name("mag_store_trimmed_rows", "Rows of old history that were forgotten");
/// Room.
pub const STORE_FULL: Name = Name(
    "mag_store_full",
    "1 while nothing new is taken in for want of room, 2 while nothing can be told either, else 0",
);
/// The file.
pub const STORE_BYTES: Name = Name("mag_store_bytes", "Size of the store's file");
/// Its log.
pub const WAL_BYTES: Name = Name("mag_store_wal_bytes", "Size of the store's write-ahead log");

/// Every name, for whoever documents or checks them.
pub const ALL: [Name; 34] = [
    BUILD,
    PROCESS_START,
    RELOADED,
    LOADED_AT,
    MESSAGES,
    PARTIAL,
    TRUNCATED,
    REPLACED,
    IGNORED_KEYS,
    REFUSED_LINES,
    KNOWN_IDS,
    REFUSED_IDS,
    REFRESHED_ALERTS,
    PAST_ALERTS,
    OVERFLOWED,
    QUEUE_OVERFLOWED,
    CONNECTIONS,
    REFUSED_CONNECTIONS,
    OPEN_GROUPS,
    LEDGER,
    QUEUE,
    UNFINISHED,
    DEAD,
    DELIVERIES,
    ATTEMPTS,
    FAILURES,
    ESCALATED,
    HEALTH,
    RESENDS,
    COMMITS,
    TRIMMED,
    STORE_FULL,
    STORE_BYTES,
    WAL_BYTES,
];

/// Whose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BySender {
    /// The sender.
    pub sender: String,
}

/// Whose, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    /// The sender.
    pub sender: String,
    /// `delivered` or `dead`.
    pub outcome: &'static str,
}

/// Whose, and what sort of failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByKind {
    /// The sender.
    pub sender: String,
    /// The contract's word.
    pub kind: &'static str,
}

/// Upper bounds of the classes of [`COMMITS`], in seconds: an fsync of a good disk to a sweep on a bad one.
const COMMIT_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What is counted while mag works, and nowhere else; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// [`KNOWN_IDS`].
    pub known_ids: Counter,
    /// [`REFUSED_IDS`].
    pub refused_ids: Counter,
    /// [`REFRESHED_ALERTS`].
    pub refreshed_alerts: Counter,
    /// [`PAST_ALERTS`].
    pub past_alerts: Counter,
    /// [`OVERFLOWED`].
    pub overflowed: Counter,
    /// [`QUEUE_OVERFLOWED`].
    pub queue_overflowed: Family<BySender, Counter>,
    /// [`COMMITS`].
    pub commits: Histogram,
    /// [`TRIMMED`].
    pub trimmed: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            known_ids: Counter::default(),
            refused_ids: Counter::default(),
            refreshed_alerts: Counter::default(),
            past_alerts: Counter::default(),
            overflowed: Counter::default(),
            queue_overflowed: Family::default(),
            commits: Histogram::new(COMMIT_SECONDS),
            trimmed: Counter::default(),
        }
    }
}

impl Metrics {
    /// Names all of them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        KNOWN_IDS.register(registry, self.known_ids.clone());
        REFUSED_IDS.register(registry, self.refused_ids.clone());
        REFRESHED_ALERTS.register(registry, self.refreshed_alerts.clone());
        PAST_ALERTS.register(registry, self.past_alerts.clone());
        OVERFLOWED.register(registry, self.overflowed.clone());
        QUEUE_OVERFLOWED.register(registry, self.queue_overflowed.clone());
        COMMITS.register(registry, self.commits.clone());
        TRIMMED.register(registry, self.trimmed.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_metric_stands_in_the_readme() {
        let readme = include_str!("../../../README.md");
        for name in ALL {
            assert!(readme.contains(name.0), "{} is not in README.md", name.0);
        }
    }
}
