//! Dead letters, single notifications, and what a person decides about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::At;
use crate::store::{self, DeliveryLine, Letter, LetterPage, Moved};

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

impl LetterReport {
    /// How many groups it tells beside the first one, in words.
    pub(crate) fn more(&self) -> String {
        match self.groups.saturating_sub(1) {
            0 => String::new(),
            1 => " and 1 more group".to_owned(),
            groups => format!(" and {groups} more groups"),
        }
    }
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
    pub(in crate::admin) fn which(self) -> Option<store::Which> {
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
