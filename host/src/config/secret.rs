//! Secrets as the file has them: where a value comes from, and where it is used.
//!
//! The file only says where a value is; reading it is not done here.

use std::collections::BTreeMap;
use std::ops::Range;

use super::SecretSource;
use super::report::nearest;
use super::typed::{File, NAME, Section, Value, is_name};

/// What every secret looks like in the file.
const FORM: &str = "{ env = \"NAME\" } or { file = \"PATH\" }";
/// How a text asks for a secret.
const OPEN: &str = "${secret:";

/// Secrets by name.
pub(super) type Secrets = BTreeMap<String, SecretSource>;

/// `secrets` of a sender or a monitor.
pub(super) fn read(section: &mut Section<'_>) -> Secrets {
    let Some(value) = section.take("secrets") else { return Secrets::new() };
    let section = section.below("secrets");
    let entries = value.entries("a table of secrets").unwrap_or_default();
    let named = entries.iter().filter_map(|entry| {
        if !is_name(entry.name) {
            entry.file.wrong(&entry.key, format!("{:?}: expected {NAME}", entry.name));
        }
        Some((entry.name.to_owned(), source(entry, &section)?))
    });
    named.collect()
}

/// Where one secret's value comes from; `of` is the section that it stands in.
pub(super) fn source(value: &Value<'_>, of: &str) -> Option<SecretSource> {
    if !value.node().get_ref().is_table() {
        let found = value.node().get_ref().type_str();
        let message = format!("`{}`: expected {FORM}, found {found}: no secret stands in this file", value.name);
        value.file.wrong_hidden(&value.span(), message);
        return None;
    }
    let name = format!("{}.{}]", of.trim_end_matches(']'), value.name);
    value.section(&name, |section| {
        let env = section.take("env").map(|value| value.filled("the name of an environment variable"));
        let file = section.take("file").map(|value| value.filled("the path of a file"));
        match (env, file) {
            (Some(env), None) => Some(SecretSource::Env(env?.to_owned())),
            (None, Some(file)) => Some(SecretSource::File(section.file.folder.join(file?))),
            // What is in it is an unknown key.
            (None, None) if !section.is_empty() => None,
            _ => {
                section.file.absent(&value.key, format!("`{}`: expected {FORM}", value.name));
                None
            }
        }
    })?
}

/// Notes every `${secret:NAME}` in `text` whose NAME is not declared.
pub(super) fn check(text: &str, span: &Range<usize>, secrets: &Secrets, file: &File) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(OPEN) {
        let Some((name, after)) = after.split_once('}') else {
            file.wrong(span, format!("`{OPEN}` without a closing `}}`"));
            return;
        };
        if !secrets.contains_key(name) {
            let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
            let hint = nearest(name, &names).map(|name| format!(", did you mean `{name}`?"));
            let hint = hint.unwrap_or_else(|| format!(": add `secrets.{name} = {{ env = \"NAME\" }}`"));
            file.absent(span, format!("no secret `{name}`{hint}"));
        }
        rest = after;
    }
}

/// Whether `text` is a URL that asks for a secret before its path: where a sender may go is typed, not hidden.
pub(super) fn is_in_host(text: &str) -> bool {
    let rest = text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
    rest.and_then(|(_, rest)| rest.split(['/', '?', '#']).next()).is_some_and(is_in)
}

/// Whether `text` asks for a secret.
pub(super) fn is_in(text: &str) -> bool {
    text.contains(OPEN)
}
