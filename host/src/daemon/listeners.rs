//! Ports: what of each can go wrong before mag listens, and binding them.

use std::io;
use std::net::SocketAddr;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use crate::config::{Config, Env, Listen, LiveSecret, Socket};
use crate::ingest::{Bound, Certificates, Door, Listener, SocketFile};

/// What the ports need beside the config.
pub(super) struct Ports {
    ports: Vec<Port>,
    /// Of the sockets that the service manager gives.
    names: Vec<String>,
}

/// What a port needs beside its socket.
struct Port {
    tls: Option<Certificates>,
    door: Door,
}

/// Reads the certificates of all ports.
///
/// # Errors
///
/// All that cannot be used.
pub(super) fn ports(config: &Config, tokens: Vec<Option<LiveSecret>>, env: &Env<'_>) -> anyhow::Result<Ports> {
    let mut ports = Vec::new();
    let mut wrong = Vec::new();
    for (listen, token) in config.listen.iter().zip(tokens) {
        match listen.tls.as_ref().map(Certificates::load).transpose() {
            Ok(tls) => ports.push(Port { tls, door: Door::new(token) }),
            Err(error) => wrong.push(format!("error: `tls` of [[listen]] {}: {error}", listen.address)),
        }
    }
    let names = env("LISTEN_FDNAMES").map(|names| names.split(':').map(str::to_owned).collect()).unwrap_or_default();
    if wrong.is_empty() { Ok(Ports { ports, names }) } else { bail!(wrong.join("\n")) }
}

/// As [`ports`], for whoever only wants to know.
///
/// # Errors
///
/// All that cannot be used.
pub(crate) fn check(config: &Config, tokens: Vec<Option<LiveSecret>>, env: &Env<'_>) -> anyhow::Result<()> {
    ports(config, tokens, env).map(drop)
}

/// Binds every port.
///
/// # Errors
///
/// The first one that cannot be bound.
pub(super) async fn bind(config: &Config, ports: Ports) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut inherited = Inherited { sockets: ListenFd::from_env(), names: ports.names };
    for (listen, port) in config.listen.iter().zip(ports.ports) {
        let socket = socket(listen, &mut inherited).await.with_context(|| {
            let mend = match listen.socket {
                Socket::Tcp | Socket::Udp(_) => "free the port, or give another `address` in [[listen]]",
                Socket::Unix(_) | Socket::UnixDatagram(_) => "free the path, or give another `address` in [[listen]]",
                Socket::Inherited(_) => "name a socket of the service's .socket unit in [[listen]]",
            };
            format!("cannot listen on {}: {mend}", listen.address)
        })?;
        listeners.push(Listener {
            protocol: listen.protocol,
            tls: port.tls,
            door: port.door,
            labels: listen.labels.clone(),
            trust_proxy: listen.trust_proxy,
            allow: listen.allow.clone(),
            ..Listener::plain(socket)
        });
    }
    Ok(listeners)
}

/// Sockets that the service manager has bound (`sd_listen_fds(3)`).
struct Inherited {
    sockets: ListenFd,
    /// `FileDescriptorName=` of each, in order.
    names: Vec<String>,
}

impl Inherited {
    fn take(&mut self, name: &str) -> io::Result<Bound> {
        let by_name = self.names.iter().position(|known| known == name);
        let Some(at) = by_name.or_else(|| name.parse().ok()).filter(|at| *at < self.sockets.len()) else {
            let given = match self.names.as_slice() {
                [] => format!("{} without names", self.sockets.len()),
                names => names.join(", "),
            };
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no such socket; given are: {given}")));
        };
        if let Ok(Some(listener)) = self.sockets.take_tcp_listener(at) {
            listener.set_nonblocking(true)?;
            return TcpListener::from_std(listener).map(Bound::Tcp);
        }
        match self.sockets.take_unix_listener(at)? {
            Some(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(|listener| Bound::Unix(listener, SocketFile::of_another()))
            }
            None => Err(io::Error::new(io::ErrorKind::AddrInUse, "another [[listen]] has it")),
        }
    }
}

async fn socket(listen: &Listen, inherited: &mut Inherited) -> io::Result<Bound> {
    match &listen.socket {
        Socket::Tcp => TcpListener::bind(&listen.address).await.map(Bound::Tcp),
        Socket::Unix(path) => Bound::unix(path),
        Socket::Udp(address) => Bound::udp(address).await,
        Socket::UnixDatagram(path) => Bound::unix_datagram(path),
        Socket::Inherited(name) => inherited.take(name),
    }
}

/// A port for the log: where it is, and who reaches it.
pub(super) fn in_words(listener: &Listener) -> String {
    let guarded = listener.is_guarded();
    let reached = |address: io::Result<SocketAddr>| match address {
        Ok(address) if address.ip().is_loopback() || guarded => address.to_string(),
        Ok(address) => format!("{address}, open to whoever reaches this machine"),
        Err(error) => format!("a port that does not say where it is ({error})"),
    };
    let place = match &listener.socket {
        Bound::Tcp(socket) => reached(socket.local_addr()),
        Bound::Udp(socket) => format!("udp:{}", reached(socket.local_addr())),
        Bound::Unix(_, file) => format!("unix:{file}"),
        Bound::UnixDatagram(_, file) => format!("unixgram:{file}"),
    };
    if listener.tls.is_some() { format!("{place}, with TLS") } else { place }
}
