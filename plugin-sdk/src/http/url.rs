//! Just enough of URLs to check an operator's and to send a request. Pure.
//!
//! It refuses what it does not understand; the host reads the same text with a full parser before anything is sent.

/// An absolute `http` or `https` URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether TLS is used.
    pub https: bool,
    /// Host and, when it was given, port; in lower case.
    pub authority: String,
    /// Path and query, at least `/`.
    pub path_and_query: String,
}

impl Url {
    /// Takes a URL apart. A fragment is dropped, what is not ASCII in path and query is percent-encoded.
    ///
    /// # Errors
    /// What is wrong, in one clause.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("a URL has no spaces, backslashes or control characters");
        }
        let (scheme, rest) = url.split_once("://").ok_or("a whole URL is needed, as in https://example.org/hook")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("only http and https are possible"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        check_authority(authority)?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path_and_query = format!("{slash}{}", percent_encode(path));
        Ok(Self { https, authority: authority.to_ascii_lowercase(), path_and_query })
    }

    /// Scheme, host and port, as grants are written.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http{}://{}", if self.https { "s" } else { "" }, self.authority)
    }
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    if authority.contains('@') {
        return Err("user and password do not belong in a URL: use a header with a secret");
    }
    if !authority.is_ascii() {
        return Err("the host's name must be in ASCII: write it as punycode (xn--…)");
    }
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err("the port must be a number from 0 to 65535");
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    if good { Ok(()) } else { Err("there is no valid host in it") }
}

/// Leaves everything alone that may stand in a path or a query.
fn percent_encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_ascii() && !"\"<>^`{|}".contains(c) {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, origin: &str, path: &str) {
        let url = Url::parse(url).unwrap();
        assert_eq!((url.origin().as_str(), url.path_and_query.as_str()), (origin, path));
    }

    #[test]
    fn whole_urls_are_taken_apart() {
        check("https://example.org/hook?a=b#c", "https://example.org", "/hook?a=b");
        check("HTTP://Example.ORG:8080", "http://example.org:8080", "/");
        check("https://example.org?x=ä y".replace(' ', "+").as_str(), "https://example.org", "/?x=%C3%A4+y");
        check("http://[::1]:80/a", "http://[::1]:80", "/a");
        check("http://[::1]", "http://[::1]", "/");
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for url in [
            "",
            "example.org/hook",
            "/hook",
            "ftp://example.org",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://user:pw@example.org/",
            "https://example.org:port/",
            "https://example.org:99999/",
            "https://example.org:+80/",
            "https://exa mple.org/",
            "https://example.org/a\r\nHost: b",
            "https://example.org\\@evil.org/",
            "https://ex%61mple.org/",
            "https://[::1/",
            "https://[zz]/",
            "https://müller.example/",
        ] {
            assert!(Url::parse(url).is_err(), "{url:?} was taken");
        }
    }
}
