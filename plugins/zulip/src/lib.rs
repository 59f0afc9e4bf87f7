//! Tells notifications in a Zulip channel, or to people directly, as a bot.
//!
//! Limits and errors are those of `https://zulip.com/api/` (Send a message, Edit a message: 10,000 characters, a topic of
//! 60; Error handling: `{result, msg, code}`, of which only `code` is the same in every language; 429 with `retry-after` in
//! seconds, 200 requests a minute). All text of a message stands in code, in which Zulip looks for no mention, link or
//! emoji.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said, encode, word};
use mag_plugin_sdk::layout::{self, CHAT, Limit};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Markup, Notification, Secrets, Sender,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// The sender.
#[derive(Debug)]
pub struct Zulip;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is.
    pub url: String,
    /// The bot's e-mail address.
    pub email: String,
    /// The channel's name.
    #[serde(default)]
    pub channel: Option<String>,
    /// The topic in the channel; the sender's name in `mag.toml` unless set.
    #[serde(default)]
    pub topic: Option<String>,
    /// Instead of a channel: the e-mail addresses of the people who are told, together.
    #[serde(default)]
    pub people: Vec<String>,
}

/// Of one message.
const TEXT: Limit = Limit::Chars(10_000);
/// Of a topic.
const TOPIC: Limit = Limit::Chars(60);
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;

impl Sender for Zulip {
    type Config = Config;

    fn about() -> About {
        let about = About::new("zulip", env!("CARGO_PKG_VERSION"), "Tells notifications in a Zulip channel.");
        About { markup: Markup::Markdown, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "api_key",
            true,
            &["basic"],
            "the bot's API key",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let filled = |name: &String| !name.trim().is_empty();
        let one = config.channel.as_ref().is_some_and(filled) != config.people.iter().any(filled);
        let topic = config.topic.as_ref().is_none_or(|topic| filled(topic) && TOPIC.taken(topic) <= TOPIC.most());
        let email =
            |email: &str| email.contains('@') && email.chars().all(|c| c.is_ascii_graphic() && c != ';' && c != ':');
        let mut checks = Checks::new()
            .api("/url", &config.url, &["POST", "PATCH"], "the Zulip server")
            .must(email(&config.email), "/email", "the bot's e-mail address is needed")
            .must(one, "/channel", "either a channel or people are needed")
            .must(topic, "/topic", "a topic has 1 to 60 characters");
        for (at, person) in config.people.iter().enumerate() {
            checks = checks.must(email(person), &format!("/people/{at}"), "an e-mail address is needed");
        }
        checks.done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let config = call.config;
        let text = layout::text(notification, &CHAT, TEXT);
        let people = serde_json::to_string(&config.people).unwrap_or_default();
        let topic = TOPIC.shown(config.topic.as_deref().unwrap_or(&notification.sender));
        let to = config.channel.as_deref().map_or(people.as_str(), str::trim);
        post_or_change(
            notification,
            to,
            |id| {
                let answer = ask(call, "PATCH", &format!("messages/{}", encode(id)), &[("content", &text)])?;
                // A message that is gone, too old or not the bot's: the sentence that says so is in the bot's language. What
                // is wrong with the text itself is said again when it is sent anew.
                if answer.status == 400 && word(&answer.json().unwrap_or_default(), "/code") == "BAD_REQUEST" {
                    return Ok(false);
                }
                check(&answer, call.now_ms).map(|()| true)
            },
            || {
                let kind = if config.channel.is_some() { "stream" } else { "private" };
                let mut fields = vec![("type", kind), ("to", to), ("content", &text)];
                if config.channel.is_some() {
                    fields.push(("topic", &topic));
                }
                let answer = ask(call, "POST", "messages", &fields)?;
                check(&answer, call.now_ms)?;
                Ok(word(&answer.json()?, "/id"))
            },
        )
    }
}

fn ask(call: &Call<'_, Config>, method: &str, path: &str, fields: &[(&str, &str)]) -> Result<Response, Failure> {
    let url = format!("{}/api/v1/{path}", call.config.url.trim_end_matches('/'));
    Ok(call.http.send(&Request::new(method, url).basic(&call.config.email, "api_key").form(fields))?)
}

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    answer.check_with(now_ms, "zulip", |body| {
        let said = Said::read(body, "/code", "/msg");
        // Zulip answers 400 to a channel or a person that is not there or not open to the bot.
        let place = ["STREAM_DOES_NOT_EXIST", "CHANNEL_DOES_NOT_EXIST", "STREAM_NOT_FOUND"]
            .contains(&said.code.as_str())
            || ["Not authorized to send", "Invalid email"].iter().any(|said_of| said.text.contains(said_of));
        let after_s = body.get("retry-after").and_then(Value::as_f64);
        Said { after_s, kind: place.then_some(FailureKind::Misconfigured), ..said }
    })
}

mag_plugin_sdk::export!(Zulip);

#[cfg(test)]
mod tests;
