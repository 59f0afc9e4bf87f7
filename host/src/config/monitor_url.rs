//! A monitor's URL, in whose path and query `${secret:NAME}` may stand.
//!
//! Knows which secrets it asks for, never their values.

use url::{Position, Url};

use super::SecretPlace;
use super::secret;

/// A URL with a mark in the place of each secret that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorUrl {
    marked: Url,
    /// The name of each, in their order.
    names: Vec<String>,
}

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A secret would decide where it leads.
    SecretInHost,
    /// It is no URL of HTTP.
    NoUrl,
}

impl From<Url> for MonitorUrl {
    /// One that asks for nothing.
    fn from(url: Url) -> Self {
        Self { marked: url, names: Vec::new() }
    }
}

impl MonitorUrl {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let (mut marked, mut names, mut rest) = (String::new(), Vec::new(), text);
        while let Some((before, name, after)) = secret::split(rest) {
            marked.push_str(before);
            marked.push_str(&mark(names.len()));
            names.push(name.to_owned());
            rest = after;
        }
        marked.push_str(rest);
        let marked = Url::parse(&marked).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let marked = marked.ok_or(Wrong::NoUrl)?;
        let host = &marked[..Position::BeforePath];
        if (0..names.len()).any(|number| host.contains(&mark(number))) {
            return Err(Wrong::SecretInHost);
        }
        Ok(Self { marked, names })
    }

    /// The URL with marks; what it leads to is true of it.
    #[must_use]
    pub fn marked(&self) -> &Url {
        &self.marked
    }

    /// The secrets that it asks for, with where.
    pub fn asks(&self) -> impl Iterator<Item = (&str, SecretPlace)> {
        self.names.iter().enumerate().filter_map(|(number, name)| {
            let (path, query) = (self.marked.path(), self.marked.query().unwrap_or_default());
            let mark = mark(number);
            let place = path.contains(&mark).then_some(SecretPlace::Path);
            Some((name.as_str(), place.or_else(|| query.contains(&mark).then_some(SecretPlace::Query))?))
        })
    }

    /// The URL with values, which have to be percent-encoded; `None` when one of them would change where it leads.
    #[must_use]
    pub fn filled(&self, value: impl Fn(&str) -> String) -> Option<Url> {
        let (mut filled, mut rest) = (String::new(), self.marked.as_str());
        for (number, name) in self.names.iter().enumerate() {
            // A mark that a step back has taken out of the path is no more.
            if let Some((before, after)) = rest.split_once(&mark(number)) {
                filled.push_str(before);
                filled.push_str(&value(name));
                rest = after;
            }
        }
        filled.push_str(rest);
        Url::parse(&filled).ok().filter(|url| url.as_str() == filled)
    }
}

/// Letters and digits, so that it stands in a URL as it is.
fn mark(number: usize) -> String {
    format!("magsecret{number}magsecret")
}

#[cfg(test)]
mod tests {
    use super::{MonitorUrl, SecretPlace, Wrong};

    fn filled(text: &str) -> Option<String> {
        let value = |name: &str| if name == "up" { "..".to_owned() } else { format!("{name}%2F1") };
        MonitorUrl::parse(text).unwrap().filled(value).map(Into::into)
    }

    #[test]
    fn secrets_stand_in_path_and_query_and_lead_nowhere_else() {
        let url = "https://a.example:8443/x/${secret:t}/y?k=${secret:u}&l=${secret:t}";
        assert_eq!(filled(url).as_deref(), Some("https://a.example:8443/x/t%2F1/y?k=u%2F1&l=t%2F1"));
        let url = MonitorUrl::parse(url).unwrap();
        let asks = [("t", SecretPlace::Path), ("u", SecretPlace::Query), ("t", SecretPlace::Query)];
        assert_eq!(url.asks().collect::<Vec<_>>(), asks);
        assert_eq!(filled("http://a.example/${secret:up}/x"), None, "a step of a path is no value");
        assert_eq!(filled("http://a.example/x/${secret:up}"), None);
        assert_eq!(filled("http://a.example/?x=${secret:up}").as_deref(), Some("http://a.example/?x=.."));
        assert_eq!(filled("http://a.example/${secret:t}/../x${secret:u}").as_deref(), Some("http://a.example/xu%2F1"));
    }

    #[test]
    fn a_secret_in_the_host_the_port_or_the_login_and_what_is_no_url_are_refused() {
        for host in
            ["https://${secret:h}/", "http:${secret:h}/x", "https://${secret:u}@a.example/", "https://${secret:u}:x@h/"]
        {
            assert_eq!(MonitorUrl::parse(host), Err(Wrong::SecretInHost), "{host}");
        }
        for none in ["https://a.example:${secret:p}/", "${secret:all}", "ftp://a.example/${secret:x}", "x"] {
            assert_eq!(MonitorUrl::parse(none), Err(Wrong::NoUrl), "{none}");
        }
    }
}
