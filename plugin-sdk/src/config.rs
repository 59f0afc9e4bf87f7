//! Takes the config that the host gives apart: the operator's own part, typed, and the placeholders for secrets.

mod checks;
mod keys;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::ConfigError;
use keys::Unknown;

pub use checks::Checks;

/// Where the host puts the placeholders, beside the operator's own keys.
const SECRETS_KEY: &str = "secrets";
/// Mistakes that are looked for: each is one more reading of the whole, and `validate` has a second.
const MISTAKES: usize = 32;

/// Placeholders by name. A placeholder goes where the value should be; the host puts the value in on the wire, and only there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// The placeholder of a secret, if the operator has given that secret.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl<N: Into<String>, P: Into<String>> FromIterator<(N, P)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (N, P)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, placeholder)| (name.into(), placeholder.into())).collect())
    }
}

/// Reads what the host gives to every call.
///
/// # Errors
/// Every key at the top that the type does not know, and the first mistake in each of the others.
pub fn parse<C: DeserializeOwned>(json: &str) -> Result<(C, Secrets), Vec<ConfigError>> {
    let mut value: Value =
        serde_json::from_str(json).map_err(|error| vec![mistake("", format!("not JSON: {error}"))])?;
    let secrets = match value.as_object_mut().and_then(|object| object.remove(SECRETS_KEY)) {
        None => Secrets::default(),
        Some(given) => serde_json::from_value(given)
            .map(Secrets)
            .map_err(|error| vec![mistake("/secrets", format!("names with placeholders expected: {error}"))])?,
    };
    Ok((read(value)?, secrets))
}

/// serde stops at the first mistake, so each one found is taken out with its key at the top, and the rest is read again.
/// Unknown keys come first: one of them is often why another key is missing.
fn read<C: DeserializeOwned>(mut value: Value) -> Result<C, Vec<ConfigError>> {
    let (mut unknown, mut others) = (Vec::new(), Vec::new());
    let mut taken_out: Vec<String> = Vec::new();
    while taken_out.len() < MISTAKES {
        let error = match serde_path_to_error::deserialize(&value) {
            Ok(config) if taken_out.is_empty() => return Ok(config),
            Ok(_) => break,
            Err(error) => error,
        };
        let (path, message) = (error.path(), error.inner().to_string());
        let top = path.iter().next().map(ToString::to_string);
        let missing_by_us = |key: &String| top.is_none() && message == format!("missing field `{key}`");
        if let Some(found) = Unknown::read(&message) {
            unknown.push(mistake(&ending_with(pointer(path), found.key), found.message()));
        } else if !taken_out.iter().any(missing_by_us) {
            others.push(mistake(&pointer(path), message.as_str()));
        }
        let Some(top) = top.filter(|top| value.as_object_mut().is_some_and(|object| object.remove(top).is_some()))
        else {
            break;
        };
        taken_out.push(top);
    }
    unknown.append(&mut others);
    Err(unknown)
}

/// The pointer to an unknown key: serde's path ends before it where serde kept the value back to look at it twice.
fn ending_with(pointer: String, key: &str) -> String {
    let step = step(key);
    if pointer.ends_with(&step) { pointer } else { pointer + &step }
}

