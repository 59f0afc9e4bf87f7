//! Where a secret may stand in a request, and where that request may go. Pure.
//!
//! The operator's word counts: `in` and `origins`. Where the file does not say, a secret stands nowhere that its plugin
//! does not name, never in a body, and goes to the origin of the URL that it is or stands in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Secret, Secrets};
use crate::config::SecretPlace;
use crate::egress::{Grants, Origin};
use crate::sender::failure::{ConfigMistake, SecretUse};

/// Where a secret may stand when nobody says: a body is often shown to others, so that has to be said.
const USUAL: [SecretPlace; 5] =
    [SecretPlace::Path, SecretPlace::Query, SecretPlace::Header, SecretPlace::Basic, SecretPlace::Sign];

/// What may be done with one secret.
pub(super) struct Right {
    places: BTreeSet<SecretPlace>,
    /// `None`: to whatever the sender may reach.
    origins: Option<BTreeSet<Origin>>,
}

impl Right {
    fn of(secret: &Secret, uses: &[SecretPlace]) -> Self {
        let places = match &secret.places {
            Some(typed) => with_basic(typed),
            None if secret.is_typed || uses.is_empty() => USUAL.into(),
            None => with_basic(uses).into_iter().filter(|place| USUAL.contains(place)).collect(),
        };
        let bound = |origins: &BTreeSet<Origin>| (!origins.is_empty()).then(|| origins.clone());
        let own = secret.origin.clone().map(|origin| BTreeSet::from([origin]));
        Self { places, origins: own.or_else(|| bound(&secret.origins)).or_else(|| bound(&secret.typed_in)) }
    }

    /// Whether it may stand there.
    pub(super) fn stands(&self, place: SecretPlace) -> bool {
        self.places.contains(&place)
    }

    /// Whether it may go to that origin, which the sender may reach.
    pub(super) fn goes(&self, to: &Origin) -> bool {
        self.origins.as_ref().is_none_or(|origins| origins.contains(to))
    }
}

/// `Authorization: Basic` is a header too.
pub(super) fn with_basic(places: &[SecretPlace]) -> BTreeSet<SecretPlace> {
    let basic = places.contains(&SecretPlace::Header).then_some(SecretPlace::Basic);
    places.iter().copied().chain(basic).collect()
}

/// Words of the contract; one that is unknown is of a later version and gives nothing.
fn places(uses: &SecretUse) -> Vec<SecretPlace> {
    uses.uses.iter().filter_map(|word| SecretPlace::named(word)).collect()
}

/// What may be done with each secret.
pub(super) type Rights = BTreeMap<String, Right>;

impl Secrets {
    /// What may be done with each secret of a plugin that says that of its secrets.
    pub(super) fn rights(&self, declared: &[SecretUse]) -> Rights {
        let uses = |name: &str| declared.iter().find(|known| known.name == name).map(places).unwrap_or_default();
        self.0.iter().map(|(name, secret)| (name.clone(), Right::of(secret, &uses(name)))).collect()
    }

