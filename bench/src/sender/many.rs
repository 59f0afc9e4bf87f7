//! A thousand senders in one mag: how long until all are ready, and how much memory that takes.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use mag_testkit::process::{Home, usage};
use mag_testkit::{now, wait_for};

/// Senders…
const SENDERS: usize = 1_000;
/// …of so many plugins that are not the same.
const PLUGINS: usize = 10;
/// From the start of the process until the last one is ready.
const READY_SECONDS: f64 = 2.0;
/// Resident then.
const READY_MIB: f64 = 300.0;
/// What is not ready by then will not be.
const LIMIT: Duration = Duration::from_secs(120);

/// Starts them twice, so that the second start finds all of it compiled; says what was missed.
pub(super) fn run(mag: &Path, component: &Path, cache: &Path) -> anyhow::Result<Option<String>> {
    let home = Home::new(mag, Some(cache))?;
    let bytes = std::fs::read(component).context("cannot read the guest")?;
    for plugin in 0..PLUGINS {
        std::fs::write(home.path(&format!("p{plugin}.wasm")), different(&bytes, plugin)).context("cannot write it")?;
    }
    home.configure(&config())?;
    let _first = ready(&home)?;
    let (seconds, mib) = ready(&home)?;
    println!(
        "\n{SENDERS} senders of {PLUGINS} Rust plugins, compiled before: all ready after {seconds:.2} s, {mib:.0} MiB"
    );
    let is_met = seconds < READY_SECONDS && mib < READY_MIB;
    let missed = format!(
        "{SENDERS} senders take {seconds:.2} s and {mib:.0} MiB, the target is {READY_SECONDS} s and {READY_MIB} MiB"
    );
    Ok((!is_met).then_some(missed))
}

fn config() -> String {
    let names: Vec<String> = (0..SENDERS).map(|sender| format!("\"s{sender}\"")).collect();
    let mut config = format!("[route]\nsenders = [{}]\n", names.join(", "));
    for sender in 0..SENDERS {
        let plugin = sender % PLUGINS;
        config.push_str(&format!(
            "[senders.s{sender}]\nplugin = \"./p{plugin}.wasm\"\nconfig = {{ url = \"http://127.0.0.1:9/s{sender}\" }}\n"
        ));
    }
    config
}

/// The same component with a custom section at its end, which nobody reads.
fn different(component: &[u8], number: usize) -> Vec<u8> {
    let name = format!("bench-{number}");
    // An id of 0, the section's length, the name's length, the name: all lengths fit into one byte.
    let length = u8::try_from(name.len()).unwrap_or_default();
    [component, &[0, length + 1, length], name.as_bytes()].concat()
}

fn ready(home: &Home) -> anyhow::Result<(f64, f64)> {
    let (before, begin) = (home.log().len(), now());
    let mag = home.spawn()?;
    wait_for("all senders to be ready", LIMIT, || {
        let ready = home.log().get(before..).unwrap_or_default().matches(": ready").count();
        Ok((ready == SENDERS).then_some(()))
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    let mib = resident_mib(mag.pid())?;
    mag.stop()?;
    Ok((seconds, mib))
}

/// Memory that a process has resident.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    Ok(usage(pid)?.resident_bytes as f64 / (1024.0 * 1024.0))
}
