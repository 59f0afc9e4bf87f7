//! Measures mag beside reference points: `cargo run --release -p mag-bench -- ingest`.
//!
//! Both sides get the same bytes, in processes of their own; what is printed are medians of alternating runs.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use clap::{Parser, Subcommand};

mod ingest;
mod load;
mod process;
mod reference;
mod report;

#[derive(Parser)]
#[command(about = "Measures mag beside reference points")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Taking in messages: mag beside a program that only reads and counts
    Ingest(ingest::Arguments),
    /// The program that only reads and counts, on its own
    Reference(reference::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Ingest(arguments) => ingest::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
    }
}
