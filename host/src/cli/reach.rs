//! Where a mag takes messages in, for the commands that send some: what was typed, else what the config says, else the usual
//! port.
//!
//! A port of the config that speaks TLS is known by its own certificate, which the config names: that is no matter of names
//! and authorities. Any other one is checked as a browser does it. What is typed counts more than what the environment says,
//! and that more than the config.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mag_client::{Builder, Client, Transport};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use super::env;
use super::post::{Dial, Posting};
use crate::config::{Config, Listen, Mistakes, Protocol, Socket, SourceError};
use crate::{file, limits};

/// Where mag is looked for when nobody says where it is.
pub(super) const USUAL: &str = "127.0.0.1:3050";
/// How an address begins that is spoken to over TLS.
const TLS: &str = "tls:";
/// How one begins that is spoken to by HTTP, and by HTTP over TLS.
const HTTP: &str = "http://";
const HTTPS: &str = "https://";
/// Where the token of a port is that is not in the config, or another one than there.
const TOKEN: &str = "MAG_TOKEN";

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReachError {
    #[error("mag: {0}\nmag: put the config right, or say where mag is with --to")]
    Source(#[from] SourceError),
    #[error("{0}\nmag: put the config right, or say where mag is with --to")]
    Mistakes(#[from] Mistakes),
    #[error(
        "mag: no [[listen]] of the config takes messages from here (with protocol auto, ndjson or http and a fixed port; \
         one with client_ca needs --cert and --key): say where mag is with --to"
    )]
    Nowhere,
    #[error("mag: {path}: {why}", path = .path.display())]
    File { path: PathBuf, why: String },
    #[error("mag: {cert} and {key} do not go together: {error}", cert = .cert.display(), key = .key.display())]
    Together { cert: PathBuf, key: PathBuf, error: rustls::Error },
    #[error(
        "mag: {0} is not an address like mag.example.org:3050, tls:mag.example.org:3050 or https://mag.example.org:3050"
    )]
    Address(String),
    #[error("mag: the token of {at}: {why}")]
    Token { at: String, why: String },
}

/// The files of TLS.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Papers<'a> {
    /// Who signed mag's certificate; else the system's authorities.
    pub(super) ca: Option<&'a Path>,
    /// This side's own certificate and its key, for ports that let in nobody without.
    pub(super) own: Option<(&'a Path, &'a Path)>,
}

/// Begins a client of the mag that is meant; says also how that one is named.
pub(super) fn find(
    to: Option<&str>,
    papers: Papers<'_>,
    config: Option<&Path>,
) -> Result<(Builder, String), ReachError> {
    if let Some(to) = to {
        return typed(to, papers);
    }
    let source = Config::find(config, &env)?;
    if source.file.is_none() {
        return Ok((Client::builder(USUAL), USUAL.to_owned()));
    }
    let config = Config::load(&source, &env)?;
    config.listen.iter().find_map(|listen| listening(listen, papers).transpose()).unwrap_or(Err(ReachError::Nowhere))
}

fn typed(to: &str, papers: Papers<'_>) -> Result<(Builder, String), ReachError> {
    if let Some(address) = to.strip_prefix(HTTP) {
        return Ok((by_http(to, address, plain(address), token().as_deref())?, to.to_owned()));
    }
    if let Some(address) = to.strip_prefix(HTTPS) {
        return Ok((by_http(to, address, named_tls(to, address, papers)?, token().as_deref())?, to.to_owned()));
    }
    let Some(address) = to.strip_prefix(TLS) else { return Ok((Client::builder(to), to.to_owned())) };
    let dial = named_tls(to, address, papers)?;
    Ok((Client::builder(to).dial(move |patience| dial(patience)), to.to_owned()))
}

/// TLS with a mag that is known by its name and by who signed its certificate.
fn named_tls(to: &str, address: &str, papers: Papers<'_>) -> Result<Dial, ReachError> {
    let wrong = || ReachError::Address(to.to_owned());
    let host = address.rsplit_once(':').map(|(host, _)| host.trim_start_matches('[').trim_end_matches(']'));
    let name = ServerName::try_from(host.ok_or_else(wrong)?.to_owned()).map_err(|_odd| wrong())?;
    let mut roots = RootCertStore::empty();
    match papers.ca {
        Some(path) => {
            let file = |why: String| ReachError::File { path: path.to_owned(), why };
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| file(error.to_string()))?;
            }
        }
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let verifier = verifier.map_err(|error| ReachError::File {
        path: papers.ca.unwrap_or(Path::new("the system's certificate authorities")).to_owned(),
        why: error.to_string(),
    })?;
    tls(address, name, verifier, papers)
}

/// The token that the environment has; empty is none.
fn token() -> Option<String> {
    env(TOKEN).filter(|token| !token.is_empty())
}

fn plain(address: &str) -> Dial {
    let address = address.to_owned();
    Arc::new(move |patience: Duration| mag_client::connect(&address, patience))
}

