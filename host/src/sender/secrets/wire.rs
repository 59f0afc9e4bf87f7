//! Puts values in the place of placeholders, in a request that is about to leave.
//!
//! **Invariant:** what is filled is parsed again, and goes where it would have gone without the value: no value adds a
//! line, a step or a part to a request. A refusal never holds a value.

use std::fmt::Write as _;

use http::HeaderValue;
use url::Url;

use super::{Secret, Secrets};
use crate::egress::Origin;

/// Why a request does not leave, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sender) struct Refusal(pub(in crate::sender) String);

impl Secrets {
    /// A header's value with secrets in place of placeholders; `None` when it holds none.
    pub(in crate::sender) fn fill_header(
        &self,
        value: &HeaderValue,
        to: &Origin,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let Ok(text) = value.to_str() else { return Ok(None) };
        let mut filled: Option<String> = None;
        for (name, secret) in &self.0 {
            let now = filled.as_deref().unwrap_or(text);
            if now.contains(&secret.placeholder) {
                secret.may_go(name, to)?;
                filled = Some(now.replace(&secret.placeholder, &secret.hidden()));
            }
        }
        let Some(filled) = filled else { return Ok(None) };
        let no_header = |_shows_the_value| {
            Refusal("a secret has a line end or a control character and cannot stand in a header".to_owned())
        };
        let mut filled = HeaderValue::from_str(&filled).map_err(no_header)?;
        filled.set_sensitive(true);
        Ok(Some(filled))
    }

    /// Path and query of a URL with secrets in place of placeholders; `None` when there is none.
    pub(in crate::sender) fn fill_target(&self, url: &Url, to: &Origin) -> Result<Option<String>, Refusal> {
        let (mut path, mut query) = (url.path().to_owned(), url.query().map(str::to_owned));
        let is_in = |secret: &Secret, text: &str| text.contains(&secret.placeholder);
        let mut any = false;
        for (name, secret) in &self.0 {
            if !is_in(secret, &path) && !query.as_deref().is_some_and(|query| is_in(secret, query)) {
                continue;
            }
            secret.may_go(name, to)?;
            any = true;
            let encoded = percent_encoded(&secret.hidden());
            query = query.map(|query| query.replace(&secret.placeholder, &encoded));
            if let Some(whole) = &secret.whole
                && let Some(rest) = path.strip_prefix('/').and_then(|path| path.strip_prefix(&secret.placeholder))
            {
                path = format!("/{}{rest}", whole.path);
                query = joined(whole.query.as_deref(), query);
            }
            path = path.replace(&secret.placeholder, &encoded);
        }
        if !any {
            return Ok(None);
        }
        let target = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let again = Url::parse(&format!("{to}{target}")).ok().filter(|url| {
            let same_place = Origin::of(url).is_ok_and(|origin| origin == *to);
            same_place && url.path() == path && url.query() == query.as_deref() && url.fragment().is_none()
        });
        match again {
            Some(_) => Ok(Some(target)),
            None => {
                Err(Refusal("a secret would change where the request goes: it may be no step of a path".to_owned()))
            }
        }
    }
}

impl Secret {
    /// Whether this secret may go to that origin, which the sender may reach.
    fn may_go(&self, name: &str, to: &Origin) -> Result<(), Refusal> {
        let may = match &self.whole {
            Some(whole) => whole.origin == *to,
            None => self.typed_in.is_empty() || self.typed_in.contains(to),
        };
        if may { Ok(()) } else { Err(Refusal(format!("secrets.{name} may not go to {to}"))) }
    }
}

fn joined(first: Option<&str>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first}&{second}")),
        (first, second) => second.or_else(|| first.map(str::to_owned)),
    }
}

