//! Who may ask: programs on this machine, and no web page from elsewhere. Pure.
//!
//! A page from elsewhere can make a browser on this machine ask, under a name of its own that it lets point to the
//! loopback (DNS rebinding), or by a form. The first is told by `Host`, the second by `Origin`.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::Uri;

/// Why a request is not answered.
pub(super) const WRONG_HOST: &str = "this interface answers only to localhost and loopback addresses";
/// Why a request of a web page is not answered.
pub(super) const WRONG_ORIGIN: &str = "this interface answers to no other web page";

/// Whether a request may be answered.
pub(super) fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_not_text| WRONG_HOST)?,
        _ => return Err(WRONG_HOST),
    };
    // Whoever asks for a whole URL, as a proxy is asked, must mean the same.
    let same = uri.authority().is_none_or(|asked| asked.as_str().eq_ignore_ascii_case(host));
    if !same || !is_loopback(host) {
        return Err(WRONG_HOST);
    }
    let own = format!("http://{host}");
    let foreign = headers.get_all(ORIGIN).iter().any(|origin| !origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()));
    if foreign { Err(WRONG_ORIGIN) } else { Ok(()) }
}

/// Whether `host`, with or without a port, names this machine whatever a name server says.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, after)) => (name, after),
            None => return false,
        },
        None => host.split_once(':').map_or((host, ""), |(name, _)| (name, host.get(name.len()..).unwrap_or_default())),
    };
    let good_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let good_name = if host.starts_with('[') {
        name.parse().is_ok_and(|address: Ipv6Addr| address.is_loopback())
    } else {
        name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback())
    };
    good_port && good_name
}

#[cfg(test)]
mod tests {
    use hyper::http::Request;

    use super::*;

    #[track_caller]
    fn check_one(target: &str, headers: &[(&str, &str)], expect: Result<(), &'static str>) {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        assert_eq!(check(request.headers(), request.uri()), expect, "{target} {headers:?}");
    }

    #[test]
    fn only_names_that_are_the_loopback_whatever_a_name_server_says_are_answered() {
        for host in ["localhost", "LOCALHOST:3051", "127.0.0.1:3051", "127.9.9.9", "[::1]:3051", "[::1]"] {
            check_one("/", &[("host", host)], Ok(()));
        }
        for host in [
            "",
            "evil.example",
            "evil.example:3051",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0.0.0.0:3051",
            "10.0.0.1",
            "2130706433",
            "0x7f.1",
            "127.1",
            "localhost:x",
            "localhost:",
            "localhost:99999",
            "[::1",
            "[::]",
            "[::ffff:127.0.0.1]",
            "::1",
            "a@localhost",
            "localhost.",
            "foo.localhost",
        ] {
            check_one("/", &[("host", host)], Err(WRONG_HOST));
        }
        check_one("/", &[], Err(WRONG_HOST));
        check_one("/", &[("host", "localhost"), ("host", "localhost")], Err(WRONG_HOST));
        check_one("http://evil.example/", &[("host", "localhost")], Err(WRONG_HOST));
        check_one("http://localhost:1/", &[("host", "localhost:1")], Ok(()));
    }

    #[test]
    fn a_web_page_from_anywhere_else_is_refused() {
        let host = ("host", "localhost:3051");
        check_one("/", &[host, ("origin", "http://localhost:3051")], Ok(()));
        for origin in
            ["http://evil.example", "null", "http://localhost:3050", "https://localhost:3051", "http://127.0.0.1:3051"]
        {
            check_one("/", &[host, ("origin", origin)], Err(WRONG_ORIGIN));
        }
        check_one("/", &[host, ("origin", "http://localhost:3051"), ("origin", "null")], Err(WRONG_ORIGIN));
    }
}
