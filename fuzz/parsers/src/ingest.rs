//! The header of the PROXY protocol.

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

mod proxy;

/// Reads the header at the front of `bytes`: who it names, and how many bytes it takes.
///
/// # Errors
///
/// When it is none.
pub fn proxy_header(bytes: &[u8]) -> io::Result<(Option<IpAddr>, usize)> {
    let mut rest = bytes;
    let polled = pin!(proxy::read(&mut rest)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(read) = polled else { return Err(io::Error::other("what is there is never waited for")) };
    read.map(|peer| (peer, bytes.len() - rest.len()))
}
