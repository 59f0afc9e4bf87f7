//! A complete sender: posts notifications to a chat room as `{"text": "…"}`.

use mag_plugin_sdk::http::{Request, Url};
use mag_plugin_sdk::{About, Call, ConfigError, Delivered, Egress, Failure, Notification, Secrets, Sender};
use mag_plugin_sdk::{config::mistake, delivered, egress, tell};

/// `config` in `mag.toml`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The room's address.
    url: String,
}

/// The sender.
pub struct Chat;

impl Sender for Chat {
    type Config = Config;

    fn about() -> About {
        About::new("chat", "0.1.0", "Posts to a chat room.").secret("token", false, &["header"], "the room's token")
    }

    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let url = Url::parse(&config.url).map_err(|why| vec![mistake("/url", why)])?;
        Ok(vec![egress(&url.origin(), "POST", "the chat room")])
    }

    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let text = tell::plain_text(notification, 4_000);
        let mut request = Request::post(&call.config.url).json(&serde_json::json!({ "text": text }));
        if let Some(token) = call.secrets.get("token") {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        call.http.send(&request)?.check(call.now_ms)?;
        Ok(delivered())
    }
}

mag_plugin_sdk::export!(Chat);
