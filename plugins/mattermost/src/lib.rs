//! Tells notifications in a Mattermost channel: as a bot, or through an incoming webhook.
//!
//! Limits and errors are those of `https://developers.mattermost.com/api-documentation/` (Create a post, Patch a post, errors,
//! rate limiting: `api/v4/source/introduction.yaml`; an error is `{id, message, status_code}`; 429 with `X-Ratelimit-Reset`,
//! shown once as seconds and once as Unix time, on every answer) and
//! `https://developers.mattermost.com/integrate/webhooks/incoming/` (answered with `ok`); what each `id` means is in
//! `server/channels/app/{post,webhook}.go`. A post has at most 16,383 characters. All text of a message stands in code, in which Mattermost looks for no mention and no link.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said, encode, word};
use mag_plugin_sdk::layout::{self, CHAT, Limit};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Markup, Notification, Secrets, Sender,
    delivered, failure,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The sender.
#[derive(Debug)]
pub struct Mattermost;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is, when mag is a bot; or the incoming webhook's address, if it is no secret.
    #[serde(default)]
    pub url: Option<String>,
    /// The channel's id, when mag is a bot.
    #[serde(default)]
    pub channel_id: Option<String>,
}

/// Of one post.
const TEXT: Limit = Limit::Chars(16_383);
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;
/// Letters and digits of an id.
const ID_CHARS: usize = 26;

impl Sender for Mattermost {
    type Config = Config;

    fn about() -> About {
        let about = About::new("mattermost", env!("CARGO_PKG_VERSION"), "Tells notifications in a Mattermost channel.");
        About { markup: Markup::Markdown, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }
            .secret("token", false, &["header"], "a bot's access token, to post as a bot")
            .secret("url", false, &["path", "query"], "the incoming webhook's whole address, to post through it")
    }

    fn validate(config: &Config, secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        if secrets.get("token").is_none() {
            let channel = config.channel_id.is_none();
            return Checks::new()
                .webhook(config.url.as_deref(), secrets, &["POST"], "the Mattermost webhook")
                .must(channel, "/channel_id", "a webhook has its own channel: add secrets.token to post as a bot")
                .done();
        }
        let id = |id: &String| id.len() == ID_CHARS && id.bytes().all(|c| c.is_ascii_alphanumeric());
        Checks::new()
            .must(secrets.get("url").is_none(), "/url", "a bot or a webhook: take secrets.token or secrets.url away")
            .api("/url", config.url.as_deref().unwrap_or_default(), &["POST", "PUT"], "the Mattermost server")
            .must(
                config.channel_id.as_ref().is_some_and(id),
                "/channel_id",
                "the channel's id is needed, 26 letters and digits (channel menu, View Info)",
            )
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let text = layout::text(notification, &CHAT, TEXT);
        let Some(token) = call.secrets.get("token") else {
            let url = call.secrets.address(call.config.url.as_deref());
            let url = url.ok_or_else(|| failure::misconfigured("no-url", "the webhook's address is missing"))?;
            check(&call.http.send(&Request::post(url).json(&json!({ "text": text })))?, call.now_ms)?;
            return Ok(delivered());
        };
        let base = format!("{}/api/v4/posts", call.config.url.as_deref().unwrap_or_default().trim_end_matches('/'));
        let channel = call.config.channel_id.as_deref().unwrap_or_default();
        let ask = |request: Request| call.http.send(&request.header("authorization", format!("Bearer {token}")));
        post_or_change(
            notification,
            channel,
            |id| {
                let answer =
                    ask(Request::new("PUT", format!("{base}/{}/patch", encode(id))).json(&json!({ "message": text })))?;
                // A post that was deleted, or that mag may not edit any more.
                let id = said_id(&answer);
                let of_the_post = matches!(answer.status, 403 | 404) && id.contains("post");
                if of_the_post || (answer.status == 400 && id.starts_with("api.post.update_post.")) {
                    return Ok(false);
                }
                check(&answer, call.now_ms).map(|()| true)
            },
            || {
                let answer = ask(Request::post(&base).json(&json!({ "channel_id": channel, "message": text })))?;
                check(&answer, call.now_ms)?;
                Ok(word(&answer.json()?, "/id"))
            },
        )
    }
}

/// The error's id: `app.post.get.app_error`, `api.context.permissions.app_error`, …
fn said_id(answer: &Response) -> String {
    word(&answer.json().unwrap_or_default(), "/id")
}

/// What Mattermost answers 400 or 501 to, though no other message would fare better: a channel that is archived, a webhook
/// that was deleted, webhooks that are switched off.
const OF_THE_PLACE: [&str; 3] = [
    "api.post.create_post.can_not_post_to_deleted.error",
    "web.incoming_webhook.invalid.app_error",
    "web.incoming_webhook.disabled.app_error",
];
/// Anything from here on is Unix time.
const UNIX_TIME_S: u64 = 500_000_000;

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    let reset = answer.header_value("x-ratelimit-reset").filter(|_| answer.status == 429);
    let reset = reset.and_then(|seconds| seconds.trim().parse::<u64>().ok()).map(|seconds| {
        let seconds = if seconds >= UNIX_TIME_S { seconds.saturating_sub(now_ms / 1_000) } else { seconds };
        u32::try_from(seconds).map_or(f64::MAX, f64::from)
    });
    answer.check_with(now_ms, "mattermost", |body| {
        let said = Said::read(body, "/id", "/message");
        let place = OF_THE_PLACE.contains(&said.code.as_str());
        Said { after_s: reset, kind: place.then_some(FailureKind::Misconfigured), ..said }
    })
}

mag_plugin_sdk::export!(Mattermost);

#[cfg(test)]
mod tests;
