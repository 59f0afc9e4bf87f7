//! Tells notifications in a Slack channel, with the Web API.
//!
//! `prepare` checks the token and looks up the people to mention; `send` posts one message, or brings one up to date. No
//! text of a message can mention anybody, link anywhere or change the layout beyond Slack's own bold and code marks.

#![forbid(unsafe_code)]

mod api;
mod form;
mod users;

use mag_plugin_sdk::config::mistake;
use mag_plugin_sdk::http::Url;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, Intent, Markup, Notification, Prepared, Secrets, Sender,
    delivered, text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sender.
#[derive(Debug)]
pub struct Slack;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The channel's id, or its name: `C012AB3CD`, `#ops`.
    pub channel: String,
    /// Who is mentioned: user names or display names, with or without `@`.
    #[serde(default)]
    pub mention: Vec<String>,
    /// Who is mentioned instead when a monitor's message is told.
    #[serde(default)]
    pub mention_monitor: Vec<String>,
    /// Where the Web API is, without a slash at the end; for proxies and tests.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// Names in one list: more people than this are better told by the channel itself, and the state must stay small.
const MENTIONS: usize = 100;
/// People come, go and change their names: look them up again after this.
const VALID_FOR_MS: u64 = 24 * 3_600_000;
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;

impl Sender for Slack {
    type Config = Config;

    fn about() -> About {
        let about = About::new("slack", env!("CARGO_PKG_VERSION"), "Tells notifications in a Slack channel.");
        About { markup: Markup::Mrkdwn, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "token",
            true,
            &["header"],
            "a bot token (xoxb-…) with chat:write, and users:read when people are mentioned",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let mut mistakes = Vec::new();
        if config.channel.trim().is_empty() {
            mistakes.push(mistake("/channel", "the channel's id or name is needed"));
        }
        for (key, list) in [("mention", &config.mention), ("mention_monitor", &config.mention_monitor)] {
            if list.len() > MENTIONS {
                mistakes.push(mistake(&format!("/{key}"), format!("at most {MENTIONS} people can be mentioned")));
            }
            let empty = |name: &String| users::wanted(name).is_empty();
            mistakes.extend(
                (0..)
                    .zip(list)
                    .filter(|(_, name)| empty(name))
                    .map(|(at, _): (usize, _)| mistake(&format!("/{key}/{at}"), "a user's name is needed")),
            );
        }
        match Url::parse(api::base(config)) {
            Err(why) => mistakes.push(mistake("/api_url", why)),
            Ok(url) if url.path_and_query.contains('?') => {
                mistakes.push(mistake("/api_url", "the address of an API has no query"));
            }
            Ok(url) if mistakes.is_empty() => {
                let methods = vec!["GET".to_owned(), "POST".to_owned()];
                return Ok(vec![Egress { origin: url.origin(), methods, why: "Slack's Web API".to_owned() }]);
            }
            Ok(_) => {}
        }
        Err(mistakes)
    }

    fn prepare(call: &Call<'_, Config>) -> Result<Prepared, Failure> {
        api::auth_test(call)?;
        let users = users::look_up(call)?;
        for name in users.nobody(call.config) {
            say(&format!("mention {} is nobody in this workspace, left out", text::quote(name)));
        }
        Ok(Prepared { state: users.to_bytes(), valid_for_ms: Some(VALID_FOR_MS) })
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let users = users::Users::from_bytes(call.state);
        let text = |max_chars| form::text(notification, call.config, &users, max_chars);
        if let Some(receipt) = Receipt::to_update(notification, call.config) {
            let updated = shorter_if_too_long(text, |text| api::update(call, &receipt.channel, &receipt.ts, text));
            match updated {
                Ok(updated) => return Ok(told(call.config, updated, true)),
                // It was deleted, or Slack does not let it be changed any more: a new one takes its place.
                Err(failure) if api::CANNOT_UPDATE.contains(&failure.code.as_str()) => {}
                Err(failure) => return Err(failure),
            }
        }
        let posted = shorter_if_too_long(text, |text| api::post_message(call, text))?;
        Ok(told(call.config, posted, false))
    }
}

/// Says it once more in fewer words when Slack finds it too long.
fn shorter_if_too_long(
    text: impl Fn(usize) -> String,
    say: impl Fn(&str) -> Result<api::Posted, Failure>,
) -> Result<api::Posted, Failure> {
    match say(&text(form::TEXT_CHARS)) {
        Err(failure) if failure.code == api::TOO_LONG => say(&text(form::SHORT_TEXT_CHARS)),
        said => said,
    }
}

fn told(config: &Config, posted: api::Posted, updated_in_place: bool) -> Delivered {
    // Two short words from Slack: this cannot fail, and a message without a receipt is told all the same.
    let receipt = Receipt { channel: posted.channel, ts: posted.ts, named: config.channel.clone() };
    let receipt = serde_json::to_vec(&receipt).ok();
    Delivered { receipt, updated_in_place, ..delivered() }
}

/// A line on standard error, which mag logs.
#[expect(clippy::print_stderr, reason = "a component's only log")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// What is needed to change the message or to answer under it.
#[derive(Debug, Deserialize, Serialize)]
struct Receipt {
    channel: String,
    ts: String,
    /// The channel as the config named it: in another one there is nothing to change.
    #[serde(default)]
    named: String,
}

impl Receipt {
    /// The message that is to be changed; one that cannot be read is as good as none.
    fn to_update(notification: &Notification, config: &Config) -> Option<Self> {
        let previous = notification.previous.as_ref().filter(|_| notification.intent == Intent::Update)?;
        serde_json::from_slice(previous).ok().filter(|receipt: &Self| receipt.named == config.channel)
    }
}

mag_plugin_sdk::export!(Slack);

#[cfg(test)]
mod tests;
