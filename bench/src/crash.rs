//! `crash`: the kill loop, as long as one wants.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use mag_testkit::kill_loop::{self, Plan};

use crate::process::named_or_built;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Runs of mag that are ended at a random moment
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    cycles: u32,
    /// Let mag have room for only a few groups; then sums are compared, not texts
    #[arg(long)]
    tight: bool,
    /// The seed of a former run, to have the same plan again
    #[arg(long)]
    seed: Option<u64>,
    /// Use this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = named_or_built(arguments.mag.as_deref())?;
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("{} cycles, seed {seed}", arguments.cycles);
    let plan = Plan { binary, cache: None, cycles: arguments.cycles, tight: arguments.tight, seed };
    let report = kill_loop::run(&plan, &mut |line| println!("{line}"))?;
    println!("{report}");
    ensure!(report.wrong.is_empty(), "promises were broken; run again with --seed {seed}");
    Ok(())
}
