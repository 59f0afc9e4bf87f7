//! A sender's secrets: given to the guest as placeholders, put in on the wire, blanked in what comes back.
//!
//! **Invariant:** a value leaves this module only inside an outgoing request, or as the mail password for the host's
//! own use; it has no `Debug`, and [`Secrets::redact`] takes it out of whatever a plugin says.

mod blank;
mod escape;
mod foresee;
mod rights;
mod sign;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use crate::config::{LiveSecret, SecretPlace, SecretValue, Sender, SenderSecret, Values};
use crate::egress::Origin;

pub(super) use blank::{Blanked, Needles};
pub(super) use wire::{Errand, Refusal, Wire};

/// Used by the host itself, for `smtp`; the guest does not even get a placeholder of it.
pub(super) const SMTP_PASSWORD: &str = "smtp_password";

struct Secret {
    placeholder: String,
    live: LiveSecret,
    /// Set when the value was a whole URL at the start: where it leads.
    origin: Option<Origin>,
    /// `in` and `origins`, as the operator typed them.
    places: Option<Vec<SecretPlace>>,
    origins: BTreeSet<Origin>,
    /// Whether the config asks for it by `${secret:NAME}`, and the origins of the URLs in which it does.
    is_typed: bool,
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
    fn of(value: &SecretValue) -> Option<Self> {
        let url = Url::parse(&value.0).ok()?;
        let origin = Origin::of(&url).ok()?;
        let path = url.path().strip_prefix('/').unwrap_or_default().to_owned();
        Some(Self { origin, path, query: url.query().map(str::to_owned) })
    }

    fn rest(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }
}

impl Secret {
    fn new(declared: &SenderSecret, live: LiveSecret) -> Self {
        let origin = WholeUrl::of(&live.value()).map(|whole| whole.origin);
        let origins = declared.origins.iter().filter_map(|origin| Origin::parse(origin).ok()).collect();
        let (places, typed_in) = (declared.places.clone(), BTreeSet::new());
        Self { placeholder: placeholder(), live, origin, places, origins, is_typed: false, typed_in }
    }

    /// What the guest gets in its place.
    fn shown(&self) -> String {
        let origin = self.origin.as_ref().map(|origin| format!("{origin}/")).unwrap_or_default();
        format!("{origin}{}", self.placeholder)
    }

    /// Its URL now, for one that was a whole URL at the start.
    fn whole(&self) -> Option<WholeUrl> {
        self.origin.as_ref().and_then(|_| WholeUrl::of(&self.live.value()))
    }

    /// What the placeholder stands for.
    fn hidden(&self) -> String {
        self.whole().map_or_else(|| self.live.value().0, |whole| whole.rest())
    }
}

/// The secrets of one sender, and what must not be seen of them.
pub(super) struct Secrets(BTreeMap<String, Secret>, RwLock<Arc<Needles>>);

/// `${secret:NAME}` for a NAME that the sender has no secret for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnknownSecret {
    pub(super) pointer: String,
    pub(super) name: String,
}

impl Secrets {
    /// The secrets that a sender declares, with their values. An error names one that is a URL which leads elsewhere than
    /// to its `origins`.
    pub(super) fn new(sender: &Sender, values: &Values) -> Result<Self, (String, Origin)> {
        let mut secrets = Self(BTreeMap::new(), RwLock::default());
        for (name, declared) in &sender.secrets {
            let Some(value) = values.get(name) else { continue };
            let secret = Secret::new(declared, value.clone());
            if let Some(origin) = &secret.origin
                && !secret.origins.is_empty()
                && !secret.origins.contains(origin)
            {
                return Err((name.clone(), origin.clone()));
            }
            secrets.0.insert(name.clone(), secret);
        }
        secrets.bind(&sender.config);
        secrets.look_for_these();
        Ok(secrets)
    }

    /// Notes where the config asks for a secret, and the origins of the URLs in which it does.
    fn bind(&mut self, config: &Value) {
        match config {
            Value::String(text) => {
                let origin = Origin::parse(text).ok();
                for (name, secret) in &mut self.0 {
                    if text.contains(&asking(name)) {
                        secret.is_typed = true;
                        secret.typed_in.extend(origin.clone());
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.bind(item)),
            Value::Object(map) => map.values().for_each(|item| self.bind(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Looks whether values have changed, all at a time and until then.
    pub(super) async fn refresh(&self, sender: &str, deadline: Instant) {
        let mut any = false;
        let looks: Vec<_> = self.0.iter().map(|(name, secret)| (name, secret.live.look())).collect();
        for (name, look) in looks {
            match look.until(deadline).await {
                Ok(changed) => any |= changed,
                Err(why) => {
                    tracing::warn!(
                        "sender {sender}: secrets.{name} cannot be read again, its last value goes on: {why}"
                    );
                }
            }
        }
        if any {
            self.look_for_these();
        }
    }

    fn look_for_these(&self) {
        let needles = Arc::new(Needles::of(self.0.iter()));
        *self.1.write().unwrap_or_else(PoisonError::into_inner) = needles;
    }

    /// What must not be seen in what comes back.
    pub(super) fn needles(&self) -> Arc<Needles> {
        Arc::clone(&self.1.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The origins of those that are whole URLs.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.0.values().filter_map(|secret| secret.origin.as_ref())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn smtp_password(&self) -> Option<&LiveSecret> {
        self.0.get(SMTP_PASSWORD).map(|secret| &secret.live)
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
        self.0.iter().fold(self.needles().name(text), |text, (name, secret)| {
            text.replace(&secret.placeholder, &format!("(secret {name})"))
        })
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
pub(super) mod tests {
    use super::{Secrets, UnknownSecret};
    use crate::config::{Config, SecretValue, Source, Values};
    use serde_json::{Value, json};

    /// The secrets of a sender with these values, and further lines of its section.
    pub(in crate::sender) fn declared(pairs: &[(&str, &str)], section: &str) -> Secrets {
        let declared: String = pairs.iter().map(|(name, _)| format!("secrets.{name}.env = \"X\"\n")).collect();
        let text = format!("[senders.team]\nplugin = \"webhook\"\n{declared}{section}\n");
        let config = Config::load(&Source { file: None, text }, &|_| None).unwrap_or_else(|why| panic!("{why}"));
        let value = |value: &str| SecretValue(value.to_owned()).into();
        let values: Values = pairs.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect();
        Secrets::new(&config.senders[0], &values).unwrap_or_else(|(name, _)| panic!("{name}"))
    }

    pub(in crate::sender) fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        declared(pairs, "")
    }

    pub(in crate::sender) fn config(secrets: &Secrets, config: &Value) -> Value {
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
}
