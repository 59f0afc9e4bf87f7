//! How mag logs: on standard error, as text for people or JSON for machines.
//!
//! WARN means that nothing was lost, ERROR that data was lost or a person is needed.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::Log;

/// Says more by this many steps than the config does.
fn louder(level: Level, steps: u8) -> Level {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let at = levels.iter().position(|l| *l == level).unwrap_or(2) + usize::from(steps);
    levels.get(at).copied().unwrap_or(Level::TRACE)
}

/// Begins logging. `filter` (`MAG_LOG`) wins over `verbose` (`-v`), which adds to the config's level.
///
/// # Errors
///
/// `filter` is no filter, or logging has begun before.
pub fn init(log: &Log, verbose: u8, filter: Option<&str>) -> Result<(), LogError> {
    let targets = match filter {
        Some(filter) => filter.parse::<Targets>().map_err(|error| LogError::Filter(filter.to_owned(), error))?,
        // What libraries say at `info` is about themselves; it helps only who asked for more.
        None if verbose == 0 => Targets::new().with_target("mag", log.level).with_default(Level::WARN),
        None => {
            Targets::new().with_target("mag", louder(log.level, verbose)).with_default(louder(Level::WARN, verbose - 1))
        }
    };
    let format = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let layer = if log.json {
        format.json().flatten_event(true).boxed()
    } else {
        format.with_ansi(std::io::stderr().is_terminal()).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(targets)).try_init()?;
    Ok(())
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `MAG_LOG` is wrong.
    #[error("MAG_LOG=\"{0}\" is no filter, write a level such as debug, or mag=debug,warn: {1}")]
    Filter(String, tracing_subscriber::filter::ParseError),
    /// Something logs already.
    #[error(transparent)]
    Twice(#[from] TryInitError),
}
