//! Messages as clients write them, and texts as tests compare them.

use serde_json::json;

/// Each text as a message of the Go service's protocol.
pub(crate) fn classic(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| format!("STRING\n{text}\n").into_bytes()).collect()
}

/// Each text as a line of NDJSON.
pub(crate) fn ndjson(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| format!("{}\n", json!({ "text": text })).into_bytes()).collect()
}

/// A text with the white space at the beginning of each line taken away, so that tests can indent it.
pub(crate) fn squeezed(text: &str) -> String {
    text.trim().lines().map(str::trim_start).collect::<Vec<_>>().join("\n")
}
