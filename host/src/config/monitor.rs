//! `[monitors.NAME]`: what is polled, and when it becomes a message.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::monitor_url::Wrong;
use super::secret::{self, Secrets};
use super::sender::has_user;
use super::typed::{NAME, Section, Value, is_name};
use super::{AlertIf, Comparison, Monitor, MonitorUrl, TokenRefresh, duration};

/// Between two fetches.
pub(super) const INTERVAL: Duration = Duration::from_secs(300);
/// Snapshots compared.
pub(super) const KEEP: usize = 3;
/// Fewer snapshots cannot be compared.
pub(super) const KEEP_LEAST: u64 = 2;
/// More often would be an attack on the endpoint.
const INTERVAL_LEAST: Duration = Duration::from_secs(1);
/// Every operator with how it is written; longer ones first, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// Every `[monitors.NAME]`, by name.
pub(super) fn read(root: &mut Section<'_>) -> Vec<Monitor> {
    let Some(value) = root.take("monitors") else { return Vec::new() };
    let entries = value.entries("a table for each monitor, headed [monitors.NAME]").unwrap_or_default();
    let monitor = |entry: &Value<'_>| {
        if !is_name(entry.name) {
            entry.file.wrong(&entry.key, format!("{:?}: expected {NAME}", entry.name));
        }
        entry.section(&format!("[monitors.{}]", entry.name), |section| one(entry.name, section))?
    };
    entries.iter().filter_map(monitor).collect()
}

/// All keys are read before the first missing one gives up, so that all mistakes are found.
fn one(name: &str, section: &mut Section<'_>) -> Option<Monitor> {
    let secrets = secret::read(section);
    let url = section.require("url").and_then(|value| url(&value, &secrets));
    let headers = section.take("headers").map(|value| headers(&value, &secrets)).unwrap_or_default();
    let interval = section.take("interval").and_then(|value| duration::read(&value, INTERVAL_LEAST));
    let keep = section.take("keep").and_then(|value| value.count(KEEP_LEAST));
    let items = section.require("items").and_then(|value| pointer(&value));
    let id = section.require("id").and_then(|value| pointer(&value));
    let value = section.require("value").and_then(|value| pointer(&value));
    let alert_if = section.require("alert_if").and_then(|value| alert_if(&value));
    let text = section.require("text").and_then(|value| value.filled("a text").map(str::to_owned));
    let token_refresh = section
        .take("token_refresh")
        .and_then(|value| token_refresh(&value, &section.below("token_refresh"), &secrets));
    Some(Monitor {
        name: name.to_owned(),
        url: url?,
        headers,
        secrets,
        interval: interval.unwrap_or(INTERVAL),
        keep: keep.and_then(|keep| usize::try_from(keep).ok()).unwrap_or(KEEP),
        items: items?,
        id: id?,
        value: value?,
        alert_if: alert_if?,
        text: text?,
        token_refresh,
    })
}

/// What a URL of a monitor must be, where it asks for no secret.
pub(super) fn parse_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

fn url(value: &Value<'_>, secrets: &Secrets) -> Option<MonitorUrl> {
    let what = "a URL like \"https://example.org/numbers\"";
    let text = value.string(what)?;
    secret::check(text, &value.span(), secrets, value.file);
    let url = MonitorUrl::parse(text);
    if url.as_ref().is_ok_and(|url| has_user(url.marked())) {
        let message = format!("`{}`: no user and password in a URL, use `headers` and `secrets`", value.name);
        value.file.wrong_hidden(&value.span(), message);
        return None;
    }
    match url {
        Ok(_) => {}
        Err(Wrong::SecretInHost) => {
            let message =
                format!("`{}`: a secret stands in the path or the query of a URL, or in `headers`", value.name);
            value.file.wrong(&value.span(), message);
        }
        Err(Wrong::NoUrl) => value.expected(what),
    }
    url.ok()
}

fn headers(value: &Value<'_>, secrets: &Secrets) -> BTreeMap<String, String> {
    let entries = value.entries("a table of headers").unwrap_or_default();
    let header = |entry: &Value<'_>| {
        if !is_header_name(entry.name) {
            entry.file.wrong(&entry.key, format!("{:?}: expected the name of a header", entry.name));
        }
        let text = entry.string("a text")?;
        if text.chars().any(char::is_control) {
            entry.wrong(format!("`{}`: a header is one line", entry.name));
        }
        secret::check(text, &entry.span(), secrets, entry.file);
        Some((entry.name.to_owned(), text.to_owned()))
    };
    entries.iter().filter_map(header).collect()
}

/// Whether HTTP allows the name (RFC 9110, token).
fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A JSON pointer (RFC 6901).
fn pointer(value: &Value<'_>) -> Option<String> {
    let good = |text: &str| {
        let whole = text.is_empty() || text.starts_with('/');
        whole && text.split('~').skip(1).all(|escape| escape.starts_with(['0', '1']))
    };
    value.parse("a JSON pointer like \"/items\"", |text| good(text).then(|| text.to_owned()))
}

fn alert_if(value: &Value<'_>) -> Option<AlertIf> {
    let what = "a condition like \"delta < 1000\"";
    let text = value.string(what)?;
    let parsed = parse_alert_if(text);
    if let Err(offset) = parsed {
        let message = format!("`alert_if`: expected {what} with one of < <= > >= == !=, found {text:?}");
        value.file.wrong(&value.inside(offset), message);
    }
    parsed.ok()
}

/// The condition, or where it stops being one.
fn parse_alert_if(text: &str) -> Result<AlertIf, usize> {
    // The offset of what is still to be read is always the difference of the lengths.
    let at = |rest: &str| text.len() - rest.len();
    let start = text.trim_start();
    let rest = start.strip_prefix("delta").ok_or(at(start))?.trim_start();
    let found = COMPARISONS.iter().find_map(|(word, op)| Some((*op, rest.strip_prefix(word)?)));
    let (op, rest) = found.ok_or(at(rest))?;
    let rest = rest.trim_start();
    let threshold = rest.trim_end().parse::<f64>().ok().filter(|number| number.is_finite());
    Ok(AlertIf { op, threshold: threshold.ok_or(at(rest))? })
}

fn token_refresh(value: &Value<'_>, name: &str, secrets: &Secrets) -> Option<TokenRefresh> {
    if !secrets.contains_key("token") {
        value.file.absent(&value.key, "`token_refresh` renews `secrets.token`, which is missing");
    }
    value.section(name, |section| {
        let refresh = section.require("url").and_then(|value| url(&value, secrets));
        let every = section.require("every").and_then(|value| duration::read(&value, INTERVAL_LEAST));
        Some(TokenRefresh { url: refresh?, every: every? })
    })?
}
