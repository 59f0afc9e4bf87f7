//! `[senders.NAME]`: a plugin, its config, and how often it may be told.
//!
//! Knows nothing of what a plugin wants in its `config`; that is said by the plugin's own `validate`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use serde_json::Value as Json;
use url::Url;

use super::report::{did_you_mean, nearest};
use super::secret::{self, SenderSecret};
use super::typed::{File, NAME, Section, Value, is_name};
use super::{Plugin, PluginLimits, Rate, Sender, Sha256, duration, fallback, json, pin, plugin_limits, smtp};
use crate::file;

/// One attempt, unless the file says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest that an attempt may be given.
const TIMEOUT_MOST: Duration = Duration::from_secs(60);
/// Attempts that may follow each other at once.
const BURST: u32 = 5;
/// What is embedded in the binary, with how often each may tell: less than its destination's documentation allows.
const BUNDLED: [(&str, Option<Rate>); 16] = [
    ("console", None),
    ("slack", Some(Rate { count: 20, per: MINUTE })),
    ("email", Some(Rate { count: 20, per: MINUTE })),
    ("webhook", Some(Rate { count: 10, per: SECOND })),
    ("discord", Some(Rate { count: 20, per: MINUTE })),
    ("telegram", Some(Rate { count: 20, per: MINUTE })),
    ("teams", Some(Rate { count: 20, per: MINUTE })),
    ("googlechat", Some(Rate { count: 20, per: MINUTE })),
    ("mattermost", Some(Rate { count: 1, per: SECOND })),
    ("rocketchat", Some(Rate { count: 10, per: MINUTE })),
    ("matrix", Some(Rate { count: 10, per: MINUTE })),
    ("zulip", Some(Rate { count: 1, per: SECOND })),
    ("pagerduty", Some(Rate { count: 1, per: SECOND })),
    ("ntfy", Some(Rate { count: 10, per: MINUTE })),
    ("pushover", Some(Rate { count: 10, per: MINUTE })),
    ("twilio", Some(Rate { count: 10, per: MINUTE })),
];
/// How often any other plugin may tell.
const OTHER_RATE: Rate = Rate { count: 1, per: SECOND };
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Attempts under way together, at most: each holds a whole plugin instance.
const CONCURRENCY_MOST: u64 = 64;
/// How long a delivery is tried.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a living message is kept up to date.
const REPEAT_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Every `[senders.NAME]`, by name; and each name that was typed with its place, whatever is wrong with the sender.
pub(super) fn read(root: &mut Section<'_>) -> (Vec<Sender>, Vec<(String, usize)>) {
    let Some(value) = root.take("senders") else { return (Vec::new(), Vec::new()) };
    let entries = value.entries("a table for each sender, headed [senders.NAME]").unwrap_or_default();
    let sender = |entry: &Value<'_>| {
        if !is_name(entry.name) {
            entry.file.wrong(&entry.key, format!("{:?}: expected {NAME}", entry.name));
        }
        entry.section(&format!("[senders.{}]", entry.name), |section| one(entry, section))
    };
    let names = entries.iter().map(|entry| (entry.name.to_owned(), entry.key.start)).collect();
    (entries.iter().filter_map(sender).collect(), names)
}

impl std::fmt::Display for Rate {
    /// As it is written in the file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let per = if self.per == HOUR {
            "h"
        } else if self.per == MINUTE {
            "m"
        } else {
            "s"
        };
        write!(f, "{}/{per}", self.count)
    }
}

/// A sender with nothing but a bundled plugin.
pub(super) fn bundled(name: &str, plugin: &str, place: &str) -> Sender {
    Sender { rate: default_rate(plugin), ..Sender::new(name, Plugin::Bundled(plugin.to_owned()), place) }
}

impl Sender {
    /// A sender with nothing but a plugin, as the file would make it.
    #[must_use]
    pub fn new(name: &str, plugin: Plugin, place: &str) -> Self {
        Self {
            name: name.to_owned(),
            plugin,
            pin: None,
            locked: None,
            config: Json::Object(serde_json::Map::new()),
            secrets: BTreeMap::new(),
            timeout: TIMEOUT,
            rate: Some(OTHER_RATE),
            burst: BURST,
            concurrency: 1,
            give_up_after: GIVE_UP_AFTER,
            living: None,
            fallback: None,
            allow: Vec::new(),
            allow_private: false,
            smtp: None,
            limits: PluginLimits::default(),
            place: place.to_owned(),
        }
    }
}

