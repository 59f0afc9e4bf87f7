//! A certificate for the loopback, signed by itself, and the server's side of TLS with it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Key and certificate for `localhost` and `127.0.0.1`.
#[derive(Clone)]
pub(crate) struct Certificate {
    config: Arc<ServerConfig>,
    pem: String,
}

impl Certificate {
    /// A new one, which nobody knows.
    pub(crate) fn new() -> Self {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("valid names");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a key that fits its certificate");
        Self { config: Arc::new(config), pem: made.cert.pem() }
    }

    /// The certificate as a file of trusted authorities holds it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Speaks TLS as a server.
    pub(super) fn wrap(&self, stream: TcpStream) -> impl Read + Write + use<> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).expect("a config that works");
        StreamOwned::new(connection, stream)
    }
}
