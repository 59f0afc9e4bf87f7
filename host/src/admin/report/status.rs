//! What there is: open groups, senders, the ledger, the store's file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{Loaded, LoadedReport};
use super::{At, LetterReport};
use crate::deliver::Health;
use crate::message::Millis;
use crate::store::{self, Facts, Overview, SenderLine};

/// `GET /api/v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of mag.
    pub version: String,
    /// Whether a mag runs on this store and says this itself.
    pub running: bool,
    /// When it started.
    pub started: Option<At>,
    /// `ready`, or why it is not.
    pub ready: Option<String>,
    /// Groups that are being counted, by route.
    pub open: Vec<OpenReport>,
    /// The senders of the config, and those that left something behind.
    pub senders: Vec<SenderReport>,
    /// What ended last, newest first.
    pub recent: Vec<LetterReport>,
    /// All dead letters.
    pub dead_letters: u64,
    /// Alerts that fire.
    #[serde(default)]
    pub alerts: u64,
    /// Silences that hold now.
    #[serde(default)]
    pub silences_active: u64,
    /// Silences that are to come.
    #[serde(default)]
    pub silences_pending: u64,
    /// Where every message is.
    pub ledger: Vec<AccountReport>,
    /// What comes in; only of a running mag.
    pub intake: Option<Intake>,
    /// The config that mag runs with; only of a running mag.
    #[serde(default)]
    pub config: Option<LoadedReport>,
    /// The store's file.
    pub store: StoreSize,
}

/// Groups of a route that are being counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenReport {
    /// The route's identity.
    pub route: String,
    /// Groups.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
}

/// One row of the ledger: accepted is the sum of the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountReport {
    /// The route's identity.
    pub route: String,
    /// The sender; empty for a route that tells nobody.
    pub sender: String,
    /// Messages taken in.
    pub accepted: u64,
    /// Where they are.
    #[serde(flatten)]
    pub terms: BTreeMap<String, u64>,
}

/// What came in since mag started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Intake {
    /// Connections open now.
    pub connections: u64,
    /// Messages.
    pub messages: u64,
    /// Lines that were refused.
    pub refused_lines: u64,
    /// Connections that were refused.
    pub refused_connections: u64,
}

/// The store's file in short.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreSize {
    /// `null` for `:memory:`.
    pub path: Option<String>,
    /// The file.
    pub bytes: u64,
    /// Its write-ahead log.
    pub wal_bytes: u64,
    /// The number of the last commit.
    pub commit: u64,
}

/// A sender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SenderReport {
    /// Its name.
    pub name: String,
    /// Plugin and version, when it is known.
    pub plugin: Option<String>,
    /// A word: what the sender itself says, `gone` when it is not in the config, `unknown` when mag does not run.
    pub health: String,
    /// Since when it is so.
    pub since: Option<At>,
    /// Groups that wait.
    pub queue_groups: u64,
    /// Messages in them.
    pub queue_messages: u64,
    /// Deliveries that wait for it to be free.
    pub queued: u64,
    /// Deliveries whose attempt is under way.
    pub sending: u64,
    /// Deliveries that wait for their next attempt.
    pub backoff: u64,
    /// Its dead letters.
    pub dead_letters: u64,
    /// Deliveries told, ever.
    pub delivered: u64,
    /// When it last told something.
    pub last_delivered: Option<At>,
    /// How it last failed.
    pub last_failure: Option<FailureReport>,
    /// Its destination wants to be left alone until then.
    pub paused_until: Option<At>,
    /// When something is tried next.
    pub next_attempt: Option<At>,
}

/// A failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureReport {
    /// When.
    pub at: At,
    /// A stable word.
    pub code: String,
    /// For a person.
    pub error: String,
}

/// `GET /api/v1/store`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreReport {
    /// `null` for `:memory:`.
    pub path: Option<String>,
    /// The file.
    pub bytes: u64,
    /// Its write-ahead log.
    pub wal_bytes: u64,
    /// Its schema.
    pub schema: usize,
    /// The number of the last commit.
    pub commit: u64,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// Rows of old history that this mag forgot.
    pub trimmed: u64,
    /// When the oldest delivery that is kept ended.
    pub oldest: Option<At>,
}

