//! From a loaded sender to one that runs: compile, ask what it is, let it check its config, settle what it may reach.

use std::sync::{Arc, PoisonError};

use tokio::sync::OnceCell;
use wasmtime::component::Component;

use super::call::Call;
use super::contract_v1::Plugin;
use super::failure::{ConfigMistake, Fault, Manifest};
use super::hooks::{Note, Reach};
use super::load::Profile;
use super::secrets::Wire;
use super::started::{Parts, Started, last_words};
use super::{Runtime, Sender, text};
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
    /// The plugin wants origins that nobody granted.
    #[error("{}", refused_line(sender, origins))]
    Refused {
        /// The sender's name.
        sender: String,
        /// At least one.
        origins: Vec<String>,
    },
}

fn mistakes_line(sender: &str, mistakes: &[ConfigMistake]) -> String {
    let each: Vec<_> = mistakes.iter().map(|m| format!("config{}: {}", m.pointer, m.message)).collect();
    format!("sender {sender}: {}", each.join("; "))
}

fn refused_line(sender: &str, origins: &[String]) -> String {
    let quoted: Vec<_> = origins.iter().map(|origin| format!("\"{origin}\"")).collect();
    format!(
        "sender {sender}: its plugin wants {}, which nobody allowed: add allow = [{}] to [senders.{sender}]",
        origins.join(", "),
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
        let plugin = runtime.compiled(&profile).await?;
        let manifest = self.describe(&plugin).await?;
        if profile.living && !manifest.updates_in_place {
            return Err(StartError::NotLiving { sender: profile.name.clone() });
        }
        let mut mistakes = secret_mistakes(&profile, &manifest);
        match self.validate(&plugin, &manifest).await? {
            Ok(wanted) if mistakes.is_empty() => {
                let grants = self.grants(&manifest, wanted)?;
                let client = Client::new(grants).answered_by(runtime.double.clone());
                let wire = Wire::new(Arc::clone(&profile.secrets), &manifest.secrets);
                let reach = Arc::new(Reach { client, wire, mailer: profile.mailer() });
                Ok(Started::new(Parts { runtime, profile, plugin, manifest, reach }))
            }
            Ok(_) => Err(StartError::Config { sender: profile.name.clone(), mistakes }),
            Err(found) => {
                mistakes.extend(found.into_iter().take(limits::PLUGIN_MISTAKES).map(|mistake| self.clean(&mistake)));
                Err(StartError::Config { sender: profile.name.clone(), mistakes })
            }
        }
    }

    async fn describe(&self, plugin: &Arc<Plugin>) -> Result<Manifest, StartError> {
        let plugin = Arc::clone(plugin);
        let mut manifest = self.offline(None, |store| Box::pin(async move { plugin.describe(store).await })).await?;
        let word = |text: &str| text::line(text, limits::PLUGIN_WORD_CHARS);
        manifest.name = word(&manifest.name);
        manifest.version = word(&manifest.version);
        manifest.description = text::line(&manifest.description, limits::PLUGIN_MESSAGE_CHARS);
        Ok(manifest)
    }

    async fn validate(
        &self,
        plugin: &Arc<Plugin>,
        manifest: &Manifest,
    ) -> Result<Result<Vec<String>, Vec<ConfigMistake>>, StartError> {
        let (plugin, profile) = (Arc::clone(plugin), Arc::clone(&self.profile));
        let version = Some(manifest.version.as_str());
        self.offline(version, |store| Box::pin(async move { plugin.validate(store, &profile.config).await })).await
    }

    /// A call without network; whatever goes wrong in it is the plugin's fault.
    async fn offline<R>(
        &self,
        version: Option<&str>,
        work: impl for<'s> FnOnce(&'s mut wasmtime::Store<super::State>) -> super::Work<'s, R>,
    ) -> Result<R, StartError> {
        let call = Call {
            limits: self.runtime.limits.offline,
            reach: None,
            id: None,
            stdout: self.runtime.stdout(&self.profile),
        };
        let ended = Box::pin(self.runtime.call(call, work)).await;
        let said = match (ended.result, ended.note) {
            (Ok(value), _) => return Ok(value),
            (Err(_), Some(Note::Offline)) => {
                format!("{}: it used the network before it was started", Fault::Offline.code())
            }
            (Err((fault, said)), _) => match last_words(&ended.stderr) {
                Some(words) => format!("{}: {said}; it said: {words}", fault.code()),
                None => format!("{}: {said}", fault.code()),
            },
        };
        Err(StartError::Plugin(self.profile.wrap(version, &said)))
    }

    fn clean(&self, mistake: &ConfigMistake) -> ConfigMistake {
        let clean = |text: &str| text::line(&self.profile.secrets.redact(text), limits::PLUGIN_MESSAGE_CHARS);
        ConfigMistake { pointer: clean(&mistake.pointer), message: clean(&mistake.message) }
    }

    /// What the operator typed, and for bundled plugins what they declare; others may not declare anything.
    fn grants(&self, manifest: &Manifest, wanted: Vec<String>) -> Result<Grants, StartError> {
        let mut grants = self.profile.grants.clone();
        let mut refused = Vec::new();
        for text in wanted {
            let origin = Origin::parse(&text).map_err(|error| {
                let said = format!("{}: it wants to reach `{text}`: {error}", Fault::InvalidOutput.code());
                StartError::Plugin(self.profile.wrap(Some(&manifest.version), &said))
            })?;
            if self.profile.bundled {
                grants.declared(origin);
            } else if !grants.permits(&origin) {
                refused.push(origin.to_string());
            }
        }
        if refused.is_empty() {
            return Ok(grants);
        }
        Err(StartError::Refused { sender: self.profile.name.clone(), origins: refused })
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
    missing.chain(in_vain).collect()
}

impl Runtime {
    /// The compiled plugin; whoever asks first compiles, the others wait for it.
    async fn compiled(self: &Arc<Self>, profile: &Arc<Profile>) -> Result<Arc<Plugin>, StartError> {
        let hash = *blake3::hash(&profile.bytes).as_bytes();
        let cell = {
            let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(compiled.entry(hash).or_insert_with(|| Arc::new(OnceCell::new())))
        };
        let made = cell.get_or_try_init(|| async {
            let (runtime, theirs) = (Arc::clone(self), Arc::clone(profile));
            let compiled = tokio::task::spawn_blocking(move || runtime.compile(&theirs.bytes)).await;
            compiled.map_err(|error| error.to_string()).and_then(|made| made.map_err(|error| format!("{error:#}")))
        });
        made.await
            .cloned()
            .map_err(|error| StartError::Plugin(profile.wrap(None, &format!("cannot compile it: {error}"))))
    }

    fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Arc<Plugin>> {
        let component = Component::new(&self.engine, bytes)?;
        let linked = self.linker.instantiate_pre(&component)?;
        Plugin::new(linked).map(Arc::new)
    }
}
