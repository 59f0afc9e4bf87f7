//! A sender's secrets: read once, given to the guest as placeholders, put in on the wire.
//!
//! **Invariant:** a value leaves this module only inside an outgoing request, or as the mail password for the host's
//! own use; it has no `Debug`, and [`Secrets::redact`] takes it out of whatever a plugin says.

mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};
use url::Url;

use crate::config::{SecretSource, SecretValue};
use crate::egress::Origin;

pub(super) use wire::Refusal;

/// Used by the host itself, for `smtp`; the guest does not even get a placeholder of it.
pub(super) const SMTP_PASSWORD: &str = "smtp_password";
/// Values shorter than this are not searched for in texts: they would blot out ordinary words.
const REDACT_FROM_BYTES: usize = 4;

struct Secret {
    placeholder: String,
    value: SecretValue,
    /// Set when the value is a whole URL.
    whole: Option<WholeUrl>,
    /// The origins of the URLs that the operator typed with this secret in them.
    typed_in: BTreeSet<Origin>,
}

/// A URL that is a secret as a whole, as incoming webhooks have them. Its placeholder stands for what follows the origin.
struct WholeUrl {
    origin: Origin,
    /// Without the slash that it begins with.
    path: String,
    query: Option<String>,
}

impl WholeUrl {
    /// A URL with a login in it is none: the login would be left out.
    fn of(value: &str) -> Option<Self> {
        let url = Url::parse(value).ok()?;
        let origin = Origin::of(&url).ok()?;
        let path = url.path().strip_prefix('/').unwrap_or_default().to_owned();
        Some(Self { origin, path, query: url.query().map(str::to_owned) })
    }

    fn rest(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }
}

impl Secret {
    fn new(value: SecretValue) -> Self {
        let whole = WholeUrl::of(&value.0);
        Self { placeholder: placeholder(), value, whole, typed_in: BTreeSet::new() }
    }

    /// What the guest gets in its place.
    fn shown(&self) -> String {
        let origin = self.whole.as_ref().map(|whole| format!("{}/", whole.origin)).unwrap_or_default();
        format!("{origin}{}", self.placeholder)
    }

    /// What the placeholder stands for.
    fn hidden(&self) -> String {
        self.whole.as_ref().map_or_else(|| self.value.0.clone(), WholeUrl::rest)
    }
}

/// The secrets of one sender.
pub(super) struct Secrets(BTreeMap<String, Secret>);

/// `${secret:NAME}` for a NAME that the sender has no secret for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownSecret {
    pub(super) pointer: String,
    pub(super) name: String,
}

impl Secrets {
    /// Reads every secret; an error names the one that is missing, and `read` says why.
    pub(super) fn read<E>(
        sources: &BTreeMap<String, SecretSource>,
        mut read: impl FnMut(&SecretSource) -> Result<SecretValue, E>,
    ) -> Result<Self, (String, E)> {
        let mut secrets = BTreeMap::new();
        for (name, source) in sources {
            let value = read(source).map_err(|error| (name.clone(), error))?;
            secrets.insert(name.clone(), Secret::new(value));
        }
        Ok(Self(secrets))
    }

