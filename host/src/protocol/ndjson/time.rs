//! When a message says it happened.

use super::super::time::{from_number, from_text};
use super::value::Value;
use crate::message::Millis;

/// RFC 3339, or Unix time in seconds or milliseconds.
pub(super) fn read(value: &Value<'_>) -> Option<Millis> {
    match value {
        Value::Text(text) => from_text(text),
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
