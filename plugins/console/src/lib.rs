//! Tells notifications on standard output: one readable line a group.
//!
//! What a message says is quoted or cleaned, so that nothing in it can act on a terminal.

#![forbid(unsafe_code)]

mod line;

use std::io::Write;

use mag_plugin_sdk::{About, Call, Delivered, Failure, Notification, Sender, delivered, failure, stdout_is_terminal};
use schemars::JsonSchema;
use serde::Deserialize;

/// The sender.
#[derive(Debug)]
pub struct Console;

/// `config` in `mag.toml`: there is nothing to set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

impl Sender for Console {
    type Config = Config;

    fn about() -> About {
        About::new("console", env!("CARGO_PKG_VERSION"), "Tells notifications on standard output.")
    }

    fn send(_call: &Call<'_, Config>, notification: &Notification) -> Result<Delivered, Failure> {
        let text = line::render(notification, stdout_is_terminal());
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| failure::retry("stdout", &format!("standard output cannot be written: {error}")))?;
        Ok(delivered())
    }
}

mag_plugin_sdk::export!(Console);
