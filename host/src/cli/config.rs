//! `mag config …`: what a config may be.

use std::process::ExitCode;

use clap::Subcommand;

use super::print_json;
use crate::config::schema;

/// Commands about the config.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Prints a JSON Schema of mag.toml, for editors: every key with its type, default and meaning
    Schema,
}

/// Runs a command about the config.
pub(super) fn run(command: ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Schema => print_json(&schema()),
    }
    ExitCode::SUCCESS
}
