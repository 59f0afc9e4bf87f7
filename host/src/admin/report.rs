//! What the API shows, as JSON: types of its own, made from what the store and the parts say. `mag status` and `mag dlq`
//! read the same types back.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::Millis;
use crate::protocol::time::moment;

mod letters;
mod silences;
mod status;

pub use letters::{Decided, DeliveryReport, LetterList, LetterReport, LetterTexts, Queued, Selection};
pub use silences::{SilenceList, SilenceMade, SilenceReport, SilenceWanted, SilencesNamed};
pub use status::{Intake, SenderReport, Status, StoreReport};
pub(super) use status::{Live, StoreSize};

/// A time, written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Millis);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{millis}"),
        }
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("expected a time such as 2026-05-01T12:00:00Z");
        let millis = moment(&text).ok_or_else(wrong)?;
        Ok(Self(u64::try_from(millis).unwrap_or(0)))
    }
}
