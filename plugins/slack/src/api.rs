//! The four methods of the Web API that are used, and what each of Slack's error words means.

use mag_plugin_sdk::http::{Request, Response, encode, retry_after_ms};
use mag_plugin_sdk::{Call, Failure, failure, text};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::Config;

/// Slack itself.
const DEFAULT_URL: &str = "https://slack.com/api";
/// A page of `users.list` is a few kilobytes a person.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Characters shown of a word that Slack says.
const WORD_CHARS: usize = 80;

/// The error word that a shorter text cures.
pub(crate) const TOO_LONG: &str = "msg_too_long";

/// Where the Web API is.
pub(crate) fn base(config: &Config) -> &str {
    config.api_url.as_deref().unwrap_or(DEFAULT_URL).trim_end_matches('/')
}

/// What `chat.postMessage` says of the message it made.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Posted {
    /// The channel's id, whatever name was used.
    #[serde(default)]
    pub(crate) channel: String,
    /// The message's id in that channel.
    #[serde(default)]
    pub(crate) ts: String,
}

/// A page of `users.list`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Page {
    /// The people on it.
    #[serde(default)]
    pub(crate) members: Vec<Member>,
    /// How to get the next one.
    #[serde(default)]
    pub(crate) response_metadata: Option<Metadata>,
}

/// Where a list goes on.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Metadata {
    /// Empty at the end.
    #[serde(default)]
    pub(crate) next_cursor: String,
}

/// A person, or a bot.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Member {
    /// `U…` or `W…`.
    #[serde(default)]
    pub(crate) id: String,
    /// The user name.
    #[serde(default)]
    pub(crate) name: String,
    /// Has left.
    #[serde(default)]
    pub(crate) deleted: bool,
    /// Is a program.
    #[serde(default)]
    pub(crate) is_bot: bool,
    /// What people see.
    #[serde(default)]
    pub(crate) profile: Profile,
}

/// What people see of a member.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Profile {
    /// May be empty.
    #[serde(default)]
    pub(crate) display_name: String,
}

/// Checks the token.
pub(crate) fn auth_test(call: &Call<'_, Config>) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Empty {}
    let request = Request::post(format!("{}/auth.test", base(call.config)));
    ask::<Empty>(call, &request.header("content-type", "application/x-www-form-urlencoded")).map(|Empty {}| ())
}

/// One page of the workspace's people.
pub(crate) fn users_page(call: &Call<'_, Config>, limit: usize, cursor: &str) -> Result<Page, Failure> {
    let mut url = format!("{}/users.list?limit={limit}", base(call.config));
    if !cursor.is_empty() {
        url.push_str("&cursor=");
        url.push_str(&encode(cursor));
    }
    ask(call, &Request::get(url).answer_bytes(PAGE_BYTES))
}

/// Posts a message. Slack is told not to look for names or links in it and not to show previews.
pub(crate) fn post_message(call: &Call<'_, Config>, text: &str) -> Result<Posted, Failure> {
    let body = json!({
        "channel": call.config.channel.trim(),
        "text": text,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    ask(call, &method(call, "chat.postMessage").json(&body))
}

/// Changes the text of a message (<https://docs.slack.dev/reference/methods/chat.update>). It takes the channel's id, as
/// the receipt has it, and knows nothing of previews.
pub(crate) fn update(call: &Call<'_, Config>, channel: &str, ts: &str, text: &str) -> Result<Posted, Failure> {
    let body = json!({ "channel": channel, "ts": ts, "text": text, "parse": "none", "link_names": false });
    ask(call, &method(call, "chat.update").json(&body))
}

/// Words that say of a message that it cannot be changed (any more).
pub(crate) const CANNOT_UPDATE: [&str; 4] =
    ["message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"];

fn method(call: &Call<'_, Config>, name: &str) -> Request {
    // Without the charset Slack answers with a warning.
    Request::post(format!("{}/{name}", base(call.config))).header("content-type", "application/json; charset=utf-8")
}

fn ask<T: DeserializeOwned>(call: &Call<'_, Config>, request: &Request) -> Result<T, Failure> {
    let token = call.secrets.get("token").ok_or_else(|| {
        failure::misconfigured("no-token", "the secret `token` is not given: add secrets.token to the sender")
    })?;
    let response = call.http.send(&request.clone().header("authorization", format!("Bearer {token}")))?;
    response.check(call.now_ms)?;
    let verdict: Verdict = response.json()?;
    if verdict.ok { response.json() } else { Err(refusal(&verdict, &response, call.now_ms)) }
}

#[derive(Deserialize)]
struct Verdict {
    ok: bool,
    #[serde(default)]
    error: String,
    /// The scope that `missing_scope` means.
    #[serde(default)]
    needed: String,
}

fn refusal(verdict: &Verdict, response: &Response, now_ms: u64) -> Failure {
    let word = text::truncate_chars(&text::plain_line(&verdict.error), WORD_CHARS);
    let says = |advice: &str| format!("slack says {word}: {advice}");
    match word.as_str() {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            let after_ms = response.header_value("retry-after").and_then(|value| retry_after_ms(value, now_ms));
            failure::rate_limited(&word, &says("too many requests"), after_ms)
        }
        // Slack's documentation: part of the operation may have succeeded.
        "fatal_error" | "internal_error" => failure::maybe_delivered(&word, &says("it may have been posted")),
        "missing_scope" if !verdict.needed.is_empty() => {
            let needed = text::truncate_chars(&text::plain_line(&verdict.needed), WORD_CHARS);
            failure::misconfigured(&word, &says(&format!("give the app the scope {needed} and install it again")))
        }
        other => match (advice(other), other) {
            (Some(advice), _) => failure::misconfigured(&word, &says(advice)),
            (None, TOO_LONG) => failure::permanent(&word, &says("even the short text is too long")),
            (None, other) if NEVER_TAKEN.contains(&other) => failure::permanent(&word, &says("it will never be taken")),
            // What is transient (service_unavailable, request_timeout, team_added_to_org) and what is not known yet.
            _ => failure::retry(&word, &says("it may work later")),
        },
    }
}

/// Words about the message itself.
const NEVER_TAKEN: [&str; 14] = [
    "no_text",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_charset",
    "invalid_form_data",
    "invalid_json",
    "invalid_post_type",
    "json_not_object",
    "markdown_text_conflict",
    "missing_post_type",
    "invalid_metadata_format",
    "invalid_metadata_schema",
    "duplicate_message_not_found",
];

/// What a person can do about it, for words that need one.
fn advice(word: &str) -> Option<&'static str> {
    Some(match word {
        "channel_not_found" => "there is no such channel, or the app is not in that private channel",
        "not_in_channel" => "invite the app to the channel",
        "is_archived" => "the channel is archived: choose another one",
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            "the token is not valid (any more): install the app again and set a new one"
        }
        "missing_scope" => "the app lacks a scope: it needs chat:write, and users:read for mentions",
        "not_allowed_token_type" => "this sort of token cannot post: use a bot token",
        "no_permission" | "team_access_not_granted" | "access_denied" | "ekm_access_denied" | "accesslimited" => {
            "the workspace does not let this app in"
        }
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_thread_locked"
        | "restricted_action_non_threadable_channel"
        | "messages_tab_disabled"
        | "slack_connect_file_link_sharing_blocked" => "the channel does not let this app post",
        "org_login_required" | "two_factor_setup_required" | "enterprise_is_restricted" => {
            "the workspace wants something from the account first"
        }
        "method_deprecated" | "deprecated_endpoint" | "unknown_method" => "this address is not Slack's Web API",
        _ => return None,
    })
}
