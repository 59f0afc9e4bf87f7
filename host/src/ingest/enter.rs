//! What happens before the first byte of a protocol: the PROXY header, the TLS handshake, and finding out what is spoken.
//!
//! Whoever is turned away here is told in the protocol that it seems to speak, and nothing of it is ever counted.

use std::future::pending;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::addresses::Counted;
use super::carrier::Carrier;
use super::listener::Accepted;
use super::{Shared, connection, proxy};
use crate::config::Protocol;
use crate::limits;
use crate::message::counted as in_words;
use crate::protocol::{Spoken, detect, detect_beside};

/// What a unix socket's peer is called: it has no address.
pub(super) const UNIX_PEER: &str = "unix";
/// The first byte of a TLS handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;
/// What a TLS client understands: fatal alert `unexpected_message` (RFC 8446 section 6.2).
const NO_TLS_HERE: &[u8] = &[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a];
/// What an HTTP client understands.
const HTTPS_HERE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 36\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: use https://\r\n";
/// What a person understands.
const TLS_HERE: &[u8] = b"this port speaks TLS\n";

/// A connection that may speak.
pub(super) struct Entered {
    pub(super) carrier: Carrier,
    pub(super) peer: String,
    pub(super) _counted: Option<Counted>,
}

/// Lets a connection in; `None` when it is turned away, gave up, or mag stops.
pub(super) async fn enter(accepted: Accepted, shared: &Shared) -> Option<Entered> {
    let (stream, peer) = match accepted {
        Accepted::Unix(stream) => {
            return Some(Entered { carrier: stream.into(), peer: UNIX_PEER.to_owned(), _counted: None });
        }
        Accepted::Tcp(stream, peer) => (stream, peer),
    };
    prepare(&stream);
    // Boxed, because a TLS handshake is large, and the connection lives on.
    let admitting = Box::pin(admit(stream, peer, shared));
    let entering = timeout(Duration::from_secs(limits::HANDSHAKE_SECONDS), admitting);
    let entered = tokio::select! {
        entered = entering => entered.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into())),
        () = shared.stop.cancelled() => return None,
    };
    entered.inspect_err(|error| shared.turned_away(&peer, error)).ok()
}

async fn admit(mut stream: TcpStream, peer: IpAddr, shared: &Shared) -> io::Result<Entered> {
    let listener = &shared.listener;
    let told = if listener.trust_proxy { proxy::read(&mut stream).await? } else { None };
    let peer = told.unwrap_or(peer).to_canonical();
    if !listener.allows(peer) {
        return Err(io::Error::other("it is in none of the networks of `allow`"));
    }
    let counted = shared.settings.addresses.enter(peer).map_err(|most| {
        let most = in_words(most as u64, "connection");
        io::Error::other(format!("{peer} has {most}, as many as [limits] connections_per_address allows"))
    })?;
    let carrier = match &listener.tls {
        None => Carrier::from(stream),
        Some(certificates) => {
            let mut first = [0];
            if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE] {
                return Err(refuse_plain(stream).await);
            }
            certificates.acceptor(shared.clock.instant()).await.accept(stream).await?.into()
        }
    };
    Ok(Entered { carrier, peer: peer.to_string(), _counted: counted })
}

/// Somebody speaks plain bytes to a port with TLS.
async fn refuse_plain(mut stream: TcpStream) -> io::Error {
    let mut first = [0; limits::DETECT_BYTES];
    let seen = stream.read(&mut first).await.unwrap_or(0);
    let is_http = first.get(..seen).and_then(detect) == Some(Spoken::Http);
    let told = stream.write_all(if is_http { HTTPS_HERE } else { TLS_HERE }).await;
    super::end_in_order(&SockRef::from(&stream));
    let why = "it does not speak TLS, and this port does";
    told.and(stream.shutdown().await).err().unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidData, why))
}

