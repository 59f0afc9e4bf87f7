//! `ingest`: what taking in a message costs, as a table; each row beside the same bytes read and counted.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use mag_testkit::load::Format;

use crate::process::named_or_built;

mod acks;
mod different;
mod formats;
mod groups;
mod idle;
mod storms;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these parts of the table; may be given again
    #[arg(long, value_enum)]
    part: Vec<Part>,
    /// Messages in one run
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Connections they come over, all at the same time; may be given again
    #[arg(long, default_values_t = [1, 8], value_parser = clap::value_parser!(u32).range(1..))]
    connections: Vec<u32>,
    /// Different texts; may be given again
    #[arg(long, default_values_t = [1_000, 100_000], value_parser = clap::value_parser!(u32).range(1..))]
    keys: Vec<u32>,
    /// What is spoken; may be given again
    #[arg(long, value_parser = Format::named, default_values = Format::NAMES)]
    format: Vec<Format>,
    /// Runs of each; they alternate
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measure this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

/// The parts of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Few and many different texts, in each format
    Storms,
    /// Every message another one
    Different,
    /// Formats that are dear to read
    Formats,
    /// How soon acks come
    Acks,
    /// Very many connections that are silent
    Idle,
    /// What an open group takes in memory
    Groups,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mag = named_or_built(arguments.mag.as_deref())?;
    let parts = if arguments.part.is_empty() { Part::value_variants() } else { &arguments.part };
    let mut missed = Vec::new();
    for part in parts {
        missed.extend(match part {
            Part::Storms => storms::run(arguments, &mag)?,
            Part::Different => different::run(arguments.runs, &mag)?,
            Part::Formats => formats::run(arguments.runs, &mag)?,
            Part::Acks => acks::run(&mag)?,
            Part::Idle => idle::run(&mag)?,
            Part::Groups => groups::run(&mag)?,
        });
        println!();
    }
    for missed in &missed {
        println!("target missed: {missed}");
    }
    Ok(())
}

/// A row that does not reach its target, in words; `None` when it does.
fn missed(row: &str, what: &str, value: f64, most: f64) -> Option<String> {
    (value > most).then(|| format!("{row}: {what} is {value:.2}, at most {most} is wanted"))
}
