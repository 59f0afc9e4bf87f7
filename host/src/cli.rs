//! The commands, one file each in `cli/`. Messages for people go to standard error, data to standard output.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Mistakes, Source, SourceError};

mod ask;
mod check;
mod completions;
mod config;
mod dlq;
mod post;
mod reach;
mod reload;
mod run;
mod send;
mod sender;
mod silence;
mod status;
mod store;
mod test;
mod verify;
mod watch;
mod words;

/// Arguments or configuration are wrong.
const EXIT_USAGE: u8 = 2;
/// `sysexits.h`: try again later; mag is not reached.
const EXIT_TEMPORARY: u8 = 75;
/// `sysexits.h`: not allowed, which trying again does not change.
const EXIT_DENIED: u8 = 77;

/// Takes in messages, counts what is the same, and tells people through sandboxed senders.
#[derive(Debug, Parser)]
#[command(name = "mag", version, about, subcommand_required = false, arg_required_else_help = false)]
struct Arguments {
    /// The config file; else `MAG_CONFIG`, else `./mag.toml`, else the shipped defaults
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Says more; may be given again
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon; `mag` alone does the same
    Run(run::RunArgs),
    /// Has a running mag read its config again; what is wrong with it changes nothing
    Reload(reload::ReloadArgs),
    /// Checks the config, the plugins and each sender's own config
    Check(check::CheckArgs),
    /// Sends a message, or each line of standard input, and waits until it is committed
    Send(send::SendArgs),
    /// Runs a command, sends each line that it writes, and says when it fails
    Watch(watch::WatchArgs),
    /// Shows what mag is at: groups, senders and their health, last deliveries, dead letters
    Status(status::StatusArgs),
    /// Looks at dead letters, tells them again or drops them
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Makes, lists and expires silences: what they match is counted and told to nobody
    #[command(subcommand)]
    Silence(silence::SilenceCommand),
    /// Tests a sender
    #[command(subcommand)]
    Test(test::TestCommand),
    /// Checks the store: the file is whole, and every message is where the ledger says; also while mag runs
    Verify(verify::VerifyArgs),
    /// Copies the store
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Says what a config may be
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Prints a script that completes commands in a shell
    Completions(completions::CompletionsArgs),
    /// Looks at senders
    #[command(subcommand)]
    Sender(sender::SenderCommand),
}

/// Does what the arguments say.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no mistakes; without a terminal to print to the exit status still says it.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    match arguments.command {
        None => run::run(&run::RunArgs::default(), arguments.config.as_deref(), arguments.verbose),
        Some(Command::Run(args)) => run::run(&args, arguments.config.as_deref(), arguments.verbose),
        Some(Command::Reload(args)) => reload::run(&args, arguments.config.as_deref()),
        Some(Command::Check(args)) => check::run(&args, arguments.config.as_deref()),
        Some(Command::Send(args)) => send::run(&args, arguments.config.as_deref()),
        Some(Command::Watch(args)) => watch::run(&args, arguments.config.as_deref()),
        Some(Command::Status(args)) => status::run(&args, arguments.config.as_deref()),
        Some(Command::Dlq(command)) => dlq::run(&command, arguments.config.as_deref()),
        Some(Command::Silence(command)) => silence::run(&command, arguments.config.as_deref()),
        Some(Command::Test(command)) => test::run(&command, arguments.config.as_deref()),
        Some(Command::Verify(args)) => verify::run(&args, arguments.config.as_deref()),
        Some(Command::Store(command)) => store::run(&command, arguments.config.as_deref()),
        Some(Command::Config(command)) => config::run(command),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Sender(command)) => sender::run(&command, arguments.config.as_deref()),
    }
}

/// The environment, as the config reads it; a value that is not UTF-8 is none.
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error("mag: {0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Mistakes(#[from] Mistakes),
}

/// Finds, reads and checks the config; says when there is no file.
fn load_config(flag: Option<&std::path::Path>) -> Result<Config, ConfigError> {
    let source: Source = Config::find(flag, &env)?;
    if let Some(notice) = source.notice() {
        complain(&format!("mag: {notice}"));
    }
    Ok(Config::load(&source, &env)?)
}

/// Prints data. A reader that went away wanted no more of it.
fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Prints data as JSON, for programs.
fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        // Only a map whose keys are no texts cannot be written, and none is shown.
        Err(error) => complain(&format!("mag: {error}")),
    }
}

/// Tells a person something. Without a standard error there is nobody to tell; the exit status says it anyway.
fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// The folder for compiled plugins: the service manager's, else the user's cache folder.
fn cache_dir() -> Option<PathBuf> {
    let folder = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("CACHE_DIRECTORY")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("mag")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache").join("mag")))
}
