//! Ports: what of each can go wrong before mag listens, binding them, and who serves them. A new config keeps the socket of
//! an address that stays.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, Env, Listen, LiveSecret, Socket};
use crate::ingest::{self, Bound, Certificates, Counters, Door, Listener, SocketFile};
use crate::message::Batch;

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
    for ((number, listen), token) in config.listen.iter().enumerate().zip(tokens) {
        match listen.tls.as_ref().map(Certificates::load).transpose() {
            Ok(tls) => ports.push(Port { tls, door: Door::new(token) }),
            Err(error) => {
                let message = format!("`tls` of [[listen]] {}: {error}", listen.address);
                wrong.push(config.report_listen(number, "tls", &message));
            }
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
    let folders = config.listen.iter().enumerate().filter_map(|(number, listen)| {
        let why = folder(listen)?;
        Some(config.report_listen(number, "address", &format!("`address`: {why}")))
    });
    let wrong: Vec<String> =
        ports(config, tokens, env).err().map(|e| e.to_string()).into_iter().chain(folders).collect();
    if wrong.is_empty() { Ok(()) } else { bail!(wrong.join("\n")) }
}

/// Why the file of a unix socket could not be made, as far as that shows without making it.
fn folder(listen: &Listen) -> Option<String> {
    let (Socket::Unix(path) | Socket::UnixDatagram(path)) = &listen.socket else { return None };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Some(format!("there is no folder {}: make it, or give another path", folder.display()));
    }
    let taken = std::fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket());
    taken.then(|| format!("{} is there and is no socket: move it away, or give another path", path.display()))
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
        listeners.push(listener(listen, port, socket.into()));
    }
    Ok(listeners)
}

fn listener(listen: &Listen, port: Port, socket: Arc<Bound>) -> Listener {
    Listener {
        socket,
        closing: CancellationToken::new(),
        protocol: listen.protocol,
        tls: port.tls,
        door: port.door,
        labels: listen.labels.clone(),
        trust_proxy: listen.trust_proxy,
        allow: listen.allow.clone(),
    }
}

/// What every port is served with.
pub(super) struct Service {
    pub(super) settings: ingest::Settings,
    /// Weak: whoever can send keeps the engine waiting.
    pub(super) batches: mpsc::WeakSender<Batch>,
    pub(super) clock: Clock,
    pub(super) stop: CancellationToken,
    pub(super) counters: Arc<Counters>,
}

/// All ports that are served.
pub(super) struct Listeners {
    service: Service,
    tasks: JoinSet<()>,
    open: Vec<Open>,
}

/// A port that is served.
struct Open {
    /// As [`same`] compares it.
    rules: Rules,
    socket: Arc<Bound>,
    closing: CancellationToken,
    /// Ends its connections too, those from before a change of rules included.
    stop: CancellationToken,
}

/// What a port is served by, without the place in the file.
#[derive(Clone, PartialEq)]
pub(super) struct Rules {
    listen: Listen,
    token: Option<LiveSecret>,
}

impl Rules {
    /// Of every port of a config, in its order.
    pub(super) fn all(config: &Config, tokens: &[Option<LiveSecret>]) -> Vec<Self> {
        let tokens = tokens.iter().cloned().chain(std::iter::repeat(None));
        let rules = |(listen, token): (&Listen, _)| Self { listen: Listen { place: 0, ..listen.clone() }, token };
        config.listen.iter().zip(tokens).map(rules).collect()
    }

    pub(super) fn address(&self) -> &str {
        &self.listen.address
    }
}

/// What a new config does with a port.
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// Other rules for a socket that stays.
    Change(Listener),
    /// A socket of its own.
    Open(Listener),
}

impl Listeners {
    /// Serves these ports.
    pub(super) fn serve(service: Service, rules: Vec<Rules>, listeners: Vec<Listener>) -> Self {
        let mut all = Self { service, tasks: JoinSet::new(), open: Vec::new() };
        for (rules, listener) in rules.into_iter().zip(listeners) {
            let stop = all.service.stop.child_token();
            all.spawn(rules, listener, stop);
        }
        all
    }

    fn spawn(&mut self, rules: Rules, listener: Listener, stop: CancellationToken) {
        // Without an engine mag is stopping, and takes nothing in.
        let Some(batches) = self.service.batches.upgrade() else { return };
        let (socket, closing) = (Arc::clone(&listener.socket), listener.closing.clone());
        let Service { settings, clock, counters, .. } = &self.service;
        let (settings, clock, counters) = (settings.clone(), clock.clone(), Arc::clone(counters));
        self.tasks.spawn(ingest::serve(listener, settings, batches, clock, stop.clone(), counters));
        self.open.push(Open { rules, socket, closing, stop });
    }

    /// The sockets that are open, with their rules: what a new config may keep.
    pub(super) fn sockets(&self) -> Vec<(Rules, Arc<Bound>)> {
        self.open.iter().map(|open| (open.rules.clone(), Arc::clone(&open.socket))).collect()
    }

