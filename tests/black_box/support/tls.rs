//! A certificate for the loopback, signed by itself, and the server's side of TLS with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Key and certificate for `localhost` and `127.0.0.1`.
#[derive(Clone)]
pub(crate) struct Certificate {
    config: Arc<ServerConfig>,
    pem: String,
    key_pem: String,
}

impl Certificate {
    /// A new one, which nobody knows.
    pub(crate) fn new() -> Self {
        Self::for_names(&["localhost", "127.0.0.1"])
    }

    /// A new one for other names.
    pub(crate) fn for_names(names: &[&str]) -> Self {
        Self::signed(names, |_| ())
    }

    /// A new one that is no longer valid.
    pub(crate) fn expired() -> Self {
        Self::signed(&["localhost", "127.0.0.1"], |params| params.not_after = rcgen::date_time_ymd(2001, 2, 3))
    }

    /// A new one that is marked as an authority's, as `openssl req -x509` makes it.
    pub(crate) fn of_an_authority() -> Self {
        Self::signed(&["localhost"], |params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))
    }

    fn signed(names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).expect("valid names");
        change(&mut params);
        let key_pair = rcgen::KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key_pair).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key_pair.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a key that fits its certificate");
        Self { config: Arc::new(config), pem: cert.pem(), key_pem: key_pair.serialize_pem() }
    }

    /// The certificate as a file of trusted authorities holds it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key, as a server's file holds it.
    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A port behind which a server speaks TLS with it, and nothing else.
    pub(crate) fn serves(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let own = self.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut tls = own.wrap(stream);
                // Until the client has seen the certificate and goes.
                thread::spawn(move || drop(tls.read(&mut [0; 1024])));
            }
        });
        port
    }

    /// Speaks TLS as a server.
    pub(super) fn wrap(&self, stream: TcpStream) -> impl Read + Write + use<> {
        let connection = ServerConnection::new(Arc::clone(&self.config)).expect("a config that works");
        StreamOwned::new(connection, stream)
    }
}
