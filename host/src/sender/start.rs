//! From a loaded sender to one that runs: have it compiled, ask what it is, let it check its config, settle what it may reach.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::call::{Call, Ended};
use super::contract_v1::Plugin;
use super::failure::{ConfigMistake, Fault, Manifest, Wanted};
use super::hooks::{Note, Reach};
use super::limit::Calling;
use super::load::Profile;
use super::look::{Asked, Looked};
use super::secrets::Wire;
use super::started::{Parts, Started, last_words};
use super::{Sender, text};
use crate::config::Sha256;
use crate::egress::{Client, Grants, Origin};
use crate::limits;

/// Why a sender cannot run. None of it goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The plugin is broken; the text says how.
    #[error("{0}")]
    Plugin(String),
    /// The plugin does not accept its config.
    #[error("{}", mistakes_line(sender, mistakes))]
    Config {
        /// The sender's name.
        sender: String,
        /// At least one.
        mistakes: Vec<ConfigMistake>,
    },
    /// `style = "living"` with a plugin that cannot change what it told.
    #[error(
        "sender {sender}: its plugin cannot change what it told before: take `style = \"living\"` away from [senders.{sender}]"
    )]
    NotLiving {
        /// The sender's name.
        sender: String,
    },
    /// The plugin is another one than a person accepted, and asks for more.
    #[error(transparent)]
    NotAccepted(Box<NotAccepted>),
    /// The plugin wants origins that nobody granted.
    #[error("{}", refused_line(sender, asked, *more))]
    Refused {
        /// The sender's name.
        sender: String,
        /// At least one.
        asked: Vec<Asked>,
        /// How many more there are.
        more: usize,
    },
}

/// A plugin that is another one than a person accepted, and asks for more.
#[derive(Debug, thiserror::Error)]
#[error(
    "sender {sender}: its plugin {plugin} is another file than mag.lock says, and asks for more: {}: look at it, then \
     accept it with `mag sender lock` (sha256 {found}, was {accepted})",
    more.join(", ")
)]
pub struct NotAccepted {
    /// The sender's name.
    pub sender: String,
    /// The plugin's path.
    pub plugin: String,
    /// The origins that it did not ask for before; at least one.
    pub more: Vec<String>,
    /// The file that was accepted.
    pub accepted: Sha256,
    /// The one that is there.
    pub found: Sha256,
}

fn mistakes_line(sender: &str, mistakes: &[ConfigMistake]) -> String {
    let each: Vec<_> = mistakes.iter().map(|m| format!("config{}: {}", m.pointer, m.message)).collect();
    format!("sender {sender}: {}", each.join("; "))
}

/// What a shortened list ends with.
fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

fn refused_line(sender: &str, asked: &[Asked], more: usize) -> String {
    let quoted: Vec<_> = asked.iter().map(|asked| format!("\"{}\"", asked.origin)).collect();
    let wanted: Vec<_> = asked.iter().map(ToString::to_string).collect();
    format!(
        "sender {sender}: its plugin wants {}{}, which nobody allowed: add allow = [{}] to [senders.{sender}]",
        wanted.join(", "),
        and_more(more),
        quoted.join(", ")
    )
}

impl Sender {
    /// Compiles the plugin if need be, and lets it check its config. Makes no connection.
    ///
    /// # Errors
    ///
    /// When the plugin is broken, does not accept its config, or wants to reach what is not granted.
    pub async fn start(&self) -> Result<Started, StartError> {
        let (runtime, profile) = (Arc::clone(&self.runtime), Arc::clone(&self.profile));
        let (plugin, Looked { manifest, asked, more, mistakes }, grants) = self.look_inside().await?;
        let sender = profile.name.clone();
        if profile.living && !manifest.updates_in_place {
            return Err(StartError::NotLiving { sender });
        }
        if !mistakes.is_empty() {
            return Err(StartError::Config { sender, mistakes });
        }
        let refused: Vec<Asked> = asked.iter().filter(|asked| !asked.granted).cloned().collect();
        if !refused.is_empty() {
            return Err(StartError::Refused { sender, asked: refused, more });
        }
        self.check_lock(&asked)?;
        let grants = match self.profile.bound() {
            Some(locked) => grants.only(|origin| locked.origins.contains(&origin.to_string())),
            None => grants,
        };
        let client = Client::new(grants).answered_by(runtime.double.clone());
        let wire = Wire::new(Arc::clone(&profile.secrets), &manifest.secrets);
        let reach = Arc::new(Reach { client, wire, mailer: profile.mailer() });
        Ok(Started::new(Parts { runtime, profile, plugin, manifest, asked, reach }))
    }

