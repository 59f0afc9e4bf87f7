//! The ways to spell an origin or an address, and which of them are granted.

use super::{Grants, Origin, OriginError};
use std::net::IpAddr;

#[track_caller]
fn same(spelling: &str, canonical: &str) {
    assert_eq!(Origin::parse(spelling).unwrap().to_string(), canonical, "{spelling}");
}

#[track_caller]
fn refused(spelling: &str) {
    assert!(Origin::parse(spelling).is_err(), "{spelling}");
}

/// Whether a plugin that was granted `https://example.org` gets further with this URL than the checks.
#[track_caller]
fn never_local(spelling: &str) {
    let mut grants = Grants::none();
    grants.declared(Origin::parse("https://example.org").unwrap());
    if let Ok(origin) = Origin::parse(spelling) {
        assert!(!grants.permits(&origin), "{spelling} became {origin}");
        let address: Option<IpAddr> = match origin.host() {
            url::Host::Ipv4(v4) => Some((*v4).into()),
            url::Host::Ipv6(v6) => Some((*v6).into()),
            url::Host::Domain(_) => None,
        };
        if let Some(address) = address {
            assert!(!grants.permits_address(origin.host(), address), "{spelling} became {address}");
        }
    }
}

#[test]
fn every_spelling_of_an_origin_is_one_value() {
    for spelling in [
        "https://example.org",
        "https://example.org/",
        "https://example.org:443/path?query#part",
        "HTTPS://EXAMPLE.ORG",
        "https://example.org.",
        "https://example.org.:443",
        "https://ex%61mple.org",
        "https://example\u{3002}org",
        "https://example\u{ff0e}org",
        "https://example\u{ff61}org",
        "https://\u{ff45}xample.org",
        "https:\\\\example.org\\x",
        "https:/example.org",
        " https://example.org ",
        "ht\ntps://exam\tple.org",
    ] {
        same(spelling, "https://example.org");
    }
}

#[test]
fn every_spelling_of_the_local_address_is_that_address() {
    for spelling in [
        "http://127.0.0.1",
        "http://127.1",
        "http://127.0.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://0X7F.0x0.0x0.0x1",
        "http://0177.0.0.1",
        "http://017700000001",
        "http://0177.1",
        "http://127.0.0.1.",
        "http://%31%32%37.0.0.1",
        "http://127%2e0%2e0%2e1",
        "http://127\u{3002}0\u{3002}0\u{3002}1",
        "http://127\u{ff0e}0\u{ff0e}0\u{ff0e}1",
        "http://127\u{ff61}0\u{ff61}0\u{ff61}1",
        "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "http://\u{2460}\u{2461}\u{2466}.0.0.1",
        "http://\u{1d7cf}27.0.0.1",
        "http://[::ffff:127.0.0.1]",
        "http://[::ffff:7f00:1]",
        "http://[0:0:0:0:0:ffff:7f00:0001]",
        "http://[::FFFF:7F00:1]:80",
    ] {
        same(spelling, "http://127.0.0.1");
        never_local(spelling);
    }
}

#[test]
fn what_is_no_plain_web_origin_is_refused() {
    for spelling in [
        "",
        "example.org",
        "//example.org",
        "ftp://example.org",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/x",
        "unix:/run/x.sock",
        "data:text/plain,x",
        "javascript:alert(1)",
        "ws://example.org",
        "https://user@example.org",
        "https://user:word@example.org",
        "https://:word@example.org",
        "https://example.org@127.0.0.1",
        "https://example.org%40x:y@127.0.0.1/",
        "https://[fe80::1%25eth0]",
        "https://[fe80::1%eth0]",
        "https://[::1",
        "https://::1",
        "https://256.0.0.1",
        "https://127.0.0.0.0.1",
        "https://0x100000000",
        "https://09.0.0.1",
        "https://",
        "https://:443",
        "https://.",
        "https://exa mple.org",
        "https://exam<ple.org",
        "https://example.org:65536",
        "https://example.org:x",
        "https://${secret:host}",
        "https://xn--a",
    ] {
        refused(spelling);
    }
}

#[test]
fn spellings_that_try_to_look_like_the_granted_origin_are_not_it() {
    for spelling in [
        "https://example.org.evil.example",
        "https://evil.example/example.org",
        "https://evil.example?https://example.org",
        "https://evil.example#@example.org",
        "https://evil.example\\@example.org",
        "https://evil.example/@example.org",
        "https://example.org:8443",
        "http://example.org",
        "http://example.org:443",
        "https://www.example.org",
        "https://xexample.org",
        "https://example.org..",
        "https://localhost",
        "https://localhost.",
        "https://LOCALHOST",
        "https://[::1]",
        "https://[::]",
        "https://[0:0:0:0:0:0:0:1]",
        "https://[::127.0.0.1]",
        "https://[64:ff9b::7f00:1]",
        "https://[64:ff9b::127.0.0.1]",
        "https://[2002:7f00:1::]",
        "https://[fe80::1]",
        "https://[fd00::1]",
        "https://0",
        "https://0.0.0.0",
        "https://10.1",
        "https://169.254.169.254",
        "https://2852039166",
        "https://0xa9fea9fe",
        "https://192.168.257",
        "https://exаmple.org",
        "https://example.org\u{200b}.evil.example",
    ] {
        never_local(spelling);
    }
}

#[test]
fn credentials_in_a_url_are_named_as_the_reason() {
    assert_eq!(Origin::parse("https://a:b@example.org"), Err(OriginError::UserInfo));
    assert_eq!(Origin::parse("ftp://example.org"), Err(OriginError::Scheme("ftp".to_owned())));
}

#[test]
fn a_private_address_needs_the_operators_own_word() {
    let (local, public): (IpAddr, IpAddr) = ("10.0.0.7".parse().unwrap(), "8.8.8.8".parse().unwrap());
    let origin = Origin::parse("http://intranet:8080").unwrap();
    let other = Origin::parse("https://hooks.example").unwrap();

    let mut declared = Grants::none();
    declared.declared(origin.clone());
    assert!(declared.permits(&origin));
    assert!(!declared.permits_address(origin.host(), local));
    assert!(declared.permits_address(origin.host(), public));

    let mut typed = Grants::none();
    typed.typed(origin.clone());
    typed.declared(other.clone());
    assert!(typed.permits_address(origin.host(), local));
    assert!(!typed.permits_address(other.host(), local), "another host's grant does not help");

    assert!(declared.allow_private(true).permits_address(origin.host(), local));
}

#[test]
fn what_the_operator_typed_stays_typed_when_the_plugin_declares_it_too() {
    let origin = Origin::parse("http://intranet").unwrap();
    let mut grants = Grants::none();
    grants.typed(origin.clone());
    grants.declared(origin.clone());
    assert!(grants.permits_address(origin.host(), "10.0.0.7".parse().unwrap()));
}

#[test]
fn a_url_is_rebuilt_from_the_canonical_origin() {
    let origin = Origin::parse("https://Example.org.:443").unwrap();
    assert_eq!(origin.url("/a/b", Some("c=d")).unwrap().as_str(), "https://example.org/a/b?c=d");
}
