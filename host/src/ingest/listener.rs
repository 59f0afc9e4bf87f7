//! What a `[[listen]]` is once it is bound: its socket, and the rules of its port.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::datagram::Datagrams;
use super::door::Door;
use super::tls::Certificates;
use crate::config::Protocol;
use crate::limits;

/// One port and its rules.
pub struct Listener {
    /// Where connections come from. Shared, because it outlives the rules that others replace.
    pub socket: Arc<Bound>,
    /// Cancelled when others take what comes in there: nothing new is accepted by these rules.
    pub closing: CancellationToken,
    /// What is spoken there.
    pub protocol: Protocol,
    /// TLS, unless the bytes are plain.
    pub tls: Option<Certificates>,
    /// Who may.
    pub door: Door,
    /// Labels for every message that does not have them.
    pub labels: Vec<(String, String)>,
    /// Whether every connection begins with a PROXY header.
    pub trust_proxy: bool,
    /// Networks whose peers may connect; empty: all.
    pub allow: Vec<IpNet>,
}

impl Listener {
    /// A port without any rule: plain bytes, told apart by the first of them.
    #[must_use]
    pub fn plain(socket: Bound) -> Self {
        Self {
            socket: Arc::new(socket),
            closing: CancellationToken::new(),
            protocol: Protocol::Auto,
            tls: None,
            door: Door::default(),
            labels: Vec::new(),
            trust_proxy: false,
            allow: Vec::new(),
        }
    }

    /// Whether not everybody who reaches the port may send.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        let by_certificate = self.tls.as_ref().is_some_and(Certificates::asks_for_one);
        by_certificate || !self.allow.is_empty() || self.door.is_guarded()
    }

    /// Whether this peer may send here.
    pub(super) fn allows(&self, peer: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&peer))
    }
}

/// A socket that accepts connections.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, with the file to remove at the end.
    Unix(UnixListener, SocketFile),
    /// UDP: no connections, every datagram is a message.
    Udp(UdpSocket),
    /// The same over a unix socket, with its file.
    UnixDatagram(UnixDatagram, SocketFile),
}

/// A connection that nobody has read from.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Bound {
    /// Listens on a unix socket. A file that a killed mag left is replaced, one that somebody serves is not.
    ///
    /// # Errors
    ///
    /// What the operating system says, or that the path is taken.
    pub fn unix(path: &Path) -> io::Result<Self> {
        free(path, |path| std::os::unix::net::UnixStream::connect(path).is_ok())?;
        let listener = UnixListener::bind(path)?;
        let file = SocketFile(Some(path.to_owned()));
        // Like a port: whoever reaches the file may write. Its folder says who does.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self::Unix(listener, file))
    }

    /// Takes datagrams from a unix socket. Whoever reaches its file may write, as to `/dev/log`.
    ///
    /// # Errors
    ///
    /// As [`Bound::unix`].
    pub fn unix_datagram(path: &Path) -> io::Result<Self> {
        free(path, |path| std::os::unix::net::UnixDatagram::unbound().and_then(|own| own.connect(path)).is_ok())?;
        let socket = UnixDatagram::bind(path)?;
        let file = SocketFile(Some(path.to_owned()));
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self::UnixDatagram(socket, file))
    }

    /// Takes datagrams from a UDP port.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub async fn udp(address: &str) -> io::Result<Self> {
        let socket = UdpSocket::bind(address).await?;
        if let Err(error) = SockRef::from(&socket).set_recv_buffer_size(limits::DATAGRAM_SOCKET_BYTES) {
            tracing::debug!(%error, "cannot make the buffer of a socket larger");
        }
        Ok(Self::Udp(socket))
    }

    /// The socket, if it takes datagrams.
    pub(super) fn datagrams(&self) -> Option<Datagrams<'_>> {
        match self {
            Self::Udp(socket) => Some(Datagrams::Udp(socket)),
            Self::UnixDatagram(socket, _) => Some(Datagrams::Unix(socket)),
            Self::Tcp(_) | Self::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer.ip())),
            Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
            // Nobody connects here.
            Self::Udp(_) | Self::UnixDatagram(..) => std::future::pending().await,
        }
    }
}

/// Removes the file of a socket that a killed mag left.
fn free(path: &Path, is_served: fn(&Path) -> bool) -> io::Result<()> {
    if !fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        return Ok(());
    }
    if is_served(path) {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves this socket"));
    }
    fs::remove_file(path)
}

/// Removes the file of a unix socket that is no longer served, unless somebody else has made it.
#[derive(Debug)]
pub struct SocketFile(Option<PathBuf>);

impl SocketFile {
    /// The file of a socket that somebody else has bound and goes on to own.
    #[must_use]
    pub fn of_another() -> Self {
        Self(None)
    }
}

impl std::fmt::Display for SocketFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("(of the service manager)"),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Some(path) = &self.0 else { return };
        if let Err(error) = fs::remove_file(path) {
            tracing::debug!(%error, path = %path.display(), "cannot remove a socket");
        }
    }
}
