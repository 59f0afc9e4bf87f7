//! Tells notifications in a Matrix room, with the client-server API.
//!
//! Limits and errors are those of `https://spec.matrix.org/latest/client-server-api/`: `PUT …/send/m.room.message/{txnId}`
//! (the same transaction is answered with the same event, so that nothing is told twice), events of 65,536 bytes,
//! `M_LIMIT_EXCEEDED` with `retry_after_ms`, edits by `m.replace`, `m.mentions` (empty: nobody is pinged, whatever the text
//! says). The room must not be encrypted: mag has no keys.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Response, Said, encode, word};
use mag_plugin_sdk::layout::{self, HTML, Limit, PLAIN, Style};
use mag_plugin_sdk::receipt::post_or_change;
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Markup, Notification, Secrets, Sender, failure,
    set,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct Matrix;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the homeserver is.
    pub url: String,
    /// The room's id: `!abc:example.org`.
    pub room: String,
    /// Sent as a notice, for which clients make no sound.
    #[serde(default)]
    pub notice: bool,
}

/// A quarter of an event's 65,536 bytes, less what is around: an edit holds the text four times.
const TEXT: Limit = Limit::Json(15_000);
/// A digest longer than this is for reading elsewhere.
const MAX_GROUPS: u32 = 100;
/// Lines of HTML are ended by a tag.
const STYLE: Style = Style { labels: 4, ..HTML };

impl Sender for Matrix {
    type Config = Config;

    fn about() -> About {
        let about = About::new("matrix", env!("CARGO_PKG_VERSION"), "Tells notifications in a Matrix room.");
        About { markup: Markup::Html, max_groups: Some(MAX_GROUPS), updates_in_place: true, ..about }.secret(
            "token",
            true,
            &["header"],
            "an access token of the user that tells",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let room = config.room.starts_with('!') && config.room.len() > 1;
        Checks::new()
            .api("/url", &config.url, &["PUT"], "the Matrix homeserver")
            .must(room, "/room", "the room's id is needed, as in !abc:example.org (room settings, Advanced)")
            .done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let content = content(notification, call.config);
        let check = |answer: &Response| check(answer, call.now_ms);
        post_or_change(
            notification,
            &call.config.room,
            |id| {
                // A transaction of its own: what a homeserver refused under one it may refuse again.
                let answer = put(call, &format!("{}-edit", notification.id), &replacing(id, &content))?;
                // The specification knows no such answer, Synapse does; other servers take an edit of nothing.
                if answer.status == 400 && word(&answer.json().unwrap_or_default(), "/error").contains("unknown event")
                {
                    return Ok(false);
                }
                check(&answer).map(|()| true)
            },
            || {
                let answer = put(call, &notification.id, &content)?;
                check(&answer)?;
                Ok(word(&answer.json()?, "/event_id"))
            },
        )
    }
}

fn content(notification: &Notification, config: &Config) -> Value {
    json!({
        "msgtype": if config.notice { "m.notice" } else { "m.text" },
        "body": layout::text(notification, &PLAIN, TEXT),
        "format": "org.matrix.custom.html",
        "formatted_body": layout::text(notification, &STYLE, TEXT).replace('\n', "<br>"),
        "m.mentions": {},
    })
}

/// The event that puts this content in the place of an earlier one. What clients that know no edits show is the whole
/// text, with the mark that the specification gives for it.
fn replacing(id: &str, content: &Value) -> Value {
    let mut edit = content.clone();
    set(&mut edit, "body", json!(format!("* {}", word(content, "/body"))));
    set(&mut edit, "m.new_content", content.clone());
    set(&mut edit, "m.relates_to", json!({ "rel_type": "m.replace", "event_id": id }));
    edit
}

/// Sends an event.
fn put(call: &Call<'_, Config>, transaction: &str, content: &Value) -> Result<Response, Failure> {
    let token = call
        .secrets
        .get("token")
        .ok_or_else(|| failure::misconfigured("no-token", "add secrets.token to the sender"))?;
    let (base, room) = (call.config.url.trim_end_matches('/'), encode(&call.config.room));
    let url = format!("{base}/_matrix/client/v3/rooms/{room}/send/m.room.message/{}", encode(transaction));
    let request = Request::new("PUT", url).header("authorization", format!("Bearer {token}")).json(content);
    Ok(call.http.send(&request)?)
}

fn check(answer: &Response, now_ms: u64) -> Result<(), Failure> {
    answer.check_with(now_ms, "the homeserver", |body| {
        let said = Said::read(body, "/errcode", "/error");
        let limited = said.code == "M_LIMIT_EXCEEDED";
        let after_s = body.get("retry_after_ms").and_then(Value::as_f64).map(|ms| ms / 1_000.0);
        Said { after_s, kind: limited.then_some(FailureKind::RateLimited), ..said }
    })
}

mag_plugin_sdk::export!(Matrix);

#[cfg(test)]
mod tests;
