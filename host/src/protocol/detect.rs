//! Tells by the first bytes of a connection what it speaks. Pure; it uses up nothing.
//!
//! Only what cannot be the beginning of something else is told apart: whoever speaks what cannot be told by its first
//! bytes names it with `protocol` in `[[listen]]`.

use crate::limits;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// The Go service's protocol.
    Classic,
    /// One JSON object a line.
    Ndjson,
    /// One JSON object and a NUL.
    Gelf,
    /// Either of these: what ends the first object tells.
    Json,
    /// Syslog of either RFC.
    Syslog,
    /// RELP, by its first command.
    Relp,
    /// Fluent Forward.
    Forward,
    /// HTTP/1.1.
    Http,
    /// HTTP/2, by its preface.
    Http2,
    /// The first record of a TLS handshake.
    Tls,
}

/// How HTTP/1.1 requests begin.
const HTTP: [&[u8]; 8] = [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"TRACE "];
/// How an HTTP/2 connection begins (RFC 9113 section 3.4), as far as no other protocol begins so.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What follows the number of the first frame of RELP.
const RELP: &[u8] = b"open ";
/// A count of octets has fewer digits.
const COUNT_DIGITS: usize = 10;

/// What `input`, the beginning of a connection, speaks; `None` while more bytes are needed to tell.
///
/// A line end before anything else is classic's empty command, which is answered at once.
#[must_use]
pub fn detect(input: &[u8]) -> Option<Spoken> {
    let window = input.get(..limits::DETECT_BYTES).unwrap_or(input);
    let is_all = window.len() == limits::DETECT_BYTES;
    let blanks = window.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
    let rest = window.get(blanks..).unwrap_or_default();
    match rest {
        [] if !is_all => None,
        [b'{', ..] => Some(Spoken::Json),
        [b'<' | b'0'..=b'9', ..] if blanks == 0 => numbered(rest),
        // An array of two to four parts, the first of them a text.
        [0x92..=0x94, 0xa0..=0xbf | 0xc4..=0xc6 | 0xd9..=0xdb, ..] if blanks == 0 => Some(Spoken::Forward),
        [0x92..=0x94] if blanks == 0 && !is_all => None,
        // A handshake record of SSL 3.0 or later (RFC 8446 section 5.1).
        [0x16, 0x03, ..] => Some(Spoken::Tls),
        [0x16] if !is_all => None,
        _ if HTTP.iter().any(|method| rest.starts_with(method)) => Some(Spoken::Http),
        _ if rest.starts_with(HTTP2) => Some(Spoken::Http2),
        _ if HTTP.iter().chain([&HTTP2]).any(|start| start.starts_with(rest)) && !is_all => None,
        _ => Some(Spoken::Classic),
    }
}

/// The same at a port that only `named` is spoken at: that, unless it is TLS, which begins as nothing else does.
#[must_use]
pub fn detect_beside(named: Spoken, input: &[u8]) -> Option<Spoken> {
    match input {
        [] | [0x16] => None,
        [0x16, 0x03, ..] => Some(Spoken::Tls),
        _ => Some(named),
    }
}

/// What a JSON object at the front of `input` is, of which the first `scanned` bytes hold neither LF nor NUL; `None` while
/// more bytes are needed to tell. No line of JSON holds a NUL.
pub(super) fn json(input: &[u8], scanned: usize) -> Option<Spoken> {
    let window = input.get(..=limits::NDJSON_LINE_BYTES).unwrap_or(input);
    let end = window.get(scanned..).and_then(|new| memchr::memchr2(b'\n', 0, new).and_then(|at| new.get(at)));
    match end {
        Some(0) => Some(Spoken::Gelf),
        Some(_) => Some(Spoken::Ndjson),
        None => (window.len() > limits::NDJSON_LINE_BYTES).then_some(Spoken::Ndjson),
    }
}

/// What begins with a number: a priority, or the count of octets before one.
fn numbered(input: &[u8]) -> Option<Spoken> {
    let counted = input.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = input.get(counted..).unwrap_or_default();
    let rest = match rest {
        _ if counted == 0 => rest,
        [] | [b' '] if counted < COUNT_DIGITS => return None,
        [b' ', rest @ ..] if counted < COUNT_DIGITS => rest,
        _ => return Some(Spoken::Classic),
    };
    if counted > 0 && RELP.starts_with(rest) {
        return None;
    }
    if counted > 0 && rest.starts_with(RELP) {
        return Some(Spoken::Relp);
    }
    let Some(rest) = rest.strip_prefix(b"<") else { return Some(Spoken::Classic) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits) {
        Some(b'>') if (1..=3).contains(&digits) => Some(Spoken::Syslog),
        None if digits <= 3 => None,
        _ => Some(Spoken::Classic),
    }
}

#[cfg(test)]
mod tests {
    use super::{Spoken, detect};
    use crate::limits;

    #[test]
    fn every_protocol_is_told_by_its_first_bytes() {
        let told = |input: &[u8], spoken| assert_eq!(detect(input), spoken, "{}", input.escape_ascii());
        told(b"STRING\n", Some(Spoken::Classic));
        told(b"S", Some(Spoken::Classic));
        told(b"\n", Some(Spoken::Classic));
        told(b" \t\r", None);
        told(&[b' '; limits::DETECT_BYTES], Some(Spoken::Classic));
        told(b" {", Some(Spoken::Json));
        told(b"POST /api/v1/messages HTTP/1.1\r\n", Some(Spoken::Http));
        told(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Spoken::Http2));
        told(b"POS", None);
        told(b"POS\n", Some(Spoken::Classic));
        told(b"\x16", None);
        told(b"\x16\x03\x01", Some(Spoken::Tls));
        told(b"\x00", Some(Spoken::Classic));
        told(b"<13>hello", Some(Spoken::Syslog));
        told(b"<13", None);
        told(b"<1333", Some(Spoken::Classic));
        told(b"<>", Some(Spoken::Classic));
        told(b"<html>", Some(Spoken::Classic));
        told(b"12 <191>1", Some(Spoken::Syslog));
        told(b"12 ", None);
        told(b"123456789", None);
        told(b"1 open 85 relp_version=0", Some(Spoken::Relp));
        told(b"1 ope", None);
        told(b"\x92\xa3app", Some(Spoken::Forward));
        told(b"\x94\xd9\x40", Some(Spoken::Forward));
        told(b"\x93", None);
        told(b"\x93\x00", Some(Spoken::Classic));
        told(b"1 opx", Some(Spoken::Classic));
        told(b"1234567890", Some(Spoken::Classic));
        told(b"12\n", Some(Spoken::Classic));
        told(b"12 a", Some(Spoken::Classic));
    }
}
