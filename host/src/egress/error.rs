//! Why a request did not get its answer, in kinds that a caller branches on.
//!
//! **Invariant:** no text here holds a path, a query or a header: secrets may stand in them.

use std::error::Error as StdError;
use std::io;

use super::grants::OriginError;

/// What went wrong, and whether the destination may have seen the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The origin is not among the grants.
    #[error("{0} is not allowed")]
    NotGranted(String),
    /// The URL is no origin at all.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The host's addresses are all private or local, and nobody granted that.
    #[error("{0} has only private or local addresses; allow_private = true would grant them")]
    Private(String),
    /// The name does not resolve.
    #[error("cannot resolve {0}")]
    Resolve(String),
    /// No connection came about.
    #[error("cannot connect to {origin}: {reason}")]
    Connect {
        /// Where to.
        origin: String,
        /// The system's words.
        reason: String,
    },
    /// The connection came about, its encryption did not.
    #[error("no secure connection to {origin}: {reason}")]
    Tls {
        /// Where to.
        origin: String,
        /// The library's words.
        reason: String,
    },
    /// The request could not be built.
    #[error("the request is not valid: {0}")]
    Request(String),
    /// It broke off after the request may have gone out.
    #[error("the connection to {0} broke off")]
    Broken(String),
    /// No answer in time, after the request may have gone out.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The answer is longer than what the caller takes.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
    /// The answer points to another origin, or on and on.
    #[error("{0}")]
    Redirect(String),
}

/// Said by the resolver, found again at the bottom of the client library's error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("only private or local addresses")]
pub(super) struct OnlyPrivate;

/// Finds out what a failed exchange with `origin` means.
pub(super) fn classify(error: &reqwest::Error, origin: &str) -> EgressError {
    let origin = origin.to_owned();
    if find::<OnlyPrivate>(error).is_some() {
        return EgressError::Private(origin);
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return EgressError::Tls { origin, reason: tls.to_string() };
    }
    if error.is_builder() {
        return EgressError::Request("the client library refused it".to_owned());
    }
    if error.is_dns() {
        return EgressError::Resolve(origin);
    }
    if error.is_connect() {
        let reason = find::<io::Error>(error).map_or_else(|| "no connection".to_owned(), reason_of);
        return EgressError::Connect { origin, reason };
    }
    if error.is_timeout() { EgressError::Timeout(origin) } else { EgressError::Broken(origin) }
}

fn reason_of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed".to_owned(),
        _ => error.to_string(),
    }
}

/// The first error of type `E` in the chain of causes, also inside `io::Error`, which hides what it wraps.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = inside.and_then(|inner| inner.downcast_ref::<E>()) {
            return Some(found);
        }
        next = match inside {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