/// Somebody speaks TLS to a port without.
pub(super) async fn refuse_tls(mut carrier: Carrier, peer: &str, shared: &Shared) {
    shared.turned_away(&peer, &"it speaks TLS, and this port does not");
    let told = carrier.write_all(NO_TLS_HERE).await;
    if let Some(socket) = carrier.tcp() {
        super::end_in_order(&socket);
    }
    if let Err(error) = told.and(carrier.shutdown().await) {
        tracing::debug!(peer, %error, "and did not listen");
    }
}

/// A client that sent nothing for as long as it may, or too little to tell what it speaks.
pub(super) struct Silent {
    is_begun: bool,
}

impl Silent {
    /// Ends its connection in order: nothing of it is left to commit.
    pub(super) async fn end(self, mut carrier: Carrier, shared: &Shared) {
        shared.counters.partial.fetch_add(u64::from(self.is_begun), Ordering::Relaxed);
        if let Some(socket) = carrier.tcp() {
            super::end_in_order(&socket);
        }
        if timeout(connection::patience(shared), carrier.shutdown()).await.is_err() {
            tracing::debug!("a client does not take the end of its connection");
        }
    }
}

/// Finds out what a connection speaks, by its first bytes unless the port's rule says it; `None` when it ended or mag
/// stops before that shows.
pub(super) async fn spoken(carrier: &mut Carrier, shared: &Shared) -> Result<Option<Spoken>, Silent> {
    let protocol = shared.listener.protocol;
    let named = match protocol {
        Protocol::Classic => Some(Spoken::Classic),
        Protocol::Ndjson => Some(Spoken::Ndjson),
        Protocol::Gelf => Some(Spoken::Gelf),
        Protocol::Syslog => Some(Spoken::Syslog),
        Protocol::Relp => Some(Spoken::Relp),
        // mag speaks first, and knows a client that does not answer in time.
        Protocol::Forward if shared.listener.door.is_guarded() => return Ok(Some(Spoken::Forward)),
        Protocol::Forward => Some(Spoken::Forward),
        // There are two of it.
        Protocol::Http | Protocol::Auto => None,
    };
    let told = first_bytes(carrier, named, shared).await?;
    Ok(match (protocol, told) {
        (Protocol::Http, Some(Spoken::Http2 | Spoken::Tls)) => told,
        (Protocol::Http, Some(_)) => Some(Spoken::Http),
        _ => told.or(named),
    })
}

async fn first_bytes(carrier: &mut Carrier, named: Option<Spoken>, shared: &Shared) -> Result<Option<Spoken>, Silent> {
    let mut first = [0; limits::DETECT_BYTES];
    let mut filled = 0;
    let mut spoken = None;
    let limit = |is_begun| shared.settings.silence(is_begun).map(|most| shared.clock.instant() + most);
    let mut until = limit(false);
    while spoken.is_none()
        && let Some(space) = first.get_mut(filled..)
    {
        let read = tokio::select! {
            biased;
            read = carrier.read(space) => read,
            () = shared.stop.cancelled() => break,
            () = over(until) => return Err(Silent { is_begun: filled > 0 }),
        };
        // An end or a fault shows again to whoever reads on.
        let Some(count) = read.ok().filter(|count| *count > 0) else { break };
        if filled == 0 {
            // For all that it takes to tell, however that trickles in.
            until = limit(true);
        }
        filled += count;
        let first = first.get(..filled).unwrap_or_default();
        spoken = named.map_or_else(|| detect(first), |named| detect_beside(named, first));
    }
    carrier.unread(first.get(..filled).unwrap_or_default());
    Ok(spoken)
}

async fn over(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

/// Small replies leave at once, and a peer that is gone is found; a system that can do neither still serves.
fn prepare(stream: &TcpStream) {
    super::end_by_reset(&SockRef::from(stream));
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(limits::KEEPALIVE_SECONDS));
    let set = SockRef::from(stream).set_tcp_keepalive(&keepalive).and_then(|()| stream.set_nodelay(true));
    if let Err(error) = set {
        tracing::debug!(%error, "cannot set options of a connection");
    }
}
