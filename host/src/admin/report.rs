//! What the API shows, as JSON: types of its own, made from what the store and the parts say. `mag status` and `mag dlq`
//! read the same types back.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::deliver::Health;
use crate::message::Millis;
use crate::silence::Silence;
use crate::store::{self, DeliveryLine, Facts, Letter, LetterPage, Moved, Overview, SenderLine};

/// A time, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Millis);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{millis}"),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }
}

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
    /// Where every message is.
    pub ledger: Vec<AccountReport>,
    /// What comes in; only of a running mag.
    pub intake: Option<Intake>,
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

/// A delivery in a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterReport {
    /// The notification's id.
    pub id: String,
    /// For whom.
    pub sender: String,
    /// Where it stands.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Groups, those summed up included.
    pub groups: u64,
    /// Messages in them.
    pub messages: u64,
    /// When it was frozen.
    pub created: At,
    /// When it ended.
    pub finished: Option<At>,
    /// The last failure's code.
    pub code: Option<String>,
    /// The last failure in words.
    pub error: Option<String>,
    /// The beginning of its first group's text.
    pub text: Option<String>,
}

/// `GET /api/v1/dlq`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterList {
    /// Newest first.
    pub letters: Vec<LetterReport>,
    /// How many there are in all.
    pub total: u64,
    /// `before` of the next page.
    pub next: Option<String>,
}

/// `GET /api/v1/dlq/{id}` and `GET /api/v1/deliveries/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// What a list shows.
    #[serde(flatten)]
    pub letter: LetterReport,
    /// When it will be tried again.
    pub next_attempt: Option<At>,
    /// First one first.
    pub tries: Vec<TryReport>,
    /// Most important first, the first hundred.
    pub told: Vec<LetterTexts>,
}

/// One attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TryReport {
    /// From 1.
    pub attempt: u32,
    /// When it began.
    pub started: At,
    /// When it ended; `null` while it is under way, or when a crash cut it off.
    pub finished: Option<At>,
    /// How.
    pub outcome: Option<String>,
    /// The failure's code.
    pub code: Option<String>,
    /// The failure in words.
    pub error: Option<String>,
}

/// One group of a delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LetterTexts {
    /// The group's id.
    pub group: String,
    /// The route's identity; empty for a test.
    pub route: String,
    /// Its kind.
    pub kind: String,
    /// Its text.
    pub text: String,
    /// Its severity.
    pub severity: Option<String>,
    /// The labels its messages share.
    pub labels: BTreeMap<String, String>,
    /// Messages in the window that closed.
    pub count: u64,
    /// The earliest time of one of them.
    pub first_seen: At,
    /// The latest.
    pub last_seen: At,
    /// Whether it is only summed up.
    pub omitted: bool,
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

/// Body of `POST /api/v1/dlq/replay` and `/drop`: exactly one of the three.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// These, all or none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// All of one sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// All.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

impl Selection {
    /// What is meant; `None` unless it is exactly one thing.
    pub(super) fn which(self) -> Option<store::Which> {
        match (self.ids, self.sender, self.all) {
            (Some(ids), None, false) if !ids.is_empty() => Some(store::Which::Ids(ids)),
            (None, Some(sender), false) => Some(store::Which::Sender(sender)),
            (None, None, true) => Some(store::Which::All),
            _ => None,
        }
    }
}

/// What became of dead letters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Decided {
    /// Letters that were replayed or dropped.
    pub letters: u64,
    /// Messages in them.
    pub messages: u64,
    /// Letters left as they are because their sender is not in the config.
    pub left: BTreeMap<String, u64>,
}

/// Answer of `POST /api/v1/senders/{name}/test`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queued {
    /// The delivery: `GET /api/v1/deliveries/{id}` says what becomes of it.
    pub id: String,
}

/// `GET /api/v1/silences`: those that end last first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SilenceList {
    /// They.
    pub silences: Vec<SilenceReport>,
}

/// A silence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SilenceReport {
    /// Its id.
    pub id: String,
    /// `pending`, `active` or `expired`.
    pub state: String,
    /// All of them must hold.
    pub matchers: Vec<String>,
    /// From when.
    pub starts: At,
    /// Until when.
    pub ends: At,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
    /// Messages that it kept from being told.
    pub messages: u64,
}

