//! `soak`: a long run at half of what mag can take in.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use mag_testkit::soak::{self, Plan};

use crate::process::named_or_built;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How long
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Use this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = named_or_built(arguments.mag.as_deref())?;
    let (time, round) = (Duration::from_secs(60 * arguments.minutes), Duration::from_secs(5));
    let report = soak::run(&Plan { binary, cache: None, time, round }, &mut |line| println!("{line}"))?;
    println!("{report}");
    ensure!(report.wrong.is_empty(), "promises were broken");
    Ok(())
}