    /// What the plugin says of itself and of its config, and what it may reach when nothing of it is refused.
    pub(super) async fn look_inside(&self) -> Result<(Arc<Plugin>, Looked, Grants), StartError> {
        let plugin = self.runtime.compiled(&self.profile).await?;
        let manifest = self.describe(&plugin).await?;
        let mut mistakes = secret_mistakes(&self.profile, &manifest);
        let (asked, more, grants) = match self.validate(&plugin, &manifest).await? {
            Ok(wanted) => self.grants(&manifest, &wanted)?,
            Err(found) => {
                mistakes.extend(found.into_iter().take(limits::PLUGIN_MISTAKES).map(|mistake| self.clean(&mistake)));
                (Vec::new(), 0, Grants::none())
            }
        };
        Ok((plugin, Looked { manifest, asked, more, mistakes }, grants))
    }

    async fn describe(&self, plugin: &Arc<Plugin>) -> Result<Manifest, StartError> {
        let plugin = Arc::clone(plugin);
        let mut manifest = self
            .offline(Calling::Describe, None, |store| Box::pin(async move { plugin.describe(store).await }))
            .await?;
        let word = |text: &str| text::line(text, limits::PLUGIN_WORD_CHARS);
        manifest.name = word(&manifest.name);
        manifest.version = word(&manifest.version);
        let sentence = |text: &str| text::line(text, limits::PLUGIN_MESSAGE_CHARS);
        manifest.description = sentence(&manifest.description);
        manifest.secrets.truncate(limits::PLUGIN_MISTAKES);
        for secret in &mut manifest.secrets {
            secret.name = word(&secret.name);
            secret.description = sentence(&secret.description);
            secret.uses.truncate(limits::PLUGIN_MISTAKES);
            secret.uses.iter_mut().for_each(|place| *place = word(place));
        }
        Ok(manifest)
    }

    async fn validate(
        &self,
        plugin: &Arc<Plugin>,
        manifest: &Manifest,
    ) -> Result<Result<Vec<Wanted>, Vec<ConfigMistake>>, StartError> {
        let (plugin, profile) = (Arc::clone(plugin), Arc::clone(&self.profile));
        let version = Some(manifest.version.as_str());
        self.offline(Calling::Validate, version, |store| {
            Box::pin(async move { plugin.validate(store, &profile.config).await })
        })
        .await
    }