/// Whether a plugin of this name is embedded in the binary.
#[must_use]
pub fn is_bundled(name: &str) -> bool {
    BUNDLED.iter().any(|(bundled, _)| *bundled == name)
}

fn default_rate(plugin: &str) -> Option<Rate> {
    BUNDLED.iter().find(|(name, _)| *name == plugin).map_or(Some(OTHER_RATE), |(_, rate)| *rate)
}

fn one(entry: &Value<'_>, section: &mut Section<'_>) -> Sender {
    // The plugin is what the rest is judged by; with a mistake in it the rest is read as for any plugin.
    let typed = section.require("plugin").and_then(|value| pinned(&value, &section.name));
    let (plugin, pin) = typed.unwrap_or((Plugin::Path("".into()), None));
    let word = if let Plugin::Bundled(name) = &plugin { name.as_str() } else { "" };
    let mut sender = bundled(entry.name, word, &section.file.places.place(entry.key.start));
    sender.secrets = secret::read_for_sender(section);
    if let Some(value) = section.take("config") {
        sender.config = config(&value, &sender.secrets);
    }
    let timeout = section.take("timeout").and_then(|value| {
        let typed = duration::read(&value, Duration::from_millis(1))?;
        duration::within(&value, typed, Duration::ZERO, TIMEOUT_MOST)
    });
    sender.timeout = timeout.unwrap_or(TIMEOUT);
    if let Some(value) = section.take("rate") {
        sender.rate = value.parse("a rate like \"20/m\"", rate).or(sender.rate);
    }
    let burst = section.take("burst").and_then(|value| value.count(1));
    sender.burst = burst.map_or(BURST, |burst| u32::try_from(burst).unwrap_or(u32::MAX));
    let concurrency = section.take("concurrency").and_then(|value| concurrency(&value));
    sender.concurrency = concurrency.unwrap_or(1);
    let give_up_after = section.take("give_up_after").and_then(|value| duration::read(&value, SECOND));
    sender.give_up_after = give_up_after.unwrap_or(GIVE_UP_AFTER);
    sender.living = living(section);
    sender.fallback = fallback::read(section);
    if let Some(value) = section.take("allow") {
        sender.allow = origins(&value);
    }
    sender.allow_private = section.take("allow_private").and_then(|value| value.bool()).unwrap_or(false);
    sender.smtp = smtp::read(section);
    sender.limits = plugin_limits::read(section);
    (sender.plugin, sender.pin) = (plugin, pin);
    fits(&sender, section);
    sender
}

/// What belongs together, or does not.
fn fits(sender: &Sender, section: &Section<'_>) {
    let (file, name) = (section.file, &section.name);
    let user = sender.smtp.as_ref().and_then(|smtp| smtp.username.as_ref());
    if user.is_some() && !sender.secrets.contains_key("smtp_password") {
        let message = format!("missing `secrets.smtp_password` in {name}: `smtp` has a username");
        file.absent(&section.place_of("smtp"), message);
    }
    // A plugin of one's own may want anything.
    let Plugin::Bundled(plugin) = &sender.plugin else { return };
    let (mails, has_smtp) = (plugin == "email", section.has("smtp"));
    if mails && !has_smtp {
        let message = format!("missing `smtp` in {name}: add `smtp = {{ url = \"smtps://smtp.example.org\" }}`");
        file.absent(&section.span, message);
    } else if has_smtp && !mails {
        file.wrong(&section.place_of("smtp"), format!("`smtp`: the plugin {plugin} sends no mail"));
    }
}

/// A plugin, or a table that says which file and which hash it has.
fn pinned(value: &Value<'_>, of: &str) -> Option<(Plugin, Option<Sha256>)> {
    if !value.node().get_ref().is_table() {
        return Some((
            plugin(value, "a bundled plugin, the path of one, or { path = \"./my.wasm\", sha256 = \"…\" }")?,
            None,
        ));
    }
    let header = format!("[{}.plugin]", of.trim_matches(['[', ']']));
    value.section(&header, |section| {
        let path = section.require("path").and_then(|value| {
            let plugin = plugin(&value, "the path of a plugin")?;
            if let Plugin::Bundled(name) = &plugin {
                value.wrong(format!("`path`: the bundled plugin {name} is part of mag and needs no hash"));
            }
            Some(plugin)
        });
        let pin = section.require("sha256").and_then(|value| pin::sha256(&value));
        path.map(|path| (path, pin))
    })?
}

