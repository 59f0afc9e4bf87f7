//! Takes the config that the host gives apart: the operator's own part, typed, and the placeholders for secrets.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::ConfigError;

/// Where the host puts the placeholders, beside the operator's own keys.
const SECRETS_KEY: &str = "secrets";

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
/// The first place where the config does not fit its type.
pub fn parse<C: DeserializeOwned>(json: &str) -> Result<(C, Secrets), ConfigError> {
    let mut value: Value = serde_json::from_str(json).map_err(|error| mistake("", format!("not JSON: {error}")))?;
    let secrets = match value.as_object_mut().and_then(|object| object.remove(SECRETS_KEY)) {
        None => Secrets::default(),
        Some(given) => serde_json::from_value(given)
            .map(Secrets)
            .map_err(|error| mistake("/secrets", format!("names with placeholders expected: {error}")))?,
    };
    let config = serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        mistake(&pointer, error.into_inner().to_string())
    })?;
    Ok((config, secrets))
}

/// A [`ConfigError`] at a JSON pointer.
#[must_use]
pub fn mistake(pointer: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { pointer: pointer.to_owned(), message: message.into() }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            // Neither is a place in the document: the first is a name in the type, the second a key that serde did not show.
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&step);
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

    #[track_caller]
    fn refused(json: &str) -> (String, String) {
        let error = parse::<Config>(json).unwrap_err();
        (error.pointer, error.message)
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
        let (pointer, message) = refused(r#"{"url":"u","to":[{"name":"a"},{"name":7}]}"#);
        assert_eq!(pointer, "/to/1/name");
        assert!(message.contains("expected a string"), "{message}");
    }

    #[test]
    fn an_unknown_key_is_told_with_its_pointer() {
        let (pointer, message) = refused(r#"{"url":"u","to":[{"nmae":"a"}]}"#);
        assert_eq!(pointer, "/to/0/nmae");
        assert!(message.contains("unknown field `nmae`, expected `name`"), "{message}");
    }

    #[test]
    fn a_missing_key_is_told_where_it_is_missing() {
        let (pointer, message) = refused(r#"{"secrets":{}}"#);
        assert_eq!(pointer, "");
        assert!(message.contains("missing field `url`"), "{message}");
    }

    #[test]
    fn pointers_escape_what_json_pointers_escape() {
        let error = parse::<BTreeMap<String, u8>>(r#"{"a/b~c":"x"}"#).unwrap_err();
        assert_eq!(error.pointer, "/a~1b~0c");
    }
}
