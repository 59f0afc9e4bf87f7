//! What `validate` looks for in most configs: values that are there, and addresses that can be reached. Pure.

use super::{Secrets, mistake};
use crate::http::Url;
use crate::{ConfigError, Egress};

/// Mistakes found so far, and origins wanted.
#[derive(Debug, Default)]
pub struct Checks {
    mistakes: Vec<ConfigError>,
    wanted: Vec<Egress>,
}

impl Checks {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes `message` at a JSON pointer unless something holds.
    #[must_use]
    pub fn must(mut self, holds: bool, pointer: &str, message: &str) -> Self {
        if !holds {
            self.mistakes.push(mistake(pointer, message));
        }
        self
    }

    /// A text that must not be empty; `what` is "the topic's name".
    #[must_use]
    pub fn filled(self, pointer: &str, value: &str, what: &str) -> Self {
        self.must(!value.trim().is_empty(), pointer, &format!("{what} is needed"))
    }

    /// The address of an API, to which paths are added.
    #[must_use]
    pub fn api(self, pointer: &str, url: &str, methods: &[&str], why: &str) -> Self {
        let query = "the address of an API has no query";
        self.must(!url.contains(['?', '#']), pointer, query).reaches(pointer, url, methods, why)
    }

    /// The address of a webhook: see [`Secrets::address`].
    #[must_use]
    pub fn webhook(self, typed: Option<&str>, secrets: &Secrets, methods: &[&str], why: &str) -> Self {
        // `url = "${secret:url}"` is the same twice.
        let both = typed.is_some() && secrets.get("url").is_some_and(|url| typed != Some(url));
        let checks = self.must(!both, "/url", "the address stands in `url` and in `secrets.url`: take one away");
        match secrets.address(typed) {
            Some(url) => checks.reaches("/url", url, methods, why),
            None => checks.must(
                false,
                "/url",
                "the webhook's address is needed: add secrets.url to the sender, or `url` here",
            ),
        }
    }

    fn reaches(mut self, pointer: &str, url: &str, methods: &[&str], why: &str) -> Self {
        match Url::parse(url) {
            Err(wrong) => self.mistakes.push(mistake(pointer, wrong)),
            Ok(url) => self.wanted.push(Egress {
                origin: url.origin(),
                methods: methods.iter().map(|&method| method.to_owned()).collect(),
                why: why.to_owned(),
            }),
        }
        self
    }

    /// What `validate` returns.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn done(self) -> Result<Vec<Egress>, Vec<ConfigError>> {
        if self.mistakes.is_empty() { Ok(self.wanted) } else { Err(self.mistakes) }
    }
}

impl Secrets {
    /// Where a webhook is whose address is a secret: `secrets.url`, whose value is the whole address, else what the
    /// config says.
    #[must_use]
    pub fn address<'a>(&'a self, typed: Option<&'a str>) -> Option<&'a str> {
        self.get("url").or(typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn pointers(checks: Checks) -> Vec<String> {
        checks.done().unwrap_err().into_iter().map(|mistake| mistake.pointer).collect()
    }

    #[test]
    fn every_mistake_is_found_with_its_place() {
        let checks = Checks::new()
            .filled("/topic", " ", "the topic's name")
            .must(1 > 2, "/n", "no")
            .api("/api_url", "https://example.org?x", &["POST"], "the API")
            .api("/other", "example.org", &["POST"], "the API");
        assert_eq!(pointers(checks), ["/topic", "/n", "/api_url", "/other"]);
    }

    #[test]
    fn a_webhooks_address_is_a_secret_or_typed() {
        let (none, secret) = (Secrets::default(), Secrets::from_iter([("url", "https://hooks.example/PLACEHOLDER")]));
        let check = |typed, secrets| Checks::new().webhook(typed, secrets, &["POST"], "the webhook");
        for (typed, secrets, origin) in
            [(None, &secret, "https://hooks.example"), (Some("http://127.0.0.1:1/x"), &none, "http://127.0.0.1:1")]
        {
            assert_eq!(check(typed, secrets).done().unwrap()[0].origin, origin);
        }
        assert!(check(Some("https://hooks.example/PLACEHOLDER"), &secret).done().is_ok());
        assert_eq!(pointers(check(None, &none)), ["/url"]);
        assert_eq!(pointers(check(Some("https://example.org/"), &secret)), ["/url"]);
    }
}
