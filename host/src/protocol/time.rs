//! When something happened, as people and programs write it. Pure.

use jiff::Timestamp;

use crate::message::Millis;

/// Below this a number is seconds, from here on milliseconds: the year 5138 against March 1973.
const SECONDS_BELOW: f64 = 1e11;
/// The end of the year 9999, in milliseconds.
const LATEST: f64 = 253_402_300_799_999.0;

/// RFC 3339.
pub(super) fn from_text(text: &str) -> Option<Millis> {
    text.parse::<Timestamp>().ok().and_then(|time| Millis::try_from(time.as_millisecond()).ok())
}

/// Unix time in seconds or milliseconds.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be within 0 and LATEST")]
pub(super) fn from_number(number: f64) -> Option<Millis> {
    let millis = if number < SECONDS_BELOW { (number * 1000.0).round() } else { number.trunc() };
    (0.0..=LATEST).contains(&millis).then_some(millis as u64)
}
