//! `mag completions SHELL`: a script that completes the commands in a shell.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::{Shell, generate};

use super::{Arguments, print};

/// Arguments of `mag completions`.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Known,
}

/// Shells that there are scripts for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(args: CompletionsArgs) -> ExitCode {
    let shell = match args.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "mag", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
