//! Tells notifications through ntfy, on phones and desktops.
//!
//! Limits and errors are those of `https://docs.ntfy.sh/publish/` (Publish as JSON; a message of 4,096 bytes, longer ones
//! become attachments; a title of 1 KiB; three action buttons), of `…/config/#rate-limiting` and of the server itself
//! (`server/errors.go`; `server/server.go` reads a body of JSON up to twice a message's length, escapes counted). A message
//! is brought up to date by its id as `sequence_id` (ntfy 2.16 or later; an older server tells it anew). ntfy reads no
//! markup here.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Said, word};
use mag_plugin_sdk::layout::{self, Limit, PLAIN, Style, Tone};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Notification, Secrets, Sender, set,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct Ntfy;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The topic's name. On a server that anybody may use it is as good as a password.
    pub topic: String,
    /// Where the server is; `https://ntfy.sh` unless set.
    #[serde(default)]
    pub url: Option<String>,
}

/// Of one message: a longer one would become a file. Measured as JSON, so that the body has room for the rest.
const TEXT: Limit = Limit::Json(4_096);
/// Of a title: ntfy takes 1 KiB, a phone shows a line or two.
const TITLE: Limit = Limit::Bytes(250);
/// Of the whole request, less what a `sequence_id` takes (64 characters and its name).
const BODY_BYTES: usize = 8_192 - 100;
/// Links that become buttons; they are in no other place.
const BUTTONS: usize = 3;
/// The public server.
const SERVER: &str = "https://ntfy.sh";
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 50;
/// Links are buttons, not lines.
const STYLE: Style = Style { link: |_, _| String::new(), ..PLAIN };

impl Sender for Ntfy {
    type Config = Config;

    fn about() -> About {
        let about = About::new("ntfy", env!("CARGO_PKG_VERSION"), "Tells notifications through ntfy.");
        About { max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "token",
            false,
            &["header"],
            "an access token (tk_…), where the topic is protected",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let topic = (1..=64).contains(&config.topic.len()) && config.topic.chars().all(allowed);
        Checks::new()
            .must(topic, "/topic", "a topic has 1 to 64 letters, digits, - and _")
            .api("/url", config.url.as_deref().unwrap_or(SERVER), &["POST"], "the ntfy server")
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let message = message(notification, &call.config.topic);
        post_or_change(
            notification,
            &call.config.topic,
            |id| {
                let mut change = message.clone();
                set(&mut change, "sequence_id", json!(id));
                publish(call, &change).map(|_| true)
            },
            || publish(call, &message),
        )
    }
}

fn message(notification: &Notification, topic: &str) -> Value {
    let (priority, tag) = match layout::tone(notification) {
        Tone::Resolved => (3, Some("white_check_mark")),
        Tone::Quiet => (2, None),
        Tone::Normal => (3, None),
        Tone::Warning => (3, Some("warning")),
        Tone::Error => (4, Some("rotating_light")),
        Tone::Critical => (5, Some("rotating_light")),
    };
    let mut message = json!({
        "topic": topic,
        "title": layout::title(notification, TITLE),
        "message": layout::text(notification, &STYLE, TEXT).trim_end(),
        "priority": priority,
    });
    if let Some(tag) = tag {
        set(&mut message, "tags", json!([tag]));
    }
    let links = layout::addresses(notification);
    let button = |(title, url): &(String, String)| json!({ "action": "view", "label": title, "url": url });
    for shown in 1..=links.len().min(BUTTONS) {
        let mut more = message.clone();
        set(&mut more, "click", links.first().map(|(_, url)| json!(url)).into());
        set(&mut more, "actions", links.iter().take(shown).map(button).collect());
        if more.to_string().len() > BODY_BYTES {
            break;
        }
        message = more;
    }
    message
}

/// Publishes it and gives its id.
fn publish(call: &Call<'_, Config>, message: &Value) -> Result<String, Failure> {
    let mut request = Request::post(call.config.url.as_deref().unwrap_or(SERVER)).json(message);
    if let Some(token) = call.secrets.get("token") {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = call.http.send(&request)?;
    answer.check_with(call.now_ms, "ntfy", |body| {
        let said = Said::read(body, "/code", "/error");
        // The topic is the config's: no message would be taken there.
        let topic = matches!(said.code.as_str(), "40009" | "40010");
        Said { kind: topic.then_some(FailureKind::Misconfigured), ..said }
    })?;
    Ok(word(&answer.json()?, "/id"))
}

mag_plugin_sdk::export!(Ntfy);

#[cfg(test)]
mod tests;
