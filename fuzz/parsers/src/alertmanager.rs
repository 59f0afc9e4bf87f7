//! The silence that a client of Alertmanager's API wants.

use crate::message::Millis;
use crate::silence::Silence;

mod wanted;

/// Reads one.
///
/// # Errors
///
/// What is wrong with it.
pub fn silence(body: &[u8], now: Millis) -> Result<Silence, String> {
    wanted::silence(body, now)
}