    /// The secrets that a plugin says it uses only where they may not stand, with the line that would allow it.
    pub(in crate::sender) fn in_vain<'d>(&self, declared: &'d [SecretUse]) -> Vec<(&'d str, String)> {
        let rights = self.rights(declared);
        let vain = declared.iter().filter_map(|known| {
            let (right, uses) = (rights.get(&known.name)?, places(known));
            if uses.is_empty() || uses.iter().any(|place| right.stands(*place)) {
                return None;
            }
            let words: Vec<String> = uses.iter().map(|place| format!("\"{}\"", place.as_str())).collect();
            let words = words.join(", ");
            Some((known.name.as_str(), format!("the plugin uses it elsewhere: add in = [{words}] to it")))
        });
        vain.collect()
    }

    /// The secrets with an `in` or `origins` that keeps them from where the config has them, so that they never leave.
    pub(in crate::sender) fn kept_back(&self, config: &Value, granted: &Grants) -> Vec<ConfigMistake> {
        let mut found = Vec::new();
        self.misplaced(config, "", false, &mut found);
        for (name, secret) in &self.0 {
            let is_bound = !secret.origins.is_empty() && name != super::SMTP_PASSWORD;
            if is_bound && !granted.origins().any(|origin| secret.origins.contains(origin)) {
                let message = format!("secrets.{name} goes nowhere: the sender reaches none of its `origins`");
                found.push(ConfigMistake { pointer: format!("/secrets/{name}"), message });
            }
        }
        found
    }

    /// Only headers and URLs are known by how they look; what else becomes of a text its plugin knows.
    fn misplaced(&self, value: &Value, pointer: &str, in_headers: bool, found: &mut Vec<ConfigMistake>) {
        match value {
            Value::String(text) => {
                let (places, what): (&[SecretPlace], _) = match in_headers {
                    true => (&[SecretPlace::Header, SecretPlace::Basic, SecretPlace::Sign], "header"),
                    false if Origin::parse(text).is_ok() => (&[SecretPlace::Path, SecretPlace::Query], "URL"),
                    false => return,
                };
                for (name, secret) in self.0.iter().filter(|(name, _)| text.contains(&super::asking(name))) {
                    let Some(typed) = &secret.places else { continue };
                    if with_basic(typed).iter().any(|place| places.contains(place)) {
                        continue;
                    }
                    let words: Vec<&str> = typed.iter().map(|place| place.as_str()).collect();
                    let message =
                        format!("secrets.{name} may stand in {} alone by its `in`, not in a {what}", words.join(", "));
                    found.push(ConfigMistake { pointer: pointer.to_owned(), message });
                }
            }
            Value::Array(items) => {
                for (nth, item) in items.iter().enumerate() {
                    self.misplaced(item, &format!("{pointer}/{nth}"), in_headers, found);
                }
            }
            Value::Object(map) => {
                for (key, item) in map {
                    let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.misplaced(item, &at, in_headers || key == "headers", found);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// For a person: where each secret may stand, and where it may go of what is granted.
    pub(in crate::sender) fn in_words(&self, declared: &[SecretUse], granted: &Grants) -> Vec<(String, String)> {
        let words = |(name, right): (String, Right)| {
            if name == super::SMTP_PASSWORD {
                return (name, "to the server of `smtp`".to_owned());
            }
            let places: Vec<&str> = right.places.iter().map(|place| place.as_str()).collect();
            let to: Vec<String> =
                granted.origins().filter(|origin| right.goes(origin)).map(ToString::to_string).collect();
            let to = if to.is_empty() { "nowhere".to_owned() } else { format!("to {}", to.join(", ")) };
            (name, format!("{}; {to}", places.join(", ")))
        };
        self.rights(declared).into_iter().map(words).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::SecretUse;
    use crate::egress::{Grants, Origin};
    use crate::sender::secrets::tests::declared;

    /// What a secret `s` may do, given its value, the section's lines and what the plugin says of it.
    #[track_caller]
    fn check(value: &str, section: &str, uses: &[&str], expect: &str) {
        let secrets = declared(&[("s", value)], section);
        let uses = uses.iter().map(|word| (*word).to_owned()).collect();
        let declared = [SecretUse { name: "s".to_owned(), required: false, uses, description: String::new() }];
        let mut granted = Grants::none();
        for origin in ["https://a.example", "http://b.example", "https://c.example"] {
            granted.typed(Origin::parse(origin).unwrap());
        }
        let [(_, words)] = secrets.in_words(&declared, &granted).try_into().unwrap();
        let vain = secrets.in_vain(&declared).into_iter().map(|(_, why)| format!("; {why}")).collect::<String>();
        assert_eq!(words + &vain, expect, "{value} {section}");
    }

    const ALL: &str = "to http://b.example, https://a.example, https://c.example";

    #[test]
    fn the_operators_word_counts_then_the_plugins_and_bodies_have_to_be_said() {
        check("v", "", &[], &format!("path, query, header, basic, sign; {ALL}"));
        check("v", "", &["sign"], &format!("sign; {ALL}"));
        check("v", "", &["header", "body"], &format!("header, basic; {ALL}"));
        let elsewhere = "the plugin uses it elsewhere: add in =";
        check("v", "", &["body"], &format!("; {ALL}; {elsewhere} [\"body\"] to it"));
        check("v", "secrets.s.in = [\"body\"]", &["body"], &format!("body; {ALL}"));
        check("v", "secrets.s.in = [\"body\"]", &["path"], &format!("body; {ALL}; {elsewhere} [\"path\"] to it"));
        check("v", "config.a = \"${secret:s}\"", &["sign"], &format!("path, query, header, basic, sign; {ALL}"));
        check("v", "", &["of-a-later-version"], &format!("path, query, header, basic, sign; {ALL}"));
    }

    #[test]
    fn a_secret_goes_to_the_origin_that_it_is_or_stands_in_unless_the_operator_says_less() {
        check("https://A.example/x", "", &["path"], "path; to https://a.example");
        let inside = "config.url = \"http://b.example/${secret:s}\"";
        check("v", inside, &[], "path, query, header, basic, sign; to http://b.example");
        let less = format!("secrets.s.origins = [\"https://c.example\"]\n{inside}");
        check("v", &less, &["path"], "path, query, header, basic, sign; to https://c.example");
        check("v", "secrets.s.origins = [\"https://d.example\"]", &["path"], "path; nowhere");
    }
}
