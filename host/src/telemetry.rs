//! How mag logs: on standard error, as text for people or JSON for machines. Beside it the names of its metrics.
//!
//! WARN means that nothing was lost, ERROR that data was lost or a person is needed.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, reload};

pub mod metrics;

/// Says more by this many steps than the config does.
fn louder(level: Level, steps: u8) -> Level {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let at = levels.iter().position(|l| *l == level).unwrap_or(2) + usize::from(steps);
    levels.get(at).copied().unwrap_or(Level::TRACE)
}

/// How a line is written.
type Format = Box<dyn Layer<Registry> + Send + Sync>;

/// The log of a mag that runs.
pub struct Logging {
    format: reload::Handle<Format, Registry>,
    targets: reload::Handle<Targets, Registry>,
    verbose: u8,
}

impl Logging {
    /// Of nothing that logs.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        let ((_, format), (_, targets)) =
            (reload::Layer::new(format(false)), reload::Layer::new(targets(Level::INFO, 0)));
        Self { format, targets, verbose: 0 }
    }

    /// Logs in another way from now on; what the command line wants more stays.
    pub fn change(&self, json: bool, level: Level) {
        let changed = self.format.reload(format(json)).and_then(|()| self.targets.reload(targets(level, self.verbose)));
        if let Err(error) = changed {
            tracing::error!(%error, "the log stays as it was, start mag again");
        }
    }
}

/// Begins logging: what `level` says, and more with each step of `verbose`.
///
/// # Errors
///
/// Logging has begun before.
pub fn init(json: bool, level: Level, verbose: u8) -> Result<Logging, TryInitError> {
    let (layer, format) = reload::Layer::new(format(json));
    let (filter, targets) = reload::Layer::new(targets(level, verbose));
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(Logging { format, targets, verbose })
}

/// Who may say how much.
fn targets(level: Level, verbose: u8) -> Targets {
    // What libraries say at `info` is about themselves; it helps only who asked for more.
    let others = if verbose == 0 { level.min(Level::WARN) } else { louder(Level::WARN, verbose - 1) };
    // Whoever tries to tire h2 out could fill the log with its warnings; ingest says who was turned away.
    let h2 = if verbose == 0 { Level::ERROR } else { others };
    Targets::new().with_target("mag", louder(level, verbose)).with_target("h2", h2).with_default(others)
}

fn format(json: bool) -> Format {
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    if json {
        format.json().flatten_event(true).boxed()
    } else {
        format.with_ansi(std::io::stderr().is_terminal()).boxed()
    }
}
