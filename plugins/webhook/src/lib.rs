//! Tells notifications as JSON to an HTTP endpoint, by POST. The body's schema is `body.schema.json`, or with a preset what
//! an alert service takes.

#![forbid(unsafe_code)]

mod body;
mod preset;

use std::collections::BTreeMap;

pub use preset::Preset;

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::Request;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, Notification, Secrets, Sender, delivered, failure,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sender.
#[derive(Debug)]
pub struct Webhook;

/// `config` in `mag.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where notifications are sent, `https://…` or `http://…`; where it is a secret as a whole, `secrets.url` instead.
    #[serde(default)]
    pub url: Option<String>,
    /// Raises and closes alerts at a service of this kind, instead of telling all in one body.
    #[serde(default)]
    pub preset: Option<Preset>,
    /// Further headers of each request; values may hold `${secret:NAME}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// The secret that requests are signed with, where there is one.
const SIGNING: &str = "signing";
/// mag lets no larger body out of a sandbox.
const BODY_BYTES: usize = 1024 * 1024;
/// Headers that the sender or the connection sets itself.
const OWN_HEADERS: [&str; 10] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "transfer-encoding",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

impl Sender for Webhook {
    type Config = Config;

    fn about() -> About {
        About::new("webhook", env!("CARGO_PKG_VERSION"), "Tells notifications as JSON to an HTTP endpoint.")
            .secret("url", false, &["path", "query"], "the endpoint's whole address, where it is a secret")
            .secret(
                SIGNING,
                false,
                &["sign", "standard-webhooks"],
                "the key that Standard Webhooks are signed with: whsec_ and base64",
            )
            .secret("key", false, &["header"], "the API key, with preset = \"opsgenie\"")
    }

    fn validate(config: &Config, secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let mut checks = Checks::new();
        for (name, value) in &config.headers {
            if let Some(why) = wrong_header(name, value) {
                let key = name.replace('~', "~0").replace('/', "~1");
                checks = checks.must(false, &format!("/headers/{key}"), why);
            }
        }
        let typed = config.url.as_deref();
        let typed = if secrets.get("url").is_some() { typed } else { typed.or(config.preset.and_then(Preset::url)) };
        checks.webhook(typed, secrets, &["POST"], "the webhook's url").done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let config = call.config;
        let url = call.secrets.address(config.url.as_deref()).or(config.preset.and_then(Preset::url));
        let url = url.ok_or_else(|| failure::misconfigured("no-url", "the webhook's address is missing"))?;
        if let Some(preset) = config.preset {
            return preset::send(call, notification, preset, url);
        }
        let mut request = Request::post(url)
            .header("user-agent", concat!("mag/", env!("CARGO_PKG_VERSION")))
            .header("idempotency-key", &notification.id)
            .header("webhook-id", &notification.id)
            .header("webhook-timestamp", (call.now_ms / 1_000).to_string())
            .json(&body::Body::from(notification).fit(BODY_BYTES));
        for (name, value) in &config.headers {
            request = request.header(name, value);
        }
        if call.secrets.get(SIGNING).is_some() {
            request = request.standard_webhooks(SIGNING);
        }
        call.http.send(&request)?.check(call.now_ms)?;
        Ok(delivered())
    }
}

fn wrong_header(name: &str, value: &str) -> Option<&'static str> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)) {
        return Some("not a valid name of a header");
    }
    if OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Some("this header is set by the sender itself");
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Some("a header's value has no line ends or control characters");
    }
    None
}

mag_plugin_sdk::export!(Webhook);

#[cfg(test)]
mod tests;
