//! One answer of an endpoint as numbers by id, and what changed between two of them. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config;

/// Why an answer cannot be read: at which JSON pointer what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not JSON at all.
    #[error("the answer is no JSON: {0}")]
    Json(String),
    /// JSON of another shape.
    #[error("at {pointer:?}: expected {expected}, found {found}")]
    Shape {
        /// The whole pointer.
        pointer: String,
        /// In words.
        expected: &'static str,
        /// In words.
        found: &'static str,
    },
}

/// The values of one fetch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot(BTreeMap<String, f64>);

impl Snapshot {
    /// Reads an answer as the monitor's pointers say.
    ///
    /// # Errors
    ///
    /// The first thing that is not as expected, with its pointer.
    pub fn read(body: &[u8], monitor: &config::Monitor) -> Result<Self, SnapshotError> {
        let answer: Value = serde_json::from_slice(body).map_err(|error| SnapshotError::Json(error.to_string()))?;
        let found = answer.pointer(&monitor.items);
        let items = found.and_then(Value::as_array).ok_or_else(|| shape(monitor.items.clone(), "an array", found))?;
        let mut values = BTreeMap::new();
        for (n, item) in items.iter().enumerate() {
            let at = |pointer: &str| format!("{}/{n}{pointer}", monitor.items);
            let id = match item.pointer(&monitor.id) {
                Some(Value::String(id)) => id.clone(),
                Some(Value::Number(id)) => id.to_string(),
                found => return Err(shape(at(&monitor.id), "a string or a number", found)),
            };
            let value = match item.pointer(&monitor.value) {
                None | Some(Value::Null) => 0.0,
                Some(Value::Number(value)) => value.as_f64().unwrap_or_default(),
                found => return Err(shape(at(&monitor.value), "a number", found)),
            };
            *values.entry(id).or_default() += value;
        }
        Ok(Self(values))
    }

    /// How much the sum grew since `earlier`, over the ids that both have.
    #[must_use]
    pub fn delta(&self, earlier: &Self) -> f64 {
        self.0.iter().filter_map(|(id, value)| earlier.0.get(id).map(|before| value - before)).sum()
    }
}

fn shape(pointer: String, expected: &'static str, found: Option<&Value>) -> SnapshotError {
    let found = match found {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "an array",
        Some(Value::Object(_)) => "an object",
    };
    SnapshotError::Shape { pointer, expected, found }
}
