//! Few and many different texts, in each format, over one and several connections.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::ensure;

use mag_testkit::load::{self, Format, Share};
use mag_testkit::now;

use super::{Arguments, missed};
use crate::process::{Measured, Reader, Reference};
use crate::report::{Run, median};

/// More different texts than this are many.
const FEW_KEYS: u32 = 10_000;
/// CPU for a message, as a multiple of the reference's.
const MOST_FOR_FEW: f64 = 1.5;
const MOST_FOR_MANY: f64 = 2.0;
/// The reference's own, as a multiple of the C program's.
const MOST_FOR_REFERENCE: f64 = 1.3;

/// All runs of one row, side by side.
#[derive(Default)]
struct Row {
    mag: Vec<Run>,
    reference: Vec<Run>,
    c: Vec<Run>,
}

pub(super) fn run(arguments: &Arguments, mag: &Path) -> anyhow::Result<Vec<String>> {
    let readers = Reader::all()?;
    if !readers.iter().any(|reader| matches!(reader, Reader::C(_))) {
        println!("no C compiler: bench/reference.c is left out");
    }
    println!(
        "{} messages of 120 bytes, median of {} runs; CPU of each process for a message",
        arguments.messages, arguments.runs
    );
    println!(
        "{:<36}{:>12}{:>10}{:>10}{:>10}{:>9}{:>9}{:>9}{:>8}",
        "", "messages/s", "mag ns", "ref. ns", "C ns", "speed", "mag/ref", "ref/C", "target"
    );
    let (mut wrong, mut of_c) = (Vec::new(), Vec::new());
    for &format in &arguments.format {
        for &connections in &arguments.connections {
            for &keys in &arguments.keys {
                let shares = load::make(arguments.messages.into(), connections.into(), keys.into(), format);
                let mut row = Row::default();
                for _ in 0..arguments.runs {
                    row.run(&shares, arguments.messages, &readers, mag)?;
                }
                let name = name(format, connections, keys);
                let most = if keys > FEW_KEYS { MOST_FOR_MANY } else { MOST_FOR_FEW };
                wrong.extend(missed(&name, "CPU beside the reference's", row.print(&name, arguments, most), most));
                of_c.extend(row.reference_to_c());
            }
        }
    }
    if !of_c.is_empty() {
        let ratio = median(of_c.iter().copied());
        println!("the reference beside C, median of all rows: {ratio:.2}");
        wrong.extend(missed("the reference", "CPU beside the C program's", ratio, MOST_FOR_REFERENCE));
    }
    Ok(wrong)
}

fn name(format: Format, connections: u32, keys: u32) -> String {
    let plural = if connections == 1 { "" } else { "s" };
    format!("{}, {connections} connection{plural}, {keys} keys", format.name())
}

impl Row {
    fn run(&mut self, shares: &[Share], messages: u32, readers: &[Reader], binary: &Path) -> anyhow::Result<()> {
        for reader in readers {
            let runs = if matches!(reader, Reader::C(_)) { &mut self.c } else { &mut self.reference };
            runs.push(run_reference(reader, shares, messages)?);
        }
        let mag = Measured::start(binary)?;
        self.mag.push(measure(shares, mag.address(), || mag.cpu_seconds())?);
        Ok(())
    }

    /// Prints the medians; gives out the ratio of CPU.
    fn print(&self, name: &str, arguments: &Arguments, most: f64) -> f64 {
        let messages = f64::from(arguments.messages);
        let nanos = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_seconds / messages * 1e9));
        let per_second = median(self.mag.iter().map(|run| messages / run.seconds));
        let pairs = || self.mag.iter().zip(&self.reference);
        let speed = median(pairs().map(|(mag, reference)| reference.seconds / mag.seconds));
        let cpu = median(pairs().map(|(mag, reference)| mag.cpu_seconds / reference.cpu_seconds));
        let c = median(self.reference_to_c().into_iter());
        println!(
            "{name:<36}{per_second:>12.0}{:>10.1}{:>10.1}{:>10.1}{speed:>9.2}{cpu:>9.2}{c:>9.2}{most:>8}",
            nanos(&self.mag),
            nanos(&self.reference),
            nanos(&self.c),
        );
        cpu
    }

    fn reference_to_c(&self) -> Vec<f64> {
        self.reference.iter().zip(&self.c).map(|(reference, c)| reference.cpu_seconds / c.cpu_seconds).collect()
    }
}

fn run_reference(reader: &Reader, shares: &[Share], messages: u32) -> anyhow::Result<Run> {
    // One connection more than it measures keeps the process there until its CPU time is read.
    let reference = Reference::start(reader, u64::try_from(shares.len())? + 1)?;
    let run = measure(shares, reference.address, || reference.cpu_seconds())?;
    drop(TcpStream::connect(reference.address)?);
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
