//! Measures mag beside reference points: `cargo run --release -p mag-bench -- ingest`.
//!
//! Where mag stands beside something, both get the same bytes, in processes of their own, and what is printed are medians
//! of alternating runs. `crash` proves instead of measuring: it kills mag again and again and counts what is left.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use clap::{Parser, Subcommand};

mod crash;
mod ingest;
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
    /// Kills mag under load again and again, and counts what became of every message
    Crash(crash::Arguments),
    /// Taking in messages: mag beside a program that only reads and counts
    Ingest(ingest::Arguments),
    /// The program that only reads and counts, on its own
    Reference(reference::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Crash(arguments) => crash::run(&arguments),
        Command::Ingest(arguments) => ingest::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
    }
}
