//! From raw bytes to a message: what only shows then is said beside it.

use std::borrow::Cow;

use crate::message::{DEFAULT_KIND, Labels, Message};
use crate::protocol::{Extra, Parsed};

/// The label of a text that was cut.
const TRUNCATED_LABEL: &str = "truncated";

/// A message, and what became of its bytes.
pub(super) struct Spelled {
    pub(super) message: Message,
    /// It was not UTF-8.
    pub(super) replaced: bool,
    /// Its text is longer than allowed, and only here that shows.
    pub(super) cut: bool,
}

/// How many messages were not as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ingest) struct Odd {
    /// Messages whose text was not UTF-8.
    pub(in crate::ingest) replaced: u64,
    /// Messages whose text is longer than allowed only since its bad bytes are replaced.
    pub(in crate::ingest) truncated: u64,
}

impl Odd {
    pub(super) fn add(&mut self, more: Self) {
        self.replaced = self.replaced.saturating_add(more.replaced);
        self.truncated = self.truncated.saturating_add(more.truncated);
    }
}

/// What `parsed` says, as a message of `peer` where it names no source; no text is longer than `text_bytes`.
pub(super) fn spell(parsed: Parsed<'_>, peer: &str, text_bytes: usize) -> Spelled {
    if let Some(envelope) = parsed.envelope {
        let opened = envelope.open(parsed.text, text_bytes);
        let truncated = opened.truncated || parsed.truncated;
        let plain = Parsed::plain(opened.text, parsed.severity, truncated);
        let spelled = spell(Parsed { extra: Some(Box::new(opened.extra)), ..plain }, peer, text_bytes);
        let replaced = str::from_utf8(parsed.text).is_err();
        let cut = spelled.cut || opened.truncated && !parsed.truncated;
        return Spelled { replaced, cut, ..spelled };
    }
    let (mut replaced, mut cut) = (false, false);
    let text = match str::from_utf8(parsed.text) {
        Ok(text) => text.to_owned(),
        Err(_) => {
            replaced = true;
            let mut text = String::from_utf8_lossy(parsed.text).into_owned();
            if text.len() > text_bytes {
                text.truncate(text.floor_char_boundary(text_bytes));
                cut = !parsed.truncated;
            }
            text
        }
    };
    let truncated = parsed.truncated || cut;
    let Extra { kind, labels, source } = parsed.extra.map(|extra| *extra).unwrap_or_default();
    let mut labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    if truncated {
        labels.push((TRUNCATED_LABEL.to_owned(), "true".to_owned()));
    }
    let message = Message {
        text,
        kind: kind.map_or_else(|| DEFAULT_KIND.to_owned(), Cow::into_owned),
        severity: parsed.severity,
        labels: Labels::new(labels),
        source: source.map_or_else(|| peer.to_owned(), Cow::into_owned),
    };
    Spelled { message, replaced, cut }
}
