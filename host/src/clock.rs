//! The only place that asks what time it is.
//!
//! Whatever waits uses tokio's timers, which a test pauses; whatever is stored or told uses [`Clock::now`]. A clock
//! for tests derives the wall clock from the paused one, so that both move together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::message::Millis;

/// The wall clock, real or derived from tokio's (paused) one.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// The runtime is kept so that a thread outside of it, the store's, sees its paused clock too.
    Derived {
        wall: Millis,
        at: Instant,
        runtime: Option<Handle>,
    },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `wall` now and then moves with tokio's clock.
    #[must_use]
    pub fn derived(wall: Millis) -> Self {
        Self(Source::Derived { wall, at: Instant::now(), runtime: Handle::try_current().ok() })
    }

    /// The time for people and for the store; it may jump, so nothing waits by it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, as_millis),
            Source::Derived { wall, at, runtime } => {
                let _entered = runtime.as_ref().map(Handle::enter);
                wall + as_millis(at.elapsed())
            }
        }
    }

    /// The time for waiting; it never jumps.
    #[must_use]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// Waits until then; for ever when there is no such time.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whole milliseconds of a duration; 584 million years and more are cut.
#[must_use]
pub fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
