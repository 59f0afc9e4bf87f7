//! `mag reload`: a running mag reads its config again, and says what changed or why nothing did.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::ask::{Mag, Unanswered, Where};
use super::{complain, print};
use crate::admin::Reloaded;

/// Arguments of `mag reload`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    place: Where,
}

/// Plugins may have to be compiled, and senders to sign in.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Has it read; exit status 0 taken, 1 refused, 2 config, 75 mag is not reached.
pub(super) fn run(args: &ReloadArgs, config: Option<&Path>) -> ExitCode {
    let mag = match Mag::find(&args.place, config) {
        Ok(mag) => mag,
        Err(exit) => {
            complain("mag: nothing is reloaded, a mag that runs goes on with the config that it has");
            return exit;
        }
    };
    match mag.post_within::<Reloaded>("/api/v1/reload", &serde_json::json!({}), TIMEOUT) {
        Ok(Reloaded { changes, warnings }) => {
            warnings.iter().for_each(|warning| complain(warning));
            if changes.is_empty() {
                print("nothing is different\n");
            }
            changes.iter().for_each(|change| print(&format!("{change}\n")));
            ExitCode::SUCCESS
        }
        Err(error @ Unanswered::Refused(_)) => {
            // Each reason says itself where it is.
            complain(&error.to_string());
            complain("mag: the new config is refused, the one before goes on");
            error.exit()
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            error.exit()
        }
    }
}
