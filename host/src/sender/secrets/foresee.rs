//! What cannot be made of the secrets, found before any request is made: a key that is none, a login that cannot be. Pure.
//!
//! Never shows a value. What only a request shows, such as where it goes, is not judged here.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::wire::Refusal;
use super::{Secrets, sign};
use crate::config::SecretPlace;
use crate::sender::failure::{ConfigMistake, SecretUse};

/// In the `uses` of a secret: it is a key of Standard Webhooks.
const STANDARD_WEBHOOKS: &str = "standard-webhooks";

impl Secrets {
    /// What is wrong with the signatures and logins that headers in the config ask for; and with those of `keys` that are
    /// no keys of Standard Webhooks.
    pub(in crate::sender) fn cannot_sign(&self, config: &Value, keys: &[&str]) -> Vec<ConfigMistake> {
        let mut found: Vec<ConfigMistake> = keys.iter().filter_map(|name| self.no_key(name)).collect();
        self.look_at(config, "", &mut found);
        let mut said: Vec<ConfigMistake> = Vec::new();
        // Two headers may use the same key.
        found.into_iter().for_each(|mistake| {
            if !said.contains(&mistake) {
                said.push(mistake);
            }
        });
        said
    }

    /// What of the secrets cannot be used as the plugin says that it uses them.
    pub(in crate::sender) fn unusable(&self, declared: &[SecretUse]) -> Vec<ConfigMistake> {
        let wrong = declared.iter().filter_map(|known| {
            if known.uses.iter().any(|word| word == STANDARD_WEBHOOKS) {
                return self.no_key(&known.name);
            }
            let only_header = known.uses.iter().all(|word| word == SecretPlace::Header.as_str());
            let secret = self.0.get(&known.name).filter(|_| only_header && !known.uses.is_empty())?;
            HeaderValue::from_str(&secret.hidden()).is_err().then(|| {
                let why = "has a line end or a control character, and the plugin puts it into a header";
                of_secret(&known.name, format!("secrets.{} {why}", known.name))
            })
        });
        wrong.collect()
    }

    fn no_key(&self, name: &str) -> Option<ConfigMistake> {
        let Refusal(why) = sign::keys(name, &self.0.get(name)?.live.value()).err()?;
        Some(of_secret(name, why))
    }

