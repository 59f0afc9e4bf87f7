//! A sender before it runs: its file read and looked into, its secrets read, its config made ready for the guest.
//!
//! All of it takes milliseconds, so that a mistake stops the start before mag listens. Nothing is compiled here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sha2::Digest as _;

use super::component::{self, Unfit};
use super::failure::ConfigMistake;
use super::limit::{CallLimits, Calling};
use super::mail::{self, Mailer};
use super::secrets::Secrets;
use super::{ComponentHash, bundled, secrets, text};
use crate::config::{self, LiveSecret, Locked, PluginLimits, Sha256, Values};
use crate::egress::{Grants, Origin, OriginError};
use crate::limits;

/// Why a sender cannot be loaded; names the sender and the plugin.
#[derive(Debug)]
pub struct LoadError {
    /// The sender's name.
    pub sender: String,
    /// `FILE:LINE:COL` of its section.
    pub place: String,
    /// What is wrong.
    pub reason: Box<LoadReason>,
}

/// What is wrong with a sender that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadReason {
    /// The component does not fit.
    #[error("cannot load plugin {plugin}: {unfit}")]
    Unfit {
        /// As typed.
        plugin: String,
        /// Why.
        unfit: Unfit,
    },
    /// The file is not the one that the config names by its hash.
    #[error(
        "plugin {plugin} is not the file that is pinned: its sha256 is {found}, the config wants {pinned}: put that file \
         back, or write the new hash there if you trust this one"
    )]
    Pinned {
        /// As typed.
        plugin: String,
        /// What the config says.
        pinned: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// No such bundled plugin.
    #[error("there is no bundled plugin {name}; there are {known}, and paths like ./my.wasm")]
    NotBundled {
        /// As typed.
        name: String,
        /// All there are.
        known: String,
    },
    /// A secret is a URL that it must not go to.
    #[error("secrets.{name} is a URL at {origin}, which is not among its `origins`")]
    SecretOrigin {
        /// NAME.
        name: String,
        /// Where it leads.
        origin: Origin,
    },
    /// The config asks for a secret that the sender does not have.
    #[error("config{pointer} asks for ${{secret:{name}}}, but there is no secrets.{name}")]
    UnknownSecret {
        /// JSON pointer into the config.
        pointer: String,
        /// NAME.
        name: String,
    },
    /// The signatures and logins that the config asks for cannot be made of the secrets.
    #[error("{}", mistakes.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>().join("; "))]
    CannotSign {
        /// At least one.
        mistakes: Vec<ConfigMistake>,
    },
    /// An entry of `allow` is no origin.
    #[error("allow: `{origin}` cannot be granted: {reason}")]
    Allow {
        /// As typed.
        origin: String,
        /// Why.
        reason: OriginError,
    },
    /// `smtp` has a user, and there is no password.
    #[error("smtp has a username, but there is no secrets.smtp_password")]
    NoPassword,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sender {}: {}", self.sender, self.reason)
    }
}

impl std::error::Error for LoadError {}

/// What the host knows of a sender for as long as it exists.
pub(super) struct Profile {
    pub(super) name: String,
    /// `slack`, or the path as it is shown.
    pub(super) plugin: String,
    pub(super) bundled: bool,
    /// Its standard output is mag's.
    pub(super) prints: bool,
    pub(super) bytes: component::Shared,
    pub(super) hash: ComponentHash,
    /// Of a plugin that is a file.
    pub(super) sha256: Option<Sha256>,
    /// What a person accepted of it.
    pub(super) locked: Option<Locked>,
    /// The JSON that every call gets.
    pub(super) config: String,
    pub(super) secrets: Arc<Secrets>,
    /// What the operator typed.
    pub(super) grants: Grants,
    pub(super) smtp: Option<(config::Smtp, Option<LiveSecret>)>,
    pub(super) timeout: Duration,
    pub(super) limits: PluginLimits,
    /// Whether it keeps what it told up to date.
    pub(super) living: bool,
}