    /// What connections share, and how much of it each may have.
    pub(super) fn settings(&self) -> &ingest::Settings {
        &self.service.settings
    }

    /// Takes the ports of a new config; those that are not in it take no more connections and end those they have.
    pub(super) fn replace(&mut self, wanted: Vec<(Rules, Step)>, settings: ingest::Settings) {
        self.service.settings = settings;
        // The engine ends with the last port that may send to it, and one that is changed ends before it goes on.
        let engine = self.service.batches.upgrade();
        let mut former = std::mem::take(&mut self.open);
        for (rules, step) in wanted {
            let known = former.iter().position(|open| open.rules.address() == rules.address());
            let known = known.map(|at| former.remove(at));
            match (step, known) {
                (Step::Keep, Some(known)) => self.open.push(known),
                (Step::Keep, None) => {}
                (Step::Change(listener), Some(known)) => {
                    known.closing.cancel();
                    self.spawn(rules, listener, known.stop);
                }
                (Step::Change(listener) | Step::Open(listener), _) => {
                    let stop = self.service.stop.child_token();
                    self.spawn(rules, listener, stop);
                }
            }
        }
        for gone in former {
            gone.stop.cancel();
        }
        drop(engine);
    }

    /// Notes what broke off; returns never.
    pub(super) async fn watch_over(&mut self) -> Infallible {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a port is no longer served, start mag again");
            }
        }
        std::future::pending().await
    }

    /// All of them end, once taking in is stopped.
    pub(super) fn into_tasks(self) -> JoinSet<()> {
        self.tasks
    }
}

/// Holds the ports of a new config against those that are open, and binds what is new. With `others` connections get
/// other settings, so no port is served as it was.
///
/// # Errors
///
/// The first one that cannot be bound, with its place.
pub(super) async fn prepare(
    config: &Config,
    ports: Ports,
    rules: Vec<Rules>,
    mut open: Vec<(Rules, Arc<Bound>)>,
    others: bool,
) -> Result<Vec<(Rules, Step)>, String> {
    let mut steps = Vec::new();
    for (((number, listen), port), rules) in config.listen.iter().enumerate().zip(ports.ports).zip(rules) {
        let known = open.iter().position(|(known, _)| known.address() == rules.address());
        let step = match known.map(|at| open.remove(at)) {
            Some((known, _)) if known == rules && !others => Step::Keep,
            Some((_, socket)) => Step::Change(listener(listen, port, socket)),
            None => Step::Open(listener(listen, port, bind_new(config, number, listen).await?.into())),
        };
        steps.push((rules, step));
    }
    Ok(steps)
}

async fn bind_new(config: &Config, number: usize, listen: &Listen) -> Result<Bound, String> {
    let bound = own_socket(listen).await;
    let said = |error| format!("cannot listen on {}: {error}", listen.address);
    bound.map_err(|error| config.report_listen(number, "address", &said(error)))
}

async fn own_socket(listen: &Listen) -> io::Result<Bound> {
    match &listen.socket {
        Socket::Tcp => TcpListener::bind(&listen.address).await.map(Bound::Tcp),
        Socket::Unix(path) => Bound::unix(path),
        Socket::Udp(address) => Bound::udp(address).await,
        Socket::UnixDatagram(path) => Bound::unix_datagram(path),
        Socket::Inherited(_) => {
            Err(io::Error::other("a socket of the service manager is taken at a start only: restart mag"))
        }
    }
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
        Socket::Inherited(name) => inherited.take(name),
        _ => own_socket(listen).await,
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
    let place = match &*listener.socket {
        Bound::Tcp(socket) => reached(socket.local_addr()),
        Bound::Udp(socket) => format!("udp:{}", reached(socket.local_addr())),
        Bound::Unix(_, file) => format!("unix:{file}"),
        Bound::UnixDatagram(_, file) => format!("unixgram:{file}"),
    };
    if listener.tls.is_some() { format!("{place}, with TLS") } else { place }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretValue;

    async fn listener(address: &str) -> Listener {
        Listener::plain(Bound::Tcp(TcpListener::bind(address).await.expect("a free port")))
    }

    #[tokio::test]
    async fn the_log_says_of_a_port_that_everybody_reaches_it_unless_something_guards_it() {
        const OPEN: &str = "open to whoever reaches this machine";
        let mut port = listener("0.0.0.0:0").await;
        assert!(in_words(&port).ends_with(OPEN));
        port.door = Door::new(Some(SecretValue("key".to_owned()).into()));
        assert!(!in_words(&port).contains(OPEN), "a token guards it");
        let mut port = listener("0.0.0.0:0").await;
        port.allow = vec!["10.0.0.0/8".parse().expect("a network")];
        assert!(!in_words(&port).contains(OPEN), "its networks guard it");
        assert!(!in_words(&listener("127.0.0.1:0").await).contains(OPEN), "only this machine reaches it");
    }
}