    fn look_at(&self, config: &Value, pointer: &str, found: &mut Vec<ConfigMistake>) {
        match config {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| {
                    self.look_at(item, &format!("{pointer}/{index}"), found);
                });
            }
            Value::Object(map) => {
                for (key, item) in map {
                    let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    let name =
                        [sign::SIGN, sign::BASIC].into_iter().find(|name| key.eq_ignore_ascii_case(name.as_str()));
                    match (name, item) {
                        (Some(name), Value::String(text)) => {
                            let at = |Refusal(message)| ConfigMistake { pointer, message };
                            found.extend(self.header(name, text).unwrap_or_else(|why| vec![at(why)]));
                        }
                        _ => self.look_at(item, &pointer, found),
                    }
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The keys that are none; an error where the header itself is wrong.
    fn header(&self, name: HeaderName, text: &str) -> Result<Vec<ConfigMistake>, Refusal> {
        // One that cannot stand in a request is for the plugin to refuse.
        let Ok(value) = HeaderValue::from_str(text) else { return Ok(Vec::new()) };
        let asked = sign::take(&mut HeaderMap::from_iter([(name, value)]))?;
        let mut found = Vec::new();
        for scheme in &asked.schemes {
            self.may(scheme.secret(), SecretPlace::Sign)?;
            if let sign::Scheme::StandardWebhooks { secret } = scheme {
                found.extend(self.no_key(secret));
            }
        }
        if let Some(basic) = &asked.basic {
            self.may(&basic.secret, SecretPlace::Basic)?;
            // A secret in it is looked at when it is there.
            if !basic.user.contains(super::OPEN) {
                sign::check_user(&basic.user)?;
            }
        }
        Ok(found)
    }

    /// Whether there is such a secret, and the operator does not want it elsewhere only.
    fn may(&self, name: &str, place: SecretPlace) -> Result<(), Refusal> {
        let secret = self.0.get(name).filter(|_| name != super::SMTP_PASSWORD);
        let secret = secret.ok_or_else(|| Refusal(format!("it asks for secrets.{name}, which there is not")))?;
        let stands = secret.places.as_ref().is_none_or(|typed| super::rights::with_basic(typed).contains(&place));
        let place = place.as_str();
        let no = || Refusal(format!("secrets.{name} may not stand in {place}: add in = [\"{place}\"] to it"));
        stands.then_some(()).ok_or_else(no)
    }
}

/// The operator declared it, so the name is a good one.
fn of_secret(name: &str, message: String) -> ConfigMistake {
    ConfigMistake { pointer: format!("/secrets/{name}"), message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::SecretUse;
    use crate::sender::failure::ConfigMistake;
    use crate::sender::secrets::tests::{declared, secrets};

    fn words(found: Vec<ConfigMistake>) -> Vec<String> {
        found.into_iter().map(|mistake| format!("{}: {}", mistake.pointer, mistake.message)).collect()
    }

    /// What is said of a header with that value, where `secrets.s` is what it is.
    #[track_caller]
    fn check(header: &str, value: &str, s: &str, expect: &[&str]) {
        let found = words(secrets(&[("s", s)]).cannot_sign(&json!({ "headers": { header: value } }), &[]));
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (said, expect) in found.iter().zip(expect) {
            assert!(said.starts_with(expect), "{found:?}");
            assert!(!said.contains("hidden"), "the value is shown: {said}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_found_at_the_secret_and_a_header_that_is_none_at_the_header() {
        let (sign, basic) = ("Mag-Sign", "mag-basic");
        let standard = "standard-webhooks; secret=s";
        check(sign, standard, "whsec_aGlkZGVu whsec_aGlkZGVu", &[]);
        for no_key in ["hidden!", "whsec_", " ", "whsec_aGlkZGVu hidden!"] {
            check(sign, standard, no_key, &["/secrets/s: secrets.s is no key of Standard Webhooks: "]);
        }
        check(sign, "hmac-sha256; secret=s; header=x-key", "hidden!", &[]);
        check(sign, "hmac-sha256; secret=s", "hidden!", &["/headers/Mag-Sign: mag-sign: expected "]);
        check(sign, "hmac-sha256; secret=t; header=x", "x", &["/headers/Mag-Sign: it asks for secrets.t, which"]);
        check(sign, "hmac-sha256; secret=s; header=host", "x", &["/headers/Mag-Sign: mag-sign: no signature stands"]);
        check(basic, "ann; secret=s", "hidden: too", &[]);
        check(basic, "${secret:s}; secret=s", "hidden", &[]);
        check(basic, "ann:bob; secret=s", "hidden", &["/headers/mag-basic: mag-basic: a user has no colon"]);
        check(basic, "ann", "hidden", &["/headers/mag-basic: mag-basic: expected `USER; secret=NAME`"]);
        check("x-other", standard, "hidden!", &[]);
    }

    #[test]
    fn a_key_that_may_only_stand_elsewhere_and_one_that_two_ask_for_are_said_once() {
        let typed =
            json!([{ "mag-sign": "standard-webhooks; secret=s" }, { "mag-sign": "standard-webhooks; secret=s" }]);
        let elsewhere = declared(&[("s", "whsec_aGlkZGVu")], "secrets.s.in = [\"body\"]");
        let said = "secrets.s may not stand in sign: add in = [\"sign\"] to it";
        let both = [format!("/0/mag-sign: {said}"), format!("/1/mag-sign: {said}")];
        assert_eq!(words(elsewhere.cannot_sign(&typed, &["s"])), both);
        assert_eq!(secrets(&[("s", "no key")]).cannot_sign(&typed, &["s", "t"]).len(), 1);
    }

    #[test]
    fn a_secret_that_cannot_be_used_as_the_plugin_says_is_found() {
        let declared = |uses: &[&str]| {
            let uses = uses.iter().map(|word| (*word).to_owned()).collect();
            [SecretUse { name: "s".to_owned(), required: false, uses, description: String::new() }]
        };
        let said = |value: &str, uses: &[&str]| words(secrets(&[("s", value)]).unusable(&declared(uses)));
        assert_eq!(said("two\nlines", &["header"]).len(), 1);
        assert_eq!(said("two\nlines", &["header", "basic"]), [""; 0]);
        assert_eq!(said("one line", &["header"]), [""; 0]);
        assert_eq!(said("no key", &["sign", "standard-webhooks"]).len(), 1);
        assert_eq!(said("no key", &["sign"]), [""; 0]);
        assert_eq!(secrets(&[]).unusable(&declared(&["header"])), []);
    }
}
