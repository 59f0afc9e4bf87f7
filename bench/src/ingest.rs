//! `ingest`: what taking in a message costs, from the first byte until all of them are committed.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use mag_testkit::load::{self, Format, Share};
use mag_testkit::now;

use crate::process::{Measured, Reference, named_or_built};
use crate::report::{self, Run};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Messages in one run
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// Connections they come over, all at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Different texts; may be given again
    #[arg(long, default_values_t = [1_000, 100_000], value_parser = clap::value_parser!(u32).range(1..))]
    keys: Vec<u32>,
    /// What is spoken
    #[arg(long, value_parser = Format::named, default_value = "classic")]
    format: Format,
    /// Runs of each; they alternate
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Measure this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
    /// Measure the reference reader alone
    #[arg(long, conflicts_with = "mag")]
    reference_only: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mag = match arguments.reference_only {
        true => None,
        false => Some(named_or_built(arguments.mag.as_deref())?),
    };
    for &keys in &arguments.keys {
        let (messages, connections) = (arguments.messages, arguments.connections);
        let format = arguments.format.name();
        println!(
            "{messages} messages of 120 bytes, {keys} keys, {format}, {connections} connections, median of {} runs",
            arguments.runs
        );
        let shares = load::make(messages.into(), connections.into(), keys.into(), arguments.format);
        let (mut ours, mut reference) = (Vec::new(), Vec::new());
        for _ in 0..arguments.runs {
            reference.push(run_reference(&shares, messages)?);
            if let Some(binary) = &mag {
                let mag = Measured::start(binary)?;
                ours.push(measure(&shares, mag.address(), || mag.cpu_seconds())?);
            }
        }
        report::print(f64::from(messages), &ours, &reference);
    }
    Ok(())
}

fn run_reference(shares: &[Share], messages: u32) -> anyhow::Result<Run> {
    // One connection more than it measures keeps the process there until its CPU time is read.
    let reference = Reference::start(u64::try_from(shares.len())? + 1)?;
    let run = measure(shares, reference.address, || reference.cpu_seconds())?;
    drop(std::net::TcpStream::connect(reference.address)?);
    let (counted, _) = reference.counted()?;
    ensure!(counted == u64::from(messages), "the reference reader counted {counted} of {messages} messages");
    Ok(run)
}

fn measure(shares: &[Share], address: SocketAddr, cpu: impl Fn() -> anyhow::Result<f64>) -> anyhow::Result<Run> {
    let cpu_before = cpu()?;
    let start = now();
    load::send(shares, address)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run { seconds, cpu_seconds: cpu()? - cpu_before })
}
