//! Secrets as the file has them: where a value comes from, where it may go, and where it is used.
//!
//! The file only says where a value is; reading it is not done here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use super::report::{Places, nearest};
use super::typed::{File, NAME, Section, Value, is_name};
use super::{Monitor, Sender, duration, sender};
use crate::file;

/// Where a secret's value comes from. It is read at start, never kept in the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, read again when it changes; one line end at its end is dropped. Relative paths are resolved against the
    /// config file's folder.
    File(PathBuf),
    /// A credential that the service manager gives, by its name.
    Credential(String),
    /// A program that prints it; one line end at the end is dropped.
    Command(SecretCommand),
    /// The value itself, for tests.
    Value(SecretValue),
}

/// A program that prints a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretCommand {
    /// A name that is looked up in `PATH`, or a path, resolved against `folder`.
    pub program: PathBuf,
    /// What it is given.
    pub arguments: Vec<String>,
    /// Where it runs: the config file's folder.
    pub folder: PathBuf,
    /// After so long it is run again; `None`: at a start only.
    pub refresh: Option<Duration>,
}

/// A secret's value; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub String);

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// `secrets.NAME` of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderSecret {
    /// Where its value is.
    pub source: SecretSource,
    /// `in`: where it may stand in a request; `None` where the file does not say.
    pub places: Option<Vec<SecretPlace>>,
    /// Origins that it may go to, in their canonical form; empty where the file does not say.
    pub origins: Vec<String>,
}

impl From<SecretSource> for SenderSecret {
    fn from(source: SecretSource) -> Self {
        Self { source, places: None, origins: Vec::new() }
    }
}

/// Where a secret may stand in a request, in the words of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretPlace {
    /// In the path of the URL.
    Path,
    /// In its query.
    Query,
    /// In a header.
    Header,
    /// In the body.
    Body,
    /// As the password of `Authorization: Basic`.
    Basic,
    /// Nowhere itself: as the key of a signature.
    Sign,
}

impl SecretPlace {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Path, Self::Query, Self::Header, Self::Body, Self::Basic, Self::Sign];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Body => "body",
            Self::Basic => "basic",
            Self::Sign => "sign",
        }
    }

    /// The place that a word names.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.as_str() == word)
    }
}

/// What every secret looks like in the file.
const FORM: &str =
    "{ env = \"NAME\" }, { file = \"PATH\" }, { credential = \"NAME\" } or { command = [\"PROGRAM\", \"…\"] }";
/// A command is not run more often than this.
const REFRESH_LEAST: Duration = Duration::from_secs(10);
/// How a text asks for a secret.
const OPEN: &str = "${secret:";

/// Secrets by name.
pub(super) type Secrets<S = SecretSource> = BTreeMap<String, S>;

/// `secrets` of a monitor.
pub(super) fn read(section: &mut Section<'_>) -> Secrets {
    each(section, &source)
}

/// `secrets` of a sender.
pub(super) fn read_for_sender(section: &mut Section<'_>) -> Secrets<SenderSecret> {
    each(section, &|value, of| {
        inside(value, of, |section| {
            let places = section.take("in").and_then(|value| places(&value));
            let origins = section.take("origins").map(|value| sender::origins(&value)).unwrap_or_default();
            Some(SenderSecret { source: source_in(value, section)?, places, origins })
        })
    })
}

fn each<S>(section: &mut Section<'_>, one: &dyn Fn(&Value<'_>, &str) -> Option<S>) -> Secrets<S> {
    let Some(value) = section.take("secrets") else { return Secrets::new() };
    let section = section.below("secrets");
    let entries = value.entries("a table of secrets").unwrap_or_default();
    let named = entries.iter().filter_map(|entry| {
        if !is_name(entry.name) {
            entry.file.wrong(&entry.key, format!("{:?}: expected {NAME}", entry.name));
        }
        Some((entry.name.to_owned(), one(entry, &section)?))
    });
    named.collect()
}

/// Where one secret's value comes from; `of` is the section that it stands in.
pub(super) fn source(value: &Value<'_>, of: &str) -> Option<SecretSource> {
    inside(value, of, |section| source_in(value, section))
}

fn inside<T>(value: &Value<'_>, of: &str, read: impl FnOnce(&mut Section<'_>) -> Option<T>) -> Option<T> {
    if !value.node().get_ref().is_table() {
        let found = value.node().get_ref().type_str();
        let message = format!("`{}`: expected {FORM}, found {found}: no secret stands in this file", value.name);
        value.file.wrong_hidden(&value.span(), message);
        return None;
    }
    value.section(&format!("{}.{}]", of.trim_end_matches(']'), value.name), read)?
}

