//! How mag logs: on standard error, as text for people or JSON for machines. Beside it the names of its metrics.
//!
//! WARN means that nothing was lost, ERROR that data was lost or a person is needed.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

pub mod metrics;

/// Says more by this many steps than the config does.
fn louder(level: Level, steps: u8) -> Level {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let at = levels.iter().position(|l| *l == level).unwrap_or(2) + usize::from(steps);
    levels.get(at).copied().unwrap_or(Level::TRACE)
}

/// Begins logging: what `level` says, and more with each step of `verbose`.
///
/// # Errors
///
/// Logging has begun before.
pub fn init(json: bool, level: Level, verbose: u8) -> Result<(), TryInitError> {
    // What libraries say at `info` is about themselves; it helps only who asked for more.
    let others = if verbose == 0 { level.min(Level::WARN) } else { louder(Level::WARN, verbose - 1) };
    // Whoever tries to tire h2 out could fill the log with its warnings; ingest says who was turned away.
    let h2 = if verbose == 0 { Level::ERROR } else { others };
    let targets = Targets::new().with_target("mag", louder(level, verbose)).with_target("h2", h2).with_default(others);
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = if json {
        format.json().flatten_event(true).boxed()
    } else {
        format.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(targets)).try_init()
}
