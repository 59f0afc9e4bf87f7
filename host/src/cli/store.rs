//! `mag store …`: the store's file. Reads only, also beside a running mag.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::{EXIT_USAGE, complain, load_config, print};
use crate::store;

/// Commands about the store.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copies the store into a new file, as it is now; mag may run meanwhile
    Backup {
        /// The copy; nothing may be there yet
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Runs a command about the store; exit status 0 done, 1 no copy, 2 for arguments and config.
pub(super) fn run(command: &StoreCommand, config: Option<&Path>) -> ExitCode {
    let StoreCommand::Backup { file } = command;
    let config = match load_config(config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let Some(path) = config.store.path else {
        complain("mag: the store is :memory:, there is no file to copy");
        return ExitCode::from(EXIT_USAGE);
    };
    match store::backup(&path, file) {
        Ok(bytes) => {
            print(&format!("{}: copied to {}, {bytes} bytes\n", path.display(), file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("mag: {:#}", anyhow::Error::from(error)));
            ExitCode::FAILURE
        }
    }
}
