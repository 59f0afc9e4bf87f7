//! my-sender: tells notifications by a POST of JSON. Change it into yours.

use mag_plugin_sdk::http::{Request, Url};
use mag_plugin_sdk::{About, Call, ConfigError, Delivered, Egress, Failure, Notification, Secrets, Sender};
use mag_plugin_sdk::{config::mistake, delivered, egress, tell};

/// `config` in `mag.toml`: mag shows each mistake at its line.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where notifications are posted.
    url: String,
    /// The longest text that is posted.
    #[serde(default = "max_chars")]
    max_chars: usize,
}

fn max_chars() -> usize {
    4_000
}

/// The sender.
pub struct Mine;

impl Sender for Mine {
    type Config = Config;

    fn about() -> About {
        About::new("my-sender", env!("CARGO_PKG_VERSION"), "Posts notifications as JSON.").secret(
            "token",
            false,
            &["header"],
            "sent as a bearer token",
        )
    }

    /// Mistakes that a type cannot express, and the origins that the config makes this sender want. Offline.
    fn validate(config: &Config, _secrets: &Secrets) -> Result<Vec<Egress>, Vec<ConfigError>> {
        let url = Url::parse(&config.url).map_err(|why| vec![mistake("/url", why)])?;
        Ok(vec![egress(&url.origin(), "POST", "the url of the config")])
    }

    /// Tells one notification. A secret is a placeholder: mag puts the value in when the request leaves.
    fn send(call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let text = tell::plain_text(notification, call.config.max_chars);
        let mut request = Request::post(&call.config.url)
            .header("idempotency-key", &notification.id)
            .json(&serde_json::json!({ "text": text }));
        if let Some(token) = call.secrets.get("token") {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        call.http.send(&request)?.check(call.now_ms)?;
        Ok(delivered())
    }
}

mag_plugin_sdk::export!(Mine);

#[cfg(test)]
mod tests {
    use super::Mine;
    use mag_plugin_sdk::testing::{FakeHttp, group, notification};
    use mag_plugin_sdk::{FailureKind, adapter};

    const CONFIG: &str = r#"{"url":"https://example.org/in","secrets":{"token":"PLACEHOLDER"}}"#;

    #[test]
    fn a_notification_is_posted() {
        let http = FakeHttp::answering(200, "");
        adapter::send::<Mine>(CONFIG, b"", &notification(vec![group("disk full", 30)]), &http, 0).unwrap();
        let [request] = http.requests().try_into().unwrap();
        assert_eq!(request.body, br#"{"text":"Message \"disk full\" was repeated 30 time(s)."}"#);
        assert_eq!(request.header_value("authorization"), Some("Bearer PLACEHOLDER"));
    }

    #[test]
    fn an_answer_decides_what_mag_does_next() {
        let http = FakeHttp::answering(404, "");
        let failure = adapter::send::<Mine>(CONFIG, b"", &notification(vec![group("disk full", 30)]), &http, 0);
        assert_eq!(failure.unwrap_err().kind, FailureKind::Misconfigured);
    }

    #[test]
    fn a_mistake_in_the_config_is_found_where_it_is() {
        let mistakes = adapter::validate::<Mine>(r#"{"url":"nowhere"}"#).unwrap_err();
        assert_eq!(mistakes.iter().map(|m| m.pointer.as_str()).collect::<Vec<_>>(), ["/url"]);
    }
}
