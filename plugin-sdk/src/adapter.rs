//! Joins a [`Sender`] to the contract's exports. Plain functions of bytes, so that they are tested natively; only the
//! macro and the real HTTP client exist on the wasm target alone.

use std::marker::PhantomData;

use crate::http::Http;
use crate::{
    Call, ConfigError, Delivered, Egress, Failure, Manifest, Notification, Prepared, Secrets, Sender, config, failure,
};

/// Exports a sender from the component. It does nothing on other targets, so that plugins can be tested natively.
#[macro_export]
macro_rules! export {
    ($sender:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $crate::adapter::Component<$sender>;
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

/// What [`export!`](crate::export) exports.
#[derive(Debug)]
pub struct Component<S>(PhantomData<S>);

/// `describe` for a sender.
#[must_use]
pub fn describe<S: Sender>() -> Manifest {
    let about = S::about();
    Manifest {
        name: about.name,
        version: about.version,
        description: about.description,
        config_schema: schemars::schema_for!(S::Config).as_value().to_string(),
        secrets: about.secrets,
        markup: about.markup,
        updates_in_place: about.updates_in_place,
        replies: about.replies,
        max_groups: about.max_groups,
        overflow: about.overflow,
        extra: String::new(),
    }
}

/// `validate` for a sender.
///
/// # Errors
/// Where the config does not fit its type, else what [`Sender::validate`] finds.
pub fn validate<S: Sender>(json: &str) -> Result<Vec<Egress>, Vec<ConfigError>> {
    let (config, secrets) = config::parse::<S::Config>(json)?;
    S::validate(&config, &secrets)
}

/// `prepare` for a sender.
///
/// # Errors
/// What [`Sender::prepare`] gives.
pub fn prepare<S: Sender>(json: &str, http: &dyn Http, now_ms: u64) -> Result<Prepared, Failure> {
    let (config, secrets) = parse_checked::<S>(json)?;
    S::prepare(&Call { config: &config, secrets: &secrets, state: &[], http, now_ms })
}

/// `send` for a sender.
///
/// # Errors
/// What [`Sender::send`] gives.
pub fn send<S: Sender>(
    json: &str,
    state: &[u8],
    notification: &Notification,
    http: &dyn Http,
    now_ms: u64,
) -> Result<Delivered, Failure> {
    let (config, secrets) = parse_checked::<S>(json)?;
    S::send(&Call { config: &config, secrets: &secrets, state, http, now_ms }, notification)
}

fn parse_checked<S: Sender>(json: &str) -> Result<(S::Config, Secrets), Failure> {
    config::parse(json).map_err(|mistakes| {
        let each: Vec<String> = mistakes.iter().map(|m| format!("config {}: {}", m.pointer, m.message)).collect();
        failure::misconfigured("config", &each.join("; "))
    })
}

#[cfg(target_arch = "wasm32")]
mod component {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::Component;
    use crate::bindings::exports::mag::sender::sender::Guest;
    use crate::http::wasi::WasiHttp;
    use crate::{ConfigError, Delivered, Egress, Failure, Manifest, Notification, Prepared, Sender};

    impl<S: Sender + 'static> Guest for Component<S> {
        fn describe() -> Manifest {
            super::describe::<S>()
        }

        fn validate(config: String) -> Result<Vec<Egress>, Vec<ConfigError>> {
            super::validate::<S>(&config)
        }

        fn prepare(config: String) -> Result<Prepared, Failure> {
            super::prepare::<S>(&config, &WasiHttp::default(), now_ms())
        }

        fn send(config: String, state: Vec<u8>, n: Notification) -> Result<Delivered, Failure> {
            // A little less than the call has, so that the sender can still say what happened.
            let timeout = Duration::from_millis(u64::from(n.timeout_ms)) * 9 / 10;
            super::send::<S>(&config, &state, &n, &WasiHttp::new(timeout), now_ms())
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a guest has no clock.rs: this is the only place that reads the time"
    )]
    fn now_ms() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
