//! The one way out over HTTP, for senders and monitors: checks the origin, resolves, checks the address, connects, bounds.
//!
//! The only module that knows `reqwest`. It must never follow a redirect to another origin, read a proxy variable,
//! or connect to an address that was not checked.

mod address;
mod connect;
mod double;
mod error;
mod fetch;
mod grants;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use url::Url;

use connect::{Names, SystemNames};

pub use double::Double;
pub use error::EgressError;
pub use fetch::{Answer, Fetch, sensitive};
pub use grants::{Grants, Origin, OriginError};

/// Sends requests to what its grants allow. Cheap to make: connections and certificates come with the first request.
#[derive(Debug)]
pub struct Client {
    grants: Arc<Grants>,
    names: Arc<dyn Names>,
    http: OnceLock<reqwest::Client>,
    /// Who answers instead of every origin.
    double: Option<Double>,
}

impl Client {
    /// A client for these grants.
    #[must_use]
    pub fn new(grants: Grants) -> Self {
        Self::with_names(grants, Arc::new(SystemNames))
    }

    fn with_names(grants: Grants, names: Arc<dyn Names>) -> Self {
        Self { grants: Arc::new(grants), names, http: OnceLock::new(), double: None }
    }

    /// The same client, and whatever it may reach is answered by `double` instead: nothing leaves this machine.
    #[must_use]
    pub fn answered_by(self, double: Option<Double>) -> Self {
        Self { double, ..self }
    }

    /// Whether a double answers instead of the origins.
    #[must_use]
    pub fn is_answered_by_a_double(&self) -> bool {
        self.double.is_some()
    }

    /// What this client may reach.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Sends a request whose body is whole, and returns the answer as soon as its head is there; of its body at
    /// most `max_bytes` can be read.
    ///
    /// # Errors
    ///
    /// When the origin or its addresses are not granted, or no answer comes; see [`EgressError`].
    pub async fn request(
        &self,
        request: http::Request<Bytes>,
        max_bytes: usize,
    ) -> Result<http::Response<Body>, EgressError> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|error| EgressError::Origin(OriginError::NotUrl(error.to_string())))?;
        let origin = self.check(&url)?;
        let (parts, body) = request.into_parts();
        let target = origin.url(url.path(), url.query())?;
        let connected = self.double.as_ref().map_or_else(|| target.clone(), |double| double.stands_in_for(&target));
        let mut outgoing = reqwest::Request::new(parts.method, connected);
        *outgoing.headers_mut() = parts.headers;
        // The host field follows from the checked URL, whatever the caller wrote into it.
        outgoing.headers_mut().remove(http::header::HOST);
        if let Some(host) = self.double.as_ref().and_then(|_| double::host_field(&target)) {
            outgoing.headers_mut().insert(http::header::HOST, host);
        }
        if !body.is_empty() {
            *outgoing.body_mut() = Some(body.into());
        }
        let name = origin.to_string();
        let answer = self.http()?.execute(outgoing).await.map_err(|error| error::classify(&error, &name))?;
        if answer.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for another protocol, and what comes next would be no HTTP.
            return Err(EgressError::Broken(name));
        }
        let answer: http::Response<reqwest::Body> = answer.into();
        Ok(answer.map(|inner| Body { inner, left: max_bytes, max: max_bytes, origin: name }))
    }

    /// The origin of a URL, when requests to it may go out.
    ///
    /// # Errors
    ///
    /// When it is not granted, or names an address that is not.
    pub fn check(&self, url: &Url) -> Result<Origin, EgressError> {
        let origin = Origin::of(url)?;
        if !self.grants.permits(&origin) {
            return Err(EgressError::NotGranted(origin.to_string()));
        }
        let is_connected_to = self.double.is_none();
        if is_connected_to && !connect::literal_is_permitted(&self.grants, origin.host()) {
            return Err(EgressError::Private(origin.to_string()));
        }
        Ok(origin)
    }

    fn http(&self) -> Result<&reqwest::Client, EgressError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let made =
            connect::client(&self.grants, &self.names).map_err(|error| EgressError::Request(error.to_string()))?;
        Ok(self.http.get_or_init(|| made))
    }
}

/// The body of an answer; reading past its bound is an error.
#[derive(Debug)]
pub struct Body {
    inner: reqwest::Body,
    left: usize,
    max: usize,
    origin: String,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(frame)) => frame,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        };
        let checked = frame.map_err(|error| error::classify(&error, &self.origin)).and_then(|frame| {
            let len = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.checked_sub(len).ok_or(EgressError::TooLarge(self.max))?;
            Ok(frame)
        });
        Poll::Ready(Some(checked))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
