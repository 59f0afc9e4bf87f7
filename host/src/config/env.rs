//! The environment variables of the Go service, and `MAG_LOG`: what they change in what was typed.
//!
//! An empty value is unset. A number that is not one is a warning and changes nothing, as it was there. Values are
//! never shown.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::report::{Mistake, Spot};
use super::route::Typed;
use super::typed::File;
use super::{AlertIf, Comparison, Env, Monitor, Plugin, SecretSource, Sender, TokenRefresh};
use super::{Socket, duration, listen, load::Draft, log, monitor, route, sender};
use crate::matcher::Matcher;
use crate::message::{Labels, MONITOR_KIND, Message, Word};

/// The name of the sender that is made.
const SLACK: &str = "slack";
/// The sender that the made one takes the place of.
const CONSOLE: &str = "console";
/// The name of the monitor that is made.
const API: &str = "api";
/// A day.
const TOKEN_REFRESH_SECONDS: u64 = 86_400;
/// The largest port.
const PORT_MOST: u64 = u16::MAX as u64;
/// A lower sum is told.
const THRESHOLD: u64 = 1_000;

/// The environment while it is applied.
pub(super) struct Variables<'e> {
    env: &'e Env<'e>,
    /// Names of those that had an effect.
    pub(super) used: Vec<String>,
    /// What was wrong and harmed nothing.
    pub(super) warnings: Vec<String>,
}

impl<'e> Variables<'e> {
    /// Nothing applied yet.
    pub(super) fn new(env: &'e Env<'e>) -> Self {
        Self { env, used: Vec::new(), warnings: Vec::new() }
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// The same, and it has an effect.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let value = self.get(name)?;
        self.used.push(name.to_owned());
        Some(value)
    }

    /// The folder that a service manager made for mag; of several, the first.
    pub(super) fn state_folder(&mut self) -> Option<PathBuf> {
        self.take("STATE_DIRECTORY")?.split(':').next().map(PathBuf::from)
    }

    /// A whole number; `stays` is what goes on when it is none.
    fn number(&mut self, name: &str, range: RangeInclusive<u64>, stays: u64) -> Option<u64> {
        let number = self.get(name)?.trim().parse().ok().filter(|number| range.contains(number));
        if number.is_some() {
            self.used.push(name.to_owned());
        } else {
            let (least, most) = (range.start(), range.end());
            // Only a port is bounded so that a person could meet the bound.
            let wanted =
                if *most == PORT_MOST { format!("from {least} to {most}") } else { format!("of {least} or more") };
            self.warn(name, &format!("expected a whole number {wanted}, {stays} is used"));
        }
        number
    }

    fn warn(&mut self, name: &str, message: &str) {
        self.warnings.push(format!("{name}: warning: {message}"));
    }
}

/// Changes what was typed.
pub(super) fn apply(draft: &mut Draft, variables: &mut Variables<'_>, file: &File) {
    listen(draft, variables);
    aggregate(&mut draft.route, variables);
    slack(draft, variables);
    api(draft, variables, file);
    if let Some(word) = variables.get("MAG_LOG") {
        match log::level(&word) {
            Some(level) => {
                draft.log.level = level;
                variables.used.push("MAG_LOG".to_owned());
            }
            None => variables.warn("MAG_LOG", "expected one of error, warn, info, debug, trace"),
        }
    }
}

fn listen(draft: &mut Draft, variables: &mut Variables<'_>) {
    let Some(first) = draft.listen.first_mut() else { return };
    let Some((host, port)) = listen::split(&first.address).filter(|_| first.socket == Socket::Tcp) else { return };
    let name = if variables.get("LISTEN_ADDRESS").is_some() { "LISTEN_ADDRESS" } else { "LSITEN_ADDRESS" };
    let typed = variables.take(name).map(|host| match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host,
    });
    let new_port = variables.number("LISTEN_PORT", 1..=PORT_MOST, u64::from(port));
    let address = format!("{}:{}", typed.as_deref().unwrap_or(host), new_port.unwrap_or(u64::from(port)));
    if listen::split(&address).is_some() {
        first.address = address;
    } else {
        variables.used.retain(|used| used != name);
        variables.warn(name, "expected a host or an IP address without a port");
        first.address = format!("{host}:{}", new_port.unwrap_or(u64::from(port)));
    }
}

fn aggregate(root: &mut Typed, variables: &mut Variables<'_>) {
    let stays = root.max_messages.unwrap_or(route::MAX_MESSAGES);
    let most = i64::MAX.unsigned_abs();
    root.max_messages = variables.number("AGG_MAX_MESSAGES", 1..=most, stays).or(root.max_messages);
    let stays = root.time_limit.unwrap_or(route::TIME_LIMIT).as_secs();
    let seconds = variables.number("AGG_TIME_LIMIT", seconds(), stays);
    root.time_limit = seconds.map(Duration::from_secs).or(root.time_limit);
}

fn seconds() -> RangeInclusive<u64> {
    1..=duration::LONGEST.as_secs()
}

