//! Whom a listener lets in: everybody, or whoever has its token, which is the shared key of a port of Forward.

use std::time::Duration;

use hyper::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::config::{LiveSecret, SecretValue};
use crate::limits;
use crate::protocol::http::Head;

/// A listener's door.
#[derive(Debug, Default)]
pub struct Door {
    token: Option<LiveSecret>,
}

impl Door {
    /// Open to whoever has `token`; to everybody without one.
    #[must_use]
    pub fn new(token: Option<LiveSecret>) -> Self {
        Self { token }
    }

    /// Whether there is a token.
    pub(super) fn is_guarded(&self) -> bool {
        self.token.is_some()
    }

    /// The key that both sides must have, read again if its file has changed.
    pub(super) async fn key(&self) -> Option<SecretValue> {
        self.refresh().await;
        self.token.as_ref().map(LiveSecret::value)
    }

    /// Looks whether the token's file has changed.
    pub(super) async fn refresh(&self) {
        let Some(token) = &self.token else { return };
        if let Err(why) = token.refresh(Duration::from_millis(limits::SECRET_WAIT_MILLIS)).await {
            tracing::warn!(why, "the token of a listener cannot be read again, the last one goes on");
        }
    }

    /// Whether a request is let in: with `Authorization: Bearer TOKEN` (RFC 6750 section 2.1), or with the token as the
    /// `key` that its format has a place of its own for.
    pub(super) fn admits(&self, head: &Head<'_>, key: Option<&str>) -> bool {
        let Some(token) = &self.token else { return true };
        let token = token.value();
        if key.is_some_and(|key| bool::from(key.as_bytes().ct_eq(token.0.as_bytes()))) {
            return true;
        }
        let value = head.headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let (scheme, given) = value.split_at_checked(b"Bearer ".len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(token.0.as_bytes()))
    }
}