fn percent_encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;
    use url::Url;

    use crate::egress::Origin;
    use crate::sender::secrets::Secrets;
    use crate::sender::secrets::tests::{config, secrets};

    fn to() -> Origin {
        Origin::parse("https://a.example").unwrap()
    }

    fn given(secrets: &Secrets, name: &str) -> String {
        config(secrets, &json!({}))["secrets"][name].as_str().unwrap().to_owned()
    }

    /// What becomes of a URL that a guest asks for, with `{NAME}` for the placeholder of `NAME`.
    #[track_caller]
    fn check(value: &str, asked: &str, expect: Result<&str, &str>) {
        let secrets = secrets(&[("s", value)]);
        let url = Url::parse(&asked.replace("{s}", &given(&secrets, "s"))).unwrap();
        let filled = secrets.fill_target(&url, &Origin::of(&url).unwrap()).map(Option::unwrap_or_default);
        assert_eq!(filled.as_deref().map_err(|refusal| refusal.0.as_str()), expect, "{value} in {asked}");
    }

    #[test]
    fn a_value_in_a_url_is_one_piece_of_it_whatever_it_holds() {
        check("a b/ü", "https://a.example/x/{s}?q={s}", Ok("/x/a%20b%2F%C3%BC?q=a%20b%2F%C3%BC"));
        check("x/../../y", "https://a.example/b/{s}/z", Ok("/b/x%2F..%2F..%2Fy/z"));
        check("@evil.example", "https://a.example/{s}", Ok("/%40evil.example"));
        check(
            "a?b#c&d=\r\nHost: e",
            "https://a.example/{s}?q={s}",
            Ok("/a%3Fb%23c%26d%3D%0D%0AHost%3A%20e?q=a%3Fb%23c%26d%3D%0D%0AHost%3A%20e"),
        );
        check("t", "https://a.example/plain", Ok(""));
    }

    #[test]
    fn a_value_that_would_be_a_step_of_the_path_is_refused() {
        let refused = Err("a secret would change where the request goes: it may be no step of a path");
        for value in ["..", "."] {
            check(value, "https://a.example/a/{s}/b", refused);
            check(value, "https://a.example/a/{s}", refused);
            check(value, "https://a.example/a?q={s}", Ok(&format!("/a?q={value}")));
        }
        check(".", "https://a.example/a/.{s}/b", refused);
    }

    #[test]
    fn a_whole_url_goes_out_as_it_is_and_only_to_its_own_origin() {
        let hook = "https://chat.example/api/1/t%2Fk?thread=7";
        check(hook, "{s}", Ok("/api/1/t%2Fk?thread=7"));
        check(hook, "{s}/messages/9?wait=true", Ok("/api/1/t%2Fk/messages/9?thread=7&wait=true"));
        check("https://chat.example/", "{s}", Ok("/"));
        check("https://chat.example/a/b", "{s}/../c", Ok(""));
        let secrets = secrets(&[("s", hook)]);
        let placeholder = given(&secrets, "s").replace("https://chat.example/", "");
        let elsewhere = Url::parse(&format!("https://a.example/{placeholder}")).unwrap();
        assert_eq!(secrets.fill_target(&elsewhere, &to()).unwrap_err().0, "secrets.s may not go to https://a.example");
    }

    #[test]
    fn a_secret_in_urls_of_the_config_goes_only_to_their_origins() {
        let mut secrets = secrets(&[("token", "xoxb"), ("free", "f")]);
        secrets.bind(&json!({ "urls": ["https://B.example/bot${secret:token}/x", "no url ${secret:free}"] }));
        let header = |name| HeaderValue::from_str(&given(&secrets, name)).unwrap();
        assert_eq!(
            secrets.fill_header(&header("token"), &to()).unwrap_err().0,
            "secrets.token may not go to https://a.example"
        );
        let there = Origin::parse("https://b.example").unwrap();
        assert_eq!(secrets.fill_header(&header("token"), &there).unwrap().unwrap(), "xoxb");
        assert_eq!(secrets.fill_header(&header("free"), &to()).unwrap().unwrap(), "f");
    }

    #[test]
    fn a_value_with_a_line_end_cannot_stand_in_a_header() {
        let secrets = secrets(&[("line", "a\r\nX-Evil: b"), ("token", "xoxb")]);
        let fill = |text: &str| secrets.fill_header(&HeaderValue::from_str(text).unwrap(), &to());
        let refused = fill(&given(&secrets, "line")).unwrap_err();
        assert!(refused.0.contains("line end") && !refused.0.contains("Evil"), "{refused:?}");
        assert_eq!(fill("plain"), Ok(None));
        let filled = fill(&format!("Bearer {}", given(&secrets, "token"))).unwrap().unwrap();
        assert_eq!(filled, "Bearer xoxb");
        assert!(filled.is_sensitive());
    }
}
