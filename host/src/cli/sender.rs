//! `mag sender …`: what the config's senders are.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::{EXIT_USAGE, complain, load_config};
use crate::config::Plugin;

/// Commands about senders.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum SenderCommand {
    /// Lists the senders of the config: name, plugin, rate
    List,
}

/// Runs a command about senders.
pub(super) fn run(command: &SenderCommand, config: Option<&Path>) -> ExitCode {
    let config = match load_config(config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match command {
        SenderCommand::List => {
            let mut lines = String::new();
            for sender in &config.senders {
                let plugin = match &sender.plugin {
                    Plugin::Bundled(name) => name.clone(),
                    Plugin::Path(path) => path.display().to_string(),
                };
                let rate = sender.rate.map_or_else(|| "unlimited".to_owned(), |rate| rate.to_string());
                lines.push_str(&format!("{}\t{plugin}\t{rate}\n", sender.name));
            }
            // A reader that went away wanted no more of it.
            drop(std::io::stdout().write_all(lines.as_bytes()));
            ExitCode::SUCCESS
        }
    }
}
