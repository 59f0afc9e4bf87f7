//! Times as people write them: `30s`, `5m`, `1h 30m`.
//!
//! Never gives a time so long that adding it to a clock would overflow.

use std::time::Duration;

use super::typed::Value;

/// A hundred years: longer than any use, short enough for every clock.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A time of `least` or more.
pub(super) fn read(value: &Value<'_>, least: Duration) -> Option<Duration> {
    let what = "a duration like \"30s\"";
    let duration = value.parse(what, |text| humantime::parse_duration(text).ok())?;
    within(value, duration, least, LONGEST)
}

/// Notes a time that is out of bounds.
pub(super) fn within(value: &Value<'_>, duration: Duration, least: Duration, most: Duration) -> Option<Duration> {
    let show = |bound| humantime::format_duration(bound).to_string();
    if duration < least {
        value.expected(&format!("{} or more", show(least)));
        return None;
    }
    if duration > most {
        value.expected(&format!("at most {}", if most == LONGEST { "100 years".to_owned() } else { show(most) }));
        return None;
    }
    Some(duration)
}
