//! `[[listen]]`: where messages come in, what is spoken there, and who may.
//!
//! Checks the form of an address only; names are resolved when it is bound, and files are read when mag starts.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::log::choice;
use super::typed::{Section, Value};
use super::{Certificate, Listen, Protocol, Socket, secret};
use crate::limits;

/// The address of a configuration that names none.
pub(super) const ADDRESS: &str = "0.0.0.0:3050";
/// How the address of a unix socket begins.
const UNIX: &str = "unix:";
/// How the address of a unix socket for datagrams begins.
const UNIX_DATAGRAM: &str = "unixgram:";
/// How the address of a UDP port begins.
const UDP: &str = "udp:";
/// How the address of a socket begins that the service manager gives.
const INHERITED: &str = "systemd:";

/// Every `[[listen]]`, or the one that stands for none.
pub(super) fn read(root: &mut Section<'_>) -> Vec<Listen> {
    let Some(value) = root.take("listen") else {
        return vec![plain(ADDRESS.to_owned(), Socket::Tcp)];
    };
    let items = value.list("a list of tables, each headed [[listen]]").unwrap_or_default();
    let mut listen: Vec<Listen> = Vec::new();
    for item in &items {
        let Some(Some(new)) = item.section("[[listen]]", |section| one(section, &listen)) else { continue };
        listen.push(new);
    }
    if items.is_empty() && value.node().get_ref().is_array() {
        value.file.absent(&value.key, "`listen`: expected at least one address");
    }
    listen
}

/// A listener that says nothing but where it is.
fn plain(address: String, socket: Socket) -> Listen {
    Listen {
        address,
        socket,
        protocol: Protocol::Auto,
        tls: None,
        token: None,
        labels: Vec::new(),
        trust_proxy: false,
        allow: Vec::new(),
        place: 0,
    }
}

fn one(section: &mut Section<'_>, before: &[Listen]) -> Option<Listen> {
    let protocol = section.take("protocol").and_then(|value| protocol(&value)).unwrap_or_default();
    let tls = section.take("tls").and_then(|value| Some((certificate(&value)?, value)));
    let token = section.take("token").and_then(|value| Some((secret::source(&value, "[listen]")?, value)));
    let shared_key = section.take("shared_key").and_then(|value| Some((secret::source(&value, "[listen]")?, value)));
    let labels = section.take("labels").map(|value| labels(&value)).unwrap_or_default();
    let allow = section.take("allow").and_then(|value| Some((networks(&value)?, value)));
    let proxy = section.take("trust_proxy").and_then(|value| Some((value.bool()?, value)));
    if let Some((_, value)) = token.as_ref().filter(|_| protocol != Protocol::Http) {
        value.wrong(
            "`token`: only HTTP can bring one: add `protocol = \"http\"`, and give other protocols a [[listen]] of their own",
        );
    }
    if let Some((_, value)) = shared_key.as_ref().filter(|_| protocol != Protocol::Forward) {
        value.wrong(
            "`shared_key`: only Forward has one: add `protocol = \"forward\"`, and give other protocols a [[listen]] of their own",
        );
    }
    let token = token.or(shared_key);
    let value = section.require("address")?;
    let (address, socket) = address(&value)?;
    // Port 0 is another free port each time.
    let fixed = split(address.strip_prefix(UDP).unwrap_or(&address)).is_none_or(|(_, port)| port > 0);
    if fixed && before.iter().any(|other| other.address == address) {
        value.wrong(format!("`address`: {address} is there already"));
    }
    let no_tcp = match socket {
        Socket::Unix(_) => Some("is a unix socket"),
        Socket::Udp(_) | Socket::UnixDatagram(_) => Some("takes datagrams"),
        Socket::Tcp | Socket::Inherited(_) => None,
    };
    if let Some(what) = no_tcp {
        for (name, value) in [("tls", tls.as_ref().map(|t| &t.1)), ("trust_proxy", proxy.as_ref().map(|p| &p.1))] {
            if let Some(value) = value {
                value.wrong(format!("`{name}`: only for TCP, and {address} {what}"));
            }
        }
    }
    if let (Socket::Unix(_) | Socket::UnixDatagram(_), Some((_, value))) = (&socket, &allow) {
        value.wrong(format!("`allow`: peers of {address} have no addresses, set the rights of its folder instead"));
    }
    let takes_datagrams = matches!(socket, Socket::Udp(_) | Socket::UnixDatagram(_));
    if takes_datagrams && !matches!(protocol, Protocol::Auto | Protocol::Syslog | Protocol::Gelf) {
        value.wrong(format!("`protocol`: what comes in datagrams, as on {address}, is syslog or gelf"));
    }
    Some(Listen {
        protocol,
        tls: tls.map(|(tls, _)| tls),
        place: token.as_ref().map_or(0, |(_, value)| value.span().start),
        token: token.map(|(token, _)| token),
        labels,
        trust_proxy: proxy.is_some_and(|(proxy, _)| proxy),
        allow: allow.map(|(allow, _)| allow).unwrap_or_default(),
        ..plain(address, socket)
    })
}

