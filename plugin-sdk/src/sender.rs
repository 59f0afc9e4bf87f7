//! The trait that a sender implements, and what it is given. No I/O.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::http::Http;
use crate::{ConfigError, Delivered, Egress, Failure, Markup, Notification, Overflow, Prepared, Secret, Secrets};

/// A place where people can be told something. Implement it and call [`export!`](crate::export).
pub trait Sender {
    /// What stands under `config` in `mag.toml`. Derive `Deserialize` with `#[serde(deny_unknown_fields)]` and `JsonSchema`.
    type Config: DeserializeOwned + JsonSchema;

    /// What the sender is and what it can do.
    fn about() -> About;

    /// Looks for mistakes that a type cannot express, without network, and names the origins the config makes it want.
    ///
    /// # Errors
    /// Every mistake found, each with a JSON pointer into the config.
    fn validate(config: &Self::Config, secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let _ = (config, secrets);
        Ok(Vec::new())
    }

    /// Signs in and looks names up: once at each start and whenever [`Prepared::valid_for_ms`] has passed, never a message.
    ///
    /// # Errors
    /// Why it could not; mag tries again, and tells nothing through this sender meanwhile.
    fn prepare(call: &Call<'_, Self::Config>) -> Result<Prepared, Failure> {
        let _ = call;
        Ok(Prepared { state: Vec::new(), valid_for_ms: None })
    }

    /// Tells one notification. It may be the second time: [`Notification::id`] is then the same.
    ///
    /// # Errors
    /// What kind of failure it was decides what mag does next; see [`crate::failure`].
    fn send(call: &Call<'_, Self::Config>, notification: &Notification) -> Result<Delivered, Failure>;
}

/// What a call gets beside the notification.
pub struct Call<'a, C> {
    /// The operator's config.
    pub config: &'a C,
    /// Placeholders for the operator's secrets.
    pub secrets: &'a Secrets,
    /// What [`Sender::prepare`] gave; empty inside `prepare`.
    pub state: &'a [u8],
    /// The way out.
    pub http: &'a dyn Http,
    /// The time of the call, Unix time in milliseconds.
    pub now_ms: u64,
}

/// The manifest without the schema, which comes from the config's type.
#[derive(Clone, Debug)]
pub struct About {
    /// One word, as in `plugin = "…"`.
    pub name: String,
    /// The plugin's own version: `env!("CARGO_PKG_VERSION")`.
    pub version: String,
    /// One sentence.
    pub description: String,
    /// Secrets it uses.
    pub secrets: Vec<Secret>,
    /// Which markup [`Notification::body`] should be escaped for.
    pub markup: Markup,
    /// Whether [`Intent::Update`](crate::Intent::Update) changes what was told before.
    pub updates_in_place: bool,
    /// Whether [`Intent::Reply`](crate::Intent::Reply) answers under what was told before.
    pub replies: bool,
    /// More groups than this are never in one notification.
    pub max_groups: Option<u32>,
    /// What becomes of the others.
    pub overflow: Overflow,
}

impl About {
    /// A sender without secrets that tells plain text and sums up what is too much.
    #[must_use]
    pub fn new(name: &str, version: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            secrets: Vec::new(),
            markup: Markup::None,
            updates_in_place: false,
            replies: false,
            max_groups: None,
            overflow: Overflow::Summarize,
        }
    }

    /// Adds a secret; `uses` are words of the contract: header, path, query, body, basic, sign.
    #[must_use]
    pub fn secret(mut self, name: &str, required: bool, uses: &[&str], description: &str) -> Self {
        self.secrets.push(Secret {
            name: name.to_owned(),
            required,
            uses: uses.iter().map(|&word| word.to_owned()).collect(),
            description: description.to_owned(),
        });
        self
    }
}
