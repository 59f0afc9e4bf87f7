//! What `bench sender` measures: nothing, or one POST.

use mag_plugin_sdk::http::{Request, Url};
use mag_plugin_sdk::{About, Call, ConfigError, Delivered, Egress, Failure, Notification, Secrets, Sender};
use mag_plugin_sdk::{config::mistake, delivered, egress, tell};

/// `config` in `mag.toml`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to post; nothing without it.
    url: Option<String>,
}

/// The sender.
pub struct Bench;

impl Sender for Bench {
    type Config = Config;

    fn about() -> About {
        About::new("bench", "0.1.0", "Does nothing, or posts.")
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let Some(url) = &config.url else { return Ok(Vec::new()) };
        let url = Url::parse(url).map_err(|why| vec![mistake("/url", why)])?;
        Ok(vec![egress(&url.origin(), "POST", "to measure it")])
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        if let Some(url) = &call.config.url {
            let text = tell::plain_text(notification, 4_000);
            call.http.send(&Request::post(url).json(&serde_json::json!({ "text": text })))?.check(call.now_ms)?;
        }
        Ok(delivered())
    }
}

mag_plugin_sdk::export!(Bench);
