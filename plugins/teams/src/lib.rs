//! Tells notifications in a Microsoft Teams channel or chat, through a workflow's webhook.
//!
//! Limits and errors are those of `https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/`: a message
//! with an Adaptive Card in `attachments`, 28 KB in all, 202 accepted, 429 beyond four requests a second; cards up to
//! version 1.5. All text stands in `TextRun`s, which know no Markdown and no mention
//! (`https://adaptivecards.io/explorer/TextRun.html`). A webhook cannot change what it posted.

#![forbid(unsafe_code)]

use mag_plugin_sdk::config::Checks;
use mag_plugin_sdk::http::{Request, Said};
use mag_plugin_sdk::layout::{self, Limit, PLAIN, Style, Tone};
use mag_plugin_sdk::{
    About, Call, ConfigError, Delivered, Egress, Failure, FailureKind, Notification, Secrets, Sender, delivered,
    failure,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The sender.
#[derive(Debug)]
pub struct Teams;

/// `config` in `mag.toml`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The workflow's address; it holds a signature, so it rather stands in `secrets.url`.
    #[serde(default)]
    pub url: Option<String>,
}

/// Of all lines: 28 KB less what the card is around them.
const TEXT: Limit = Limit::Json(18_000);
/// Of the title.
const TITLE: Limit = Limit::Json(800);
/// Each is a line with about 130 bytes around it.
const MAX_GROUPS: u32 = 50;
/// Links are buttons, not lines.
const STYLE: Style = Style { link: |_, _| String::new(), ..PLAIN };

impl Sender for Teams {
    type Config = Config;

    fn about() -> About {
        let about = About::new("teams", env!("CARGO_PKG_VERSION"), "Tells notifications in Microsoft Teams.");
        About { max_groups: Some(MAX_GROUPS), ..about }.secret(
            "url",
            false,
            &["path", "query"],
            "the workflow's whole address (Workflows, \"Send webhook alerts to a channel\")",
        )
    }

    fn validate(config: &Config, secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        Checks::new().webhook(config.url.as_deref(), secrets, &["POST"], "the Teams workflow").done()
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let url = call.secrets.address(call.config.url.as_deref());
        let url = url.ok_or_else(|| failure::misconfigured("no-url", "the workflow's address is missing"))?;
        let answer = call.http.send(&Request::post(url).json(&message(notification)))?;
        answer.check_with(call.now_ms, "teams", |body| {
            let said = Said::read(body, "/error/code", "/error/message");
            let workflow = OF_THE_WORKFLOW.contains(&said.code.as_str());
            Said { kind: workflow.then_some(FailureKind::Misconfigured), ..said }
        })?;
        Ok(delivered())
    }
}

/// What Power Automate answers 400 to, though no other message would fare better: a workflow that is switched off or
/// deleted, and one that wants something else than a message with a card.
const OF_THE_WORKFLOW: [&str; 2] = ["WorkflowTriggerIsNotEnabled", "TriggerInputSchemaMismatch"];

fn message(notification: &Notification) -> Value {
    let colour = match layout::tone(notification) {
        Tone::Resolved => "good",
        Tone::Quiet | Tone::Normal => "default",
        Tone::Warning => "warning",
        Tone::Error | Tone::Critical => "attention",
    };
    let title = json!({
        "type": "TextRun", "text": layout::title(notification, TITLE), "weight": "bolder", "size": "medium",
        "color": colour,
    });
    let text = layout::text(notification, &STYLE, TEXT);
    let mut body = vec![block(&title)];
    body.extend(text.trim_end().lines().map(|line| block(&json!({ "type": "TextRun", "text": line }))));
    let links = layout::addresses(notification);
    let actions: Vec<Value> =
        links.iter().map(|(title, url)| json!({ "type": "Action.OpenUrl", "title": title, "url": url })).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
                "actions": actions,
            },
        }],
    })
}

fn block(run: &Value) -> Value {
    json!({ "type": "RichTextBlock", "inlines": [run] })
}

mag_plugin_sdk::export!(Teams);

#[cfg(test)]
mod tests;
