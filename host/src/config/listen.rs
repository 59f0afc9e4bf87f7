//! `[[listen]]`: where messages come in.
//!
//! Checks the form of an address only; names are resolved when it is bound.

use super::Listen;
use super::typed::{Section, Value};

/// The address of a configuration that names none.
pub(super) const ADDRESS: &str = "0.0.0.0:3050";

/// Every `[[listen]]`, or the one that stands for none.
pub(super) fn read(root: &mut Section<'_>) -> Vec<Listen> {
    let Some(value) = root.take("listen") else {
        return vec![Listen { address: ADDRESS.to_owned() }];
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

fn one(section: &mut Section<'_>, before: &[Listen]) -> Option<Listen> {
    section.not_yet(&["tls", "token", "labels", "trust_proxy", "allow"]);
    if let Some(value) = section.take("protocol") {
        protocol(&value);
    }
    let value = section.require("address")?;
    let address = value.parse("an address like \"0.0.0.0:3050\"", |text| split(text).map(|_| text.to_owned()))?;
    // Port 0 is another free port each time.
    if before.iter().any(|other| other.address == address) && split(&address).is_some_and(|(_, port)| port > 0) {
        value.wrong(format!("`address`: {address} is there already"));
    }
    Some(Listen { address })
}

fn protocol(value: &Value<'_>) {
    match value.string("\"auto\"") {
        None | Some("auto") => {}
        Some(other) => value.wrong(format!("`protocol`: {other:?} is not in this version, only \"auto\"")),
    }
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
