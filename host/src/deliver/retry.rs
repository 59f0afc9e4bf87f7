//! What a failed attempt means: try again, and when, or give up. Pure: time and chance are handed in.

use std::time::Duration;

use crate::sender::{Failure, FailureKind};
use crate::store::Tries;

/// The shortest wait before another attempt.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest wait that mag chooses by itself.
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);
/// The longest wait that a destination may ask for.
pub const ASKED_MAX: Duration = Duration::from_secs(60 * 60);
/// Attempts that may end in a fault of the plugin itself; more would only trap again.
const PLUGIN_FAULTS: u32 = 5;

/// What to do with a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try this delivery again after that time.
    Retry(Duration),
    /// Ask nothing of this destination for that time.
    Pause(Duration),
    /// Into the dead letters.
    GiveUp,
}

/// Decides about a failure. `tries` counts it already; `chance` is between 0 and 1.
///
/// What asks for a pause, or for a person, is never given up.
#[must_use]
pub fn decide(failure: &Failure, tries: Tries, give_up_after: Duration, chance: f64) -> Decision {
    let unasked = || backoff(tries.failures.saturating_add(tries.limited), chance);
    let wait = failure.after.map_or_else(unasked, |asked| asked.clamp(BACKOFF_MIN, ASKED_MAX));
    match failure.kind {
        FailureKind::RateLimited | FailureKind::Misconfigured => Decision::Pause(wait),
        FailureKind::Permanent => Decision::GiveUp,
        FailureKind::Retry => {
            let worn_out = tries.trying >= give_up_after || tries.faults >= PLUGIN_FAULTS;
            if worn_out { Decision::GiveUp } else { Decision::Retry(wait) }
        }
    }
}

/// Exponential with full jitter, so that deliveries that failed together do not come back together.
#[must_use]
pub fn backoff(failures: u32, chance: f64) -> Duration {
    let steps = failures.saturating_sub(1).min(16);
    let most = BACKOFF_MIN.saturating_mul(1 << steps).min(BACKOFF_MAX);
    BACKOFF_MIN + most.saturating_sub(BACKOFF_MIN).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

    fn failure(kind: FailureKind, after: Option<u64>) -> Failure {
        let (code, message) = ("x".to_owned(), "x".to_owned());
        let after = after.map(Duration::from_secs);
        Failure { kind, code, message, after, maybe_delivered: false, progress: None, fault: None }
    }

    #[track_caller]
    fn check(kind: FailureKind, after: Option<u64>, tries: Tries, expect: Decision) {
        assert_eq!(decide(&failure(kind, after), tries, GIVE_UP_AFTER, 1.0), expect);
    }

    fn tried(failures: u32) -> Tries {
        Tries { failures, ..Tries::default() }
    }

    #[test]
    fn each_failure_doubles_the_longest_wait_up_to_five_minutes() {
        let seconds = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
        for (failures, seconds) in (1..).zip(seconds) {
            check(FailureKind::Retry, None, tried(failures), Decision::Retry(Duration::from_secs(seconds)));
        }
        assert_eq!(backoff(u32::MAX, 0.0), Duration::from_secs(1));
    }

    #[test]
    fn what_the_destination_asks_for_is_obeyed_between_a_second_and_an_hour() {
        check(FailureKind::Retry, Some(7), tried(9), Decision::Retry(Duration::from_secs(7)));
        check(FailureKind::Retry, Some(0), tried(1), Decision::Retry(Duration::from_secs(1)));
        check(FailureKind::Retry, Some(u64::MAX), tried(1), Decision::Retry(Duration::from_secs(3600)));
    }

    #[test]
    fn being_rate_limited_pauses_the_destination_and_never_gives_up() {
        let old = Tries { failures: 1_000, trying: GIVE_UP_AFTER * 10, ..Tries::default() };
        check(FailureKind::RateLimited, Some(30), old, Decision::Pause(Duration::from_secs(30)));
        let limited = Tries { limited: 4, ..Tries::default() };
        check(FailureKind::RateLimited, None, limited, Decision::Pause(Duration::from_secs(8)));
    }

    #[test]
    fn a_permanent_failure_is_given_up_at_once() {
        check(FailureKind::Permanent, Some(5), tried(1), Decision::GiveUp);
    }

    #[test]
    fn a_plugin_that_faults_five_times_is_given_up() {
        let tries = |faults| Tries { failures: faults, faults, ..Tries::default() };
        check(FailureKind::Retry, Some(1), tries(4), Decision::Retry(Duration::from_secs(1)));
        check(FailureKind::Retry, Some(1), tries(5), Decision::GiveUp);
    }

    #[test]
    fn who_has_been_tried_for_long_enough_is_given_up() {
        let tries = |trying| Tries { failures: 20, trying, ..Tries::default() };
        check(FailureKind::Retry, Some(1), tries(GIVE_UP_AFTER), Decision::GiveUp);
        check(FailureKind::Retry, Some(1), tries(GIVE_UP_AFTER / 2), Decision::Retry(Duration::from_secs(1)));
    }

    #[test]
    fn what_needs_a_person_is_paused_for_longer_and_longer_and_never_given_up() {
        let tries = |failures| Tries { failures, trying: GIVE_UP_AFTER * 10, ..Tries::default() };
        check(FailureKind::Misconfigured, None, tries(3), Decision::Pause(Duration::from_secs(4)));
        check(FailureKind::Misconfigured, None, tries(30), Decision::Pause(Duration::from_secs(300)));
    }
}
