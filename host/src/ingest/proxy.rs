//! The PROXY protocol (versions 1 and 2): who the peer is behind the load balancer that connects.
//!
//! Source: <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>. Reads the header and not one byte more.

use std::io;
use std::net::IpAddr;

use ppp::v1;
use ppp::v2;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A header of version 1 with its line end.
const V1_BYTES: usize = 107;
/// What a header of version 2 begins with.
const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Its fixed part.
const V2_FIXED_BYTES: usize = 16;
/// Its longest variable part that mag reads: addresses and what a proxy says beside them.
const V2_REST_BYTES: u16 = 4096;

/// Reads the header; `None` when the proxy speaks for itself, or does not say for whom.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut start = [0; V2_START.len()];
    stream.read_exact(&mut start).await?;
    if &start == V2_START { second(stream, &start).await } else { first(stream, &start).await }
}

async fn first(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Option<IpAddr>> {
    if !start.starts_with(b"PROXY ") {
        return Err(wrong("the connection does not begin with a PROXY header"));
    }
    let mut line = start.to_vec();
    while line.last() != Some(&b'\n') {
        if line.len() >= V1_BYTES {
            return Err(wrong("the PROXY header has no line end"));
        }
        line.push(stream.read_u8().await?);
    }
    match v1::Header::try_from(line.as_slice()).map_err(|error| wrong(&error.to_string()))?.addresses {
        v1::Addresses::Tcp4(addresses) => Ok(Some(addresses.source_address.into())),
        v1::Addresses::Tcp6(addresses) => Ok(Some(addresses.source_address.into())),
        v1::Addresses::Unknown => Ok(None),
    }
}

async fn second(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Option<IpAddr>> {
    let mut header = start.to_vec();
    header.resize(V2_FIXED_BYTES, 0);
    stream.read_exact(header.get_mut(start.len()..).unwrap_or_default()).await?;
    let length = header.last_chunk().map_or(0, |length| u16::from_be_bytes(*length));
    if length > V2_REST_BYTES {
        return Err(wrong("the PROXY header is too long"));
    }
    header.resize(V2_FIXED_BYTES + usize::from(length), 0);
    stream.read_exact(header.get_mut(V2_FIXED_BYTES..).unwrap_or_default()).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(|error| wrong(&error.to_string()))?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    match header.addresses {
        v2::Addresses::IPv4(addresses) => Ok(Some(addresses.source_address.into())),
        v2::Addresses::IPv6(addresses) => Ok(Some(addresses.source_address.into())),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => Ok(None),
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(bytes: &[u8]) -> Result<(Option<IpAddr>, Vec<u8>), String> {
        let mut stream = bytes;
        let peer = read(&mut stream).await.map_err(|error| error.to_string())?;
        Ok((peer, stream.to_vec()))
    }

    #[tokio::test]
    async fn both_versions_name_the_peer_and_leave_what_follows() {
        let one = told(b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nSTRING\n").await;
        assert_eq!(one, Ok((Some([192, 0, 2, 7].into()), b"STRING\n".to_vec())));
        assert_eq!(told(b"PROXY UNKNOWN\r\n{").await, Ok((None, b"{".to_vec())));
        let two = [V2_START.as_slice(), &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3, 4], b"x"].concat();
        assert_eq!(told(&two).await, Ok((Some([192, 0, 2, 7].into()), b"x".to_vec())));
        let local = [V2_START.as_slice(), &[0x20, 0, 0, 0]].concat();
        assert_eq!(told(&local).await, Ok((None, Vec::new())));
    }

    #[tokio::test]
    async fn what_is_no_header_is_an_error_and_never_read_for_long() {
        assert!(told(b"STRING\nhello world\n").await.is_err());
        assert!(told(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()).await.is_err());
        assert!(told(b"PROXY TCP4 a b c d\r\n").await.is_err());
        assert!(told(&[V2_START.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat()).await.is_err());
        assert!(told(b"PRO").await.is_err());
    }
}
