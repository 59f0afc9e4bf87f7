//! When something happened, as people and programs write it. Pure.

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;

use crate::message::Millis;

/// Below this a number is seconds, from here on milliseconds: the year 5138 against March 1973.
const SECONDS_BELOW: f64 = 1e11;
/// The end of the year 9999, in milliseconds.
const LATEST: f64 = 253_402_300_799_999.0;

/// A moment of RFC 3339, any of the years 0 to 9999, in milliseconds since 1970.
///
/// The last hours of the year 9999, which many a program means as "for ever", are as late as `jiff` knows moments: it
/// keeps a day so that each has a date in every zone.
#[must_use]
pub fn moment(text: &str) -> Option<i64> {
    let last = Timestamp::MAX.as_millisecond();
    rfc3339(text).map(|millis| millis.min(last)).or_else(|| is_last_day(text).then_some(last))
}

fn is_last_day(text: &str) -> bool {
    Pieces::parse(text)
        .is_ok_and(|pieces| pieces.date().year() == 9999 && pieces.time().is_some() && pieces.offset().is_some())
}

/// RFC 3339, from 1970 on.
pub(super) fn from_text(text: &str) -> Option<Millis> {
    moment(text).and_then(|millis| Millis::try_from(millis).ok())
}

/// RFC 3339, in milliseconds since 1970.
fn rfc3339(text: &str) -> Option<i64> {
    plain(text.as_bytes()).or_else(|| text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond))
}

/// The way in which nearly all programs write it, since 1970 and in UTC: `2024-05-01T12:00:00.123Z`. `None` for any
/// other, whether it is a time or not.
fn plain(text: &[u8]) -> Option<i64> {
    let (whole, rest) = text.split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T', h1, h2, b':', mi1, mi2, b':', s1, s2] = whole else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0, |number, digit| Some(number * 10 + i64::from(char::from(*digit).to_digit(10)?)))
    };
    let (year, month, day) = (number(&[*y1, *y2, *y3, *y4])?, number(&[*mo1, *mo2])?, number(&[*d1, *d2])?);
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*mi1, *mi2])?, number(&[*s1, *s2])?);
    let month_days = match month {
        // Leap days are for others, and leap seconds, which they count in their own way.
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || !(1..=month_days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let millis = match rest {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            number(digits)? * 1_000 / 10_i64.pow(u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis)
}

/// Days from 1970 on. A year begins in March here, so that a leap day is its last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // Months from March on have 31, 30, 31, 30, 31 days, and so on again.
    let of_months = (153 * month + 2) / 5;
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    before + of_months + day - 1 - DAYS_BEFORE_1970
}

/// From the first of March of the year 0.
const DAYS_BEFORE_1970: i64 = 719_468;

/// Unix time in seconds or milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and LATEST")]
pub(super) fn from_number(number: f64) -> Option<Millis> {
    let millis = if number < SECONDS_BELOW { (number * 1000.0).round() } else { number.trunc() };
    (0.0..=LATEST).contains(&millis).then_some(millis as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn oracle(text: &str) -> Option<i64> {
        text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    }

    #[test]
    fn the_usual_way_to_write_a_time_means_what_it_means_to_others() {
        for day in 0..160_000 {
            let time = Timestamp::from_second(day * 86_400 + day % 86_400).expect("before the year 2500");
            let text = time.to_string();
            assert_eq!(rfc3339(&text), Some(time.as_millisecond()), "{text}");
        }
        assert_eq!(plain(b"2024-05-01T12:00:00.123456789Z"), Some(1_714_564_800_123));
        assert_eq!(plain(b"9999-12-28T23:59:59.9Z"), oracle("9999-12-28T23:59:59.9Z"));
    }

    #[test]
    fn what_is_no_time_or_an_unusual_one_is_left_to_others() {
        for text in
            ["", "now", "2024-02-30T12:00:00Z", "2023-02-29T12:00:00Z", "2024-13-01T12:00:00Z", "0001-01-01T00:00:00Z"]
        {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
            assert_eq!(rfc3339(text), oracle(text), "{text}");
        }
        for text in
            ["2024-05-01T12:00:00+02:00", "2024-05-01 12:00:00Z", "2016-12-31T23:59:60Z", "1969-12-28T00:00:00Z"]
        {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
            assert!(rfc3339(text).is_some(), "{text}");
        }
        for text in
            ["2024-05-01T12:00:00.Z", "2024-05-01T12:00:00.1234567890Z", "2024-05-01T24:00:00Z", "2024-05-01T1a:00:00Z"]
        {
            assert_eq!(rfc3339(text), oracle(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_others_read_is_read_alike(text in r"[0-9]{4}-[0-2][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,10})?Z?") {
            prop_assert_eq!(rfc3339(&text), oracle(&text));
        }
    }

    #[test]
    fn every_year_of_rfc_3339_has_its_moments() {
        let last = Timestamp::MAX.as_millisecond();
        for (text, expect) in [
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("0000-01-01T00:00:00Z", Some(-62_167_219_200_000)),
            ("9999-12-30T12:00:00Z", Some(253_402_171_200_000)),
            ("9999-12-31T23:59:59Z", Some(last)),
            ("9999-12-31T23:59:59.999999999+14:00", Some(last)),
            ("9999-12-31t23:59:59-12:00", Some(last)),
            ("9999-12-31T23:59:59", None),
            ("9999-12-32T23:59:59Z", None),
            ("9999-12-31", None),
            ("10000-01-01T00:00:00Z", None),
            ("soon", None),
        ] {
            assert_eq!(moment(text), expect, "{text}");
        }
    }
}
