//! `[alerts]`: how long an alert is taken to fire.

use std::time::Duration;

use super::typed::Section;
use super::{Alerts, duration};

/// Alertmanager's own default.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What `[alerts]` says.
pub(super) fn read(root: &mut Section<'_>) -> Alerts {
    let mut resolve_timeout = None;
    if let Some(value) = root.take("alerts") {
        value.section("[alerts]", |section| {
            resolve_timeout =
                section.take("resolve_timeout").and_then(|value| duration::read(&value, Duration::from_secs(1)));
        });
    }
    Alerts { resolve_timeout: resolve_timeout.unwrap_or(RESOLVE_TIMEOUT) }
}
