//! What can go wrong, by what the caller can do about it.

use std::time::Duration;
use std::{fmt, io};

/// Why messages are not, or not certainly, with mag.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The protocol cannot carry this message; it was not sent.
    Invalid(&'static str),
    /// No connection; everything unacknowledged is kept and sent with the next call.
    NotReached {
        /// Where to.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Connected, but no ack in time; everything unacknowledged is kept, and may or may not be counted.
    NoAck {
        /// Who did not answer.
        address: String,
        /// How long the client waited.
        waited: Duration,
        /// Messages without an ack.
        unacknowledged: u64,
    },
    /// mag refused messages; all others are committed.
    Refused {
        /// The first of them.
        first: Refusal,
        /// How many there were since the last time.
        refused: u64,
    },
}

/// A message that mag did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which one: the client's first message is 1.
    pub message: u64,
    /// mag's reason.
    pub error: String,
}

impl Error {
    /// Whether mag does not let this client in: a wrong token, a socket of somebody else. Trying again changes nothing.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::NotReached { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => f.write_str(reason),
            Self::NotReached { address, source } => write!(f, "cannot reach mag at {address}: {source}"),
            Self::NoAck { address, waited, unacknowledged } => {
                write!(
                    f,
                    "no ack from mag at {address} in {waited:?}; messages that may or may not be counted: {unacknowledged}"
                )
            }
            Self::Refused { first, refused: 1 } => write!(f, "mag refused message {}: {}", first.message, first.error),
            Self::Refused { first, refused } => {
                write!(f, "mag refused {refused} messages, the first was message {}: {}", first.message, first.error)
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotReached { source, .. } => Some(source),
            _ => None,
        }
    }
}
