//! Tells notifications in a Discord channel, through a webhook.
//!
//! Limits and errors are those of Discord's documentation: `https://discord.com/developers/docs/resources/webhook`
//! (Execute Webhook, Edit Webhook Message), `…/resources/message#embed-object-embed-limits` (a description of 4,096
//! characters, a title of 256, 6,000 in all), `…/topics/rate-limits` (429 with `retry_after` in seconds). No text of a
//! message can mention anybody: Discord is told to parse no mentions, and all of it stands in code.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said, encode, with_query};
use mag_plugin_sdk::layout::{self, CHAT, Limit, Style};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, Markup, Notification, Secrets, Sender, failure, set, time,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct Discord;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The webhook's address; it holds a token, so it rather stands in `secrets.url`.
    #[serde(default)]
    pub url: Option<String>,
    /// A thread of the webhook's channel.
    #[serde(default)]
    pub thread_id: Option<String>,
    /// The name that the message is posted under, instead of the webhook's own.
    #[serde(default)]
    pub username: Option<String>,
}

/// Of an embed's description.
const TEXT: Limit = Limit::Chars(4_096);
/// An embed's colour shows the severity, and its title says it.
const STYLE: Style = Style { severity: false, ..CHAT };
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;
/// Of a name.
const USERNAME_CHARS: usize = 80;
/// Discord refuses each message under such a name (Create Webhook: a name cannot contain these).
const NOT_IN_A_NAME: [&str; 2] = ["clyde", "discord"];

impl Sender for Discord {
    type Config = Config;

    fn about() -> About {
        let about = About::new("discord", env!("CARGO_PKG_VERSION"), "Tells notifications in a Discord channel.");
        About { markup: Markup::Markdown, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "url",
            false,
            &["path", "query"],
            "the webhook's whole address (channel settings, Integrations, Webhooks)",
        )
    }

    fn validate(config: &Config, secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let query = config.url.as_ref().is_none_or(|url| !url.contains('?'));
        let snowflake = |id: &String| !id.is_empty() && id.bytes().all(|c| c.is_ascii_digit());
        let name = |name: &String| (1..=USERNAME_CHARS).contains(&name.trim().chars().count());
        let taken = |name: &String| NOT_IN_A_NAME.iter().any(|word| name.to_lowercase().contains(word));
        Checks::new()
            .webhook(config.url.as_deref(), secrets, &["POST", "PATCH"], "the Discord webhook")
            .must(query, "/url", "the webhook's address has no query: set thread_id for a thread")
            .must(config.thread_id.as_ref().is_none_or(snowflake), "/thread_id", "the thread's id, a number, is needed")
            .must(config.username.as_ref().is_none_or(name), "/username", "a name has 1 to 80 characters")
            .must(!config.username.as_ref().is_some_and(taken), "/username", "Discord lets nobody be called that")
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let url = call.secrets.address(call.config.url.as_deref());
        let url = url.ok_or_else(|| failure::misconfigured("no-url", "the webhook's address is missing"))?;
        let url = url.trim_end_matches('/');
        let message = message(notification, call.config);
        let thread = call.config.thread_id.as_deref().unwrap_or_default();
        post_or_change(
            notification,
            thread,
            |id| {
                let answer = ask(
                    call,
                    Request::new("PATCH", in_thread(&format!("{url}/messages/{}", encode(id)), thread)),
                    &message,
                )?;
                if answer.status == 404 && said(&answer) == UNKNOWN_MESSAGE {
                    return Ok(false);
                }
                check(&answer, call.now_ms).map(|()| true)
            },
            || {
                let answer = ask(call, Request::post(in_thread(&with_query(url, "wait", "true"), thread)), &message)?;
                check(&answer, call.now_ms)?;
                Ok(mag_plugin_sdk::http::word(&answer.json()?, "/id"))
            },
        )
    }
}

fn in_thread(url: &str, thread: &str) -> String {
    if thread.is_empty() { url.to_owned() } else { with_query(url, "thread_id", thread) }
}

fn message(notification: &Notification, config: &Config) -> Value {
    let embed = json!({
        "title": layout::headline(notification),
        "description": layout::text(notification, &STYLE, TEXT),
        "color": layout::tone(notification).colour(),
        "timestamp": time::rfc3339_ms(notification.sent_at),
    });
    let mut message = json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } });
    if let Some(name) = &config.username {
        set(&mut message, "username", json!(name.trim()));
    }
    message
}

fn ask(call: &Call<'_, Config>, request: Request, message: &Value) -> Result<Response, Failure> {
    Ok(call.http.send(&request.json(message))?)
}

/// `Unknown Message`: it was deleted.
const UNKNOWN_MESSAGE: u64 = 10_008;

fn said(answer: &Response) -> u64 {
    answer.json::<Value>().ok().and_then(|body| body.get("code")?.as_u64()).unwrap_or_default()
}

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    answer.check_with(now_ms, "discord", |body| Said {
        after_s: body.get("retry_after").and_then(Value::as_f64),
        ..Said::read(body, "/code", "/message")
    })
}

mag_plugin_sdk::export!(Discord);

#[cfg(test)]
mod tests;
