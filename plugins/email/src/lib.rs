//! Tells notifications by e-mail, through mag's own mail service: the component never speaks SMTP and never sees a password.
//!
//! No text of a message reaches a header but through `form`, which leaves nothing in it that could end a line.

#![forbid(unsafe_code)]

mod form;

use mag_plugin_sdk::config::mistake;
use mag_plugin_sdk::http::{Request, Response, retry_after_ms};
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, Notification, Secrets, Sender, delivered, egress, failure,
    text,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sender.
#[derive(Debug)]
pub struct Email;

/// `config` in `mag.toml`; the server stands in `smtp`, beside it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The sender's address: `mag@example.org` or `mag <mag@example.org>`.
    pub from: String,
    /// Who gets it; at least one address.
    pub to: Vec<String>,
    /// Who gets a copy.
    #[serde(default)]
    pub cc: Vec<String>,
    /// Where answers go.
    #[serde(default)]
    pub reply_to: Option<String>,
}

/// mag's mail service, reachable for components only.
const SERVICE: &str = "http://mail.mag.internal";
/// Groups in one mail; the rest is summed up.
const MAX_GROUPS: u32 = 200;
/// Characters shown of what a mail server says.
const SAYING_CHARS: usize = 300;

impl Sender for Email {
    type Config = Config;

    fn about() -> About {
        let about = About::new("email", env!("CARGO_PKG_VERSION"), "Tells notifications by e-mail.");
        About { max_groups: Some(MAX_GROUPS), ..about }
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let mut mistakes = Vec::new();
        let mut check = |pointer: String, address: &str| {
            if form::domain(address).is_none() {
                mistakes
                    .push(mistake(&pointer, "an address is needed, as in ops@example.org or Ops <ops@example.org>"));
            }
        };
        check("/from".to_owned(), &config.from);
        for (key, list) in [("to", &config.to), ("cc", &config.cc)] {
            for (at, address) in list.iter().enumerate() {
                check(format!("/{key}/{at}"), address);
            }
        }
        if let Some(address) = &config.reply_to {
            check("/reply_to".to_owned(), address);
        }
        if config.to.is_empty() {
            mistakes.push(mistake("/to", "at least one address is needed"));
        }
        if mistakes.is_empty() { Ok(vec![egress(SERVICE, "POST", "mag's mail service")]) } else { Err(mistakes) }
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let mail = form::mail(notification, call.config);
        let response = call.http.send(&Request::post(format!("{SERVICE}/")).json(&mail))?;
        check(&response, call.now_ms)?;
        let answer: Answer = serde_json::from_slice(&response.body).unwrap_or_default();
        let extra = if answer.rejected.is_empty() {
            String::new()
        } else {
            serde_json::json!({ "rejected": answer.rejected }).to_string()
        };
        let receipt = serde_json::json!({ "message_id": mail.message_id }).to_string().into_bytes();
        Ok(Delivered { receipt: Some(receipt), extra, ..delivered() })
    }
}

/// What the mail service says.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    /// Addresses that the server refused while it took the mail for others.
    #[serde(default)]
    rejected: Vec<String>,
    /// Why it could not be sent, in the server's words.
    #[serde(default)]
    error: String,
}

fn check(response: &Response, now_ms: u64) -> Result<(), Failure> {
    let answer: Answer = serde_json::from_slice(&response.body).unwrap_or_default();
    let says = |what: &str| match text::truncate_chars(&text::plain_line(&answer.error), SAYING_CHARS) {
        said if said.is_empty() => what.to_owned(),
        said => format!("{what}: {said}"),
    };
    Err(match response.status {
        503 => {
            let after_ms = response.header_value("retry-after").and_then(|value| retry_after_ms(value, now_ms));
            Failure { after_ms, ..failure::retry("smtp-later", &says("the mail server cannot take it now")) }
        }
        504 => failure::maybe_delivered("smtp-broken-off", &says("the connection broke off after the mail was sent")),
        422 => failure::permanent("smtp-refused", &says("the mail server refuses this mail")),
        400 => failure::permanent("bad-mail", &says("the mail service does not take this mail")),
        401 => failure::misconfigured("smtp-login", &says("the mail server does not accept the login")),
        _ => return response.check(now_ms),
    })
}

mag_plugin_sdk::export!(Email);

#[cfg(test)]
mod tests;
