//! What an HTTP answer means for a notification. Pure.

use super::Response;
use crate::{Failure, failure, time};

/// A shorter pause is no pause.
const RETRY_AFTER_MIN_MS: u64 = 1_000;
/// Nobody may silence a sender for longer than this with one answer.
const RETRY_AFTER_MAX_MS: u64 = 3_600_000;

impl Response {
    /// Whether the destination took the request, by its status alone.
    ///
    /// # Errors
    /// 429 is rate-limited; 408, 425 and 5xx are worth a retry; 401, 403, 404, 410 and 3xx need a person; other 4xx are
    /// permanent. `Retry-After` is honoured where it makes sense. The answer's body is never quoted: it may hold what was
    /// sent, secrets too.
    pub fn check(&self, now_ms: u64) -> Result<(), Failure> {
        let code = self.status.to_string();
        let after_ms = self.header_value("retry-after").and_then(|value| retry_after_ms(value, now_ms));
        let says = |what: &str| format!("{} {what}", self.status);
        Err(match self.status {
            200..=299 => return Ok(()),
            429 => failure::rate_limited(&code, &says("too many requests"), after_ms),
            408 | 425 | 500..=599 => {
                Failure { after_ms, ..failure::retry(&code, &says("the destination cannot take it now")) }
            }
            300..=399 => failure::misconfigured(&code, &says("the destination has moved: redirects are not followed")),
            401 | 403 => failure::misconfigured(&code, &says("the destination does not accept the credentials")),
            404 | 410 => failure::misconfigured(&code, &says("the destination is not there")),
            400..=499 => failure::permanent(&code, &says("the destination refuses this notification")),
            _ => failure::retry(&code, &says("an answer that HTTP does not know")),
        })
    }
}

/// `Retry-After` in milliseconds: seconds or an HTTP date, clamped to 1 s … 1 h; `None` for what is neither.
#[must_use]
pub fn retry_after_ms(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    let wait = match value.parse::<f64>() {
        Ok(seconds) => return pause_ms(seconds),
        Err(_) => time::parse_http_date_ms(value)?.saturating_sub(now_ms),
    };
    Some(wait.clamp(RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS))
}

/// Seconds as an answer's body has them, in milliseconds, clamped to 1 s … 1 h.
pub(super) fn pause_ms(seconds: f64) -> Option<u64> {
    (!seconds.is_nan()).then(|| milliseconds(seconds).clamp(RETRY_AFTER_MIN_MS, RETRY_AFTER_MAX_MS))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 … 3600 before the cast")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds.clamp(0.0, 3_600.0) * 1_000.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;

    // Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: u64 = 784_111_777_000;

    #[test]
    fn every_status_has_its_kind() {
        for (status, kind) in [
            (301, FailureKind::Misconfigured),
            (400, FailureKind::Permanent),
            (401, FailureKind::Misconfigured),
            (403, FailureKind::Misconfigured),
            (404, FailureKind::Misconfigured),
            (408, FailureKind::Retry),
            (410, FailureKind::Misconfigured),
            (413, FailureKind::Permanent),
            (422, FailureKind::Permanent),
            (425, FailureKind::Retry),
            (429, FailureKind::RateLimited),
            (500, FailureKind::Retry),
            (503, FailureKind::Retry),
            (599, FailureKind::Retry),
            (100, FailureKind::Retry),
        ] {
            let failure = Response { status, ..Response::default() }.check(NOW).unwrap_err();
            assert_eq!((failure.kind, failure.code), (kind, status.to_string()), "{status}");
        }
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(Response { status, ..Response::default() }.check(NOW), Ok(()));
        }
    }

    #[test]
    fn a_pause_that_the_answer_asks_for_is_passed_on() {
        for status in [429, 503] {
            let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
            let failure = Response { status, headers, ..Response::default() }.check(NOW).unwrap_err();
            assert_eq!(failure.after_ms, Some(7_000));
        }
    }

    #[test]
    fn retry_after_is_read_in_every_spelling_and_clamped() {
        for (value, expected) in [
            ("30", Some(30_000)),
            (" 30 ", Some(30_000)),
            ("1.5", Some(1_500)),
            ("0", Some(1_000)),
            ("-5", Some(1_000)),
            ("3601", Some(3_600_000)),
            ("99999999999999999999999999", Some(3_600_000)),
            ("inf", Some(3_600_000)),
            ("NaN", None),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10_000)),
            ("Sun Nov  6 08:49:47 1994", Some(10_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1_000)),
            ("Sun, 06 Nov 2094 08:00:00 GMT", Some(3_600_000)),
            ("soon", None),
            ("", None),
            ("Sun, 99 Foo 1994 08:49:47 GMT", None),
        ] {
            assert_eq!(retry_after_ms(value, NOW), expected, "{value:?}");
        }
    }
}
