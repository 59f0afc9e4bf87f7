//! An alert as a client posts it: again and again while it fires, and once more when it is over.

use super::{Labels, Message, Millis};

/// Until when a posted alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The client did not say: for a while, unless it is posted again.
    Unsaid,
    /// Until then; the alert is over when that is past.
    At(Millis),
    /// Until the client says so: it tells what is over, and does not post again what goes on.
    Told,
}

/// An alert as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// What it says; its labels are what it is known by.
    pub message: Message,
    /// What is said about it, which may change while it fires.
    pub annotations: Labels,
    /// Where it was made.
    pub generator: String,
    /// Since when it fires, when the client said so.
    pub starts: Option<Millis>,
    /// Until when.
    pub ends: Ends,
}

impl Posted {
    /// About what it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        alert_bytes(&self.message, &self.annotations, &self.generator)
    }
}

/// About what an alert takes in memory.
#[must_use]
pub fn alert_bytes(message: &Message, annotations: &Labels, generator: &str) -> usize {
    let labels = message.labels.iter().chain(annotations.iter());
    let pairs: usize = labels.map(|(name, value)| name.len() + value.len() + PAIR_BYTES).sum();
    ALERT_BYTES + pairs + message.text.len() + message.source.len() + generator.len()
}

/// What an alert takes beside its words.
const ALERT_BYTES: usize = 512;
/// What a label takes beside its name and value.
const PAIR_BYTES: usize = 48;
