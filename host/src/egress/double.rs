//! Where requests go instead of their origins when a sender is tried out: to a local server that plays all of them.
//!
//! Grants hold as ever; only the connection leads elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use url::Url;

/// The address of whoever plays every origin; it may move while clients use it.
#[derive(Clone, Debug)]
pub struct Double(Arc<Mutex<SocketAddr>>);

impl Double {
    /// Somebody at this address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(address)))
    }

    /// From now on at this one.
    pub fn moves_to(&self, address: SocketAddr) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// The same path and query at the double.
    pub(super) fn stands_in_for(&self, target: &Url) -> Url {
        let address = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut url = Url::parse(&format!("http://{address}")).expect("an address and a port make a URL");
        url.set_path(target.path());
        url.set_query(target.query());
        url
    }
}

/// What the origin itself would be called in the request.
pub(super) fn host_field(target: &Url) -> Option<HeaderValue> {
    let host = target.host_str()?;
    let host = target.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&host).ok()
}
