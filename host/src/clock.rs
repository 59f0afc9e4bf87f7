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
        /// By how much somebody set the wall clock since, in milliseconds.
        #[cfg(test)]
        set: std::sync::Arc<std::sync::atomic::AtomicI64>,
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
        Self(Source::Derived {
            wall,
            at: Instant::now(),
            runtime: Handle::try_current().ok(),
            #[cfg(test)]
            set: std::sync::Arc::default(),
        })
    }

    /// Somebody sets the wall clock of all clones by so many milliseconds; the time for waiting does not see it.
    #[cfg(test)]
    pub(crate) fn set_by(&self, by: i64) {
        if let Source::Derived { set, .. } = &self.0 {
            set.fetch_add(by, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// The time for people and for the store; it may jump, so nothing waits by it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, as_millis),
            Source::Derived { wall, at, runtime, .. } => {
                let _entered = runtime.as_ref().map(Handle::enter);
                let now = wall + as_millis(at.elapsed());
                #[cfg(test)]
                let now = now.saturating_add_signed(self.set());
                now
            }
        }
    }

    #[cfg(test)]
    fn set(&self) -> i64 {
        match &self.0 {
            Source::System => 0,
            Source::Derived { set, .. } => set.load(std::sync::atomic::Ordering::SeqCst),
        }
    }

    /// The time for waiting; it never jumps.
    #[must_use]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// Tells the beginning of something that goes on for a while, so that it is said once and not at each turn.
#[derive(Debug, Default)]
pub struct Episode {
    last: Option<Instant>,
}

/// What pauses for longer than this has ended.
const EPISODE_PAUSE: Duration = Duration::from_secs(60);

impl Episode {
    /// It happens at `now`: whether that is the beginning.
    pub fn begins(&mut self, now: Instant) -> bool {
        let before = self.last.replace(now);
        before.is_none_or(|before| now.saturating_duration_since(before) > EPISODE_PAUSE)
    }
}

/// Waits until then; for ever when there is no such time, and not at all when it has come.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        // The timers have whole milliseconds: they would wait for the next one even for a time that has passed.
        Some(at) if at <= Instant::now() => {}
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How far wall clocks are set in tests: a second, an hour, a day, ten years, both ways.
#[cfg(test)]
pub(crate) const JUMPS: [i64; 8] =
    [1_000, 3_600_000, 86_400_000, 315_576_000_000, -1_000, -3_600_000, -86_400_000, -315_576_000_000];

/// How long this thread has computed since it began; only differences mean something.
#[must_use]
pub fn of_this_thread() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Whole milliseconds of a duration; 584 million years and more are cut.
#[must_use]
pub fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_that_has_come_is_not_waited_for() {
        tokio::time::advance(Duration::from_micros(300)).await;
        let at_once = tokio::select! {
            biased;
            () = sleep_until(Some(Instant::now())) => true,
            () = std::future::ready(()) => false,
        };
        assert!(at_once, "it waits for the next whole millisecond");
    }

    #[tokio::test(start_paused = true)]
    async fn an_episode_begins_once_and_anew_after_a_pause() {
        let mut episode = Episode::default();
        let mut begins = Vec::new();
        for seconds in [0, 1, 60, 60, 61, 5] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            begins.push(episode.begins(Instant::now()));
        }
        assert_eq!(begins, [true, false, false, false, true, false]);
    }
}
