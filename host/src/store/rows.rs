//! How values become columns and columns become values again, for every table that holds a group.

use std::sync::Arc;

use rusqlite::{Result, Row, types::Type};

use crate::message::{Cause, Group, GroupId, Labels, Reason, Severity};

/// The columns of a group, in the order in which [`read_group`] reads them and [`group_params!`] writes them.
pub(super) const GROUP_COLUMNS: &str = "group_id, route, kind, source, text, severity, labels, count, first_seen, \
                                        last_seen, opened, closed, samples, reason, annotations";

/// The place of the first column after them.
pub(super) const AFTER_GROUP: usize = 15;

/// Parameters whose last fifteen are a group's, in the order of [`GROUP_COLUMNS`].
macro_rules! group_params {
    ($group:expr $(, $before:expr)*) => {
        rusqlite::params![
            $($before,)*
            $group.id.to_string(),
            &*$group.route,
            $group.kind,
            $group.source,
            $group.text,
            $group.severity.map(crate::message::Severity::as_str),
            $crate::store::rows::labels_json(&$group.labels),
            $crate::store::rows::int($group.count),
            $crate::store::rows::int($group.first_seen),
            $crate::store::rows::int($group.last_seen),
            $crate::store::rows::int($group.opened),
            $crate::store::rows::int($group.closed),
            $crate::store::rows::samples_json(&$group.samples),
            $group.reason.as_str(),
            $crate::store::rows::labels_json(&$group.annotations),
        ]
    };
}
pub(super) use group_params;

/// SQLite has no unsigned numbers; a count that large is beyond what can be reached.
pub(super) fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The way back; what is negative was written by somebody else and counts as nothing.
pub(super) fn uint(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Labels as a JSON object.
pub(super) fn labels_json(labels: &Labels) -> String {
    let map: serde_json::Map<String, serde_json::Value> =
        labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    serde_json::Value::Object(map).to_string()
}

/// Samples as a JSON array.
pub(super) fn samples_json(samples: &[String]) -> String {
    serde_json::Value::from(samples).to_string()
}

/// Labels out of their column.
pub(super) fn read_labels(row: &Row<'_>, column: usize) -> Result<Labels> {
    let text: String = row.get(column)?;
    let map: std::collections::BTreeMap<String, String> = parse_json(column, &text)?;
    Ok(Labels::new(map.into_iter().collect()))
}

/// Labels out of a column that may hold none.
pub(super) fn read_some_labels(row: &Row<'_>, column: usize) -> Result<Labels> {
    let text: Option<String> = row.get(column)?;
    if text.is_some() { read_labels(row, column) } else { Ok(Labels::default()) }
}

/// Samples out of their column.
pub(super) fn read_samples(row: &Row<'_>, column: usize) -> Result<Vec<String>> {
    let text: String = row.get(column)?;
    parse_json(column, &text)
}

/// A cause as a JSON object.
pub(super) fn cause_json(cause: &Cause) -> String {
    serde_json::json!({ "sender": cause.sender, "code": cause.code, "error": cause.error }).to_string()
}

/// A cause out of its column.
pub(super) fn read_cause(row: &Row<'_>, column: usize) -> Result<Option<Cause>> {
    let Some(text): Option<String> = row.get(column)? else { return Ok(None) };
    let map: std::collections::BTreeMap<String, String> = parse_json(column, &text)?;
    let part = |name: &str| map.get(name).cloned().unwrap_or_default();
    Ok(Some(Cause { sender: part("sender"), code: part("code"), error: part("error") }))
}

fn parse_json<T: serde::de::DeserializeOwned>(column: usize, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A severity out of its column; a word nobody knows is none.
pub(super) fn read_severity(row: &Row<'_>, column: usize) -> Result<Option<Severity>> {
    let word: Option<String> = row.get(column)?;
    Ok(word.as_deref().and_then(Severity::from_word))
}

/// A group's id out of its column.
pub(super) fn read_group_id(row: &Row<'_>, column: usize) -> Result<GroupId> {
    let hex: String = row.get(column)?;
    u64::from_str_radix(&hex, 16)
        .map(GroupId)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// An unsigned number out of its column.
pub(super) fn read_uint(row: &Row<'_>, column: usize) -> Result<u64> {
    Ok(uint(row.get(column)?))
}

/// A group whose columns begin at `at`; its total is its count until somebody knows better.
pub(super) fn read_group(row: &Row<'_>, at: usize) -> Result<Group> {
    let route: String = row.get(at + 1)?;
    let reason: String = row.get(at + 13)?;
    let count = read_uint(row, at + 7)?;
    Ok(Group {
        id: read_group_id(row, at)?,
        route: Arc::from(route),
        kind: row.get(at + 2)?,
        source: row.get(at + 3)?,
        text: row.get(at + 4)?,
        severity: read_severity(row, at + 5)?,
        labels: read_labels(row, at + 6)?,
        annotations: read_labels(row, at + 14)?,
        count,
        total: count,
        first_seen: read_uint(row, at + 8)?,
        last_seen: read_uint(row, at + 9)?,
        opened: read_uint(row, at + 10)?,
        closed: read_uint(row, at + 11)?,
        samples: read_samples(row, at + 12)?,
        reason: Reason::from_word(&reason).unwrap_or(Reason::Time),
    })
}
