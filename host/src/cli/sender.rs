//! `mag sender …`: the config's senders, new plugins, what one is, asks for and uses, and what it makes of the contract.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

mod build;
mod inspect;
mod kits;
mod new;
mod test;

use super::{EXIT_USAGE, complain, load_config, print};
use crate::config::Plugin;

/// Commands about senders.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum SenderCommand {
    /// Lists the senders of the config: name, plugin, rate
    List,
    /// Writes a new sender: a small, whole project in the language of your choice
    New(new::NewArgs),
    /// Makes a sender's component with its language's own tools, or says which are missing
    Build(build::BuildArgs),
    /// Tries a plugin out against a local double of whatever it asks, and says whether it keeps to the contract
    Test(test::TestArgs),
    /// Says what a plugin is, what it asks for and gets, and what its last calls used of what they may
    Inspect(inspect::InspectArgs),
}

/// Runs a command about senders.
pub(super) fn run(command: &SenderCommand, config: Option<&Path>) -> ExitCode {
    match command {
        SenderCommand::List => list(config),
        SenderCommand::New(args) => new::run(args),
        SenderCommand::Build(args) => build::run(args),
        SenderCommand::Test(args) => test::run(args, config),
        SenderCommand::Inspect(args) => inspect::run(args, config),
    }
}

fn list(config: Option<&Path>) -> ExitCode {
    let config = match load_config(config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut lines = String::new();
    for sender in &config.senders {
        let plugin = match &sender.plugin {
            Plugin::Bundled(name) => name.clone(),
            Plugin::Path(path) => path.display().to_string(),
        };
        let rate = sender.rate.map_or_else(|| "unlimited".to_owned(), |rate| rate.to_string());
        lines.push_str(&format!("{}\t{plugin}\t{rate}\n", sender.name));
    }
    print(&lines);
    ExitCode::SUCCESS
}
