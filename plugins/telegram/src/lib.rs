//! Tells notifications in a Telegram chat, as a bot.
//!
//! Limits and errors are those of `https://core.telegram.org/bots/api` (sendMessage and editMessageText: 4,096
//! characters; `ResponseParameters`: `retry_after`, `migrate_to_chat_id`) and `…/bots/faq` (20 messages a minute into a
//! group). All text of a message stands in `code`, in which Telegram looks for no mention, link, hashtag or command.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said, word};
use mag_plugin_sdk::layout::{self, HTML, Limit, Tone};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Markup, Notification, Secrets, Sender, failure,
    set,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct Telegram;

/// `config` in `mag.toml`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The chat's number, or a public channel's name with its `@`.
    pub chat_id: ChatId,
    /// A topic of a forum.
    #[serde(default)]
    pub message_thread_id: Option<u64>,
    /// What is less than a warning comes without a sound.
    #[serde(default)]
    pub silent: bool,
    /// Where the Bot API is, without a slash at the end; for a server of one's own and tests.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// How Telegram names a chat.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ChatId {
    /// Groups and channels are negative.
    Number(i64),
    /// `@channel`, or a number in quotes.
    Name(String),
}

impl ChatId {
    fn name(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Name(name) => name.trim().to_owned(),
        }
    }
}

/// Of one message.
const TEXT: Limit = Limit::Chars(4_096);
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;
/// Telegram itself.
const API: &str = "https://api.telegram.org";

impl Sender for Telegram {
    type Config = Config;

    fn about() -> About {
        let about = About::new("telegram", env!("CARGO_PKG_VERSION"), "Tells notifications in a Telegram chat.");
        About { markup: Markup::Html, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "token",
            true,
            &["path"],
            "the bot's token, from @BotFather",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let name = config.chat_id.name();
        let known = name.starts_with('@') && name.len() > 1 || name.parse::<i64>().is_ok_and(|number| number != 0);
        Checks::new()
            .must(known, "/chat_id", "the chat's number is needed, as in -1001234567890, or a channel's @name")
            .api("/api_url", config.api_url.as_deref().unwrap_or(API), &["POST"], "Telegram's Bot API")
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let chat = call.config.chat_id.name();
        let message = json!({
            "chat_id": chat,
            "text": layout::text(notification, &HTML, TEXT),
            "parse_mode": "HTML",
            "link_preview_options": { "is_disabled": true },
        });
        post_or_change(
            notification,
            &chat,
            |id| {
                let mut change = message.clone();
                set(&mut change, "message_id", json!(id.parse::<i64>().unwrap_or_default()));
                let answer = ask(call, "editMessageText", &change)?;
                let said = said(&answer);
                if said.contains("message is not modified") {
                    return Ok(true);
                }
                let gone = GONE.iter().any(|gone| said.contains(gone));
                if gone { Ok(false) } else { check(&answer, call.now_ms).map(|()| true) }
            },
            || post(call, notification, message.clone()),
        )
    }
}

/// What Telegram says of a chat or a topic into which the bot cannot write.
const OF_THE_CHAT: [&str; 8] = [
    "chat not found",
    "not enough rights",
    "have no rights",
    "need administrator rights",
    "message thread not found",
    "CHAT_WRITE_FORBIDDEN",
    "TOPIC_CLOSED",
    "TOPIC_DELETED",
];
/// What Telegram says of a message that cannot be changed (any more).
const GONE: [&str; 3] = ["message to edit not found", "message can't be edited", "MESSAGE_ID_INVALID"];

/// Posts it, once more where a group has moved: it keeps its old id in the config until a person changes it.
fn post(call: &Call<'_, Config>, notification: &Notification, mut message: Value) -> Result<String, Failure> {
    if let Some(thread) = call.config.message_thread_id {
        set(&mut message, "message_thread_id", json!(thread));
    }
    if call.config.silent && layout::tone(notification) < Tone::Warning {
        set(&mut message, "disable_notification", json!(true));
    }
    let mut answer = ask(call, "sendMessage", &message)?;
    if let Some(moved) = body(&answer).pointer("/parameters/migrate_to_chat_id").and_then(Value::as_i64) {
        say(&format!("the group is a supergroup now: set chat_id = {moved}"));
        set(&mut message, "chat_id", json!(moved));
        answer = ask(call, "sendMessage", &message)?;
    }
    check(&answer, call.now_ms)?;
    Ok(word(&answer.json()?, "/result/message_id"))
}

fn ask(call: &Call<'_, Config>, method: &str, message: &Value) -> Result<Response, Failure> {
    let token = call
        .secrets
        .get("token")
        .ok_or_else(|| failure::misconfigured("no-token", "add secrets.token to the sender"))?;
    let base = call.config.api_url.as_deref().unwrap_or(API).trim_end_matches('/');
    Ok(call.http.send(&Request::post(format!("{base}/bot{token}/{method}")).json(message))?)
}

fn body(answer: &Response) -> Value {
    answer.json().unwrap_or_default()
}

fn said(answer: &Response) -> String {
    word(&body(answer), "/description")
}

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    answer.check_with(now_ms, "telegram", |body| {
        let said = Said::read(body, "", "/description");
        // About the chat and not about this message: the next one would fare no better. The Bot API's own documentation
        // lists no descriptions; the words in capitals are those of https://core.telegram.org/method/messages.sendMessage.
        let misconfigured = OF_THE_CHAT.iter().any(|word| said.text.contains(word));
        let after_s = body.pointer("/parameters/retry_after").and_then(Value::as_f64);
        Said { after_s, kind: misconfigured.then_some(FailureKind::Misconfigured), ..said }
    })
}

/// A line on standard error, which mag logs.
#[expect(clippy::print_stderr, reason = "a component's only log")]
fn say(line: &str) {
    eprintln!("{line}");
}

mag_plugin_sdk::export!(Telegram);

#[cfg(test)]
mod tests;
