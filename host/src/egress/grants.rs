//! What one sender may reach: a pure table of origins. No names are resolved and nothing is connected here.
//!
//! **Invariant:** an origin is always in canonical form, so that two spellings of one origin are one value.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_private;

/// Why a text is no origin that can be granted or reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It is no absolute URL.
    #[error("not a URL: {0}")]
    NotUrl(String),
    /// Neither `http` nor `https`.
    #[error("{0} is neither http nor https")]
    Scheme(String),
    /// A user or a password stands before the host; credentials belong into headers.
    #[error("a user or password in the URL is not allowed")]
    UserInfo,
    /// There is no host, or it is an empty one.
    #[error("the URL has no host")]
    NoHost,
}

/// Scheme, host and port in their one canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    https: bool,
    host: Host<String>,
    port: u16,
}

impl Origin {
    /// Reads any spelling of an absolute URL and keeps its origin.
    ///
    /// # Errors
    ///
    /// When the text is no `http` or `https` URL, or carries credentials.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|error| OriginError::NotUrl(error.to_string()))?;
        Self::of(&url)
    }

    /// The origin of a URL.
    ///
    /// # Errors
    ///
    /// When the URL is no `http` or `https` URL, or carries credentials.
    pub fn of(url: &Url) -> Result<Self, OriginError> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(OriginError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::UserInfo);
        }
        let host = canonical(&url.host().ok_or(OriginError::NoHost)?)?;
        let port = url.port_or_known_default().ok_or(OriginError::NoHost)?;
        Ok(Self { https, host, port })
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host, without a trailing dot; mapped addresses are IPv4.
    #[must_use]
    pub fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The URL of a path (and query) at this origin, with the canonical host in it.
    pub(crate) fn url(&self, path: &str, query: Option<&str>) -> Result<Url, OriginError> {
        let mut url = Url::parse(&self.to_string()).map_err(|error| OriginError::NotUrl(error.to_string()))?;
        url.set_path(path);
        url.set_query(query);
        Ok(url)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

fn canonical(host: &Host<&str>) -> Result<Host<String>, OriginError> {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() {
                return Err(OriginError::NoHost);
            }
            // Without its dot a name may turn out to be an address: `127.0.0.1.` is one already in `Url`, this is a second look.
            Host::parse(name).map_err(|error| OriginError::NotUrl(error.to_string()))
        }
        Host::Ipv4(v4) => Ok(Host::Ipv4(*v4)),
        Host::Ipv6(v6) => Ok(v6.to_ipv4_mapped().map_or(Host::Ipv6(*v6), Host::Ipv4)),
    }
}

/// Who named an origin; it decides whether private addresses may stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Plugin,
    Operator,
}

/// The origins one sender or monitor may reach.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    origins: BTreeMap<Origin, By>,
    allow_private: bool,
}

impl Grants {
    /// Nothing may be reached.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The same grants, and private addresses behind all of them when `allow` says so.
    #[must_use]
    pub fn allow_private(mut self, allow: bool) -> Self {
        self.allow_private = allow;
        self
    }

    /// Those of the same grants that are kept.
    #[must_use]
    pub fn only(mut self, is_kept: impl Fn(&Origin) -> bool) -> Self {
        self.origins.retain(|origin, _| is_kept(origin));
        self
    }

    /// Grants what the operator typed: also private addresses behind that very host.
    pub fn typed(&mut self, origin: Origin) {
        self.origins.insert(origin, By::Operator);
    }

    /// Grants what a bundled plugin asks for: public addresses only.
    pub fn declared(&mut self, origin: Origin) {
        self.origins.entry(origin).or_insert(By::Plugin);
    }

    /// Whether requests to this origin may go out.
    #[must_use]
    pub fn permits(&self, origin: &Origin) -> bool {
        self.origins.contains_key(origin)
    }

    /// Whether a connection to `address` may be made for `host`.
    #[must_use]
    pub fn permits_address(&self, host: &Host<String>, address: IpAddr) -> bool {
        !is_private(address) || self.permits_private(host)
    }

    fn permits_private(&self, host: &Host<String>) -> bool {
        self.allow_private || self.origins.iter().any(|(origin, by)| *by == By::Operator && origin.host == *host)
    }

    /// Whether there is no grant at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// Every granted origin, in order.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.origins.keys()
    }
}

#[cfg(test)]
mod tests;