/// A client that posts what it sends.
fn by_http(named: &str, host: &str, dial: Dial, token: Option<&str>) -> Result<Builder, ReachError> {
    if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        let why = "only visible ASCII characters without spaces can be sent".to_owned();
        return Err(ReachError::Token { at: named.to_owned(), why });
    }
    let head = Posting::head(host, token);
    let posting = move |patience: Duration| -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Posting::new(Arc::clone(&dial), Arc::clone(&head), patience)))
    };
    Ok(Client::builder(named).dial(posting))
}

/// A client of this port of the config, if it can be one.
fn listening(listen: &Listen, papers: Papers<'_>) -> Result<Option<(Builder, String)>, ReachError> {
    let http = listen.protocol == Protocol::Http;
    let spoken = (http || matches!(listen.protocol, Protocol::Auto | Protocol::Ndjson)) && !listen.trust_proxy;
    if !spoken {
        return Ok(None);
    }
    let address = match &listen.socket {
        Socket::Unix(path) => format!("unix:{}", path.display()),
        Socket::Tcp if listen.address.ends_with(":0") => return Ok(None),
        Socket::Tcp => from_here(&listen.address),
        _ => return Ok(None),
    };
    let dial = match &listen.tls {
        None => plain(&address),
        Some(tls) if tls.client_ca.is_some() && papers.own.is_none() => return Ok(None),
        Some(certificate) => {
            let own = certificates(&certificate.cert)?.swap_remove(0);
            // What is known by its certificate needs no name.
            let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
            tls(&address, name, Arc::new(Known { own, provider: provider() }), papers)?
        }
    };
    if !http {
        return Ok(Some((Client::builder(address.as_str()).dial(move |patience| dial(patience)), address)));
    }
    let token = match (token(), &listen.token) {
        (Some(token), _) => Some(token),
        (None, None) => None,
        (None, Some(token)) => {
            let token = token.read(&env).map_err(|why| ReachError::Token { at: address.clone(), why })?;
            Some(token.0.clone())
        }
    };
    let host = if matches!(listen.socket, Socket::Unix(_)) { "localhost" } else { address.as_str() };
    Ok(Some((by_http(&address, host, dial, token.as_deref())?, address)))
}

/// All addresses of a machine are reached by its loopback.
fn from_here(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => address.to_owned(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ReachError> {
    let file = |why: String| ReachError::File { path: path.to_owned(), why };
    let bytes = pem(path)?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(file("no certificate in PEM".to_owned())),
        Err(error) => Err(file(format!("no certificate in PEM: {error}"))),
    }
}

fn pem(path: &Path) -> Result<Vec<u8>, ReachError> {
    file::read(path, limits::CERTIFICATE_BYTES)
        .map_err(|error| ReachError::File { path: path.to_owned(), why: error.to_string() })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn tls(
    address: &str,
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
    papers: Papers<'_>,
) -> Result<Dial, ReachError> {
    let tls = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring serves both TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let tls = match papers.own {
        None => tls.with_no_client_auth(),
        Some((cert, key)) => {
            let no_key =
                |error| ReachError::File { path: key.to_owned(), why: format!("no private key in PEM: {error}") };
            let own = PrivateKeyDer::from_pem_slice(&pem(key)?).map_err(no_key)?;
            tls.with_client_auth_cert(certificates(cert)?, own).map_err(|error| ReachError::Together {
                cert: cert.to_owned(),
                key: key.to_owned(),
                error,
            })?
        }
    };
    let (tls, address) = (Arc::new(tls), address.to_owned());
    Ok(Arc::new(move |patience: Duration| -> io::Result<Box<dyn Transport>> {
        let patience = patience.max(Duration::from_millis(1));
        let mut socket = connect(&address, patience)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        let mut session = ClientConnection::new(Arc::clone(&tls), name.clone()).map_err(broken)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(in_words)?;
        }
        Ok(Box::new(Secured(StreamOwned::new(session, socket))))
    }))
}

/// An authority's own certificate is no server's, so it is refused though it is trusted.
const AUTHORITY: &str = "its certificate is marked as an authority's (CA:TRUE, as `openssl req -x509` makes it), which no \
                         server may show: make it again with `-addext basicConstraints=critical,CA:FALSE`";

/// rustls has a word for a wrong name, a wrong time and a signature of nobody, and none for this.
fn in_words(error: io::Error) -> io::Error {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            io::Error::new(error.kind(), AUTHORITY)
        }
        _ => error,
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

fn connect(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for peer in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&peer, patience) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// TLS over TCP.
struct Secured(StreamOwned<ClientConnection, TcpStream>);

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secured").field(&self.0.sock).finish()
    }
}

impl Read for Secured {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Secured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Transport for Secured {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.sock.set_read_timeout(Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.sock.set_write_timeout(Some(timeout))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.0.sock.set_nonblocking(nonblocking)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()?;
        self.0.sock.shutdown(Shutdown::Write)
    }
}

/// Trusts one certificate and no other.
#[derive(Debug)]
struct Known {
    own: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.own {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("its certificate is not the one that the config names".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
