//! What the black-box tests and the benchmarks share: mag seen from outside, destinations with faults, and the oracle.
//!
//! Nothing here knows mag's code. It speaks mag's protocols, answers its senders, sends it signals, and reads its file as
//! a person would, so that what it finds does not rest on what it checks.

pub mod books;
pub mod destination;
pub mod http;
pub mod kill_loop;
pub mod load;
pub mod oracle;
pub mod pace;
pub mod process;
pub mod soak;
pub mod storm;

use std::time::{Duration, Instant};

/// The moment, by the real clock: only that one knows when something arrived.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "what is looked at from outside runs by the real clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Asks again and again until `found` finds what it looks for; gives up after `limit`.
///
/// # Errors
/// `found` fails, or never finds.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut found: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let until = now() + limit;
    loop {
        if let Some(found) = found()? {
            return Ok(found);
        }
        anyhow::ensure!(now() < until, "waited {} s in vain for {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(2));
    }
}
