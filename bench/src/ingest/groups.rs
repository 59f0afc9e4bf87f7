//! What an open group takes in memory, all told.

use std::path::Path;

use mag_testkit::load::{self, Format};

use super::missed;
use crate::process::Measured;

const GROUPS: u32 = 100_000;
/// Bytes in all for a group with a text of 120.
const MOST_BYTES: f64 = 600.0;

pub(super) fn run(binary: &Path) -> anyhow::Result<Vec<String>> {
    println!("{GROUPS} open groups of one message of 120 bytes: resident memory they add, divided by them");
    println!("{:<36}{:>16}", "", "bytes each");
    let mut wrong = Vec::new();
    for (format, connections) in [(Format::Classic, 1), (Format::Classic, 8), (Format::Ndjson, 8)] {
        let shares = load::distinct(GROUPS.into(), connections, format);
        let mag = Measured::start(binary)?;
        let before = mag.usage()?.resident_bytes;
        load::send(&shares, mag.address())?;
        mag.rests()?;
        let each = (mag.usage()?.resident_bytes as f64 - before as f64) / f64::from(GROUPS);
        let name = format!("{}, over {connections} connections", format.name());
        println!("{name:<36}{each:>16.0}");
        wrong.extend(missed(&format!("an open group, {name}"), "bytes", each, MOST_BYTES));
    }
    Ok(wrong)
}