impl Profile {
    pub(super) fn load(sender: &config::Sender, values: &Values) -> Result<Self, LoadReason> {
        let Component { plugin, bytes, hash, sha256 } = component_of(&sender.plugin, sender.pin)?;
        let bundled = sha256.is_none();
        let secrets =
            Secrets::new(sender, values).map_err(|(name, origin)| LoadReason::SecretOrigin { name, origin })?;
        let config = secrets
            .guest_config(&sender.config)
            .map_err(|unknown| LoadReason::UnknownSecret { pointer: unknown.pointer, name: unknown.name })?;
        if sender.smtp.as_ref().is_some_and(|smtp| smtp.username.is_some()) && !secrets.has(secrets::SMTP_PASSWORD) {
            return Err(LoadReason::NoPassword);
        }
        let mistakes = secrets.cannot_sign(&sender.config, if bundled { bundled::signing_keys(&plugin) } else { &[] });
        if !mistakes.is_empty() {
            return Err(LoadReason::CannotSign { mistakes });
        }
        let smtp = sender.smtp.clone().map(|smtp| (smtp, secrets.smtp_password().cloned()));
        Ok(Self {
            name: sender.name.clone(),
            prints: bundled && plugin == "console",
            plugin,
            bundled,
            sha256,
            locked: sender.locked.clone(),
            bytes,
            hash,
            config,
            grants: grants(sender, &secrets)?,
            secrets: Arc::new(secrets),
            smtp,
            timeout: sender.timeout,
            limits: sender.limits,
            living: sender.living.is_some(),
        })
    }

    /// How far such a call may go.
    pub(super) fn call_limits(&self, call: Calling) -> CallLimits {
        CallLimits::new(call, self.limits, self.timeout)
    }

    /// What a person accepted, where the plugin is another file since: it may reach no more than that, whatever it says
    /// that it wants and whatever the operator typed.
    pub(super) fn bound(&self) -> Option<&Locked> {
        self.locked.as_ref().filter(|locked| self.sha256.is_some_and(|found| found != locked.sha256))
    }

    pub(super) fn mailer(&self) -> Option<Mailer> {
        if self.bound().is_some_and(|locked| !locked.origins.iter().any(|origin| mail::is_the_service(origin))) {
            return None;
        }
        self.smtp.as_ref().map(|(smtp, password)| Mailer::new(smtp, password.as_ref()))
    }

    /// Whatever a plugin says, clean and with its author's name before it.
    pub(super) fn wrap(&self, version: Option<&str>, said: &str) -> String {
        let said = text::line(&self.secrets.redact(said), limits::PLUGIN_MESSAGE_CHARS);
        let version = version.map(|version| format!(" {version}")).unwrap_or_default();
        format!("sender {} (plugin {}{version}): {said}", self.name, self.plugin)
    }
}

/// A component that fits.
struct Component {
    /// As it is shown.
    plugin: String,
    bytes: component::Shared,
    hash: ComponentHash,
    /// Only of a file: what is bundled is as trusted as mag itself.
    sha256: Option<Sha256>,
}

fn component_of(plugin: &config::Plugin, pin: Option<Sha256>) -> Result<Component, LoadReason> {
    let (plugin, bytes, is_file) = match plugin {
        config::Plugin::Bundled(name) => {
            let found = bundled::find(name);
            let missing = || LoadReason::NotBundled { name: name.clone(), known: bundled::names() };
            (name.clone(), Ok(Cow::Borrowed(found.ok_or_else(missing)?)), false)
        }
        config::Plugin::Path(path) => (path.display().to_string(), component::read(path), true),
    };
    let unfit = |unfit| LoadReason::Unfit { plugin: plugin.clone(), unfit };
    let bytes = bytes.map_err(unfit)?;
    // Large plugins are megabytes, so they are hashed once: for whoever pins them, and to know them again.
    let hash = sha2::Sha256::digest(&bytes).into();
    let sha256 = is_file.then_some(Sha256(hash));
    if let (Some(pinned), Some(found)) = (pin, sha256)
        && pinned != found
    {
        return Err(LoadReason::Pinned { plugin, pinned, found });
    }
    let bytes = component::checked(bytes, hash).map_err(unfit)?;
    Ok(Component { plugin, bytes, hash, sha256 })
}

/// The origins that the operator gave: those in `allow`, every string of the config that is a URL, and secrets that are.
fn grants(sender: &config::Sender, secrets: &Secrets) -> Result<Grants, LoadReason> {
    let mut grants = Grants::none().allow_private(sender.allow_private);
    for typed in &sender.allow {
        let origin = Origin::parse(typed)
            .map_err(|reason| LoadReason::Allow { origin: text::line(typed, limits::WORD_BYTES), reason })?;
        grants.typed(origin);
    }
    secrets.origins().for_each(|origin| grants.typed(origin.clone()));
    typed_origins(&sender.config, &mut grants);
    Ok(grants)
}

fn typed_origins(value: &Value, grants: &mut Grants) {
    match value {
        Value::String(text) => {
            if let Ok(origin) = Origin::parse(text) {
                grants.typed(origin);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| typed_origins(item, grants)),
        Value::Object(map) => map.values().for_each(|item| typed_origins(item, grants)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
