//! Silences.

use serde::{Deserialize, Serialize};

use super::At;
use crate::message::Millis;
use crate::silence::Silence;

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
