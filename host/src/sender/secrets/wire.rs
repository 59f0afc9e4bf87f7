//! Puts values in the place of placeholders, in a request that is about to leave.
//!
//! **Invariant:** what is filled is parsed again, and goes where it would have gone without the value: no value adds a
//! line, a step or a part to a request. A refusal never holds a value.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header, request::Parts};
use memchr::memmem;
use url::Url;

use super::rights::Rights;
use super::{Secret, Secrets, sign};
use crate::config::SecretPlace;
use crate::egress::Origin;
use crate::message::Millis;
use crate::sender::failure::SecretUse;

/// Why a request does not leave, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sender) struct Refusal(pub(in crate::sender) String);

/// The secrets of a sender with what may be done with each.
pub(in crate::sender) struct Wire {
    pub(in crate::sender) secrets: Arc<Secrets>,
    pub(super) rights: Rights,
}

/// A request whose way is certain.
#[derive(Clone, Copy)]
pub(in crate::sender) struct Errand<'a> {
    /// As the guest asked for it, parsed.
    pub(in crate::sender) url: &'a Url,
    /// Its origin, which is granted.
    pub(in crate::sender) to: &'a Origin,
    /// The notification's id, in a call that has one.
    pub(in crate::sender) id: Option<&'a str>,
    /// The time.
    pub(in crate::sender) now: Millis,
    /// No body is longer.
    pub(in crate::sender) body_bytes: usize,
}

impl Wire {
    /// For a plugin that says that of its secrets.
    pub(in crate::sender) fn new(secrets: Arc<Secrets>, declared: &[SecretUse]) -> Self {
        let rights = secrets.rights(declared);
        Self { secrets, rights }
    }

    /// Puts secrets and signatures into a request; returns its body.
    pub(in crate::sender) fn fill(&self, parts: &mut Parts, body: Bytes, errand: Errand<'_>) -> Result<Bytes, Refusal> {
        let asked = sign::take(&mut parts.headers)?;
        if let Some(basic) = &asked.basic {
            let value = self.basic(basic, errand.to)?;
            parts.headers.insert(header::AUTHORIZATION, value);
        }
        for value in parts.headers.values_mut() {
            if let Some(filled) = self.fill_header(value, errand.to)? {
                *value = filled;
            }
        }
        if let Some(target) = self.fill_target(errand.url, errand.to)? {
            let uri = format!("{}{target}", errand.to).parse();
            parts.uri = uri.map_err(|_shows_the_value| refusal("a secret makes a URL that is too long"))?;
        }
        let body = match self.fill_body(&body, &parts.headers, errand.to)? {
            Some(filled) if filled.len() > errand.body_bytes => {
                return Err(refusal("with its secrets the body is longer than a plugin may send"));
            }
            Some(filled) => {
                // Counted anew from the body.
                parts.headers.remove(header::CONTENT_LENGTH);
                filled.into()
            }
            None => body,
        };
        for scheme in &asked.schemes {
            let secret = self.allowed(scheme.secret(), SecretPlace::Sign, errand.to)?;
            scheme.sign(&secret.live.value(), &body, &mut parts.headers, errand)?;
        }
        if !self.secrets.0.is_empty() {
            // What comes back is looked through, which nothing compressed can be.
            parts.headers.remove(header::ACCEPT_ENCODING);
        }
        Ok(body)
    }

    fn basic(&self, basic: &sign::Basic, to: &Origin) -> Result<HeaderValue, Refusal> {
        let password = self.allowed(&basic.secret, SecretPlace::Basic, to)?.live.value();
        let user = self.replaced(&basic.user, SecretPlace::Basic, to)?;
        basic.header(user.as_deref().unwrap_or(&basic.user), &password)
    }

    /// A header's value with secrets in place of placeholders; `None` when it holds none.
    fn fill_header(&self, value: &HeaderValue, to: &Origin) -> Result<Option<HeaderValue>, Refusal> {
        let Ok(text) = value.to_str() else { return Ok(None) };
        let Some(filled) = self.replaced(text, SecretPlace::Header, to)? else { return Ok(None) };
        let no_header =
            |_shows_the_value| refusal("a secret has a line end or a control character and cannot stand in a header");
        let mut filled = HeaderValue::from_str(&filled).map_err(no_header)?;
        filled.set_sensitive(true);
        Ok(Some(filled))
    }

    fn replaced(&self, text: &str, place: SecretPlace, to: &Origin) -> Result<Option<String>, Refusal> {
        let mut filled: Option<String> = None;
        for (name, secret) in &self.secrets.0 {
            let now = filled.as_deref().unwrap_or(text);
            if now.contains(&secret.placeholder) {
                self.allowed(name, place, to)?;
                filled = Some(now.replace(&secret.placeholder, &secret.hidden()));
            }
        }
        Ok(filled)
    }

