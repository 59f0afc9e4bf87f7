//! Reading the values of secrets: all of them at start, so that all that are missing are told together.
//!
//! No value stands in an error: that names the variable or the file, and where the secret is declared.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::report::{Mistake, Mistakes, Spot};
use super::{Config, Env, LiveSecret, Monitor, Protocol, SecretSource, SecretValue, Sender, command};
use crate::{file, limits};

/// Secrets by name.
pub type Values = BTreeMap<String, LiveSecret>;

/// The values of all secrets of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretValues {
    /// By the sender's name.
    pub senders: BTreeMap<String, Values>,
    /// By the monitor's name.
    pub monitors: BTreeMap<String, Values>,
    /// The token of each `[[listen]]`, in the order of the file.
    pub listen: Vec<Option<LiveSecret>>,
}

impl Config {
    /// Reads every secret of every sender and monitor.
    ///
    /// # Errors
    ///
    /// All that are missing, each with the place where it is declared.
    pub fn read_secrets(&self, env: &Env<'_>) -> Result<SecretValues, Mistakes> {
        let mut mistakes = Vec::new();
        let mut read = |section: &str, name: &str, secrets: &mut dyn Iterator<Item = (&String, &SecretSource)>| {
            let mut values = Values::new();
            for (secret, source) in secrets {
                match LiveSecret::read(source, env) {
                    Ok(value) => drop(values.insert(secret.clone(), value)),
                    Err(why) => {
                        let span = self.places.find(&[section, name, "secrets", secret]);
                        let spot = span.map_or_else(|| Spot::Elsewhere(name.to_owned()), |span| Spot::Span(span.start));
                        mistakes.push(Mistake { spot, message: format!("secret `{secret}` of {name}: {why}") });
                    }
                }
            }
            (name.to_owned(), values)
        };
        let of_sender = |sender: &Sender| {
            let mut sources = sender.secrets.iter().map(|(name, secret)| (name, &secret.source));
            read("senders", &sender.name, &mut sources)
        };
        let senders = self.senders.iter().map(of_sender).collect();
        let of_monitor = |monitor: &Monitor| read("monitors", &monitor.name, &mut monitor.secrets.iter());
        let monitors = self.monitors.iter().map(of_monitor).collect();
        let mut listen = Vec::new();
        for one in &self.listen {
            let value = one.token.as_ref().map(|source| LiveSecret::read(source, env));
            listen.push(value.transpose().unwrap_or_else(|why| {
                let name = if one.protocol == Protocol::Forward { "shared_key" } else { "token" };
                let message = format!("`{name}` of [[listen]] {}: {why}", one.address);
                mistakes.push(Mistake { spot: Spot::Span(one.place), message });
                None
            }));
        }
        if mistakes.is_empty() {
            return Ok(SecretValues { senders, monitors, listen });
        }
        Err(Mistakes::new(self.places.clone(), mistakes))
    }
}

impl SecretSource {
    /// The value, read now.
    ///
    /// # Errors
    ///
    /// The variable or file that is missing or holds no text, never what it holds.
    pub fn read(&self, env: &Env<'_>) -> Result<SecretValue, String> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Env(name) => env(name)
                .filter(|value| !value.is_empty())
                .map(SecretValue)
                .ok_or_else(|| format!("environment variable {name} is not set")),
            Self::File(path) => read_file(path),
            Self::Credential(name) => {
                let folder = env("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()).ok_or_else(|| {
                    format!("the service manager gives no credentials: add LoadCredential={name}:PATH to the unit")
                })?;
                read_file(&Path::new(&folder).join(name))
            }
            Self::Command(command) => {
                let value = command::run(command).and_then(|printed| text(printed).map_err(str::to_owned));
                value.map_err(|why| format!("command {}: {why}", command.program.display()))
            }
        }
    }
}

impl fmt::Display for SecretSource {
    /// For a person: where it is, never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("the config"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credential(name) => write!(f, "credential {name}"),
            // Its arguments may hold what opens a safe.
            Self::Command(command) => write!(f, "command {}", command.program.display()),
        }
    }
}

fn read_file(path: &Path) -> Result<SecretValue, String> {
    let read = || {
        let value = file::read(path, limits::SECRET_BYTES).map_err(|error| error.to_string())?;
        text(value).map_err(str::to_owned)
    };
    read().map_err(|why: String| format!("cannot read {}: {why}", path.display()))
}

/// A value without the line end that editors and programs add.
fn text(value: Vec<u8>) -> Result<SecretValue, &'static str> {
    if value.len() as u64 > limits::SECRET_BYTES {
        return Err("longer than 65536 bytes");
    }
    // The error would show the bytes.
    let Ok(value) = String::from_utf8(value) else { return Err("not UTF-8") };
    let line = value.strip_suffix('\n').map_or(value.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() { Err("it is empty") } else { Ok(SecretValue(line.to_owned())) }
}

/// [`text`] says it.
const _: () = assert!(limits::SECRET_BYTES == 65_536);
