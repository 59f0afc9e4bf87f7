//! Tells notifications in a Google Chat space, through a webhook.
//!
//! Limits and errors are those of `https://developers.google.com/workspace/chat/quickstart/webhooks`, `…/chat/limits` (one
//! message a second and space) and `…/chat/api/reference/rest/v1/spaces.messages` (32,000 bytes with cards). Text stands in
//! a card as HTML, where a mention has to be `<users/…>`, so that escaping takes every meaning from it. A webhook cannot
//! change what it posted: what is told again of a group comes as a reply in its thread.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Said, with_query};
use mag_plugin_sdk::layout::{self, HTML, Limit, Style};
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, Markup, Notification, Secrets, Sender, delivered, failure,
    set, text,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct GoogleChat;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The webhook's address; it holds a key and a token, so it rather stands in `secrets.url`.
    #[serde(default)]
    pub url: Option<String>,
    /// Each group has a thread of its own.
    #[serde(default)]
    pub threads: bool,
}

/// Of the card's text: 32,000 bytes less what the card is around it.
const TEXT: Limit = Limit::Json(24_000);
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;

/// Cards know no code; a colour makes text from messages stand out. Links are buttons.
const STYLE: Style = Style {
    foreign: |foreign| format!("<font color=\"#5f6368\">{}</font>", text::html(&text::shown_line(foreign))),
    link: |_, _| String::new(),
    ..HTML
};

impl Sender for GoogleChat {
    type Config = Config;

    fn about() -> About {
        let about = About::new("googlechat", env!("CARGO_PKG_VERSION"), "Tells notifications in a Google Chat space.");
        About { markup: Markup::Html, max_groups: Some(MAX_GROUPS), ..about }.secret(
            "url",
            false,
            &["path", "query"],
            "the webhook's whole address (space menu, Apps & integrations, Webhooks)",
        )
    }

    fn validate(config: &Config, secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        Checks::new().webhook(config.url.as_deref(), secrets, &["POST"], "the Google Chat webhook").done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let url = call.secrets.address(call.config.url.as_deref());
        let url = url.ok_or_else(|| failure::misconfigured("no-url", "the webhook's address is missing"))?;
        let (mut url, mut message) = (url.to_owned(), message(notification));
        if let (true, [group]) = (call.config.threads, notification.groups.as_slice()) {
            set(&mut message, "thread", json!({ "threadKey": group.id }));
            url = with_query(&url, "messageReplyOption", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");
        }
        let answer = call
            .http
            .send(&Request::post(url).header("content-type", "application/json; charset=UTF-8").json(&message))?;
        answer.check_with(call.now_ms, "google", |body| Said::read(body, "/error/status", "/error/message"))?;
        Ok(delivered())
    }
}

fn message(notification: &Notification) -> Value {
    let text = layout::text(notification, &STYLE, TEXT);
    let mut widgets = vec![json!({ "textParagraph": { "text": text.trim_end().replace('\n', "<br>") } })];
    let links = layout::addresses(notification);
    let button = |(title, url): &(String, String)| json!({ "text": title, "onClick": { "openLink": { "url": url } } });
    if !links.is_empty() {
        widgets.push(json!({ "buttonList": { "buttons": links.iter().map(button).collect::<Vec<_>>() } }));
    }
    let headline = layout::headline(notification);
    let card = json!({ "header": { "title": headline }, "sections": [{ "widgets": widgets }] });
    json!({ "fallbackText": headline, "cardsV2": [{ "cardId": "mag", "card": card }] })
}

mag_plugin_sdk::export!(GoogleChat);

#[cfg(test)]
mod tests;
