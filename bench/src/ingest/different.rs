//! Every message another one: no merging helps, and memory must stay bounded.

use std::path::Path;

use mag_testkit::load::{self, Format};
use mag_testkit::now;

use crate::process::Measured;
use crate::report::median;

const MESSAGES: u32 = 1_000_000;
/// One a group, with room for all.
const LIMITS: &str = "[limits]\ngroups = 2000000\nqueue = 2000000\n";
/// Messages a second, at least.
const LEAST: f64 = 150_000.0;

pub(super) fn run(runs: u32, binary: &Path) -> anyhow::Result<Vec<String>> {
    println!("{MESSAGES} messages of 120 bytes, each another one, classic, 8 connections, median of {runs} runs");
    println!("{:<36}{:>12}{:>12}{:>14}{:>14}", "", "messages/s", "CPU ns", "peak MiB", "at rest MiB");
    let mut wrong = Vec::new();
    for (name, limits, least) in [("all of them open groups", LIMITS, LEAST), ("100,000 groups at most", "", LEAST)] {
        let (mut per_second, mut nanos, mut peak, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            let shares = load::distinct(MESSAGES.into(), 8, Format::Classic);
            let mag = Measured::start_with(binary, limits)?;
            let (before, start) = (mag.cpu_seconds()?, now());
            load::send(&shares, mag.address())?;
            per_second.push(f64::from(MESSAGES) / start.elapsed().as_secs_f64());
            nanos.push((mag.cpu_seconds()? - before) / f64::from(MESSAGES) * 1e9);
            mag.rests()?;
            let used = mag.usage()?;
            peak.push(used.peak_bytes as f64 / f64::from(1 << 20));
            rest.push(used.resident_bytes as f64 / f64::from(1 << 20));
        }
        let medians = [&per_second, &nanos, &peak, &rest].map(|values| median(values.iter().copied()));
        let [per_second, nanos, peak, rest] = medians;
        println!("{name:<36}{per_second:>12.0}{nanos:>12.0}{peak:>14.0}{rest:>14.0}");
        if per_second < least {
            wrong.push(format!("every message different, {name}: {per_second:.0} messages/s, {least} are wanted"));
        }
    }
    Ok(wrong)
}
