//! `storm`: very many messages in few groups, a small budget, and what came of it.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use mag_testkit::storm::{self, Plan};

use crate::process::named_or_built;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Messages in all; half-way mag is killed and started again
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    messages: u64,
    /// Different texts
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    groups: u64,
    /// Use this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let binary = named_or_built(arguments.mag.as_deref())?;
    let plan = Plan { binary, cache: None, messages: arguments.messages, groups: arguments.groups };
    let report = storm::run(&plan)?;
    println!("{report}");
    ensure!(report.wrong.is_empty(), "promises were broken");
    Ok(())
}
