//! How connections come about: one look at the name service, the check, and then only the checked addresses.
//!
//! Proxy variables, redirects and second look-ups do not exist here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use super::error::OnlyPrivate;
use super::grants::Grants;
use crate::limits;

/// The addresses of a name, or why there are none.
pub(super) type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Who knows the addresses of names.
pub(super) trait Names: std::fmt::Debug + Send + Sync {
    /// One look-up.
    fn addresses(&self, name: String) -> Found;
}

/// The system's own way of looking names up.
#[derive(Debug)]
pub(super) struct SystemNames;

impl Names for SystemNames {
    fn addresses(&self, name: String) -> Found {
        Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
    }
}

/// Asks for addresses and lets only granted ones through: the client connects to these and to no others.
pub(super) struct CheckedNames {
    grants: Arc<Grants>,
    names: Arc<dyn Names>,
}

impl CheckedNames {
    pub(super) fn new(grants: &Arc<Grants>, names: &Arc<dyn Names>) -> Self {
        Self { grants: Arc::clone(grants), names: Arc::clone(names) }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (grants, names) = (Arc::clone(&self.grants), Arc::clone(&self.names));
        Box::pin(async move {
            let host = Host::Domain(name.as_str().to_owned());
            let found = names.addresses(name.as_str().to_owned()).await?;
            let allowed = filter(&grants, &host, found)?;
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

fn filter(grants: &Grants, host: &Host<String>, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, OnlyPrivate> {
    let any = !found.is_empty();
    let allowed: Vec<_> = found.into_iter().filter(|a| grants.permits_address(host, a.ip())).collect();
    if any && allowed.is_empty() { Err(OnlyPrivate) } else { Ok(allowed) }
}

/// Hosts that are addresses already never meet the resolver: they are checked before the request starts.
pub(super) fn literal_is_permitted(grants: &Grants, host: &Host<String>) -> bool {
    match host {
        Host::Domain(_) => true,
        Host::Ipv4(v4) => grants.permits_address(host, IpAddr::V4(*v4)),
        Host::Ipv6(v6) => grants.permits_address(host, IpAddr::V6(*v6)),
    }
}

/// A client whose connections belong to these grants alone: a pool shared between senders could hand one a
/// connection that only the other was allowed to make.
pub(super) fn client(grants: &Arc<Grants>, names: &Arc<dyn Names>) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls().clone())
        .dns_resolver(CheckedNames::new(grants, names))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(Duration::from_secs(limits::CONNECT_SECONDS))
        .pool_idle_timeout(Duration::from_secs(limits::IDLE_CONNECTION_SECONDS))
        .pool_max_idle_per_host(limits::IDLE_CONNECTIONS)
        .user_agent(concat!("mag/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Reading the system's certificates costs milliseconds, so all clients share what was read first.
fn tls() -> &'static rustls::ClientConfig {
    static TLS: OnceLock<rustls::ClientConfig> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if added == 0 {
            tracing::warn!("no certificate authorities found on this system, https will fail; install ca-certificates");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring serves both TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth()
    })
}

#[cfg(test)]
mod tests {
    use super::super::grants::Origin;
    use super::Grants;
    use super::filter;

    #[test]
    fn of_mixed_addresses_only_the_public_ones_are_connected_to() {
        let mut grants = Grants::none();
        let origin = Origin::parse("https://mixed.example").unwrap();
        grants.declared(origin.clone());
        let found = ["10.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[::ffff:8.8.8.8]:0"].map(|a| a.parse().unwrap()).to_vec();
        assert_eq!(filter(&grants, origin.host(), found).unwrap(), ["8.8.8.8:0".parse().unwrap()]);
        assert!(filter(&grants, origin.host(), vec!["127.0.0.1:0".parse().unwrap()]).is_err());
        assert_eq!(filter(&grants, origin.host(), Vec::new()).unwrap(), Vec::new());
    }
}
