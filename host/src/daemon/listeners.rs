//! Ports: what of each can go wrong before mag listens, and binding them.

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use crate::config::{Config, Listen, SecretValue, Socket};
use crate::ingest::{Bound, Certificates, Door, Listener};

/// What a port needs beside its socket.
pub(super) struct Port {
    tls: Option<Certificates>,
    door: Door,
}

/// Reads the certificates of all ports.
///
/// # Errors
///
/// All that cannot be used.
pub(super) fn ports(config: &Config, tokens: Vec<Option<SecretValue>>) -> anyhow::Result<Vec<Port>> {
    let mut ports = Vec::new();
    let mut wrong = Vec::new();
    for (listen, token) in config.listen.iter().zip(tokens) {
        match listen.tls.as_ref().map(Certificates::load).transpose() {
            Ok(tls) => ports.push(Port { tls, door: Door::new(token) }),
            Err(error) => wrong.push(format!("error: `tls` of [[listen]] {}: {error}", listen.address)),
        }
    }
    if wrong.is_empty() { Ok(ports) } else { bail!(wrong.join("\n")) }
}

/// As [`ports`], for whoever only wants to know.
///
/// # Errors
///
/// All that cannot be used.
pub(crate) fn check(config: &Config, tokens: Vec<Option<SecretValue>>) -> anyhow::Result<()> {
    ports(config, tokens).map(drop)
}

/// Binds every port.
///
/// # Errors
///
/// The first one that cannot be bound.
pub(super) async fn bind(config: &Config, ports: Vec<Port>) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for (listen, port) in config.listen.iter().zip(ports) {
        let socket = socket(listen).await.with_context(|| {
            let free = if listen.socket == Socket::Tcp { "free the port" } else { "free the path" };
            format!("cannot listen on {}: {free}, or give another `address` in [[listen]]", listen.address)
        })?;
        listeners.push(Listener {
            protocol: listen.protocol,
            tls: port.tls,
            door: port.door,
            labels: listen.labels.clone(),
            trust_proxy: listen.trust_proxy,
            ..Listener::plain(socket)
        });
    }
    Ok(listeners)
}

async fn socket(listen: &Listen) -> std::io::Result<Bound> {
    match &listen.socket {
        Socket::Tcp => TcpListener::bind(&listen.address).await.map(Bound::Tcp),
        Socket::Unix(path) => Bound::unix(path),
    }
}

/// A port for the log: where it is, and who reaches it.
pub(super) fn in_words(listener: &Listener) -> String {
    let place = match &listener.socket {
        Bound::Tcp(socket) => match socket.local_addr() {
            Ok(address) if address.ip().is_loopback() => address.to_string(),
            Ok(address) => format!("{address}, open to whoever reaches this machine"),
            Err(error) => format!("a port that does not say where it is ({error})"),
        },
        Bound::Unix(_, file) => format!("unix:{file}"),
    };
    if listener.tls.is_some() { format!("{place}, with TLS") } else { place }
}
