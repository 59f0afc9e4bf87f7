//! What the bytes go over: TCP, a unix socket, or what a program layers on one of them, such as TLS.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// A connection that a client can wait for as long as it wants to, and no longer.
pub trait Transport: Read + Write + Send + fmt::Debug {
    /// How long a read waits.
    ///
    /// # Errors
    ///
    /// The system's.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// How long a write waits.
    ///
    /// # Errors
    ///
    /// The system's.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Whether reads and writes do not wait at all.
    ///
    /// # Errors
    ///
    /// The system's.
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Says that nothing more will be written.
    ///
    /// # Errors
    ///
    /// The system's.
    fn finish(&mut self) -> io::Result<()>;
}

macro_rules! socket {
    ($socket:ty) => {
        impl Transport for $socket {
            fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
                <$socket>::set_read_timeout(self, Some(timeout))
            }

            fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
                <$socket>::set_write_timeout(self, Some(timeout))
            }

            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                <$socket>::set_nonblocking(self, nonblocking)
            }

            fn finish(&mut self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(UnixStream);

/// How a connection is made, within the time that is given.
#[derive(Clone)]
pub(crate) struct Dial(pub(crate) Arc<Dialing>);

pub(crate) type Dialing = dyn Fn(Duration) -> io::Result<Box<dyn Transport>> + Send + Sync;

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

/// How the address of a unix socket begins, as in mag's own config.
const UNIX: &str = "unix:";

/// Connects to `HOST:PORT`, the first address of it that answers, or to `unix:PATH`.
///
/// # Errors
///
/// Nobody answers within `patience`.
pub fn connect(address: &str, patience: Duration) -> io::Result<Box<dyn Transport>> {
    if let Some(path) = address.strip_prefix(UNIX) {
        return unix(path);
    }
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for peer in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&peer, patience.max(Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(unix)]
fn unix(path: &str) -> io::Result<Box<dyn Transport>> {
    Ok(Box::new(UnixStream::connect(path)?))
}

#[cfg(not(unix))]
fn unix(_path: &str) -> io::Result<Box<dyn Transport>> {
    Err(ErrorKind::Unsupported.into())
}
