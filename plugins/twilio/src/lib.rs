//! Tells notifications as SMS, through Twilio: few words, the most important first.
//!
//! Limits and errors are those of `https://www.twilio.com/docs/messaging/api/message-resource` (a body of 1,600 characters,
//! `From` or `MessagingServiceSid`; an error is `{code, message, status}`) and `…/docs/api/errors` (20003 login, 20005
//! account, 21211, 21614 and 21635 numbers, 21608 trial, 21610 opted out, 20429 too many requests, 21611 a full queue, 63038
//! the day's limit; 21617 and 21658 a body that is too long). Twilio reads no markup.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Said};
use mag_plugin_sdk::layout::{self, Limit, PLAIN, Style};
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Notification, Secrets, Sender, delivered,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sender.
#[derive(Debug)]
pub struct Twilio;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The account: `AC…`.
    pub account_sid: String,
    /// One of the account's numbers (`+15005550006`), or a messaging service (`MG…`).
    pub from: String,
    /// Who is told: at most eight numbers.
    pub to: Vec<String>,
    /// Characters of one message; 320, which are two to five parts of an SMS, unless set.
    #[serde(default)]
    pub max_chars: Option<u16>,
    /// Where the API is, without a slash at the end; for proxies and tests.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// What a message may cost at most, unless the config says otherwise.
const CHARS: u16 = 320;
/// Of a body.
const CHARS_MOST: u16 = 1_600;
/// Fewer say nothing.
const CHARS_LEAST: u16 = 160;
/// Each is a request, and a call may make eight.
const RECIPIENTS: usize = 8;
/// As many as may fit.
const MAX_GROUPS: u32 = 10;
/// Twilio itself.
const API: &str = "https://api.twilio.com";
/// Nothing that costs without saying what happened.
const STYLE: Style = Style { link: |_, _| String::new(), labels: 0, ..PLAIN };

impl Sender for Twilio {
    type Config = Config;

    fn about() -> About {
        let about = About::new("twilio", env!("CARGO_PKG_VERSION"), "Tells notifications as SMS, through Twilio.");
        About { max_groups: Some(MAX_GROUPS), ..about }.secret(
            "auth_token",
            true,
            &["basic"],
            "the account's auth token",
        )
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let sid = |prefix: &str, sid: &str| {
            sid.len() == 34 && sid.starts_with(prefix) && sid.bytes().all(|c| c.is_ascii_alphanumeric())
        };
        let number = |number: &str| {
            let digits = number.strip_prefix('+').unwrap_or_default();
            (7..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit())
        };
        let from = number(&config.from) || sid("MG", &config.from);
        let chars = config.max_chars.is_none_or(|chars| (CHARS_LEAST..=CHARS_MOST).contains(&chars));
        let mut checks = Checks::new()
            .must(sid("AC", &config.account_sid), "/account_sid", "the account's SID is needed: AC and 32 characters")
            .must(from, "/from", "a number as +15005550006 or a messaging service (MG…) is needed")
            .must((1..=RECIPIENTS).contains(&config.to.len()), "/to", "1 to 8 numbers are needed")
            .must(chars, "/max_chars", "a message has 160 to 1600 characters")
            .api("/api_url", config.api_url.as_deref().unwrap_or(API), &["POST"], "Twilio's API");
        for (at, to) in config.to.iter().enumerate() {
            checks = checks.must(number(to), &format!("/to/{at}"), "a number as +15005550006 is needed");
        }
        checks.done()
    }

    /// Everybody is tried. What fails for one is tried again for that one alone: progress holds who has it, as `1` and `0`.
    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let chars = usize::from(call.config.max_chars.unwrap_or(CHARS));
        let text = layout::text(notification, &STYLE, Limit::Chars(chars));
        let before = notification.progress.as_deref().unwrap_or_default();
        let mut progress = Vec::new();
        let mut failed = None;
        for (at, to) in call.config.to.iter().enumerate() {
            let told = before.get(at) == Some(&b'1');
            let sent = if told { Ok(()) } else { sms(call, to, text.trim_end()) };
            progress.push(if sent.is_ok() { b'1' } else { b'0' });
            if let Err(failure) = sent {
                failed = Some(more_hope(failed, failure));
            }
        }
        match failed {
            None => Ok(delivered()),
            Some(failure) => Err(Failure { progress: Some(progress), ..failure }),
        }
    }
}

/// The one of two failures that leaves more hope: what can be tried again is not given up for what cannot.
fn more_hope(first: Option<Failure>, second: Failure) -> Failure {
    let hope = |failure: &Failure| match failure.kind {
        FailureKind::RateLimited => 3,
        FailureKind::Retry => 2,
        FailureKind::Misconfigured => 1,
        FailureKind::Permanent => 0,
    };
    match first {
        Some(first) if hope(&first) >= hope(&second) => first,
        _ => second,
    }
}

fn sms(call: &Call<'_, Config>, to: &str, text: &str) -> Result<(), Failure> {
    let config = call.config;
    let base = config.api_url.as_deref().unwrap_or(API).trim_end_matches('/');
    let url = format!("{base}/2010-04-01/Accounts/{}/Messages.json", config.account_sid);
    let from = if config.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
    let request = Request::post(url).basic(&config.account_sid, "auth_token");
    let answer = call.http.send(&request.form(&[("To", to), (from, &config.from), ("Body", text)]))?;
    answer.check_with(call.now_ms, "twilio", |body| {
        let said = Said::read(body, "/code", "/message");
        let kind = match said.code.as_str() {
            // Too fast, a queue of ten hours, or the day's messages: the same one is taken later.
            "20429" | "14107" | "21611" | "63038" => Some(FailureKind::RateLimited),
            // A number that does not exist, is no mobile one, is not verified, or has opted out: a person has to see to it.
            // Or the account is not active.
            "20005" | "21211" | "21212" | "21214" | "21217" | "21265" | "21408" | "21606" | "21608" | "21610"
            | "21612" | "21614" | "21635" | "21659" | "21660" | "21705" => Some(FailureKind::Misconfigured),
            _ => None,
        };
        Said { kind, ..said }
    })
}

mag_plugin_sdk::export!(Twilio);

#[cfg(test)]
mod tests;
