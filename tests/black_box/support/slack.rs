//! A double of Slack's Web API that checks every request against the documented arguments of its method.
//!
//! What Slack would refuse it refuses the same way, and the test fails in the end.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use super::http::{Answer, Receiver, Request};
use super::record::Record;

/// The token that it knows; long and strange enough to be searched for.
pub(crate) const TOKEN: &str = "xoxb-canary-0a4f5c9e7d1b";

/// The longest text that the sender promises; Slack itself cuts at ten times as much.
const TEXT_CHARS: usize = 4_000;

/// The arguments of `chat.postMessage`, as <https://docs.slack.dev/reference/methods/chat.postMessage> lists them.
const POST_MESSAGE: [&str; 18] = [
    "as_user",
    "attachments",
    "blocks",
    "channel",
    "icon_emoji",
    "icon_url",
    "link_names",
    "markdown_text",
    "metadata",
    "mrkdwn",
    "parse",
    "reply_broadcast",
    "text",
    "thread_ts",
    "token",
    "unfurl_links",
    "unfurl_media",
    "username",
];
/// The arguments of `chat.update`, as <https://docs.slack.dev/reference/methods/chat.update> lists them.
const UPDATE: [&str; 13] = [
    "as_user",
    "attachments",
    "blocks",
    "channel",
    "file_ids",
    "link_names",
    "markdown_text",
    "metadata",
    "parse",
    "reply_broadcast",
    "text",
    "token",
    "ts",
];
/// The arguments of `users.list`.
const USERS_LIST: [&str; 5] = ["cursor", "include_locale", "limit", "team_id", "token"];

/// The id of the channel `#ops`.
const CHANNEL_ID: &str = "C012AB3CD";
/// The id of every message.
const TS: &str = "1503435956.000247";

/// The workspace: three pages of people, one channel.
pub(crate) struct Slack {
    receiver: Receiver,
    wrong: Arc<Record<String>>,
}

impl Slack {
    /// A workspace where ann is `U1ANN`, bob `U2BOB`, carol `U3CAROL` and mallory has left.
    pub(crate) fn start() -> Self {
        let wrong: Arc<Record<String>> = Arc::default();
        let found = Arc::clone(&wrong);
        let receiver = Receiver::answering(move |request| {
            let answer = answer(request);
            answer.unwrap_or_else(|(word, why)| {
                found.push(format!("{why}: {request:?}"));
                Answer::json(&json!({ "ok": false, "error": word }))
            })
        });
        Self { receiver, wrong }
    }

    /// What `api_url` must be.
    pub(crate) fn api_url(&self) -> String {
        self.receiver.url("/api")
    }

    /// The config of a sender `slack` that posts here and mentions ann and bob, or carol for monitors.
    pub(crate) fn sender(&self) -> String {
        let api_url = self.api_url();
        format!(
            "[senders.slack]\nplugin = \"slack\"\nsecrets.token = {{ env = \"SLACK_TOKEN\" }}\n[senders.slack.config]\n\
             channel = \"#ops\"\nmention = [\"ann\", \"@Bob\"]\nmention_monitor = [\"carol\", \"mallory\", \"nobody\"]\n\
             api_url = \"{api_url}\"\n"
        )
    }

    /// The next request is answered with this instead.
    pub(crate) fn answers_next(self, answer: Answer) -> Self {
        self.receiver.will_answer(answer);
        self
    }

    /// The requests of one method so far.
    pub(crate) fn requests(&self, method: &str) -> Vec<Request> {
        of_method(&self.receiver.requests(), method)
    }

    /// The `number`-th post, counted from 1, as soon as it came.
    #[track_caller]
    pub(crate) fn post(&self, number: usize) -> Request {
        let found = |all: &[Request]| of_method(all, "chat.postMessage").get(number.checked_sub(1)?).cloned();
        self.receiver.gets(&format!("post {number}"), found)
    }

    /// The text of the `number`-th change of a message, as soon as it came.
    #[track_caller]
    pub(crate) fn updated_text(&self, number: usize) -> String {
        let found = |all: &[Request]| of_method(all, "chat.update").get(number.checked_sub(1)?).cloned();
        let update = self.receiver.gets(&format!("update {number}"), found).json();
        update.get("text").and_then(Value::as_str).expect("an update has a text").to_owned()
    }

    /// The text of the `number`-th post.
    #[track_caller]
    pub(crate) fn text(&self, number: usize) -> String {
        let post = self.post(number).json();
        post.get("text").and_then(Value::as_str).expect("a post has a text").to_owned()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        let wrong = self.wrong.all();
        assert!(thread::panicking() || wrong.is_empty(), "Slack would not take this: {wrong:#?}");
    }
}

