//! The four kinds of failure, one constructor each.
//!
//! - [`retry`]: it may work later; mag tries again with growing pauses, up to a limit.
//! - [`rate_limited`]: the destination asks for a pause; the sender rests, and this never counts towards giving up.
//! - [`permanent`]: this notification will never be taken; mag gives it up at once, others go on.
//! - [`misconfigured`]: a person has to change something (a token, a channel, a right).

use crate::{Failure, FailureKind};

fn failure(kind: FailureKind, code: &str, message: &str) -> Failure {
    Failure {
        kind,
        code: code.to_owned(),
        message: message.to_owned(),
        after_ms: None,
        maybe_delivered: false,
        progress: None,
        extra: String::new(),
    }
}

/// It may work later.
#[must_use]
pub fn retry(code: &str, message: &str) -> Failure {
    failure(FailureKind::Retry, code, message)
}

/// It may have been told already: a retry can tell it twice, and people should know.
#[must_use]
pub fn maybe_delivered(code: &str, message: &str) -> Failure {
    Failure { maybe_delivered: true, ..retry(code, message) }
}

/// The destination wants a pause, `after_ms` long if it said so.
#[must_use]
pub fn rate_limited(code: &str, message: &str, after_ms: Option<u64>) -> Failure {
    Failure { after_ms, ..failure(FailureKind::RateLimited, code, message) }
}

/// This notification will never be taken.
#[must_use]
pub fn permanent(code: &str, message: &str) -> Failure {
    failure(FailureKind::Permanent, code, message)
}

/// A person has to change something.
#[must_use]
pub fn misconfigured(code: &str, message: &str) -> Failure {
    failure(FailureKind::Misconfigured, code, message)
}