fn source_in(value: &Value<'_>, section: &mut Section<'_>) -> Option<SecretSource> {
    const ALL: [&str; 4] = ["env", "file", "credential", "command"];
    let env = section.take("env").and_then(|value| value.filled("the name of an environment variable"));
    let file = section.take("file").and_then(|value| value.filled("the path of a file"));
    let credential = section.take("credential").and_then(|value| credential(&value));
    let command = section.take("command").and_then(|value| command(&value));
    let refresh = section.take("refresh").and_then(|value| duration::read(&value, REFRESH_LEAST));
    if section.has("refresh") && !section.has("command") {
        section.file.absent(&section.place_of("refresh"), "`refresh` needs `command`");
    }
    match ALL.iter().filter(|key| section.has(key)).count() {
        1 => {}
        // What is in it is an unknown key.
        0 if !section.is_empty() && !["in", "origins", "refresh"].iter().any(|key| section.has(key)) => return None,
        _ => {
            section.file.absent(&value.key, format!("`{}`: expected {FORM}", value.name));
            return None;
        }
    }
    let env = env.map(|name| SecretSource::Env(name.to_owned()));
    let file = file.map(|path| SecretSource::File(section.file.folder.join(path)));
    let credential = credential.map(|name| SecretSource::Credential(name.to_owned()));
    let command = command.map(|command| SecretSource::Command(SecretCommand { refresh, ..command }));
    env.or(file).or(credential).or(command)
}

/// A name that leads out of the folder of credentials is none.
fn credential<'a>(value: &Value<'a>) -> Option<&'a str> {
    let name = value.filled("the name of a credential")?;
    if name.contains('/') || [".", ".."].contains(&name) {
        value.expected("the name of a credential, which is no path");
        return None;
    }
    Some(name)
}

fn command(value: &Value<'_>) -> Option<SecretCommand> {
    let what = "a program and what it is given, like [\"pass\", \"mag/token\"]";
    let items = value.list(what)?;
    let words: Vec<&str> = items.iter().map(|item| item.string(what)).collect::<Option<_>>()?;
    let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.is_empty()) else {
        value.wrong(format!("`{}`: expected {what}", value.name));
        return None;
    };
    // As a shell does: what has no slash is looked up.
    let folder = value.file.folder.clone();
    let program = if program.contains('/') { folder.join(program) } else { program.into() };
    Some(SecretCommand {
        program,
        arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        folder,
        refresh: None,
    })
}

fn places(value: &Value<'_>) -> Option<Vec<SecretPlace>> {
    let what = "places: path, query, header, body, basic, sign";
    let items = value.list(&format!("a list of {what}"))?;
    let places: Vec<SecretPlace> =
        items.iter().map(|item| item.parse(&format!("one of {what}"), SecretPlace::named)).collect::<Option<_>>()?;
    if places.is_empty() {
        value.wrong(format!("`{}`: expected at least one of the {what}", value.name));
    }
    Some(places)
}

/// Notes every `${secret:NAME}` in `text` whose NAME is not declared.
pub(super) fn check<S>(text: &str, span: &Range<usize>, secrets: &Secrets<S>, file: &File) {
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

/// A warning for each file of a secret that every user of this machine may read.
pub(super) fn readable_by_others(senders: &[Sender], monitors: &[Monitor], places: &Places) -> Vec<String> {
    let of_senders = senders.iter().flat_map(|sender| {
        sender.secrets.iter().map(move |(name, secret)| ("senders", &sender.name, name, &secret.source))
    });
    let of_monitors = monitors.iter().flat_map(|monitor| {
        monitor.secrets.iter().map(move |(name, source)| ("monitors", &monitor.name, name, source))
    });
    let warning = |(section, owner, name, source): (&str, &String, &String, &SecretSource)| {
        let SecretSource::File(path) = source else { return None };
        // One that does not answer is told when it is read.
        let mode = file::look(path).ok()??.permissions().mode();
        let place = places.find(&[section, owner, "secrets", name]).map_or(0, |span| span.start);
        let (place, path) = (places.place(place), path.display());
        (mode & 0o004 != 0).then(|| {
            format!("{place}: warning: secret `{name}` of {owner}: every user can read {path}: chmod o= {path}")
        })
    };
    of_senders.chain(of_monitors).filter_map(warning).collect()
}

/// Whether `text` is a URL that asks for a secret before its path: where a sender may go is typed, not hidden.
pub(super) fn is_in_host(text: &str) -> bool {
    let rest = text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
    rest.and_then(|(_, rest)| rest.split(['/', '?', '#']).next()).is_some_and(is_in)
}

/// Whether `text` asks for a secret.
fn is_in(text: &str) -> bool {
    text.contains(OPEN)
}

/// What stands before the first secret that `text` asks for, its name, and what stands behind.
pub(super) fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = text.split_once(OPEN)?;
    let (name, after) = after.split_once('}')?;
    Some((before, name, after))
}
