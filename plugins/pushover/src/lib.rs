//! Tells notifications through Pushover, on phones.
//!
//! Limits and errors are those of `https://pushover.net/api`: a message of 1,024 characters, a title of 250, a link of 512;
//! priority 2 is repeated until somebody acknowledges it and needs `retry` and `expire`; 4xx with `status: 0` and `errors`
//! will never be taken, 429 is the month's quota (`X-Limit-App-Remaining`, `X-Limit-App-Reset` in Unix time). Token and user stand in the body, where mag puts them in only if the
//! operator says so: `in = ["body"]`. Pushover reads no markup here.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said};
use mag_plugin_sdk::layout::{self, Limit, PLAIN, Style, Tone};
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Notification, Secrets, Sender, delivered,
    failure,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The sender.
#[derive(Debug)]
pub struct Pushover;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Only this device of the user's.
    #[serde(default)]
    pub device: Option<String>,
    /// What is critical is repeated every minute for an hour, until somebody acknowledges it.
    #[serde(default)]
    pub emergency: bool,
    /// Where the API is, without a slash at the end; for proxies and tests.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// Of a message.
const TEXT: Limit = Limit::Chars(1_024);
/// Of a title.
const TITLE: Limit = Limit::Chars(250);
/// Of the link.
const URL_CHARS: usize = 512;
/// Pushover itself.
const API: &str = "https://api.pushover.net";
/// As many as fit into a message.
const MAX_GROUPS: u32 = 20;
/// How an emergency is repeated, in seconds: at least 30, at most 10,800 in all.
const EMERGENCY: [(&str, &str); 2] = [("retry", "60"), ("expire", "3600")];
/// The link has a field of its own.
const STYLE: Style = Style { link: |_, _| String::new(), severity: true, labels: 3, ..PLAIN };

impl Sender for Pushover {
    type Config = Config;

    fn about() -> About {
        let about = About::new("pushover", env!("CARGO_PKG_VERSION"), "Tells notifications through Pushover.");
        About { max_groups: Some(MAX_GROUPS), ..about }
            .secret("token", true, &["body"], "the application's token; it stands in the body: add in = [\"body\"]")
            .secret("user", true, &["body"], "the user's or group's key; it stands in the body: add in = [\"body\"]")
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let device = config.device.as_ref().is_none_or(|device| (1..=25).contains(&device.len()));
        Checks::new()
            .must(device, "/device", "a device's name has 1 to 25 characters")
            .api("/api_url", config.api_url.as_deref().unwrap_or(API), &["POST"], "Pushover's API")
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let missing = || failure::misconfigured("no-token", "add secrets.token and secrets.user to the sender");
        let token = call.secrets.get("token").ok_or_else(missing)?;
        let user = call.secrets.get("user").ok_or_else(missing)?;
        let (title, text) = (layout::title(notification, TITLE), layout::text(notification, &STYLE, TEXT));
        let timestamp = (notification.sent_at / 1_000).to_string();
        let (priority, emergency) = match layout::tone(notification) {
            Tone::Critical if call.config.emergency => ("2", EMERGENCY.as_slice()),
            Tone::Critical | Tone::Error => ("1", [].as_slice()),
            Tone::Warning | Tone::Normal | Tone::Resolved => ("0", [].as_slice()),
            Tone::Quiet => ("-1", [].as_slice()),
        };
        let mut fields = vec![
            ("token", token),
            ("user", user),
            ("title", &title),
            ("message", text.trim_end()),
            ("timestamp", &timestamp),
            ("priority", priority),
        ];
        fields.extend(emergency);
        if let Some(device) = &call.config.device {
            fields.push(("device", device));
        }
        let links = layout::addresses(notification);
        if let Some((title, url)) = links.iter().find(|(_, url)| url.len() <= URL_CHARS) {
            fields.extend([("url", url.as_str()), ("url_title", title.as_str())]);
        }
        let base = call.config.api_url.as_deref().unwrap_or(API).trim_end_matches('/');
        check(&call.http.send(&Request::post(format!("{base}/1/messages.json")).form(&fields))?, call.now_ms)?;
        Ok(delivered())
    }
}

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    // With nothing left the reset may be weeks away: mag asks as seldom as it can, once an hour.
    let used_up = answer.header_value("x-limit-app-remaining").is_some_and(|left| left.trim() == "0");
    let reset = answer.header_value("x-limit-app-reset").filter(|_| answer.status == 429 && used_up);
    let after_s = reset.and_then(|reset| {
        let seconds = reset.trim().parse::<u64>().ok()?.saturating_sub(now_ms / 1_000);
        Some(u32::try_from(seconds).map_or(f64::MAX, f64::from))
    });
    answer.check_with(now_ms, "pushover", |body| {
        let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let each: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
        // About the account and not about this message: the next one would fare no better.
        let account = ["token", "user", "device"].iter().any(|key| body.get(*key).is_some());
        let kind = (account && answer.status != 429).then_some(FailureKind::Misconfigured);
        Said { text: each.join("; "), kind, after_s, ..Said::default() }
    })
}

mag_plugin_sdk::export!(Pushover);

#[cfg(test)]
mod tests;
