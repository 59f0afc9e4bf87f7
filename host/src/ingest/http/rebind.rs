//! Keeps web pages from changing silences through the browser of somebody who may reach the port. Pure.
//!
//! A page from elsewhere can let a name of its own point to this machine (DNS rebinding): for the browser it then asks its
//! own origin. Browsers send `Origin` with whatever changes something, and programs do not; so only who sends it is
//! looked at, and a program may ask under any name.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::Uri;
use hyper::http::uri::Authority;

/// Whether a request that changes something may do so, or why not.
pub(super) fn check(headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
    let mut origins = headers.get_all(ORIGIN).iter().peekable();
    if origins.peek().is_none() {
        return Ok(());
    }
    let mut hosts = headers.get_all(HOST).iter().filter_map(|host| host.to_str().ok()?.parse().ok());
    // HTTP/2 has it in the URI.
    let host: Option<Authority> = uri.authority().cloned().or_else(|| hosts.next());
    let Some(host) = host.filter(is_nobody_elses) else {
        return Err("web pages may change silences only under an address or localhost, not under a name".to_owned());
    };
    let own = [format!("http://{host}"), format!("https://{host}")];
    let is_own = |origin: &str| own.iter().any(|own| own.eq_ignore_ascii_case(origin));
    if origins.all(|origin| origin.to_str().is_ok_and(is_own)) {
        Ok(())
    } else {
        Err("no web page of another origin may change silences".to_owned())
    }
}

/// Whether a host means the same whatever a name server says.
fn is_nobody_elses(host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use hyper::http::Request;

    use super::*;

    #[track_caller]
    fn check_one(target: &str, headers: &[(&str, &str)], expect: bool) {
        let mut request = Request::post(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        assert_eq!(check(request.headers(), request.uri()).is_ok(), expect, "{target} {headers:?}");
    }

    #[test]
    fn programs_ask_under_any_name() {
        check_one("/", &[("host", "mag.example:9093")], true);
        check_one("/", &[], true);
        check_one("http://mag.example/", &[], true);
    }

    #[test]
    fn a_page_asks_under_no_name_that_a_name_server_could_turn() {
        for host in ["localhost:9093", "LOCALHOST", "127.0.0.1:9093", "[::1]:9093", "192.0.2.7"] {
            check_one("/", &[("host", host), ("origin", &format!("http://{host}"))], true);
        }
        check_one("https://192.0.2.7/", &[("origin", "https://192.0.2.7")], true);
        for host in ["evil.example:9093", "127.0.0.1.evil.example", "localhost.evil.example", "localhost.", ""] {
            check_one("/", &[("host", host), ("origin", &format!("http://{host}"))], false);
        }
        check_one("http://evil.example/", &[("host", "localhost"), ("origin", "http://evil.example")], false);
        check_one("/", &[("origin", "http://localhost")], false);
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let host = ("host", "localhost:9093");
        for origin in ["http://evil.example", "null", "http://localhost:9094", "", "http://127.0.0.1:9093"] {
            check_one("/", &[host, ("origin", origin)], false);
        }
        check_one("/", &[host, ("origin", "http://localhost:9093"), ("origin", "null")], false);
    }
}
