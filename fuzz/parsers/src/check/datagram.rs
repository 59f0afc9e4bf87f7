//! What comes in one piece: datagrams, headers of a proxy, compressed bytes.

use std::net::{IpAddr, Ipv4Addr};

use super::Verdict;
use crate::ingest::proxy_header;
use crate::limits;
use crate::protocol::gelf::{self, Came, Chunks};
use crate::protocol::inflate::{Coding, inflate};
use crate::protocol::syslog;

/// The longest header that is read.
const PROXY_BYTES: usize = 16 + 4096;
/// What may be inflated to at most.
const INFLATED_BYTES: usize = limits::NDJSON_LINE_BYTES;

/// Datagrams, each behind its peer, how many tenths of a second later it comes, and its length.
pub(super) fn gelf(input: &[u8]) -> Verdict {
    let (mut chunks, mut now, mut is_bad, mut rest) = (Chunks::default(), 0_u64, false, input);
    while let Some(([peer, later, length], bytes)) = rest.split_first_chunk::<3>() {
        let (datagram, next) = bytes.split_at(usize::from(*length).min(bytes.len()));
        rest = next;
        now += u64::from(*later) * 100;
        let peer = IpAddr::V4(Ipv4Addr::new(127, 0, 0, *peer));
        match chunks.take(Some(peer), datagram, now) {
            Came::Message(json) => {
                assert!(json.len() <= limits::NDJSON_LINE_BYTES, "a message of {} bytes", json.len());
                let (mut clean, mut kept) = (String::new(), String::new());
                is_bad |= gelf::read(&json, &mut clean, &mut kept, limits::TEXT_BYTES).is_err();
            }
            Came::Refused => is_bad = true,
            Came::Waits | Came::Other => {}
        }
    }
    chunks.end();
    Verdict::malformed_if(is_bad || chunks.lost() > 0)
}

/// A datagram is always a message; one without a text of its own says nothing.
pub(super) fn syslog(input: &[u8]) -> Verdict {
    let message = syslog::message(input);
    let opened = message.envelope.map(|envelope| envelope.open(message.text, limits::TEXT_BYTES));
    let text = opened.map(|opened| opened.text).unwrap_or_default();
    assert!(text.len() <= limits::TEXT_BYTES, "a text is cut");
    Verdict::malformed_if(message.severity.is_none() || text.is_empty() || str::from_utf8(text).is_err())
}

pub(super) fn proxy(input: &[u8]) -> Verdict {
    let header = proxy_header(input);
    if let Ok((peer, used)) = &header {
        assert!(*used <= PROXY_BYTES.min(input.len()), "a header of {used} bytes");
        let alone = proxy_header(input.get(..*used).unwrap_or_default());
        assert_eq!(alone.ok(), Some((*peer, *used)), "not one byte is read behind the header");
    }
    Verdict::malformed_if(header.is_err())
}

/// The first byte says how the rest is compressed.
pub(super) fn inflated(input: &[u8]) -> Verdict {
    let Some((first, bytes)) = input.split_first() else { return Verdict::Read };
    let coding = match first % 3 {
        0 => Coding::Gzip,
        1 => Coding::Zlib,
        _ => Coding::Zstd,
    };
    let inflated = inflate(coding, bytes, INFLATED_BYTES);
    assert!(inflated.as_ref().is_ok_and(|bytes| bytes.len() <= INFLATED_BYTES) || inflated.is_err(), "too much");
    Verdict::malformed_if(inflated.is_err())
}
