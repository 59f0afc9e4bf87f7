//! `mag sender test PLUGIN`: a scripted run against a local double, and a table of what came of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::super::{EXIT_USAGE, cache_dir, complain, print, print_json};
use crate::config::Plugin;
use crate::conformance::{self, FILE_NAME, NotRun, Report, Script, ScriptError, Subject};
use crate::sender;

/// Arguments of `mag sender test`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "With --config FILE it is tried with that file instead of the conformance.toml beside the plugin or in a folder above it."
)]
pub(in crate::cli) struct TestArgs {
    /// A component's file, or the name of a bundled plugin
    plugin: String,
    /// Prints JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Tries a plugin out; exit status 0 it conforms, 1 it does not, 2 it cannot be tried.
pub(super) fn run(args: &TestArgs, config: Option<&Path>) -> ExitCode {
    match test(args, config) {
        Ok(report) => {
            if args.json {
                print_json(&report);
            } else {
                print(&report.text());
            }
            if report.conforms { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Why it was not tried.
#[derive(Debug, thiserror::Error)]
enum Untried {
    #[error("there is no file {0} and no bundled plugin of that name")]
    NoPlugin(String),
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(transparent)]
    NotRun(#[from] NotRun),
    #[error("cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

fn test(args: &TestArgs, config: Option<&Path>) -> Result<Report, Untried> {
    let subject = subject(&args.plugin, config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(Box::pin(conformance::run(&subject)))?)
}

fn subject(plugin: &str, config: Option<&Path>) -> Result<Subject, Untried> {
    let cache_dir = cache_dir();
    let path = PathBuf::from(plugin);
    if let Some(script) = sender::bundled_conformance(plugin) {
        let script = match config {
            Some(config) => Script::read(config)?,
            None => Script::parse(script, &format!("{FILE_NAME} of {plugin}"))?,
        };
        return Ok(Subject { plugin: Plugin::Bundled(plugin.to_owned()), script, cache_dir });
    }
    if !path.is_file() {
        return Err(Untried::NoPlugin(plugin.to_owned()));
    }
    let script = match config.map(Path::to_owned).or_else(|| Script::beside(&path)) {
        Some(file) => Script::read(&file)?,
        None => Script::default(),
    };
    Ok(Subject { plugin: Plugin::Path(path), script, cache_dir })
}