/// What only a running mag knows.
#[derive(Debug)]
pub(in crate::admin) struct Live {
    pub(in crate::admin) started: Millis,
    pub(in crate::admin) ready: String,
    /// How each sender of the config is doing, and the word for it.
    pub(in crate::admin) health: BTreeMap<String, (Health, &'static str)>,
    pub(in crate::admin) intake: Intake,
    pub(in crate::admin) loaded: Loaded,
}

impl Status {
    /// Of a store on which no mag runs, or one that cannot be asked.
    #[must_use]
    pub fn of_file(overview: Overview, path: &Path, (bytes, wal_bytes): (u64, u64), now: Millis) -> Self {
        let path = Some(path.display().to_string());
        Self::new(overview, None, StoreSize { path, bytes, wal_bytes, commit: 0 }, now)
    }

    /// Of what the store says, and of what only the running mag knows.
    pub(in crate::admin) fn new(overview: Overview, live: Option<Live>, store: StoreSize, now: Millis) -> Self {
        let silences = |holds: fn(Millis, Millis, Millis) -> bool| {
            overview.silences.iter().filter(|(starts, ends)| holds(*starts, *ends, now)).count() as u64
        };
        let silences_active = silences(|starts, ends, now| starts <= now && now < ends);
        let silences_pending = silences(|starts, _, now| now < starts);
        let mut lines: BTreeMap<String, SenderLine> =
            overview.senders.into_iter().map(|line| (line.name.clone(), line)).collect();
        let mut senders = Vec::new();
        for (name, (health, word)) in live.iter().flat_map(|live| &live.health) {
            let line = lines.remove(name).unwrap_or_else(|| SenderLine { name: name.clone(), ..SenderLine::default() });
            senders.push(SenderReport::new(line, Some(health), word));
        }
        let without = if live.is_some() { "gone" } else { "unknown" };
        // A running mag knows who is in the config: of the others, those that left nothing are history.
        let left = lines.into_values().filter(|line| live.is_none() || line.is_something_left());
        senders.extend(left.map(|line| SenderReport::new(line, None, without)));
        senders.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running: live.is_some(),
            started: live.as_ref().map(|live| At(live.started)),
            ready: live.as_ref().map(|live| live.ready.clone()),
            dead_letters: senders.iter().map(|sender| sender.dead_letters).sum(),
            open: overview.open.into_iter().map(OpenReport::from).collect(),
            senders,
            recent: overview.recent.into_iter().map(LetterReport::from).collect(),
            ledger: overview.accounts.into_iter().map(AccountReport::from).collect(),
            config: live.as_ref().map(|live| live.loaded.clone().into()),
            alerts: overview.alerts,
            silences_active,
            silences_pending,
            intake: live.map(|live| live.intake),
            store: StoreSize { commit: overview.commit, ..store },
        }
    }
}

impl SenderReport {
    fn new(line: SenderLine, health: Option<&Health>, word: &str) -> Self {
        let failed = line.last_failed.map(|(at, code, error)| FailureReport { at: At(at), code, error });
        Self {
            name: line.name,
            plugin: health.map(|health| health.plugin.clone()).filter(|plugin| !plugin.is_empty()),
            health: word.to_owned(),
            since: health.map(|health| At(health.since)),
            queue_groups: line.queue_groups,
            queue_messages: line.queue_messages,
            queued: line.queued,
            sending: line.sending,
            backoff: line.backoff,
            dead_letters: line.dead,
            delivered: line.delivered,
            last_delivered: line.last_delivered.map(At),
            // What fails before anything is sent, as signing in, is known to the sender alone.
            last_failure: health.and_then(failure_of).or(failed),
            paused_until: line.paused_until.map(At),
            next_attempt: health.and_then(|health| health.next_attempt).map(At),
        }
    }
}

fn failure_of(health: &Health) -> Option<FailureReport> {
    let last = health.last_failure.as_ref()?;
    Some(FailureReport { at: At(last.at), code: last.code.clone(), error: last.message.clone() })
}

impl From<store::OpenRoute> for OpenReport {
    fn from(open: store::OpenRoute) -> Self {
        Self { route: open.route, groups: open.groups, messages: open.messages }
    }
}

impl From<store::Account> for AccountReport {
    fn from(account: store::Account) -> Self {
        let terms = account.terms.into_iter().map(|(term, messages)| (term.to_owned(), messages)).collect();
        Self { route: account.route, sender: account.sender, accepted: account.accepted, terms }
    }
}

impl StoreReport {
    pub(in crate::admin) fn new(facts: Facts, trimmed: u64) -> Self {
        Self {
            path: facts.path.map(|path| path.display().to_string()),
            bytes: facts.bytes,
            wal_bytes: facts.wal_bytes,
            schema: facts.schema,
            commit: facts.commit,
            rows: facts.rows.into_iter().map(|(table, rows)| (table.to_owned(), rows)).collect(),
            trimmed,
            oldest: facts.oldest.map(At),
        }
    }
}
