//! Figures, medians and the table.

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

/// Medians over all runs of one program.
struct Row {
    per_second: f64,
    cpu_per_million: f64,
}

/// Prints the medians of `mag` and `reference`, which ran in pairs, and the median of the pairs' ratios; a side that did
/// not run is left out.
pub(crate) fn print(messages: f64, mag: &[Run], reference: &[Run]) {
    println!("{:<12}{:>14}{:>18}", "", "messages/s", "CPU s/million");
    for (name, runs) in [("mag", mag), ("reference", reference)] {
        if runs.is_empty() {
            continue;
        }
        let row = Row {
            per_second: median(runs.iter().map(|run| messages / run.seconds)),
            cpu_per_million: median(runs.iter().map(|run| run.cpu_seconds / messages * 1e6)),
        };
        println!("{name:<12}{:>14.0}{:>18.4}", row.per_second, row.cpu_per_million);
    }
    if mag.is_empty() {
        return;
    }
    let pairs = || mag.iter().zip(reference);
    let speed = median(pairs().map(|(mag, reference)| reference.seconds / mag.seconds));
    let cpu = median(pairs().map(|(mag, reference)| mag.cpu_seconds / reference.cpu_seconds));
    println!("{:<12}{speed:>14.2}{cpu:>18.2}\n", "ratio");
}

/// The value below which this part of all values lies.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list, not below 0")]
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The value in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::{median, quantile};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()).to_bits(), 2.5_f64.to_bits());
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let found = [quantile(&values, 0.5), quantile(&values, 0.99), quantile(&values, 1.0)];
        assert_eq!(found.map(f64::to_bits), [50.0_f64, 99.0, 100.0].map(f64::to_bits));
    }
}