    /// A call without network; whatever goes wrong in it is the plugin's fault.
    async fn offline<R>(
        &self,
        call: Calling,
        version: Option<&str>,
        work: impl for<'s> FnOnce(&'s mut wasmtime::Store<super::State>) -> super::Work<'s, R>,
    ) -> Result<R, StartError> {
        let limits = self.profile.call_limits(call);
        let call = Call { limits, reach: None, id: None, stdout: self.runtime.stdout(&self.profile) };
        let Ended { result, note, stderr, mut used, .. } = Box::pin(self.runtime.call(call, work)).await;
        let (code, said) = match (&result, note) {
            (Ok(_), _) => ("ok", String::new()),
            (Err(_), Some(Note::Offline)) => {
                (Fault::Offline.code(), "it used the network before it was started".to_owned())
            }
            (Err(broken), _) => {
                let said = broken.said(&limits, &self.profile.name);
                let words = last_words(&stderr.lines).map(|words| format!("{said}; it said: {words}"));
                (broken.fault().code(), words.unwrap_or(said))
            }
        };
        code.clone_into(&mut used.ended);
        self.runtime.last_calls(&self.profile.name).add(&limits, used);
        result.map_err(|_broken| StartError::Plugin(self.profile.wrap(version, &format!("{code}: {said}"))))
    }

    fn clean(&self, mistake: &ConfigMistake) -> ConfigMistake {
        let clean = |text: &str| text::line(&self.profile.secrets.redact(text), limits::PLUGIN_MESSAGE_CHARS);
        ConfigMistake { pointer: clean(&mistake.pointer), message: clean(&mistake.message) }
    }

    /// A plugin that is another file than a person accepted may not ask for more than that one did.
    fn check_lock(&self, asked: &[Asked]) -> Result<(), StartError> {
        let (sender, plugin) = (self.profile.name.clone(), self.profile.plugin.clone());
        let (Some(locked), Some(found)) = (self.profile.bound(), self.profile.sha256) else { return Ok(()) };
        let more: BTreeSet<&String> =
            asked.iter().map(|asked| &asked.origin).filter(|origin| !locked.origins.contains(origin)).collect();
        if more.is_empty() {
            let reaches = if locked.origins.is_empty() { "nothing".to_owned() } else { locked.origins.join(", ") };
            tracing::info!(
                "sender {sender}: its plugin {plugin} is another file than mag.lock says, and asks for nothing more; it \
                 may reach {reaches} until `mag sender lock` takes note of it"
            );
            return Ok(());
        }
        let more = more.into_iter().cloned().collect();
        let refused = NotAccepted { sender, plugin, more, accepted: locked.sha256, found };
        Err(StartError::NotAccepted(Box::new(refused)))
    }

    /// What the operator typed, and for bundled plugins what they declare; others may not declare anything. Of what is
    /// asked for a person reads the first few, and how many more there are: what nobody granted comes first, so that a
    /// long list hides nothing.
    fn grants(&self, manifest: &Manifest, wanted: &[Wanted]) -> Result<(Vec<Asked>, usize, Grants), StartError> {
        let mut grants = self.profile.grants.clone();
        let mut asked = Vec::new();
        for wanted in wanted {
            if wanted.origin.len() > limits::PLUGIN_MESSAGE_CHARS {
                let code = Fault::InvalidOutput.code();
                let said = format!("{code}: it wants to reach an origin of {} bytes", wanted.origin.len());
                return Err(StartError::Plugin(self.profile.wrap(Some(&manifest.version), &said)));
            }
            let origin = Origin::parse(&wanted.origin).map_err(|error| {
                let said = format!("{}: it wants to reach `{}`: {error}", Fault::InvalidOutput.code(), wanted.origin);
                StartError::Plugin(self.profile.wrap(Some(&manifest.version), &said))
            })?;
            let typed = grants.permits(&origin);
            asked.push(Asked::new(wanted, &origin, typed || self.profile.bundled));
            if self.profile.bundled {
                grants.declared(origin);
            }
        }
        if asked.len() > limits::PLUGIN_MISTAKES {
            asked.sort_by_key(|asked| asked.granted);
        }
        let more = asked.len().saturating_sub(limits::PLUGIN_MISTAKES);
        asked.truncate(limits::PLUGIN_MISTAKES);
        Ok((asked, more, grants))
    }
}

/// Secrets that the plugin needs and does not get, or gets and may not use as it does.
fn secret_mistakes(profile: &Profile, manifest: &Manifest) -> Vec<ConfigMistake> {
    let missing = manifest.secrets.iter().filter(|secret| secret.required && !profile.secrets.has(&secret.name));
    let missing = missing.map(|secret| {
        let name = text::line(&secret.name, limits::PLUGIN_WORD_CHARS);
        let message = format!("plugin {} needs secrets.{name}", profile.plugin);
        ConfigMistake { pointer: format!("/secrets/{name}"), message }
    });
    let in_vain = profile.secrets.in_vain(&manifest.secrets).into_iter().map(|(name, why)| {
        // The operator declared it, so the name is a good one.
        ConfigMistake { pointer: format!("/secrets/{name}"), message: format!("secrets.{name}: {why}") }
    });
    missing.chain(in_vain).chain(profile.secrets.unusable(&manifest.secrets)).collect()
}
