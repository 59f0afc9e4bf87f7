//! `mag check`: everything that can be found wrong without running, and with `--online` what signing in says.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

mod secrets;

use super::words::count;
use super::{EXIT_USAGE, cache_dir, complain, env, load_config};
use crate::config::{Config, Route};
use crate::daemon::{self, explain};
use crate::sender::{Host, HostOptions, Sender, Started};
use crate::store;

/// Arguments of `mag check`.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct CheckArgs {
    /// Also lets each sender sign in at its destination; tells nobody anything
    #[arg(long)]
    online: bool,
}

/// Checks; exit status 0 without mistakes, 1 when signing in fails, 2 for mistakes.
pub(super) fn run(args: &CheckArgs, config: Option<&Path>) -> ExitCode {
    let config = match load_config(config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    for warning in &config.warnings {
        complain(warning);
    }
    let checked = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    match checked.and_then(|runtime| runtime.block_on(check(&config, args.online))) {
        Ok((found, secrets)) if found.is_empty() => {
            secrets.iter().for_each(|line| drop(writeln!(std::io::stdout(), "{line}")));
            let senders = count(config.senders.len() as u64, "sender");
            let line = format!("{senders}, {}: ok", count(routes(&config.route), "route"));
            // Nobody reads: the exit status still says it.
            drop(writeln!(std::io::stdout(), "{line}"));
            ExitCode::SUCCESS
        }
        Ok((found, _)) => {
            for mistake in &found {
                complain(&mistake.text);
            }
            if found.iter().all(|mistake| mistake.online) { ExitCode::FAILURE } else { ExitCode::from(EXIT_USAGE) }
        }
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

struct Found {
    text: String,
    /// Whether it is the world's fault rather than the config's.
    online: bool,
}

/// What is wrong; and what each sender asks for, and where each secret comes from and may go.
async fn check(config: &Config, online: bool) -> anyhow::Result<(Vec<Found>, Vec<String>)> {
    let values = config.read_secrets(&env)?;
    daemon::check_listeners(config, values.listen.clone(), &env)?;
    let host = Host::new(HostOptions::new(cache_dir()))?;
    let (mut found, mut told) = (Vec::new(), Vec::new());
    if let Some(Err(error)) = config.store.path.as_deref().map(store::check_place) {
        found.push(Found { text: format!("mag: {error}"), online: false });
    }
    for sender in daemon::load_senders(config, &host, &values)? {
        check_sender(config, &sender, online, (&mut found, &mut told)).await;
    }
    told.extend(config.monitors.iter().flat_map(secrets::of_monitor));
    told.extend(config.listen.iter().flat_map(secrets::of_listener));
    Ok((found, told))
}

async fn check_sender(
    config: &Config,
    sender: &Sender,
    online: bool,
    (found, told): (&mut Vec<Found>, &mut Vec<String>),
) {
    match Box::pin(sender.start()).await {
        Err(error) => {
            found.extend(explain(config, sender.name(), &error).into_iter().map(|text| Found { text, online: false }))
        }
        Ok(started) => {
            told.extend(reaches(&started));
            let declared = config.senders.iter().find(|section| section.name == sender.name());
            for mistake in declared.map(|section| started.kept_back(section)).unwrap_or_default() {
                let place = config.locate(sender.name(), &mistake.pointer);
                complain(&format!("{place}: warning: sender {}: {}", sender.name(), mistake.message));
            }
            for (name, words) in started.secrets() {
                let Some(secret) = declared.and_then(|section| section.secrets.get(&name)) else { continue };
                told.push(format!("sender {}: secrets.{name}: from {}; {words}", sender.name(), secret.source));
            }
            if online && let Err(failure) = Box::pin(started.prepare()).await {
                found.push(Found { text: failure.message, online: true });
            }
        }
    }
}

/// What the sender's plugin asks for, and what it may reach beyond that.
fn reaches(sender: &Started) -> Vec<String> {
    let (name, asked) = (sender.name(), sender.asked());
    let mut lines: Vec<String> =
        asked.iter().map(|asked| format!("sender {name}: asks for {asked}: granted")).collect();
    let origins = sender.origins().into_iter().filter(|origin| asked.iter().all(|asked| asked.origin != *origin));
    lines.extend(origins.map(|origin| format!("sender {name}: may reach {origin}, which it does not ask for")));
    lines
}

fn routes(route: &Route) -> u64 {
    1 + route.routes.iter().map(routes).sum::<u64>()
}
