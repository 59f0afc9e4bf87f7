//! How often a destination may be told: a token bucket. Pure: it is told the time and never waits.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;

/// Every attempt takes a token; never more than `rate` × 60 s + `burst` are taken in any 60 s.
#[derive(Debug)]
pub struct Budget {
    /// `None`: as often as there is something to tell.
    per_second: Option<f64>,
    burst: f64,
    /// Negative after a restart that finds more attempts than the bucket allows now.
    tokens: f64,
    at: Instant,
}

impl Budget {
    /// A bucket that attempts of the given ages, oldest first, have been taken from.
    #[must_use]
    pub fn new(rate: Option<Rate>, burst: u32, ages: &[Duration], now: Instant) -> Self {
        let per_second = rate.map(|rate| f64::from(rate.count) / rate.per.as_secs_f64());
        let burst = f64::from(burst);
        let mut tokens = burst;
        let mut last = ages.first().copied().unwrap_or_default();
        for age in ages {
            tokens =
                (tokens + last.saturating_sub(*age).as_secs_f64() * per_second.unwrap_or_default()).min(burst) - 1.0;
            last = *age;
        }
        tokens = (tokens + last.as_secs_f64() * per_second.unwrap_or_default()).min(burst);
        Self { per_second, burst, tokens, at: now }
    }

    /// When the next token is there; now or earlier when one is.
    #[must_use]
    pub fn ready_at(&self, now: Instant) -> Instant {
        let Some(per_second) = self.per_second else { return now };
        let missing = 1.0 - self.tokens_at(now);
        if missing <= 0.0 {
            return now;
        }
        now + Duration::from_secs_f64(missing / per_second)
    }

    /// Takes a token.
    pub fn take(&mut self, now: Instant) {
        self.tokens = self.tokens_at(now) - 1.0;
        self.at = now;
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + passed * self.per_second.unwrap_or_default()).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(count: u32, seconds: u64) -> Option<Rate> {
        Some(Rate { count, per: Duration::from_secs(seconds) })
    }

    #[test]
    fn a_fresh_bucket_gives_its_burst_at_once_and_then_one_a_step() {
        let start = Instant::now();
        let mut budget = Budget::new(rate(1, 1), 3, &[], start);
        for _ in 0..3 {
            assert_eq!(budget.ready_at(start), start);
            budget.take(start);
        }
        let wait = budget.ready_at(start) - start;
        assert!((wait.as_secs_f64() - 1.0).abs() < 1e-6, "{wait:?}");
    }

    #[test]
    fn without_a_rate_there_is_always_a_token() {
        let start = Instant::now();
        let mut budget = Budget::new(None, 1, &[], start);
        for _ in 0..100 {
            assert_eq!(budget.ready_at(start), start);
            budget.take(start);
        }
    }

    #[test]
    fn a_restart_remembers_what_was_taken_before() {
        let start = Instant::now();
        let ages = [Duration::from_millis(300), Duration::from_millis(200), Duration::from_millis(100)];
        let budget = Budget::new(rate(1, 60), 3, &ages, start);
        assert!(budget.ready_at(start) > start + Duration::from_secs(50));
    }

    proptest! {
        #[test]
        fn no_minute_sees_more_than_a_minutes_rate_and_the_burst(
            count in 1_u32..20, seconds in 1_u64..30, burst in 1_u32..10, pauses in prop::collection::vec(0_u64..5_000, 1..300)
        ) {
            let start = Instant::now();
            let mut budget = Budget::new(rate(count, seconds), burst, &[], start);
            let mut now = start;
            let mut taken = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                now = budget.ready_at(now);
                budget.take(now);
                taken.push(now);
            }
            let most = f64::from(count) / seconds as f64 * 60.0 + f64::from(burst);
            for (n, first) in taken.iter().enumerate() {
                let within = taken[n..].iter().filter(|at| **at - *first < Duration::from_secs(60)).count();
                prop_assert!(within as f64 <= most + 1.0, "{within} in a minute, {most} allowed");
            }
        }
    }
}