    /// Path and query of a URL with secrets in place of placeholders; `None` when there is none.
    fn fill_target(&self, url: &Url, to: &Origin) -> Result<Option<String>, Refusal> {
        let (mut path, mut query) = (url.path().to_owned(), url.query().map(str::to_owned));
        let mut any = false;
        for (name, secret) in &self.secrets.0 {
            if let Some(found) = query.as_mut().filter(|query| query.contains(&secret.placeholder)) {
                self.allowed(name, SecretPlace::Query, to)?;
                *found = found.replace(&secret.placeholder, &percent_encoded(&secret.hidden()));
                any = true;
            }
            if path.contains(&secret.placeholder) {
                self.allowed(name, SecretPlace::Path, to)?;
                (path, query) = at_the_front(secret, path, query);
                path = path.replace(&secret.placeholder, &path_encoded(&secret.hidden()));
                any = true;
            }
        }
        if !any {
            return Ok(None);
        }
        let target = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let again = Url::parse(&format!("{to}{target}")).ok().filter(|url| {
            let same_place = Origin::of(url).is_ok_and(|origin| origin == *to);
            same_place && url.path() == path && url.query() == query.as_deref() && url.fragment().is_none()
        });
        let Some(_) = again else {
            return Err(refusal("a secret would change where the request goes: it may be no step of a path"));
        };
        Ok(Some(target))
    }

    /// The body with secrets in place of placeholders, in the way its type writes texts; `None` when it holds none.
    fn fill_body(&self, body: &Bytes, headers: &HeaderMap, to: &Origin) -> Result<Option<Vec<u8>>, Refusal> {
        let mut filled: Option<Vec<u8>> = None;
        for (name, secret) in &self.secrets.0 {
            let now = filled.as_deref().unwrap_or(body);
            let finder = memmem::Finder::new(&secret.placeholder);
            if finder.find(now).is_none() {
                continue;
            }
            self.allowed(name, SecretPlace::Body, to)?;
            let value = written(&secret.hidden(), headers);
            filled = Some(replace_bytes(now, &finder, value.as_bytes()));
        }
        Ok(filled)
    }

    /// The secret of that name, when it may stand there and go there.
    fn allowed(&self, name: &str, place: SecretPlace, to: &Origin) -> Result<&Secret, Refusal> {
        let known = self.secrets.0.get(name).filter(|_| name != super::SMTP_PASSWORD);
        let (Some(secret), Some(right)) = (known, self.rights.get(name)) else {
            return Err(Refusal(format!("it asks for secrets.{name}, which there is not")));
        };
        if !right.stands(place) {
            let place = place.as_str();
            return Err(Refusal(format!("secrets.{name} may not stand in {place}: add in = [\"{place}\"] to it")));
        }
        if !right.goes(to) {
            return Err(Refusal(format!("secrets.{name} may not go to {to}: add origins = [\"{to}\"] to it")));
        }
        match &secret.origin {
            Some(origin) if secret.whole().is_none_or(|now| now.origin != *origin) => {
                Err(Refusal(format!("secrets.{name} leads elsewhere than to {origin} now: `mag reload` lets it")))
            }
            _ => Ok(secret),
        }
    }
}

fn refusal(why: &str) -> Refusal {
    Refusal(why.to_owned())
}

/// A URL that is a secret as a whole takes the front of the path as it is, and its query joins.
fn at_the_front(secret: &Secret, path: String, query: Option<String>) -> (String, Option<String>) {
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(&secret.placeholder));
    let (Some(whole), Some(rest)) = (secret.whole(), rest) else { return (path, query) };
    let query = match (whole.query, query) {
        (Some(first), Some(second)) => Some(format!("{first}&{second}")),
        (first, second) => first.or(second),
    };
    (format!("/{}{rest}", whole.path), query)
}

/// A value as a body of that type writes it: it ends no text and begins no other.
fn written(value: &str, headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind.ends_with("json") {
        let quoted = serde_json::Value::String(value.to_owned()).to_string();
        let inner = quoted.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
        return inner.unwrap_or_default().to_owned();
    }
    if kind == "application/x-www-form-urlencoded" { percent_encoded(value) } else { value.to_owned() }
}

fn replace_bytes(text: &[u8], finder: &memmem::Finder<'_>, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + value.len());
    let mut from = 0;
    for at in finder.find_iter(text) {
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        out.extend_from_slice(value);
        from = at + finder.needle().len();
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}

/// As a step of a path is written: a colon stands there as it is (RFC 3986, section 3.3), as in the `bot123:ABC` of Telegram,
/// and a server that compares paths as texts knows no other form.
pub(super) fn path_encoded(value: &str) -> String {
    percent_encoded(value).replace("%3A", ":")
}

/// Everything but letters, digits and `-._~`.
pub(super) fn percent_encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests;
