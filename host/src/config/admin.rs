//! `[admin]`: where a running mag can be looked at.
//!
//! Only on the loopback: there is no login yet, so that whoever reaches it may do everything that it can.

use std::net::{Ipv4Addr, Ipv6Addr};

use toml::de::{DeTable, DeValue};

use super::typed::Section;
use super::{Admin, Config, Listen, Socket, Source, listen};

/// Where it is unless the file says otherwise.
pub(super) const ADDRESS: &str = "127.0.0.1:3051";

/// What `[admin]` says, beside the ports of `[[listen]]`; `None` without it.
pub(super) fn read(root: &mut Section<'_>, ports: &[Listen]) -> Option<Admin> {
    let value = root.take("admin")?;
    value.section("[admin]", |section| {
        section.not_yet(&["tls", "token"]);
        let default = Admin { address: ADDRESS.to_owned() };
        let Some(value) = section.take("address") else { return default };
        let what = format!("an address like {ADDRESS:?}");
        let Some(address) = value.parse(&what, |text| listen::split(text).map(|_| text.to_owned())) else {
            return default;
        };
        if !is_loopback(&address) {
            value.wrong(format!(
                "`address`: {address} can be reached from outside, and in this version nobody has to log in: \
                 use a loopback address like {ADDRESS:?}"
            ));
        }
        if let Some(port) = ports.iter().find(|port| port.socket == Socket::Tcp && overlap(&address, &port.address)) {
            value.wrong(format!("`address`: {} of [[listen]] has this port already", port.address));
        }
        Admin { address }
    })
}

impl Config {
    /// Where `[admin]` is, of a file that may be full of mistakes elsewhere.
    #[must_use]
    pub fn admin_address(source: &Source) -> Option<String> {
        let (document, _) = DeTable::parse_recoverable(&source.text);
        let DeValue::Table(admin) = document.get_ref().get("admin")?.get_ref() else { return None };
        let Some(address) = admin.get("address") else { return Some(ADDRESS.to_owned()) };
        let DeValue::String(address) = address.get_ref() else { return None };
        is_loopback(address).then(|| address.clone().into_owned())
    }
}

/// Whether one of two addresses cannot be bound when the other one is.
fn overlap(a: &str, b: &str) -> bool {
    let (Some((host_a, port_a)), Some((host_b, port_b))) = (listen::split(a), listen::split(b)) else { return false };
    let all = |host: &str| matches!(host, "0.0.0.0" | "[::]");
    port_a == port_b && port_a > 0 && (host_a == host_b || all(host_a) || all(host_b))
}

fn is_loopback(address: &str) -> bool {
    let Some((host, _)) = listen::split(address) else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
        || bare.parse().is_ok_and(|address: Ipv6Addr| address.to_canonical().is_loopback())
}
