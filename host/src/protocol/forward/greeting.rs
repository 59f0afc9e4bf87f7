//! The greeting of Forward where both sides have a shared key (protocol v1: HELO, PING, PONG): before the first chunk each
//! shows that it has the key, without sending it.
//!
//! Knows no key: what shows that somebody has it is handed in and out. Users and passwords, which the protocol has beside
//! the key, are not asked for.

use super::msgpack::{Broken, Head, Scan, head};
use crate::limits;

/// What makes every greeting another one.
pub type Nonce = [u8; 16];

/// What a client answers to [`hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping<'a> {
    /// How it calls itself.
    pub name: &'a [u8],
    /// What it adds to whatever is hashed.
    pub salt: &'a [u8],
    /// What shows that it has the key.
    pub proof: &'a [u8],
}

/// The front of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It is not whole.
    Short,
    /// It is, and takes so many bytes.
    Whole(usize, Ping<'a>),
    /// It is no answer.
    Broken,
}

/// What is said first.
#[must_use]
pub fn hello(nonce: &Nonce) -> Vec<u8> {
    let mut said = vec![0x92];
    text(&mut said, b"HELO");
    said.push(0x83);
    text(&mut said, b"nonce");
    bytes(&mut said, nonce);
    // Nobody is asked for a user and a password.
    text(&mut said, b"auth");
    bytes(&mut said, b"");
    text(&mut said, b"keepalive");
    said.push(0xc3);
    said
}

/// Reads what a client answers.
#[must_use]
pub fn answer(input: &[u8]) -> Answer<'_> {
    let mut scan = Scan::default();
    match scan.find(input) {
        Ok(Some(used)) if used <= limits::FORWARD_GREETING_BYTES => match input.get(..used).and_then(ping) {
            Some(ping) => Answer::Whole(used, ping),
            None => Answer::Broken,
        },
        Ok(None) if scan.needs().max(input.len()) <= limits::FORWARD_GREETING_BYTES => Answer::Short,
        Ok(_) | Err(Broken) => Answer::Broken,
    }
}

/// What is said to a client that has the key, with what shows that `name` has it too; without it, why it is the end.
#[must_use]
pub fn pong(name: &str, proof: Option<&str>) -> Vec<u8> {
    let mut said = vec![0x95];
    text(&mut said, b"PONG");
    said.push(if proof.is_some() { 0xc3 } else { 0xc2 });
    text(&mut said, if proof.is_some() { b"" } else { b"shared_key mismatch" });
    text(&mut said, proof.map_or("", |_| name).as_bytes());
    text(&mut said, proof.unwrap_or_default().as_bytes());
    said
}

/// PING, name, salt, proof, user, password.
fn ping(value: &[u8]) -> Option<Ping<'_>> {
    let Ok(Some((Head::Array(6), mut at))) = head(value) else { return None };
    let mut parts = [&b""[..]; 6];
    for part in &mut parts {
        let Ok(Some((Head::Text(length) | Head::Bytes(length), used))) = head(value.get(at..)?) else { return None };
        *part = value.get(at + used..at + used + length)?;
        at += used + length;
    }
    let [b"PING", name, salt, proof, ..] = parts else { return None };
    Some(Ping { name, salt, proof })
}

fn text(into: &mut Vec<u8>, text: &[u8]) {
    put(into, 0xd9, text);
}

fn bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put(into, 0xc4, bytes);
}

/// All that is said is short.
fn put(into: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    into.extend([kind, u8::try_from(bytes.len()).unwrap_or(u8::MAX)]);
    into.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: &[u8] = b"\x96\xa4PING\xa5web-1\xc4\x04salt\xd9\x05proof\xa0\xa0";

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        for end in 0..PING.len() {
            assert_eq!(answer(&PING[..end]), Answer::Short, "{end} bytes");
        }
        let whole = Ping { name: b"web-1", salt: b"salt", proof: b"proof" };
        assert_eq!(answer(&[PING, b"\x93"].concat()), Answer::Whole(PING.len(), whole));
    }

    #[test]
    fn what_is_no_answer_or_too_long_is_told_before_it_is_whole() {
        assert_eq!(answer(b"\xc1"), Answer::Broken);
        assert_eq!(answer(b"\x92\xa4PING\xa0"), Answer::Broken);
        assert_eq!(answer(b"\x96\xa4PONG\xa0\xa0\xa0\xa0\xa0"), Answer::Broken);
        assert_eq!(answer(b"\x96\xa4PING\x01\xa0\xa0\xa0\xa0"), Answer::Broken);
        assert_eq!(answer(b"\x96\xa4PING\xdb\x00\x10\x00\x00"), Answer::Broken);
    }

    #[test]
    fn what_is_said_is_as_the_protocol_writes_it() {
        let said = hello(b"0123456789abcdef");
        let rest = b"\xd9\x04auth\xc4\x00\xd9\x09keepalive\xc3";
        assert_eq!(said, [&b"\x92\xd9\x04HELO\x83\xd9\x05nonce\xc4\x100123456789abcdef"[..], rest].concat());
        assert_eq!(pong("mag", Some("ab")), b"\x95\xd9\x04PONG\xc3\xd9\x00\xd9\x03mag\xd9\x02ab");
        assert_eq!(pong("mag", None), b"\x95\xd9\x04PONG\xc2\xd9\x13shared_key mismatch\xd9\x00\xd9\x00");
    }
}
