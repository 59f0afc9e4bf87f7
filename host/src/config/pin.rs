//! `plugin = { path = "…", sha256 = "…" }`: a plugin's file that must be this very one.

use std::fmt;
use std::str::FromStr;

use super::typed::Value;

/// A SHA-256 hash, as `sha256sum` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Sha256 {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits: Vec<u8> = text.chars().map_while(|c| c.to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
        if digits.len() != text.len() {
            return Err(());
        }
        let bytes = digits.chunks_exact(2).filter_map(|pair| Some((pair.first()? << 4) | pair.get(1)?));
        bytes.collect::<Vec<_>>().try_into().map(Self).map_err(|_other_length| ())
    }
}

/// What every hash looks like.
const FORM: &str = "a SHA-256 hash: 64 hexadecimal digits, as `sha256sum` prints them";

/// A hash that was typed.
pub(super) fn sha256(value: &Value<'_>) -> Option<Sha256> {
    value.parse(FORM, |text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_shown_and_nothing_else_is_one() {
        let shown = "00ff0123456789abcdefABCDEF0123456789abcdef0123456789abcdef012345";
        let hash: Sha256 = shown.parse().expect("64 digits");
        assert_eq!(hash.to_string(), shown.to_lowercase());
        for other in [
            "",
            "0",
            shown.get(1..).expect("ASCII"),
            &format!("{shown}00"),
            &shown.replace('f', "g"),
            &shown.replace("00", "é"),
        ] {
            assert_eq!(other.parse::<Sha256>(), Err(()), "{other}");
        }
    }
}
