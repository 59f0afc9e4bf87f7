//! How a call to a plugin can end, in the host's own words: whoever delivers branches on these, never on a text.

use std::time::Duration;

use super::limit::Limit;

/// What a failure means for what comes next; the same words are metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Try again later.
    Retry,
    /// The destination asked for a pause; never counts towards giving up.
    RateLimited,
    /// This notification can never be told.
    Permanent,
    /// Nothing can be told until a person changes something.
    Misconfigured,
}

impl FailureKind {
    /// The word in the store, in metrics and on screen.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RateLimited => "rate-limited",
            Self::Permanent => "permanent",
            Self::Misconfigured => "misconfigured",
        }
    }
}

/// What the plugin itself did wrong, as against what its destination answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It stopped in the middle: a panic, an exit, an instruction that is not allowed.
    Trap,
    /// It went past one of its limits.
    Limit(Limit),
    /// It used the network in a call that has none.
    Offline,
    /// It gave back what the contract does not allow.
    InvalidOutput,
    /// It could not be started.
    Start,
}

impl Fault {
    /// The stable code in the store and in metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Limit(limit) => limit.code(),
            Self::Offline => "offline",
            Self::InvalidOutput => "invalid-output",
            Self::Start => "start",
        }
    }
}

/// A call that did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What comes next.
    pub kind: FailureKind,
    /// A stable word: the plugin's own, or one of the host's.
    pub code: String,
    /// For a person; says which sender and which plugin.
    pub message: String,
    /// The destination asked to wait this long.
    pub after: Option<Duration>,
    /// Whether the destination may have got it all the same.
    pub maybe_delivered: bool,
    /// For the next attempt: who has it already.
    pub progress: Option<Vec<u8>>,
    /// Set when the plugin is to blame: such a notification is given up after five attempts.
    pub fault: Option<Fault>,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// JSON Schema of its config.
    pub config_schema: String,
    /// The secrets it knows.
    pub secrets: Vec<SecretUse>,
    /// What its texts are written in.
    pub markup: Markup,
    /// Whether it can change what it told before.
    pub updates_in_place: bool,
    /// Whether it can answer under what it told before.
    pub replies: bool,
    /// Groups that one notification may have.
    pub max_groups: Option<u32>,
    /// What happens to groups beyond that.
    pub overflow: Overflow,
}

/// A secret that a plugin knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUse {
    /// NAME in `secrets.NAME`.
    pub name: String,
    /// Whether the plugin cannot work without it.
    pub required: bool,
    /// header, path, query, body, basic, sign.
    pub uses: Vec<String>,
    /// One sentence.
    pub description: String,
}

/// An origin that a plugin wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As it names it.
    pub origin: String,
    /// With which methods.
    pub methods: Vec<String>,
    /// What for.
    pub why: String,
}

/// What a plugin's texts are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Plain text.
    None,
    /// Markdown.
    Markdown,
    /// Slack's.
    Mrkdwn,
    /// HTML.
    Html,
}

/// What happens to more groups than fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The rest is summed up.
    Summarize,
    /// The rest goes into further notifications.
    Split,
}

/// What `prepare` found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The plugin's own, for every `send` until it is prepared anew. Kept in memory only.
    pub state: Vec<u8>,
    /// How long it may be used.
    pub valid_for: Option<Duration>,
}

/// What a delivered notification leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// What the plugin needs to update or answer it later.
    pub receipt: Option<Vec<u8>>,
    /// Whether an earlier message was changed instead of a new one posted.
    pub updated_in_place: bool,
}

/// A mistake that a plugin found in its config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigMistake {
    /// JSON pointer into the sender's `config`; below `/secrets` it names an entry of the sender's `secrets`.
    pub pointer: String,
    /// One clause.
    pub message: String,
}
