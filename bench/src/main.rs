//! Measures mag beside reference points: `cargo run --release -p mag-bench -- ingest`.
//!
//! Where mag stands beside something, both get the same bytes, in processes of their own, and what is printed are medians
//! of alternating runs. `crash`, `storm` and `soak` prove instead of measuring, and fail when a promise is broken.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use clap::{Parser, Subcommand};

mod crash;
mod ingest;
mod latency;
mod process;
mod recovery;
mod reference;
mod report;
mod sender;
mod soak;
mod storm;

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
    /// From the message that closes a group to its POST, beside an append, a flush and a POST
    Latency(latency::Arguments),
    /// Starts after a crash that left very much open and queued
    Recovery(recovery::Arguments),
    /// What a plugin's call and start cost, in Rust, JavaScript and Python
    Sender(sender::Arguments),
    /// A long run at half of what mag can take in: memory, handles and file must stay where they are
    Soak(soak::Arguments),
    /// Sends a storm at a destination with a small budget, and checks counts, pace, memory and file
    Storm(storm::Arguments),
    /// The program that only reads and counts, on its own
    Reference(reference::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Crash(arguments) => crash::run(&arguments),
        Command::Ingest(arguments) => ingest::run(&arguments),
        Command::Latency(arguments) => latency::run(&arguments),
        Command::Recovery(arguments) => recovery::run(&arguments),
        Command::Sender(arguments) => sender::run(&arguments),
        Command::Soak(arguments) => soak::run(&arguments),
        Command::Storm(arguments) => storm::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
    }
}