fn step(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A [`ConfigError`] at a JSON pointer.
#[must_use]
pub fn mistake(pointer: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { pointer: pointer.to_owned(), message: message.into() }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&step(key)),
            // Neither is a place in the document: the first is a name in the type, the second a key that serde did not show.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        url: String,
        #[serde(default)]
        to: Vec<Target>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Target {
        name: String,
    }

    /// Pointers and messages, in order.
    #[track_caller]
    fn refused(json: &str) -> Vec<(String, String)> {
        let mistakes = parse::<Config>(json).unwrap_err();
        mistakes.into_iter().map(|mistake| (mistake.pointer, mistake.message)).collect()
    }

    #[track_caller]
    fn check(json: &str, expected: &[(&str, &str)]) {
        let found = refused(json);
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, expected.iter().map(|(pointer, _)| *pointer).collect::<Vec<_>>(), "{found:?}");
        for ((_, message), (_, part)) in found.iter().zip(expected) {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn secrets_are_no_part_of_the_typed_config() {
        let (config, secrets) = parse::<Config>(r#"{"url":"u","secrets":{"token":"ph-1"}}"#).unwrap();
        assert_eq!(config, Config { url: "u".into(), to: Vec::new() });
        assert_eq!(secrets.get("token"), Some("ph-1"));
        assert_eq!(secrets.get("other"), None);
    }

    #[test]
    fn a_wrong_type_is_told_with_its_pointer() {
        check(r#"{"url":"u","to":[{"name":"a"},{"name":7}]}"#, &[("/to/1/name", "expected a string")]);
    }

    #[test]
    fn an_unknown_key_is_told_with_its_pointer_and_the_key_that_was_meant() {
        check(r#"{"url":"u","to":[{"nmae":"a"}]}"#, &[("/to/0/nmae", "unknown key `nmae`, did you mean `name`?")]);
    }

    #[test]
    fn all_unknown_keys_are_told_at_once_before_other_mistakes() {
        let color = "unknown key `color`, the keys are url, to";
        check(
            r#"{"a/b":1,"color":"red","to":7,"ulr":"u","zzz":[]}"#,
            &[
                ("/a~1b", "unknown key `a/b`"),
                ("/color", color),
                ("/ulr", "unknown key `ulr`, did you mean `url`? the keys are url, to"),
                ("/zzz", "unknown key `zzz`"),
                ("/to", "expected a sequence"),
                ("", "missing field `url`"),
            ],
        );
    }

    #[test]
    fn a_key_with_a_mistake_is_not_missing_as_well() {
        check(r#"{"to":[],"url":7}"#, &[("/url", "expected a string")]);
        check(r#"{"to":[{}],"url":"u"}"#, &[("/to/0", "missing field `name`")]);
    }

    #[test]
    fn a_config_full_of_mistakes_is_not_read_for_ever() {
        let keys: Vec<String> = (0..20_000).map(|n| format!("\"k{n}\":0")).collect();
        assert_eq!(refused(&format!("{{{}}}", keys.join(","))).len(), MISTAKES);
    }

    #[test]
    fn another_name_for_a_key_is_not_unknown() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Renamed {
            #[serde(alias = "address")]
            url: String,
            port: u16,
        }
        let mistakes = parse::<Renamed>(r#"{"address":"u","port":"x"}"#).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect::<Vec<_>>(), ["/port"]);
        let (read, _) = parse::<Renamed>(r#"{"address":"u","port":7}"#).unwrap();
        assert_eq!((read.url.as_str(), read.port), ("u", 7));
    }

    #[test]
    fn an_unknown_key_in_one_of_several_shapes_is_named_in_the_pointer() {
        #[derive(Debug, Deserialize)]
        struct Outer {
            #[serde(rename = "auth")]
            _auth: Auth,
        }
        #[derive(Debug, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
        enum Auth {
            Basic {
                #[serde(rename = "user")]
                _user: String,
            },
        }
        let mistakes = parse::<Outer>(r#"{"auth":{"type":"basic","usr":"a"}}"#).unwrap_err();
        let [found] = mistakes.try_into().unwrap();
        assert_eq!(found, mistake("/auth/usr", "unknown key `usr`, did you mean `user`?"));
    }

    #[test]
    fn what_is_no_config_at_all_is_told_once() {
        check(r#"{"secrets":{}}"#, &[("", "missing field `url`")]);
        check("7", &[("", "expected struct Config")]);
        check("{", &[("", "not JSON")]);
        check(r#"{"secrets":7}"#, &[("/secrets", "names with placeholders expected")]);
    }

    #[test]
    fn pointers_escape_what_json_pointers_escape() {
        let mistakes = parse::<BTreeMap<String, u8>>(r#"{"a/b~c":"x"}"#).unwrap_err();
        assert_eq!(mistakes.first().map(|mistake| mistake.pointer.as_str()), Some("/a~1b~0c"));
    }
}
