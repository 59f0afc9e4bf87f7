//! The one moment in which the values of secrets are read, at start.
//!
//! No value stands in an error: that names the variable or the file, and where the secret is declared.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use super::report::{Mistake, Mistakes, Spot};
use super::secret::Secrets;
use super::{Config, Env, SecretSource, SecretValue};

/// A longer secret is no secret but the wrong file.
const VALUE_BYTES: u64 = 64 * 1024;

/// Secrets by name.
type Values = BTreeMap<String, SecretValue>;

/// The values of all secrets of a configuration.
#[derive(Clone, Debug, Default)]
pub struct SecretValues {
    /// By the sender's name.
    pub senders: BTreeMap<String, Values>,
    /// By the monitor's name.
    pub monitors: BTreeMap<String, Values>,
    /// The token of each `[[listen]]`, in the order of the file.
    pub listen: Vec<Option<SecretValue>>,
}

impl Config {
    /// Reads every secret of every sender and monitor.
    ///
    /// # Errors
    ///
    /// All that are missing, each with the place where it is declared.
    pub fn read_secrets(&self, env: &Env<'_>) -> Result<SecretValues, Mistakes> {
        let mut mistakes = Vec::new();
        let mut read = |section: &str, name: &str, secrets: &Secrets| {
            let mut values = Values::new();
            for (secret, source) in secrets {
                match source.read(env) {
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
        let senders = self.senders.iter().map(|sender| read("senders", &sender.name, &sender.secrets)).collect();
        let monitors = self.monitors.iter().map(|monitor| read("monitors", &monitor.name, &monitor.secrets)).collect();
        let mut listen = Vec::new();
        for one in &self.listen {
            let value = one.token.as_ref().map(|source| source.read(env));
            listen.push(value.transpose().unwrap_or_else(|why| {
                let message = format!("`token` of [[listen]] {}: {why}", one.address);
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
            Self::File(path) => read_file(path).map_err(|why| format!("cannot read {}: {why}", path.display())),
        }
    }
}

fn read_file(path: &Path) -> Result<SecretValue, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut value = Vec::new();
    file.take(VALUE_BYTES + 1).read_to_end(&mut value).map_err(|error| error.to_string())?;
    if value.len() as u64 > VALUE_BYTES {
        return Err(format!("longer than {VALUE_BYTES} bytes"));
    }
    // The error would show the bytes.
    let Ok(value) = String::from_utf8(value) else { return Err("not UTF-8".to_owned()) };
    let line = value.strip_suffix('\n').map_or(value.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(SecretValue(line.to_owned()))
}
