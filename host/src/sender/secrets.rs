//! A sender's secrets: read once, given to the guest as placeholders, put in on the wire.
//!
//! **Invariant:** a value leaves this module only inside an outgoing request, or as the mail password for the host's
//! own use; it has no `Debug`, and [`Secrets::redact`] takes it out of whatever a plugin says.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::HeaderValue;
use serde_json::{Map, Value};

use crate::config::{SecretSource, SecretValue};

/// Used by the host itself, for `smtp`; the guest does not even get a placeholder of it.
pub(super) const SMTP_PASSWORD: &str = "smtp_password";
/// Values shorter than this are not searched for in texts: they would blot out ordinary words.
const REDACT_FROM_BYTES: usize = 4;

struct Secret {
    placeholder: String,
    value: SecretValue,
}

/// The secrets of one sender.
pub(super) struct Secrets(BTreeMap<String, Secret>);

/// `${secret:NAME}` for a NAME that the sender has no secret for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownSecret {
    pub(super) pointer: String,
    pub(super) name: String,
}

/// A value that cannot stand where a guest wrote its placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAllowedThere;

impl Secrets {
    /// Reads every secret; an error names the one that is missing, and `read` says why.
    pub(super) fn read<E>(
        sources: &BTreeMap<String, SecretSource>,
        mut read: impl FnMut(&SecretSource) -> Result<SecretValue, E>,
    ) -> Result<Self, (String, E)> {
        let mut secrets = BTreeMap::new();
        for (name, source) in sources {
            let value = read(source).map_err(|error| (name.clone(), error))?;
            secrets.insert(name.clone(), Secret { placeholder: placeholder(), value });
        }
        Ok(Self(secrets))
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
        let secrets = names.map(|(name, secret)| (name.clone(), Value::String(secret.placeholder.clone()))).collect();
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
        const OPEN: &str = "${secret:";
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
            out.push_str(&secret.placeholder);
            rest = after;
        }
        out.push_str(rest);
        Ok(Some(out))
    }

    /// The header value with secrets in place of placeholders; `None` when it holds none.
    pub(super) fn fill_header(&self, value: &HeaderValue) -> Result<Option<HeaderValue>, NotAllowedThere> {
        let Ok(text) = value.to_str() else { return Ok(None) };
        let Some(filled) = self.replace(text, str::to_owned) else { return Ok(None) };
        let mut filled = HeaderValue::from_str(&filled).or(Err(NotAllowedThere))?;
        filled.set_sensitive(true);
        Ok(Some(filled))
    }

    /// Path and query with secrets in place of placeholders, percent-encoded; `None` when there is none.
    pub(super) fn fill_path(&self, path_and_query: &str) -> Option<String> {
        self.replace(path_and_query, percent_encoded)
    }

    fn replace(&self, text: &str, encode: impl Fn(&str) -> String) -> Option<String> {
        let mut out: Option<String> = None;
        for secret in self.0.values() {
            let now = out.as_deref().unwrap_or(text);
            if now.contains(&secret.placeholder) {
                out = Some(now.replace(&secret.placeholder, &encode(&secret.value.0)));
            }
        }
        out
    }

    /// The text without any value or placeholder in it.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, secret) in &self.0 {
            let value = secret.value.0.as_str();
            for hidden in [value, secret.placeholder.as_str()] {
                if hidden.len() >= REDACT_FROM_BYTES && out.contains(hidden) {
                    out = out.replace(hidden, &format!("(secret {name})"));
                }
            }
        }
        out
    }
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

fn percent_encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::{NotAllowedThere, Secrets, UnknownSecret};
    use crate::config::{SecretSource, SecretValue};
    use http::HeaderValue;
    use serde_json::{Value, json};

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
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

    fn config(secrets: &Secrets, config: &Value) -> Value {
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
    fn values_come_in_on_the_wire_only() {
        let secrets = secrets(&[("token", "a b/ü"), ("line", "a\nb")]);
        let guest = config(&secrets, &json!({}));
        let token = guest["secrets"]["token"].as_str().unwrap();
        let path = secrets.fill_path(&format!("/x/{token}?q={token}")).unwrap();
        assert_eq!(path, "/x/a%20b%2F%C3%BC?q=a%20b%2F%C3%BC");
        assert_eq!(secrets.fill_path("/plain"), None);

        let line = guest["secrets"]["line"].as_str().unwrap();
        assert_eq!(secrets.fill_header(&HeaderValue::from_str(line).unwrap()), Err(NotAllowedThere));
        assert_eq!(secrets.fill_header(&HeaderValue::from_static("plain")), Ok(None));
    }

    #[test]
    fn a_header_with_a_placeholder_gets_the_value_and_is_sensitive() {
        let secrets = secrets(&[("token", "xoxb")]);
        let guest = config(&secrets, &json!({}));
        let header = format!("Bearer {}", guest["secrets"]["token"].as_str().unwrap());
        let filled = secrets.fill_header(&HeaderValue::from_str(&header).unwrap()).unwrap().unwrap();
        assert_eq!(filled, "Bearer xoxb");
        assert!(filled.is_sensitive());
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
