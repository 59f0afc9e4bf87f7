//! What a guest asks the host to make of a secret that it may not see: signatures, and `Authorization: Basic`. Pure.
//!
//! **Invariant:** the headers that ask, `mag-sign` and `mag-basic`, never leave mag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::wire::{Errand, Refusal};
use crate::config::SecretValue;

pub(super) const SIGN: HeaderName = HeaderName::from_static("mag-sign");
pub(super) const BASIC: HeaderName = HeaderName::from_static("mag-basic");
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// These say what a request is and where it ends.
const OF_THE_CONNECTION: [&str; 6] = ["connection", "content-length", "host", "te", "transfer-encoding", "upgrade"];
/// Before a key of Standard Webhooks.
const KEY_PREFIX: &str = "whsec_";
const FORMS: &str = "mag-sign: expected `standard-webhooks; secret=NAME` or `hmac-sha256; secret=NAME; header=NAME`, \
                     with `prefix=TEXT` and `encoding=hex` or `base64` if need be";

/// Everything that one request asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) schemes: Vec<Scheme>,
    pub(super) basic: Option<Basic>,
}

/// A way to sign.
#[derive(Clone, Debug)]
pub(super) enum Scheme {
    /// As standardwebhooks.com says.
    StandardWebhooks { secret: String },
    /// HMAC-SHA256 of the body, in a header.
    Hmac { secret: String, header: HeaderName, prefix: String, base64: bool },
}

/// A login.
#[derive(Clone, Debug)]
pub(super) struct Basic {
    pub(super) user: String,
    pub(super) secret: String,
}

/// Takes the headers that ask for something out.
pub(super) fn take(headers: &mut HeaderMap) -> Result<Asked, Refusal> {
    let schemes = headers.get_all(SIGN).iter().map(scheme).collect::<Option<Vec<_>>>();
    let schemes = schemes.ok_or_else(|| Refusal(FORMS.to_owned()))?;
    for scheme in &schemes {
        if let Scheme::Hmac { header, .. } = scheme
            && OF_THE_CONNECTION.contains(&header.as_str())
        {
            return Err(Refusal(format!("mag-sign: no signature stands in {header}")));
        }
    }
    let no_basic = || Refusal("mag-basic: expected `USER; secret=NAME`".to_owned());
    let basic = headers.get(BASIC).map(|value| basic(value).ok_or_else(no_basic)).transpose()?;
    headers.remove(SIGN);
    headers.remove(BASIC);
    Ok(Asked { schemes, basic })
}

fn scheme(value: &HeaderValue) -> Option<Scheme> {
    let mut pieces = value.to_str().ok()?.split(';').map(str::trim);
    let name = pieces.next()?;
    let (mut secret, mut header, mut prefix, mut base64) = (None, None, None, None);
    for piece in pieces {
        let (key, value) = piece.split_once('=')?;
        match key {
            "secret" => secret = Some(value.to_owned()),
            "header" => header = Some(HeaderName::try_from(value).ok()?),
            "prefix" => prefix = Some(value.to_owned()),
            "encoding" => base64 = Some(["hex", "base64"].iter().position(|known| *known == value)? == 1),
            _ => return None,
        }
    }
    match (name, header) {
        ("standard-webhooks", None) if prefix.is_none() && base64.is_none() => {
            Some(Scheme::StandardWebhooks { secret: secret? })
        }
        ("hmac-sha256", Some(header)) => {
            let (prefix, base64) = (prefix.unwrap_or_default(), base64.unwrap_or_default());
            Some(Scheme::Hmac { secret: secret?, header, prefix, base64 })
        }
        _ => None,
    }
}

fn basic(value: &HeaderValue) -> Option<Basic> {
    let (user, secret) = value.to_str().ok()?.rsplit_once(';')?;
    let secret = secret.trim().strip_prefix("secret=")?.to_owned();
    Some(Basic { user: user.trim().to_owned(), secret })
}

/// Of a login: a receiver would take what follows a colon for the password.
pub(super) fn check_user(user: &str) -> Result<(), Refusal> {
    if user.chars().any(|c| c == ':' || c.is_control()) {
        return Err(Refusal("mag-basic: a user has no colon and no control character".to_owned()));
    }
    Ok(())
}

impl Basic {
    /// RFC 7617.
    pub(super) fn header(&self, user: &str, password: &SecretValue) -> Result<HeaderValue, Refusal> {
        check_user(user)?;
        sensitive(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.0))))
    }
}

impl Scheme {
    pub(super) fn secret(&self) -> &str {
        match self {
            Self::StandardWebhooks { secret } | Self::Hmac { secret, .. } => secret,
        }
    }

    /// Puts the signature of a body that is as it leaves into the headers.
    pub(super) fn sign(
        &self,
        key: &SecretValue,
        body: &[u8],
        headers: &mut HeaderMap,
        errand: Errand<'_>,
    ) -> Result<(), Refusal> {
        match self {
            Self::StandardWebhooks { secret } => standard_webhooks(secret, key, body, headers, errand),
            Self::Hmac { header, prefix, base64, .. } => {
                let hash = hmac(key.0.as_bytes(), &[body])?;
                let hash = if *base64 { STANDARD.encode(&hash) } else { hex(&hash) };
                headers.insert(header.clone(), sensitive(format!("{prefix}{hash}"))?);
                Ok(())
            }
        }
    }
}

/// Several keys, one after another with spaces between, give several signatures: so receivers change keys.
fn standard_webhooks(
    name: &str,
    keys: &SecretValue,
    body: &[u8],
    headers: &mut HeaderMap,
    errand: Errand<'_>,
) -> Result<(), Refusal> {
    let of_the_guest = headers.get(ID).and_then(|id| id.to_str().ok());
    let id = of_the_guest.or(errand.id).map(str::to_owned);
    let id = id.ok_or_else(|| Refusal("mag-sign: there is no notification, so webhook-id must be given".to_owned()))?;
    let time = (errand.now / 1_000).to_string();
    let mut signatures = Vec::new();
    for key in self::keys(name, keys)? {
        let hash = hmac(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body])?;
        signatures.push(format!("v1,{}", STANDARD.encode(hash)));
    }
    headers.insert(ID, sensitive(id)?);
    headers.insert(TIMESTAMP, sensitive(time)?);
    headers.insert(SIGNATURE, sensitive(signatures.join(" "))?);
    Ok(())
}

/// The keys of Standard Webhooks that a secret of that name holds; at least one.
pub(super) fn keys(name: &str, value: &SecretValue) -> Result<Vec<Vec<u8>>, Refusal> {
    let key = |word: &str| STANDARD.decode(word.strip_prefix(KEY_PREFIX).unwrap_or(word)).ok();
    let keys: Option<Vec<Vec<u8>>> = value.0.split_whitespace().map(key).collect();
    keys.filter(|keys| !keys.is_empty() && keys.iter().all(|key| !key.is_empty())).ok_or_else(|| {
        let what = "it must be `whsec_` and base64, as the receiver shows it; several with spaces between";
        Refusal(format!("secrets.{name} is no key of Standard Webhooks: {what}"))
    })
}

fn hmac(key: &[u8], pieces: &[&[u8]]) -> Result<Vec<u8>, Refusal> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    let mut mac = mac.map_err(|error| Refusal(format!("a key cannot be used to sign: {error}")))?;
    pieces.iter().for_each(|piece| mac.update(piece));
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sensitive(value: String) -> Result<HeaderValue, Refusal> {
    let value = HeaderValue::try_from(value);
    let mut value = value.map_err(|_shows_it| Refusal("what is signed cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
