//! TLS of a listener: its certificate, and the files that it is read from again when they change.
//!
//! A certificate that cannot be read any more never stops what runs: the old one goes on, and the log says so once.
//! **Invariant:** no handshake reads a file, nor waits long for somebody who does.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::Certificate;
use crate::{file, limits};

/// What is spoken inside, best first (RFC 7301); whoever names none of them, or nothing, may speak any protocol.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate that cannot be used: which file, and why.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds something else.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The files do not fit together.
    #[error("{} and {} do not make a certificate: {error}", cert.display(), key.display())]
    Together {
        /// The chain.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
        /// What the library says.
        error: rustls::Error,
    },
}

/// The certificate of one listener.
pub struct Certificates(Arc<Parts>);

struct Parts {
    config: Certificate,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    acceptor: TlsAcceptor,
    /// What the files held at the last look, good or not.
    seen: blake3::Hash,
    /// When that began.
    looked: Instant,
    /// It has not ended.
    looking: bool,
}

/// The files as they were read.
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they do not fit together.
    pub fn load(config: &Certificate) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        let acceptor = acceptor(config, &files)?;
        let loaded = Loaded { acceptor, seen: files.hash(), looked: Instant::now(), looking: false };
        Ok(Self(Arc::new(Parts { config: config.clone(), loaded: Mutex::new(loaded) })))
    }

    /// Whether clients must show a certificate of their own.
    pub(super) fn asks_for_one(&self) -> bool {
        self.0.config.client_ca.is_some()
    }

    /// For the next handshake: with what the files hold now, if that is any good and they answer.
    pub(super) async fn acceptor(&self, now: Instant) -> TlsAcceptor {
        if self.0.begins_to_look(now) {
            let parts = Arc::clone(&self.0);
            let look = tokio::task::spawn_blocking(move || parts.look());
            let patience = Duration::from_millis(limits::CERTIFICATE_WAIT_MILLIS);
            // Whatever comes of it stands in `loaded`, now or later; until then nobody else looks, nor waits.
            if timeout(patience, look).await.is_err() {
                let cert = self.0.config.cert.display();
                tracing::warn!("the files of the certificate {cert} do not answer; it is used as it was read before");
            }
        }
        self.0.loaded().acceptor.clone()
    }
}

impl Parts {
    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time for a look, and nobody else is at it.
    fn begins_to_look(&self, now: Instant) -> bool {
        let mut loaded = self.loaded();
        let every = Duration::from_millis(limits::CERTIFICATE_LOOK_MILLIS);
        let begins = !loaded.looking && now.saturating_duration_since(loaded.looked) >= every;
        if begins {
            (loaded.looked, loaded.looking) = (now, true);
        }
        begins
    }

    fn look(&self) {
        let files = Files::read(&self.config);
        let seen = files.as_ref().map_or_else(|error| blake3::hash(error.to_string().as_bytes()), Files::hash);
        let before = std::mem::replace(&mut self.loaded().seen, seen);
        let acceptor = (seen != before).then(|| files.and_then(|files| acceptor(&self.config, &files)));
        let mut loaded = self.loaded();
        loaded.looking = false;
        match acceptor {
            Some(Ok(acceptor)) => {
                loaded.acceptor = acceptor;
                tracing::info!("the certificate {} has changed and is used from now on", self.config.cert.display());
            }
            Some(Err(error)) => {
                tracing::error!("{error}; the certificate from before is used until the files are good again");
            }
            None => {}
        }
    }
}

impl Files {
    fn read(config: &Certificate) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            file::read(path, limits::CERTIFICATE_BYTES)
                .map_err(|error| TlsError::File { path: path.to_owned(), why: error.to_string() })
        };
        let client_ca = config.client_ca.as_deref().map(read).transpose()?;
        Ok(Self { cert: read(&config.cert)?, key: read(&config.key)?, client_ca })
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for file in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            hasher.update(&(file.len() as u64).to_le_bytes()).update(file);
        }
        hasher.finalize()
    }
}

fn acceptor(config: &Certificate, files: &Files) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&config.cert, &files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key)
        .map_err(|error| TlsError::File { path: config.key.clone(), why: format!("no private key in PEM: {error}") })?;
    let together = |error| TlsError::Together { cert: config.cert.clone(), key: config.key.clone(), error };
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(together)?;
    let builder = match (&config.client_ca, &files.client_ca) {
        (Some(path), Some(bytes)) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, bytes)? {
                roots
                    .add(certificate)
                    .map_err(|error| TlsError::File { path: path.clone(), why: error.to_string() })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::File { path: path.clone(), why: error.to_string() })?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(together)?;
    server.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |why: String| TlsError::File { path: path.to_owned(), why };
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(format!("no certificate in PEM: {error}")))?;
    if chain.is_empty() {
        return Err(wrong("no certificate in PEM".to_owned()));
    }
    Ok(chain)
}