fn of_method(requests: &[Request], method: &str) -> Vec<Request> {
    requests.iter().filter(|request| method_of(request) == method).cloned().collect()
}

fn method_of(request: &Request) -> &str {
    let path = request.target.split('?').next().unwrap_or_default();
    path.strip_prefix("/api/").unwrap_or("unknown_method")
}

/// What Slack would answer, or its error word and why.
fn answer(request: &Request) -> Result<Answer, (&'static str, String)> {
    let wrong = |word: &'static str, why: &str| Err((word, why.to_owned()));
    if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return wrong("invalid_auth", "the token stands only in `Authorization: Bearer`");
    }
    if request.target.contains(TOKEN) || request.text().contains(TOKEN) {
        return wrong("invalid_auth", "the token stands where logs could show it");
    }
    match (method_of(request), request.method.as_str()) {
        ("auth.test", "POST") => {
            if !request.text().is_empty() {
                return wrong("invalid_arg_name", "auth.test has no arguments");
            }
            Ok(Answer::json(&json!({ "ok": true, "team": "T", "user": "mag", "user_id": "U0", "bot_id": "B0" })))
        }
        ("users.list", "GET") => users_list(request),
        ("chat.postMessage", "POST") => say(request, &POST_MESSAGE, "#ops"),
        ("chat.update", "POST") => say(request, &UPDATE, CHANNEL_ID),
        _ => wrong("unknown_method", "no such method, or not by this verb"),
    }
}

fn users_list(request: &Request) -> Result<Answer, (&'static str, String)> {
    let query = request.target.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let mut cursor = String::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if !USERS_LIST.contains(&name.as_ref()) {
            return Err(("invalid_arg_name", format!("users.list has no argument {name}")));
        }
        if name == "limit" && !value.parse().is_ok_and(|limit: u32| (1..1_000).contains(&limit)) {
            return Err(("invalid_limit", format!("a limit of {value}")));
        }
        if name == "cursor" {
            cursor = value.into_owned();
        }
    }
    let member = |id: &str, name: &str, deleted: bool| {
        let profile = json!({ "display_name": name.to_uppercase(), "real_name": name });
        json!({ "id": id, "name": name, "deleted": deleted, "is_bot": false, "profile": profile })
    };
    // Cursors are opaque; Slack's own hold characters that a query must escape.
    let (members, next) = match cursor.as_str() {
        "" => (vec![member("U1ANN", "ann", false), member("U9MAL", "mallory", true)], "dXNlcjpV+/1="),
        "dXNlcjpV+/1=" => (vec![member("U2BOB", "bob", false)], "dXNlcjpV&2=="),
        "dXNlcjpV&2==" => (vec![member("U3CAROL", "carol", false)], ""),
        _ => return Err(("invalid_cursor", format!("the cursor {cursor}"))),
    };
    let body = json!({ "ok": true, "members": members, "response_metadata": { "next_cursor": next } });
    Ok(Answer::json(&body))
}

/// Posts a message, or changes one.
fn say(request: &Request, known: &[&str], channel: &str) -> Result<Answer, (&'static str, String)> {
    let wrong = |word: &'static str, why: String| Err((word, why));
    if request.header("content-type") != Some("application/json; charset=utf-8") {
        return wrong("invalid_post_type", "without the charset Slack warns".to_owned());
    }
    let body = request.json();
    let Some(arguments) = body.as_object() else { return wrong("json_not_object", "no object".to_owned()) };
    if let Some(unknown) = arguments.keys().find(|name| !known.contains(&name.as_str())) {
        return wrong("invalid_arg_name", format!("{} has no argument {unknown}", method_of(request)));
    }
    let text = arguments.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        return wrong("no_text", "no text".to_owned());
    }
    if text.chars().count() > TEXT_CHARS {
        return wrong("msg_too_long", format!("{} characters", text.chars().count()));
    }
    if arguments.get("channel").and_then(Value::as_str) != Some(channel) {
        return wrong("channel_not_found", "another channel, or its name where the id is wanted".to_owned());
    }
    if known.contains(&"ts") && arguments.get("ts").and_then(Value::as_str) != Some(TS) {
        return wrong("message_not_found", "another message".to_owned());
    }
    Ok(Answer::json(&json!({ "ok": true, "channel": CHANNEL_ID, "ts": TS })))
}
