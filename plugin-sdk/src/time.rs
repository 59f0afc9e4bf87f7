//! Times as people and other programs read them. No clock, no time zone but UTC.

const DAY_S: u64 = 86_400;

/// Unix time in milliseconds as RFC 3339 in UTC with milliseconds: `2026-01-31T08:05:09.042Z`.
#[must_use]
pub fn rfc3339_ms(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (year, month, day) = date(seconds / DAY_S);
    let (hour, minute, second) = (seconds % DAY_S / 3_600, seconds % 3_600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
}

/// A span as a person says it, rounded to seconds, in at most two units: `30 seconds`, `2 minutes 5 seconds`.
/// What is shorter than a second is told as one.
#[must_use]
pub fn human_duration(ms: u64) -> String {
    let seconds = (ms.saturating_add(500) / 1_000).max(1);
    let units = [("day", DAY_S), ("hour", 3_600), ("minute", 60), ("second", 1)];
    let first = units.iter().position(|&(_, size)| seconds >= size).unwrap_or(units.len() - 1);
    let mut words = Vec::new();
    let mut rest = seconds;
    for (name, size) in units.iter().skip(first).take(2) {
        let n = rest / size;
        rest %= size;
        if n > 0 {
            words.push(format!("{n} {name}{}", if n == 1 { "" } else { "s" }));
        }
    }
    words.join(" ")
}

/// An HTTP date in any of its three spellings, as Unix time in milliseconds.
pub(crate) fn parse_http_date_ms(text: &str) -> Option<u64> {
    let (mut day, mut month, mut year, mut clock) = (None, None, None, None);
    for word in text.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
        if let Ok(number) = word.parse::<u64>() {
            if day.is_none() { day = Some(number) } else { year = Some(number) }
        } else if word.contains(':') {
            clock = Some(clock_seconds(word)?);
        } else if month.is_none() {
            month = month_number(word);
        }
    }
    let year = match year? {
        // RFC 850 dates have two digits; RFC 9110 wants them near the present.
        year @ 0..=69 => year + 2_000,
        year @ 70..=99 => year + 1_900,
        year @ 1_970..=9_999 => year,
        _ => return None,
    };
    let day = day.filter(|day| (1..=31).contains(day))?;
    Some((days(year, month?, day) * DAY_S + clock?) * 1_000)
}

fn clock_seconds(word: &str) -> Option<u64> {
    let mut parts = word.split(':').map(|part| part.parse::<u64>().ok().filter(|&n| n <= 60));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    (hour < 24 && parts.next().is_none()).then_some(hour * 3_600 + minute * 60 + second)
}

fn month_number(word: &str) -> Option<u64> {
    let names = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    (1..).zip(names).find(|(_, name)| word.eq_ignore_ascii_case(name)).map(|(number, _)| number)
}

// Both count years from March, so that the day that leap years add is the last of a year; `era` is 400 years.

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The day counted from 1970-01-01 of a year from 1970 on.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (784_111_777_042, "1994-11-06T08:49:37.042Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339_ms(ms), text);
        }
    }

    #[test]
    fn the_largest_time_is_written_without_a_panic() {
        assert!(rfc3339_ms(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn dates_read_back_what_days_count() {
        for day in (0..60_000).step_by(17) {
            let (year, month, dom) = date(day);
            assert_eq!(days(year, month, dom), day);
        }
    }

    #[test]
    fn spans_are_told_as_people_say_them() {
        for (ms, text) in [
            (0, "1 second"),
            (1_000, "1 second"),
            (29_900, "30 seconds"),
            (30_049, "30 seconds"),
            (60_000, "1 minute"),
            (125_000, "2 minutes 5 seconds"),
            (300_000, "5 minutes"),
            (3_600_000, "1 hour"),
            (5_400_000, "1 hour 30 minutes"),
            (90_061_000, "1 day 1 hour"),
            (172_800_000, "2 days"),
            (u64::MAX, "213503982334 days 14 hours"),
        ] {
            assert_eq!(human_duration(ms), text);
        }
    }
}
