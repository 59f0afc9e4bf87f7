//! The silence that somebody wants, as Alertmanager's API v2 writes it: read and checked. Pure.

use serde::Deserialize;

use crate::matcher::{Matcher, Op};
use crate::message::Millis;
use crate::protocol::time::moment;
use crate::silence::{self, Silence};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    id: Option<String>,
    matchers: Vec<WantedMatcher>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WantedMatcher {
    name: String,
    value: String,
    is_regex: bool,
    /// Left out by clients from before there was `!=`.
    is_equal: Option<bool>,
}

/// Reads a silence. That may take a while: see [`Matcher::bounded`].
///
/// # Errors
///
/// What is wrong with it, in one sentence.
pub(super) fn silence(body: &[u8], now: Millis) -> Result<Silence, String> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| format!("the body is not a silence: {error}"))?;
    let matchers = silence::matchers(wanted.matchers, matcher)?;
    let times = (time("startsAt", &wanted.starts_at)?, time("endsAt", &wanted.ends_at)?);
    let silence = Silence::wanted(matchers, times, (wanted.created_by, wanted.comment), now)?;
    Ok(Silence { id: wanted.id.unwrap_or_default(), ..silence })
}

fn matcher(wanted: WantedMatcher) -> Result<Matcher, String> {
    let op = match (wanted.is_regex, wanted.is_equal.unwrap_or(true)) {
        (false, true) => Op::Equal,
        (false, false) => Op::NotEqual,
        (true, true) => Op::Matches,
        (true, false) => Op::MatchesNot,
    };
    Matcher::bounded(&wanted.name, op, wanted.value).map_err(|error| format!("invalid silence: {error}"))
}

fn time(name: &str, text: &str) -> Result<Millis, String> {
    let wrong = || format!("invalid silence: {name} is no time of RFC 3339: 2024-05-01T12:00:00Z");
    // Before 1970 is long ago.
    moment(text).map(|millis| Millis::try_from(millis).unwrap_or(0)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