    /// Binds each secret that stands in URLs of this config to the origins of these URLs.
    pub(super) fn bind(&mut self, config: &Value) {
        match config {
            Value::String(text) => {
                let Ok(origin) = Origin::parse(text) else { return };
                for (name, secret) in &mut self.0 {
                    if text.contains(&asking(name)) {
                        secret.typed_in.insert(origin.clone());
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.bind(item)),
            Value::Object(map) => map.values().for_each(|item| self.bind(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The origins of those that are whole URLs.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.0.values().filter_map(|secret| secret.whole.as_ref()).map(|whole| &whole.origin)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn smtp_password(&self) -> Option<&SecretValue> {
        self.0.get(SMTP_PASSWORD).map(|secret| &secret.value)
    }

    /// The config as the guest gets it: the operator's, with placeholders, and `secrets` with one for each name.
    pub(super) fn guest_config(&self, config: &Value) -> Result<String, UnknownSecret> {
        let mut config = match config {
            Value::Object(_) => config.clone(),
            _ => Value::Object(Map::new()),
        };
        self.fill_config(&mut config, "")?;
        let names = self.0.iter().filter(|(name, _)| *name != SMTP_PASSWORD);
        let secrets = names.map(|(name, secret)| (name.clone(), Value::String(secret.shown()))).collect();
        if let Value::Object(map) = &mut config {
            map.insert("secrets".to_owned(), Value::Object(secrets));
        }
        Ok(config.to_string())
    }

    fn fill_config(&self, value: &mut Value, pointer: &str) -> Result<(), UnknownSecret> {
        match value {
            Value::String(text) => {
                if let Some(filled) = self.fill_string(text, pointer)? {
                    *text = filled;
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.fill_config(item, &format!("{pointer}/{index}"))?;
                }
            }
            Value::Object(map) => {
                for (key, item) in map.iter_mut() {
                    self.fill_config(item, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")))?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }

    fn fill_string(&self, text: &str, pointer: &str) -> Result<Option<String>, UnknownSecret> {
        if !text.contains(OPEN) {
            return Ok(None);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let Some((name, after)) = after.split_once('}') else { break };
            let secret = self.0.get(name).filter(|_| name != SMTP_PASSWORD);
            let secret = secret.ok_or_else(|| UnknownSecret { pointer: pointer.to_owned(), name: name.to_owned() })?;
            out.push_str(before);
            out.push_str(&secret.shown());
            rest = after;
        }
        out.push_str(rest);
        Ok(Some(out))
    }

    /// The text without any value or placeholder in it.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, secret) in &self.0 {
            for hidden in [secret.value.0.as_str(), &secret.hidden(), &secret.placeholder] {
                if hidden.len() >= REDACT_FROM_BYTES && out.contains(hidden) {
                    out = out.replace(hidden, &format!("(secret {name})"));
                }
            }
        }
        out
    }
}

/// How a text of the config begins to ask for a secret.
const OPEN: &str = "${secret:";

fn asking(name: &str) -> String {
    format!("{OPEN}{name}}}")
}

/// Random, so that no message can spell one; letters and digits only, so that it passes through URLs and headers.
fn placeholder() -> String {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).expect("the system has a source of random numbers, TLS needs one too");
    random.iter().fold(String::from("magsecret"), |mut out, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::{Secrets, UnknownSecret};
    use crate::config::{SecretSource, SecretValue};
    use serde_json::{Value, json};

    pub(super) fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let sources = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), SecretSource::Value(SecretValue((*value).to_owned()))))
            .collect();
        Secrets::read(&sources, |source| match source {
            SecretSource::Value(value) => Ok::<_, ()>(value.clone()),
            _ => Err(()),
        })
        .unwrap_or_else(|_| panic!("all are values"))
    }

    pub(super) fn config(secrets: &Secrets, config: &Value) -> Value {
        serde_json::from_str(&secrets.guest_config(config).unwrap()).unwrap()
    }

    #[test]
    fn the_guest_gets_placeholders_and_never_values() {
        let secrets = secrets(&[("token", "xoxb-hidden"), ("smtp_password", "hidden too")]);
        let typed = json!({ "url": "https://a.example/${secret:token}/x", "deep": [{ "a/b": "${secret:token}" }] });
        let guest = config(&secrets, &typed);
        let text = guest.to_string();
        assert!(!text.contains("hidden") && !text.contains("smtp_password"), "{text}");
        let placeholder = guest["secrets"]["token"].as_str().unwrap();
        assert_eq!(guest["url"], format!("https://a.example/{placeholder}/x"));
        assert_eq!(guest["deep"][0]["a/b"], placeholder);
        assert!(placeholder.bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn two_senders_have_different_placeholders() {
        let (a, b) = (secrets(&[("t", "x")]), secrets(&[("t", "x")]));
        assert_ne!(config(&a, &json!({})), config(&b, &json!({})));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_with_its_place() {
        let error = secrets(&[]).guest_config(&json!({ "a": ["", "x${secret:tokn}"] })).unwrap_err();
        assert_eq!(error, UnknownSecret { pointer: "/a/1".to_owned(), name: "tokn".to_owned() });
    }

    #[test]
    fn a_secret_that_is_a_whole_url_is_given_as_its_origin_and_a_placeholder() {
        let secrets =
            secrets(&[("url", "https://Chat.example:8443/api/hidden?k=v#x"), ("dsn", "https://key@x.example/1")]);
        let guest = config(&secrets, &json!({ "edit": "${secret:url}/messages" }));
        let url = guest["secrets"]["url"].as_str().unwrap();
        assert!(url.starts_with("https://chat.example:8443/magsecret"), "{url}");
        assert_eq!(guest["edit"], format!("{url}/messages"));
        assert!(guest["secrets"]["dsn"].as_str().unwrap().starts_with("magsecret"), "a login is no part of an origin");
        assert_eq!(secrets.origins().map(ToString::to_string).collect::<Vec<_>>(), ["https://chat.example:8443"]);
    }

    #[test]
    fn what_a_plugin_says_is_freed_of_secrets() {
        let secrets = secrets(&[("token", "xoxb-1"), ("short", "no")]);
        assert_eq!(secrets.redact("bad token xoxb-1, no"), "bad token (secret token), no");
    }

    #[test]
    fn a_missing_secret_is_an_error_that_names_it() {
        let sources = [("token".to_owned(), SecretSource::Env("X".to_owned()))].into();
        let error = Secrets::read(&sources, |_| Err::<SecretValue, _>("no such variable")).err().unwrap();
        assert_eq!(error, ("token".to_owned(), "no such variable"));
    }
}