/// Makes the sender `slack`, and tells it.
fn slack(draft: &mut Draft, variables: &mut Variables<'_>) {
    let plugin = Plugin::Bundled(SLACK.to_owned());
    let there = draft.senders.iter().any(|sender| sender.name == SLACK || sender.plugin == plugin);
    let complete = variables.get("SLACK_TOKEN").is_some() && variables.get("SLACK_CHANNEL").is_some();
    if there || !complete {
        return;
    }
    let sender = slack_sender(variables);
    draft.senders.push(sender);
    let root = &mut draft.route;
    let senders = root.senders.get_or_insert_default();
    if let [(only, _)] = senders.as_slice()
        && only == CONSOLE
    {
        senders.clear();
    }
    senders.push((SLACK.to_owned(), 0..0));
    let message = Message {
        text: String::new(),
        kind: MONITOR_KIND.into(),
        severity: None,
        labels: Labels::default(),
        source: Word::default(),
    };
    if !root.routes.iter().any(|child| child.matches(&message)) {
        let matcher = Matcher::parse(&format!("kind={MONITOR_KIND}")).expect("a name, `=` and a word are a matcher");
        root.routes.push(Typed::made(matcher, 1));
    }
}

fn slack_sender(variables: &mut Variables<'_>) -> Sender {
    let mut config = serde_json::Map::new();
    let mut set = |key: &str, value: Option<Json>| value.map(|value| config.insert(key.to_owned(), value));
    // In the order in which they are told at start.
    variables.used.push("SLACK_TOKEN".to_owned());
    set("channel", variables.take("SLACK_CHANNEL").map(Json::String));
    set("mention", variables.take("NOTIFY_USERS").map(|users| names(&users)));
    set("mention_monitor", variables.take("NOTIFY_MONITOR_USERS").map(|users| names(&users)));
    set("api_url", variables.take("SLACK_API_URL").map(Json::String));
    let mut sender = sender::bundled(SLACK, SLACK, "SLACK_TOKEN");
    sender.config = Json::Object(config);
    sender.secrets.insert("token".to_owned(), SecretSource::Env("SLACK_TOKEN".to_owned()).into());
    sender
}

/// Users as the Go service listed them: `ann, @bob`.
fn names(list: &str) -> Json {
    let names = list.split(',').map(str::trim).map(|name| name.strip_prefix('@').unwrap_or(name));
    json!(names.filter(|name| !name.is_empty()).collect::<Vec<_>>())
}

/// Makes the monitor `api`.
fn api(draft: &mut Draft, variables: &mut Variables<'_>, file: &File) {
    if variables.get("API_ADDRESS").is_none() {
        return;
    }
    if draft.monitors.iter().any(|monitor| monitor.name == API) {
        variables.warn("API_ADDRESS", "not used, because the file has [monitors.api]");
        return;
    }
    let Some(url) = url("API_ADDRESS", variables, file) else { return };
    let mut monitor = Monitor {
        name: API.to_owned(),
        url: url.into(),
        headers: [].into(),
        secrets: [].into(),
        interval: monitor::INTERVAL,
        keep: monitor::KEEP,
        items: "/campaigns".to_owned(),
        id: "/id".to_owned(),
        value: "/errors/FREQUENCY_KEY_PRESENT".to_owned(),
        alert_if: AlertIf { op: Comparison::Less, threshold: 0.0 },
        text: "Number of `FREQUENCY_KEY_PRESENT` errors for all campaigns is {delta} for last *{seconds}* seconds."
            .to_owned(),
        token_refresh: None,
    };
    token(&mut monitor, variables, file);
    if let Some(seconds) = variables.number("MONITOR_INTERVAL", seconds(), monitor.interval.as_secs()) {
        monitor.interval = Duration::from_secs(seconds);
    }
    let keep = variables.number("MONITOR_MAX_STORED_ITEMS", 1..=u64::from(u32::MAX), monitor::KEEP as u64);
    if keep == Some(1) {
        variables.warn("MONITOR_MAX_STORED_ITEMS", "one snapshot cannot be compared, 2 are kept");
    }
    let keep = keep.and_then(|keep| usize::try_from(keep.max(monitor::KEEP_LEAST)).ok());
    monitor.keep = keep.unwrap_or(monitor::KEEP);
    // Also what a float holds exactly.
    let threshold = variables.number("FKP_THRESHOLD", 1..=u64::from(u32::MAX), THRESHOLD).unwrap_or(THRESHOLD);
    monitor.alert_if.threshold = u32::try_from(threshold).map_or(f64::MAX, f64::from);
    draft.monitors.push(monitor);
}

fn token(monitor: &mut Monitor, variables: &mut Variables<'_>, file: &File) {
    if variables.take("API_TOKEN").is_some() {
        monitor.headers.insert("Authorization".to_owned(), "Bearer ${secret:token}".to_owned());
        monitor.secrets.insert("token".to_owned(), SecretSource::Env("API_TOKEN".to_owned()));
    } else {
        if variables.get("API_TOKEN_REFRESH_ADDRESS").is_some() {
            variables.warn("API_TOKEN_REFRESH_ADDRESS", "not used, because API_TOKEN is not set");
        }
        return;
    }
    let Some(url) = url("API_TOKEN_REFRESH_ADDRESS", variables, file) else { return };
    let every = variables.number("API_TOKEN_REFRESH_INTERVAL", seconds(), TOKEN_REFRESH_SECONDS);
    let every = Duration::from_secs(every.unwrap_or(TOKEN_REFRESH_SECONDS));
    monitor.token_refresh = Some(TokenRefresh { url: url.into(), every });
}

fn url(name: &'static str, variables: &mut Variables<'_>, file: &File) -> Option<url::Url> {
    let url = monitor::parse_url(&variables.take(name)?);
    if url.is_none() {
        let message = "expected a URL like \"https://example.org/numbers\"".to_owned();
        file.note(Mistake { spot: Spot::Elsewhere(name.to_owned()), message });
    }
    url
}
