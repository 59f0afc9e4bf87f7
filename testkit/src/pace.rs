//! Whether a destination was told as seldom as its budget says.

use std::time::Duration;

/// The most that came within any span of this length; `times` count from any beginning.
#[must_use]
pub fn most_within(times: &[Duration], span: Duration) -> usize {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (last, time) in sorted.iter().enumerate() {
        while sorted.get(first).is_some_and(|begin| time.saturating_sub(*begin) >= span) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// The shortest of many spans, in milliseconds, within which more came than `per_second` and `burst` allow.
///
/// It asks for more than the promise, which is about 60 s: a run of a test is shorter than that.
#[must_use]
pub fn too_fast(times: &[Duration], per_second: f64, burst: u32) -> Option<u64> {
    (0..=600_u32).map(|tenth| Duration::from_millis(u64::from(tenth) * 100 + 1)).find_map(|span| {
        let allowed = span.as_secs_f64() * per_second + f64::from(burst);
        // The budget has whole tokens, and times are rounded to a millisecond.
        let most = u32::try_from(most_within(times, span)).unwrap_or(u32::MAX);
        (f64::from(most) > allowed + 0.01).then(|| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(millis: &[u64]) -> Vec<Duration> {
        millis.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_span_holds_what_came_from_its_begin_to_before_its_end() {
        let times = times(&[0, 10, 20, 1_000, 1_005]);
        assert_eq!(most_within(&times, Duration::from_millis(20)), 2);
        assert_eq!(most_within(&times, Duration::from_millis(21)), 3);
        assert_eq!(most_within(&[], Duration::from_secs(1)), 0);
    }

    #[test]
    fn a_burst_and_a_steady_rate_are_allowed_and_one_more_is_not() {
        let mut fine = times(&[0, 0, 0, 1_000, 2_000, 3_000]);
        assert_eq!(too_fast(&fine, 1.0, 3), None);
        fine.push(Duration::from_millis(2_500));
        assert!(too_fast(&fine, 1.0, 3).is_some());
    }
}