fn address(value: &Value<'_>) -> Option<(String, Socket)> {
    let text = value.string("an address like \"0.0.0.0:3050\" or \"unix:/run/mag.sock\"")?;
    let path = |prefix: &str| text.strip_prefix(prefix).map(|path| (path, value.file.folder.join(path)));
    for (prefix, found) in [(UNIX, path(UNIX)), (UNIX_DATAGRAM, path(UNIX_DATAGRAM))] {
        match found {
            None => {}
            Some(("", _)) => {
                value.expected(&format!("a path after `{prefix}`"));
                return None;
            }
            Some((_, path)) if prefix == UNIX => return Some((text.to_owned(), Socket::Unix(path))),
            Some((_, path)) => return Some((text.to_owned(), Socket::UnixDatagram(path))),
        }
    }
    if let Some(address) = text.strip_prefix(UDP) {
        if split(address).is_none() {
            value.expected("an address like \"udp:0.0.0.0:514\"");
            return None;
        }
        return Some((text.to_owned(), Socket::Udp(address.to_owned())));
    }
    if let Some(name) = text.strip_prefix(INHERITED) {
        if name.is_empty() {
            value.expected("the name or the number of a socket after `systemd:`");
            return None;
        }
        return Some((text.to_owned(), Socket::Inherited(name.to_owned())));
    }
    let address = value.parse("an address like \"0.0.0.0:3050\"", |text| split(text).map(|_| text.to_owned()))?;
    Some((address, Socket::Tcp))
}

fn protocol(value: &Value<'_>) -> Option<Protocol> {
    choice(value, &["auto", "classic", "ndjson", "http", "syslog", "relp", "forward", "gelf"], |word| match word {
        "auto" => Some(Protocol::Auto),
        "classic" => Some(Protocol::Classic),
        "ndjson" => Some(Protocol::Ndjson),
        "http" => Some(Protocol::Http),
        "syslog" => Some(Protocol::Syslog),
        "relp" => Some(Protocol::Relp),
        "gelf" => Some(Protocol::Gelf),
        "forward" => Some(Protocol::Forward),
        _ => None,
    })
}

fn certificate(value: &Value<'_>) -> Option<Certificate> {
    value.section("[listen.tls]", |section| {
        let folder = section.file.folder.clone();
        let path = |value: Value<'_>| -> Option<PathBuf> {
            value.filled("the path of a PEM file").map(|path| folder.join(path))
        };
        let cert = section.require("cert").and_then(path);
        let key = section.require("key").and_then(path);
        let client_ca = section.take("client_ca").and_then(path);
        Some(Certificate { cert: cert?, key: key?, client_ca })
    })?
}

fn networks(value: &Value<'_>) -> Option<Vec<IpNet>> {
    const WHAT: &str = "a network like \"10.0.0.0/8\" or an address";
    let items = value.list("a list of networks")?;
    if items.is_empty() {
        value.wrong("`allow`: an empty list lets nobody in");
    }
    let network = |text: &str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    Some(items.iter().filter_map(|item| item.parse(WHAT, network)).collect())
}

fn labels(value: &Value<'_>) -> Vec<(String, String)> {
    let entries = value.entries("a table of texts").unwrap_or_default();
    if entries.len() > limits::LABELS {
        value.wrong(format!("`labels`: at most {} labels", limits::LABELS));
    }
    let one = |entry: &Value<'_>| {
        let text = entry.string("a text")?;
        if entry.name.is_empty() || entry.name.len() > limits::LABEL_NAME_BYTES {
            entry.wrong(format!("a label's name has 1 to {} bytes", limits::LABEL_NAME_BYTES));
        }
        if text.len() > limits::LABEL_VALUE_BYTES {
            entry.wrong(format!("a label has at most {} bytes", limits::LABEL_VALUE_BYTES));
        }
        Some((entry.name.to_owned(), text.to_owned()))
    };
    entries.iter().filter_map(one).collect()
}

/// Host and port of an address; a host with colons stands in brackets.
pub(super) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let plain = !host.is_empty() && !host.contains(|c: char| c == ':' || c.is_whitespace());
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good = bracketed.map_or(plain, |inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    let port = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    good.then_some((host, port))
}
