//! When a message says it happened.

use jiff::Timestamp;

use super::value::Value;
use crate::message::Millis;

/// Below this a number is seconds, from here on milliseconds: the year 5138 against March 1973.
const SECONDS_BELOW: f64 = 1e11;
/// The end of the year 9999, in milliseconds.
const LATEST: f64 = 253_402_300_799_999.0;

/// RFC 3339, or Unix time in seconds or milliseconds.
pub(super) fn read(value: &Value<'_>) -> Option<Millis> {
    match value {
        Value::Text(text) => {
            text.parse::<Timestamp>().ok().and_then(|time| Millis::try_from(time.as_millisecond()).ok())
        }
        Value::Float(number) => from_number(*number),
        Value::Unsigned(number) => exact(*number).and_then(from_number),
        _ => None,
    }
}

/// A number of at most 53 bits, as all times before the year 9999 are.
fn exact(number: u64) -> Option<f64> {
    let high = u32::try_from(number >> 32).ok().filter(|high| *high < 1 << 21)?;
    let low = u32::try_from(number & 0xFFFF_FFFF).ok()?;
    Some(f64::from(high) * 4_294_967_296.0 + f64::from(low))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and LATEST")]
fn from_number(number: f64) -> Option<Millis> {
    let millis = if number < SECONDS_BELOW { (number * 1000.0).round() } else { number.trunc() };
    (0.0..=LATEST).contains(&millis).then_some(millis as u64)
}

#[cfg(test)]
mod tests {
    use super::{Value, read};

    #[test]
    fn times_come_as_rfc_3339_as_seconds_and_as_milliseconds() {
        let text = |text: &'static str| read(&Value::Text(text.into()));
        assert_eq!(text("2024-05-01T12:00:00Z"), Some(1_714_564_800_000));
        assert_eq!(text("2024-05-01T14:00:00.250+02:00"), Some(1_714_564_800_250));
        assert_eq!(text("1969-12-31T23:59:59Z"), None);
        assert_eq!(text("2024-05-01T12:00:00"), None);
        assert_eq!(text("yesterday"), None);
        assert_eq!(read(&Value::Unsigned(1_714_564_800)), Some(1_714_564_800_000));
        assert_eq!(read(&Value::Unsigned(99_999_999_999)), Some(99_999_999_999_000));
        assert_eq!(read(&Value::Unsigned(100_000_000_000)), Some(100_000_000_000));
        assert_eq!(read(&Value::Float(1_714_564_800.25)), Some(1_714_564_800_250));
        assert_eq!(read(&Value::Unsigned(0)), Some(0));
        assert_eq!(read(&Value::Unsigned(u64::MAX)), None);
        assert_eq!(read(&Value::Signed(-1)), None);
        assert_eq!(read(&Value::Float(f64::MAX)), None);
    }
}
