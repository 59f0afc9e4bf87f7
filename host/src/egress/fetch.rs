//! A whole exchange in one call, as monitors need it: bounded, timed, with redirects inside the origin.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use url::Url;

use super::{Client, EgressError, OriginError};
use crate::limits;

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// GET, POST, …
    pub method: Method,
    /// From where.
    pub url: Url,
    /// Sent as they are; mark values that hold secrets as sensitive.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: Bytes,
    /// A longer answer is an error.
    pub max_bytes: usize,
    /// For everything together, redirects too.
    pub timeout: Duration,
    /// Whether redirects inside the origin are followed, [`limits::REDIRECTS`] at most.
    pub same_origin_redirects: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Also 4xx and 5xx: those are answers.
    pub status: StatusCode,
    /// As received.
    pub headers: HeaderMap,
    /// Whole.
    pub body: Bytes,
}

impl Client {
    /// Makes a client that may reach the origins of these URLs, whatever is behind them: the operator typed them.
    ///
    /// # Errors
    ///
    /// When one of them is no `http` or `https` URL, or carries credentials.
    pub fn for_typed<'a>(urls: impl IntoIterator<Item = &'a Url>) -> Result<Self, OriginError> {
        let mut grants = super::Grants::none();
        for url in urls {
            grants.typed(super::Origin::of(url)?);
        }
        Ok(Self::new(grants))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When no answer came, in time, in size, from this origin; see [`EgressError`].
    pub async fn fetch(&self, fetch: Fetch) -> Result<Answer, EgressError> {
        let origin = self.check(&fetch.url)?.to_string();
        tokio::time::timeout(fetch.timeout, self.follow(fetch)).await.unwrap_or(Err(EgressError::Timeout(origin)))
    }

    async fn follow(&self, mut fetch: Fetch) -> Result<Answer, EgressError> {
        let redirects = if fetch.same_origin_redirects { limits::REDIRECTS } else { 0 };
        for _ in 0..=redirects {
            let answer = self.once(&fetch).await?;
            let next = if fetch.same_origin_redirects { redirect(&fetch, &answer)? } else { None };
            let Some(next) = next else { return Ok(answer) };
            if answer.status == StatusCode::SEE_OTHER {
                fetch.method = Method::GET;
                fetch.body = Bytes::new();
                fetch.headers.remove(header::CONTENT_TYPE);
            }
            fetch.url = next;
        }
        Err(EgressError::Redirect(format!("more than {redirects} redirects")))
    }

    async fn once(&self, fetch: &Fetch) -> Result<Answer, EgressError> {
        let mut request = http::Request::new(fetch.body.clone());
        *request.method_mut() = fetch.method.clone();
        *request.headers_mut() = fetch.headers.clone();
        *request.uri_mut() = fetch
            .url
            .as_str()
            .parse()
            .map_err(|error: http::uri::InvalidUri| EgressError::Request(error.to_string()))?;
        let (parts, body) = self.request(request, fetch.max_bytes).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// Where a redirect leads; `None` for an answer that is none, as 307 and 308 without `Location` are.
fn redirect(fetch: &Fetch, answer: &Answer) -> Result<Option<Url>, EgressError> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = answer.headers.get(header::LOCATION) else { return Ok(None) };
    let unusable = || EgressError::Redirect("the redirect's location is no URL".to_owned());
    let next = location.to_str().ok().and_then(|l| fetch.url.join(l).ok()).ok_or_else(unusable)?;
    let (from, to) = (super::Origin::of(&fetch.url)?, super::Origin::of(&next)?);
    if from == to { Ok(Some(next)) } else { Err(EgressError::Redirect(format!("redirected to another origin, {to}"))) }
}

/// A header value that logs and errors do not show.
///
/// # Errors
///
/// When the value cannot stand in a header; the error does not repeat it.
pub fn sensitive(value: &str) -> Result<HeaderValue, EgressError> {
    let mut value = HeaderValue::from_str(value).map_err(|_hides_nothing| {
        EgressError::Request("a header value has a character that is not allowed".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}
