//! `mag reload`: a running mag reads its config again, and says what changed or why nothing did.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::ask::{Mag, Unanswered, Where};
use super::{ConfigError, EXIT_USAGE, complain, env, load_config, print};
use crate::admin::Reloaded;
use crate::config::Config;
use crate::limits;

/// Arguments of `mag reload`.
#[derive(Args, Clone, Debug)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    place: Where,
}

/// Plugins may have to be compiled, and senders to sign in: as long as mag answers at all.
const TIMEOUT: Duration = Duration::from_secs(limits::ADMIN_CONNECTION_SECONDS);

/// Has it read; exit status 0 taken, 1 refused, 2 config, 75 mag is not reached, stops, or has a newer wish to read it.
pub(super) fn run(args: &ReloadArgs, config: Option<&Path>) -> ExitCode {
    let (mag, wrong) = find(&args.place, config);
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
        Err(error @ Unanswered::NotNow(_)) => {
            complain(&format!("mag: nothing is reloaded: {error}"));
            error.exit()
        }
        Err(error) => match wrong {
            Some(wrong) => {
                complain(&wrong.to_string());
                complain("mag: nothing is reloaded, a mag that runs goes on with the config that it has");
                ExitCode::from(EXIT_USAGE)
            }
            None => {
                complain(&format!("mag: {error}"));
                if matches!(error, Unanswered::Away { .. }) {
                    complain(
                        "mag: where the address of [admin] is what changed, give the former one with --admin, or send SIGHUP",
                    );
                }
                error.exit()
            }
        },
    }
}

/// The mag to ask, and what is wrong with its config: that is for mag to refuse, so that its log has it too, as long as
/// the config still says where mag is.
fn find(place: &Where, config: Option<&Path>) -> (Mag, Option<ConfigError>) {
    if place.admin.is_some() {
        return (Mag::at(place.admin.clone()), None);
    }
    match load_config(config) {
        Ok(config) => (Mag::of(place, config), None),
        Err(wrong) => {
            let source = Config::find(config, &env).ok();
            (Mag::at(source.and_then(|source| Config::admin_address(&source))), Some(wrong))
        }
    }
}