fn plugin(value: &Value<'_>, what: &str) -> Option<Plugin> {
    let name = value.filled(what)?;
    let bundled = BUNDLED.map(|(name, _)| name);
    if bundled.contains(&name) {
        return Some(Plugin::Bundled(name.to_owned()));
    }
    let is_wasm = Path::new(name).extension().is_some_and(|extension| extension == "wasm");
    if !is_wasm && !name.contains('/') {
        let hint = did_you_mean(name, &bundled);
        let path = if nearest(name, &bundled).is_none() { " or a path like \"./my.wasm\"" } else { "" };
        value.wrong(format!("unknown plugin `{name}`{hint}{path}"));
        return None;
    }
    let path = value.file.folder.join(name);
    let why = match file::look(&path) {
        Ok(Some(found)) if found.is_file() => return Some(Plugin::Path(path)),
        Ok(_) => String::new(),
        Err(error) => format!(": {error}"),
    };
    value.wrong(format!("no plugin at {}{why}", path.display()));
    None
}

fn config(value: &Value<'_>, secrets: &secret::Secrets<SenderSecret>) -> Json {
    let Some(table) = value.node().get_ref().as_table() else {
        value.expected_type("a table");
        return Json::Null;
    };
    if let Some((key, _)) = table.get_key_value("secrets") {
        value.file.wrong(&key.span(), "`secrets` stands beside `config`, not inside it");
    }
    Json::Object(json::table(table, value.file, &|text, span| {
        secret::check(text, span, secrets, value.file);
        if secret::is_in_host(text) {
            let message = "a secret is no part of a URL's host: type the origin, or give the whole URL as the secret";
            value.file.wrong(span, message);
        }
    }))
}

fn concurrency(value: &Value<'_>) -> Option<usize> {
    let number = value.count(1)?;
    if number > CONCURRENCY_MOST {
        value.expected(&format!("at most {CONCURRENCY_MOST}"));
        return None;
    }
    usize::try_from(number).ok()
}

/// `style` and `repeat_after`
fn living(section: &mut Section<'_>) -> Option<Duration> {
    let style = section.take("style").and_then(|value| value.parse("\"digest\" or \"living\"", style));
    let repeat_after = section.take("repeat_after").and_then(|value| duration::read(&value, SECOND));
    if repeat_after.is_some() && style != Some(true) {
        let place = section.place_of("repeat_after");
        section.file.absent(&place, format!("`repeat_after` needs `style = \"living\"` in {}", section.name));
    }
    (style == Some(true)).then(|| repeat_after.unwrap_or(REPEAT_AFTER))
}

/// Whether each group has a message of its own.
fn style(text: &str) -> Option<bool> {
    match text {
        "digest" => Some(false),
        "living" => Some(true),
        _ => None,
    }
}

/// `20/m`
fn rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once('/')?;
    let per = match per.trim() {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    let count: NonZeroU32 = count.trim().parse().ok()?;
    Some(Rate { count: count.get(), per })
}

/// Origins in their one canonical form.
pub(super) fn origins(value: &Value<'_>) -> Vec<String> {
    let what = "an origin like \"https://example.org\"";
    let items = value.list("a list of origins like [\"https://example.org\"]").unwrap_or_default();
    items.iter().filter_map(|item| origin(item, what)).collect()
}

fn origin(item: &Value<'_>, what: &str) -> Option<String> {
    let url = Url::parse(item.string(what)?).ok();
    if url.as_ref().is_some_and(has_user) {
        item.file.wrong_hidden(&item.span(), "no user and password in an origin");
        return None;
    }
    let bare = |url: &Url| url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && bare(url));
    if url.is_none() {
        item.expected(what);
    }
    Some(url?.origin().ascii_serialization())
}

/// Whether a URL carries a login.
pub(super) fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Notes each name that is no sender's, and each that is named twice.
pub(super) fn check_names(names: &[(String, std::ops::Range<usize>)], senders: &[&str], file: &File) {
    for (at, (name, span)) in names.iter().enumerate() {
        if names.iter().take(at).any(|(before, _)| before == name) {
            file.wrong(span, format!("sender `{name}` is named twice"));
        } else if !senders.contains(&name.as_str()) {
            let hint = did_you_mean(name, senders);
            file.absent(span, format!("unknown sender `{name}`{hint}"));
        }
    }
}
