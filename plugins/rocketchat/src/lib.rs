//! Tells notifications in a Rocket.Chat room, with the REST API.
//!
//! Limits and errors are those of `https://developer.rocket.chat/apidocs` (Post Message, Update Message; an error is
//! `{success: false, error, errorType}`) and of the server's rate limiter (429 with `x-ratelimit-reset`, Unix time in
//! milliseconds). A message has at most 5,000 UTF-16 units unless the server is set otherwise
//! (`apps/meteor/app/api/server/v1/chat.ts`). All text of a message stands in code; since older servers look for mentions
//! there too, `@` is shown as `＠`. Previews are switched off where the server knows how (`parseUrls` was missing from
//! `packages/rest-typings/src/v1/chat.ts` of 7.4, which refuses what it does not know: pull request 36265 of the server).

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said, word};
use mag_plugin_sdk::layout::{self, CHAT, Limit, Style};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Markup, Notification, Secrets, Sender, failure,
    text,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct RocketChat;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is.
    pub url: String,
    /// The room: `#ops`, `@ann` or a room's id.
    pub channel: String,
    /// The id of the user that the token belongs to.
    pub user_id: String,
}

/// Of one message (`Message_MaxAllowedSize`).
const TEXT: Limit = Limit::Chars(5_000);
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;
/// Between id and room in a receipt's id; neither holds it.
const SEPARATOR: char = ' ';

/// One asterisk is bold, and nothing looks like a mention.
const STYLE: Style =
    Style { bold: |own| format!("*{own}*"), foreign: |foreign| text::chat_code(foreign).replace('@', "＠"), ..CHAT };

impl Sender for RocketChat {
    type Config = Config;

    fn about() -> About {
        let about = About::new("rocketchat", env!("CARGO_PKG_VERSION"), "Tells notifications in a Rocket.Chat room.");
        About { markup: Markup::Markdown, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "token",
            true,
            &["header"],
            "a personal access token of the user",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let id = !config.user_id.is_empty() && config.user_id.bytes().all(|c| c.is_ascii_alphanumeric());
        Checks::new()
            .api("/url", &config.url, &["POST"], "the Rocket.Chat server")
            .filled("/channel", &config.channel, "the room's name, as #ops, or its id")
            .must(id, "/user_id", "the id of the token's user is needed (it is shown with the token)")
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let text = layout::text(notification, &STYLE, TEXT);
        let channel = call.config.channel.trim();
        post_or_change(
            notification,
            channel,
            |id| {
                let (id, room) = id.split_once(SEPARATOR).unwrap_or((id, ""));
                let answer =
                    ask(call, "chat.update", &json!({ "roomId": room, "msgId": id, "text": text, "previewUrls": [] }))?;
                if GONE.iter().any(|gone| said(&answer).contains(gone)) {
                    return Ok(false);
                }
                check(&answer, call.now_ms).map(|()| true)
            },
            || {
                let answer =
                    ask(call, "chat.postMessage", &json!({ "channel": channel, "text": text, "parseUrls": false }))?;
                check(&answer, call.now_ms)?;
                let posted: Value = answer.json()?;
                Ok(format!("{}{SEPARATOR}{}", word(&posted, "/message/_id"), word(&posted, "/message/rid")))
            },
        )
    }
}

/// What Rocket.Chat says of a message that cannot be changed (any more).
const GONE: [&str; 4] = [
    "No message found",
    "The room id provided does not match",
    "error-message-editing-blocked",
    "error-action-not-allowed",
];

/// Asks once more without the switch for previews where the server does not know it: nothing was posted then.
fn ask(call: &Call<'_, Config>, method: &str, body: &Value) -> Result<Response, Failure> {
    let answer = ask_once(call, method, body)?;
    if answer.status != 400 || !said(&answer).contains("must NOT have additional properties") {
        return Ok(answer);
    }
    let mut plain = body.clone();
    if let Some(fields) = plain.as_object_mut() {
        fields.retain(|name, _| name != "parseUrls" && name != "previewUrls");
    }
    ask_once(call, method, &plain)
}

fn ask_once(call: &Call<'_, Config>, method: &str, body: &Value) -> Result<Response, Failure> {
    let token = call
        .secrets
        .get("token")
        .ok_or_else(|| failure::misconfigured("no-token", "add secrets.token to the sender"))?;
    let url = format!("{}/api/v1/{method}", call.config.url.trim_end_matches('/'));
    let request = Request::post(url).header("x-auth-token", token).header("x-user-id", &call.config.user_id);
    Ok(call.http.send(&request.json(body))?)
}

fn said(answer: &Response) -> String {
    let body: Value = answer.json().unwrap_or_default();
    format!("{} {}", word(&body, "/errorType"), word(&body, "/error"))
}

/// What Rocket.Chat answers 400 to: a room that is not there, or that is not open to this user.
const OF_THE_ROOM: [&str; 8] = [
    "error-invalid-channel",
    "error-invalid-room",
    "invalid-channel",
    "error-not-allowed",
    "error-room-archived",
    "room_is_blocked",
    "You_have_been_muted",
    "You are not allowed to send messages in this room",
];

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    let of_the_room = OF_THE_ROOM.iter().any(|word| said(answer).contains(word));
    let limited = said(answer).contains("error-too-many-requests");
    let kind = if limited { Some(FailureKind::RateLimited) } else { of_the_room.then_some(FailureKind::Misconfigured) };
    let after_s = answer.header_value("x-ratelimit-reset").and_then(|reset| seconds_until(reset, now_ms));
    let after_s = after_s.filter(|_| limited || answer.status == 429);
    answer.check_with(now_ms, "rocket.chat", |body| Said { after_s, kind, ..Said::read(body, "/errorType", "/error") })
}

/// From a time in Unix milliseconds.
fn seconds_until(reset: &str, now_ms: u64) -> Option<f64> {
    let reset: u64 = reset.trim().parse().ok()?;
    let seconds = u32::try_from(reset.saturating_sub(now_ms).div_ceil(1_000)).unwrap_or(u32::MAX);
    Some(f64::from(seconds))
}

mag_plugin_sdk::export!(RocketChat);

#[cfg(test)]
mod tests;