impl SilenceList {
    /// As they stand at `now`.
    #[must_use]
    pub fn new(silences: &[Silence], now: Millis) -> Self {
        let report = |silence: &Silence| SilenceReport {
            id: silence.id.clone(),
            state: silence.state(now).as_str().to_owned(),
            matchers: silence.matchers.iter().map(ToString::to_string).collect(),
            starts: At(silence.starts),
            ends: At(silence.ends),
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
            messages: silence.messages,
        };
        Self { silences: silences.iter().map(report).collect() }
    }
}

/// Body of `POST /api/v1/silences`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceWanted {
    /// All of them must hold.
    pub matchers: Vec<String>,
    /// From when; now unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<At>,
    /// Until when.
    pub ends: At,
    /// Who makes it.
    #[serde(default)]
    pub created_by: String,
    /// Why.
    #[serde(default)]
    pub comment: String,
}

/// Its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SilenceMade {
    /// The new silence.
    pub id: String,
}

/// Body and answer of `POST /api/v1/silences/expire`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilencesNamed {
    /// Silences by their ids.
    pub ids: Vec<String>,
}

/// What only a running mag knows.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) started: Millis,
    pub(super) ready: String,
    /// How each sender of the config is doing, and the word for it.
    pub(super) health: BTreeMap<String, (Health, &'static str)>,
    pub(super) intake: Intake,
}

impl Status {
    /// Of a store on which no mag runs, or one that cannot be asked.
    #[must_use]
    pub fn of_file(overview: Overview, path: &Path, (bytes, wal_bytes): (u64, u64)) -> Self {
        let path = Some(path.display().to_string());
        Self::new(overview, None, StoreSize { path, bytes, wal_bytes, commit: 0 })
    }

    /// Of what the store says, and of what only the running mag knows.
    pub(super) fn new(overview: Overview, live: Option<Live>, store: StoreSize) -> Self {
        let mut lines: BTreeMap<String, SenderLine> =
            overview.senders.into_iter().map(|line| (line.name.clone(), line)).collect();
        let mut senders = Vec::new();
        for (name, (health, word)) in live.iter().flat_map(|live| &live.health) {
            let line = lines.remove(name).unwrap_or_else(|| SenderLine { name: name.clone(), ..SenderLine::default() });
            senders.push(SenderReport::new(line, Some(health), word));
        }
        let without = if live.is_some() { "gone" } else { "unknown" };
        senders.extend(lines.into_values().map(|line| SenderReport::new(line, None, without)));
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

impl From<Letter> for LetterReport {
    fn from(letter: Letter) -> Self {
        Self {
            id: letter.id,
            sender: letter.sender,
            state: letter.state,
            attempts: letter.attempts,
            groups: letter.groups,
            messages: letter.messages,
            created: At(letter.created),
            finished: letter.finished.map(At),
            code: letter.code,
            error: letter.error,
            text: letter.text,
        }
    }
}

impl From<LetterPage> for LetterList {
    fn from(page: LetterPage) -> Self {
        let letters = page.letters.into_iter().map(LetterReport::from).collect();
        Self { letters, total: page.total, next: page.next }
    }
}

impl From<DeliveryLine> for DeliveryReport {
    fn from(line: DeliveryLine) -> Self {
        let tries = line.tries.into_iter().map(|tried| TryReport {
            attempt: tried.number,
            started: At(tried.started),
            finished: tried.finished.map(At),
            outcome: tried.outcome,
            code: tried.code,
            error: tried.error,
        });
        let told = line.told.into_iter().map(|group| LetterTexts {
            group: group.id,
            route: group.route,
            kind: group.kind,
            text: group.text,
            severity: group.severity,
            labels: group.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            count: group.count,
            first_seen: At(group.first_seen),
            last_seen: At(group.last_seen),
            omitted: group.omitted,
        });
        Self {
            letter: line.letter.into(),
            next_attempt: line.next_attempt.map(At),
            tries: tries.collect(),
            told: told.collect(),
        }
    }
}

impl From<Moved> for Decided {
    fn from(moved: Moved) -> Self {
        Self { letters: moved.letters, messages: moved.messages, left: moved.left }
    }
}

impl StoreReport {
    pub(super) fn new(facts: Facts, trimmed: u64) -> Self {
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
