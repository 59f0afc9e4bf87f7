//! From raw bytes to a message: what only shows then is said beside it.

use crate::message::{DEFAULT_KIND, Labels, Message, Word};
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

/// Words that many messages have in common, so that each is kept once for as many as possible.
#[derive(Debug)]
pub(super) struct Words {
    /// Whose messages come, where they name no source.
    pub(super) peer: Word,
    default_kind: Word,
    last_kind: Word,
    last_source: Word,
}

impl Default for Words {
    fn default() -> Self {
        let (peer, last_kind, last_source) = (Word::default(), Word::default(), Word::default());
        Self { peer, default_kind: DEFAULT_KIND.into(), last_kind, last_source }
    }
}

/// What `parsed` says, as a message of the peer where it names no source; no text is longer than `text_bytes`.
pub(super) fn spell(parsed: Parsed<'_>, words: &mut Words, text_bytes: usize) -> Spelled {
    if let Some(envelope) = parsed.envelope {
        let opened = envelope.open(parsed.text, text_bytes);
        let truncated = opened.truncated || parsed.truncated;
        let plain = Parsed::plain(opened.text, parsed.severity, truncated);
        let spelled = spell(Parsed { extra: Some(Box::new(opened.extra)), ..plain }, words, text_bytes);
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
    let Extra { kind, mut labels, source } = parsed.extra.map(|extra| *extra).unwrap_or_default();
    if truncated {
        labels.push((TRUNCATED_LABEL.into(), "true".into()));
    }
    let message = Message {
        text,
        kind: kind.map_or(&words.default_kind, |kind| words.last_kind.set(&kind)).clone(),
        severity: parsed.severity,
        labels: Labels::new(labels),
        source: source.map_or(&words.peer, |source| words.last_source.set(&source)).clone(),
    };
    Spelled { message, replaced, cut }
}
