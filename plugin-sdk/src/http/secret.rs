//! Asks mag to make something of a secret that the guest does not see: a signature, a login. mag takes these headers out
//! and puts the real ones in when the request leaves.

use super::Request;

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Lower-case hexadecimal digits.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
}

impl Request {
    /// Signed as [Standard Webhooks](https://www.standardwebhooks.com) says, with the secret of that name: mag adds
    /// `webhook-id` (the notification's, unless there is one), `webhook-timestamp` and `webhook-signature`.
    #[must_use]
    pub fn standard_webhooks(self, secret: &str) -> Self {
        self.header("mag-sign", format!("standard-webhooks; secret={secret}"))
    }

    /// The HMAC-SHA256 of the body, with the secret of that name as the key, in a header; `prefix` stands before it, as
    /// in `sha256=…`.
    #[must_use]
    pub fn hmac_sha256(self, secret: &str, header: &str, prefix: &str, encoding: Encoding) -> Self {
        let encoding = match encoding {
            Encoding::Hex => "hex",
            Encoding::Base64 => "base64",
        };
        let ask = format!("hmac-sha256; secret={secret}; header={header}; prefix={prefix}; encoding={encoding}");
        self.header("mag-sign", ask)
    }

    /// `Authorization: Basic` with the secret of that name as the password. The user may be a placeholder.
    #[must_use]
    pub fn basic(self, user: &str, secret: &str) -> Self {
        self.header("mag-basic", format!("{user}; secret={secret}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Encoding, Request};

    #[test]
    fn what_is_asked_for_is_written_as_mag_reads_it() {
        let post = || Request::post("https://example.org/");
        let signed = post().standard_webhooks("signing");
        assert_eq!(signed.header_value("mag-sign"), Some("standard-webhooks; secret=signing"));
        let hub = post().hmac_sha256("hub", "X-Hub-Signature-256", "sha256=", Encoding::Hex);
        let ask = "hmac-sha256; secret=hub; header=X-Hub-Signature-256; prefix=sha256=; encoding=hex";
        assert_eq!(hub.header_value("mag-sign"), Some(ask));
        assert_eq!(post().basic("ann", "password").header_value("mag-basic"), Some("ann; secret=password"));
    }
}
