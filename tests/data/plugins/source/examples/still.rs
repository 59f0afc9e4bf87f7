//! A guest without network that uses every record of the contract: what it is told comes back in receipt and progress.

wit_bindgen::generate!({ path: "../../../../plugin-sdk/wit/1.0.0/sender.wit", world: "plugin" });

use exports::mag::sender::sender::Guest;
use mag::sender::types::{
    ConfigError, Delivered, Egress, Failure, FailureKind, Manifest, Markup, Notification, Overflow, Prepared, Secret,
};

struct Still;

impl Guest for Still {
    fn describe() -> Manifest {
        Manifest {
            name: "still".to_owned(),
            version: "1.0.0".to_owned(),
            description: "Tells nobody anything.".to_owned(),
            config_schema: "{}".to_owned(),
            secrets: vec![Secret {
                name: "token".to_owned(),
                required: false,
                uses: vec!["header".to_owned()],
                description: "not used".to_owned(),
            }],
            markup: Markup::None,
            updates_in_place: true,
            replies: false,
            max_groups: Some(7),
            overflow: Overflow::Split,
            extra: "{}".to_owned(),
        }
    }

    fn validate(config: String) -> Result<Vec<Egress>, Vec<ConfigError>> {
        if config.contains("\"wrong\"") {
            return Err(vec![ConfigError { pointer: "/wrong".to_owned(), message: "this is wrong".to_owned() }]);
        }
        Ok(Vec::new())
    }

    fn prepare(config: String) -> Result<Prepared, Failure> {
        if config.contains("\"away\"") {
            return Err(failure(FailureKind::Retry, "nobody is there"));
        }
        Ok(Prepared { state: b"signed in".to_vec(), valid_for_ms: Some(60_000) })
    }

    fn send(_config: String, state: Vec<u8>, n: Notification) -> Result<Delivered, Failure> {
        // What leaves by standard output is a line of the log.
        println!("{} for {}: {}", n.id, n.sender, n.title);
        let Some(group) = n.groups.first() else { return Err(failure(FailureKind::Permanent, "no group")) };
        let labels: Vec<String> = group.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
        let said = format!(
            "{}|{}|{}|{}|{}|{:?}|{}|{}",
            String::from_utf8_lossy(&state),
            n.attempt,
            group.text,
            group.count,
            group.reason,
            group.severity,
            labels.join(","),
            n.timeout_ms
        );
        if group.text == "later" {
            return Err(Failure {
                after_ms: Some(90_000),
                progress: Some(said.into_bytes()),
                ..failure(FailureKind::RateLimited, "not now")
            });
        }
        Ok(Delivered { receipt: Some(said.into_bytes()), updated_in_place: n.previous.is_some(), extra: String::new() })
    }
}

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure {
        kind,
        code: "still".to_owned(),
        message: message.to_owned(),
        after_ms: None,
        maybe_delivered: false,
        progress: None,
        extra: String::new(),
    }
}

export!(Still);
