//! What carries a connection's bytes: TCP, TLS over TCP, or a unix socket.
//!
//! Bytes that were read to find out what is spoken are given out first. A carrier that waits holds no buffer of its own.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// Bytes that a wait for a TLS record may bring with it.
const AHEAD_BYTES: usize = 64;

/// A connection.
#[derive(Debug)]
pub(super) struct Carrier {
    stream: Stream,
    ahead: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl From<TcpStream> for Carrier {
    fn from(stream: TcpStream) -> Self {
        Self { stream: Stream::Tcp(stream), ahead: Vec::new() }
    }
}

impl From<UnixStream> for Carrier {
    fn from(stream: UnixStream) -> Self {
        Self { stream: Stream::Unix(stream), ahead: Vec::new() }
    }
}

impl From<TlsStream<TcpStream>> for Carrier {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), ahead: Vec::new() }
    }
}

impl Carrier {
    /// The socket's options, where it is one whose end can be a reset.
    pub(super) fn tcp(&self) -> Option<SockRef<'_>> {
        match &self.stream {
            Stream::Tcp(stream) => Some(SockRef::from(stream)),
            Stream::Tls(stream) => Some(SockRef::from(stream.get_ref().0)),
            Stream::Unix(_) => None,
        }
    }

    /// Writes all of it, if the client takes it soon.
    pub(super) async fn write_all_within(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        timeout(patience, self.write_all(bytes)).await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Gives out `bytes` before anything else.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.ahead.splice(0..0, bytes.iter().copied());
    }

    /// Both directions, to be used side by side.
    pub(super) fn split(&mut self) -> (Reading<'_>, Writing<'_>) {
        let ahead = std::mem::take(&mut self.ahead);
        match &mut self.stream {
            Stream::Tcp(stream) => {
                let (read, write) = stream.split();
                (Reading { half: ReadHalf::Tcp(read), ahead, ended: false }, Writing::Tcp(write))
            }
            Stream::Unix(stream) => {
                let (read, write) = stream.split();
                (Reading { half: ReadHalf::Unix(read), ahead, ended: false }, Writing::Unix(write))
            }
            Stream::Tls(stream) => {
                let (read, write) = tokio::io::split(&mut **stream);
                (Reading { half: ReadHalf::Tls(read), ahead, ended: false }, Writing::Tls(write))
            }
        }
    }
}

impl AsyncRead for Carrier {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(into.remaining());
            into.put_slice(self.ahead.get(..count).unwrap_or_default());
            self.ahead.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Tcp(stream) => pin!(stream).poll_read(cx, into),
            Stream::Tls(stream) => pin!(stream).poll_read(cx, into),
            Stream::Unix(stream) => pin!(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => pin!(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => pin!(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => pin!(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => pin!(stream).poll_write_vectored(cx, pieces),
            Stream::Tls(stream) => pin!(stream).poll_write_vectored(cx, pieces),
            Stream::Unix(stream) => pin!(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => pin!(stream).poll_flush(cx),
            Stream::Tls(stream) => pin!(stream).poll_flush(cx),
            Stream::Unix(stream) => pin!(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => pin!(stream).poll_shutdown(cx),
            Stream::Tls(stream) => pin!(stream).poll_shutdown(cx),
            Stream::Unix(stream) => pin!(stream).poll_shutdown(cx),
        }
    }
}

/// The side that reads.
#[derive(Debug)]
pub(super) struct Reading<'c> {
    half: ReadHalf<'c>,
    ahead: Vec<u8>,
    /// The end was met while waiting.
    ended: bool,
}

#[derive(Debug)]
enum ReadHalf<'c> {
    Tcp(tcp::ReadHalf<'c>),
    Unix(unix::ReadHalf<'c>),
    Tls(tokio::io::ReadHalf<&'c mut TlsStream<TcpStream>>),
}

impl Reading<'_> {
    /// Waits until there is something to read, or an end. Nothing is lost when the wait is given up.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        if !self.ahead.is_empty() || self.ended {
            return Ok(());
        }
        match &mut self.half {
            ReadHalf::Tcp(half) => half.readable().await,
            ReadHalf::Unix(half) => half.readable().await,
            ReadHalf::Tls(half) => {
                // What is readable on the socket need not be a whole record, so the wait is a read.
                let mut bytes = [0; AHEAD_BYTES];
                let count = half.read(&mut bytes).await?;
                self.ended = count == 0;
                self.ahead = bytes.get(..count).unwrap_or_default().to_vec();
                Ok(())
            }
        }
    }

    /// Reads what is there already; `WouldBlock` when nothing is.
    pub(super) fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.ahead.is_empty() {
            let count = self.ahead.len().min(into.len());
            if let (Some(to), Some(from)) = (into.get_mut(..count), self.ahead.get(..count)) {
                to.copy_from_slice(from);
            }
            self.ahead.drain(..count);
            if self.ahead.is_empty() {
                self.ahead = Vec::new();
            }
            return Ok(count);
        }
        match &mut self.half {
            ReadHalf::Tcp(half) => half.try_read(into),
            ReadHalf::Unix(half) => half.try_read(into),
            ReadHalf::Tls(_) if self.ended => Ok(0),
            ReadHalf::Tls(half) => {
                let mut buffer = ReadBuf::new(into);
                match pin!(half).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
                    Poll::Ready(done) => done.map(|()| buffer.filled().len()),
                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                }
            }
        }
    }
}

/// The side that writes.
#[derive(Debug)]
pub(super) enum Writing<'c> {
    /// Plain TCP.
    Tcp(tcp::WriteHalf<'c>),
    /// A unix socket.
    Unix(unix::WriteHalf<'c>),
    /// TLS over TCP.
    Tls(tokio::io::WriteHalf<&'c mut TlsStream<TcpStream>>),
}

impl AsyncWrite for Writing<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => pin!(half).poll_write(cx, bytes),
            Self::Unix(half) => pin!(half).poll_write(cx, bytes),
            Self::Tls(half) => pin!(half).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => pin!(half).poll_flush(cx),
            Self::Unix(half) => pin!(half).poll_flush(cx),
            Self::Tls(half) => pin!(half).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => pin!(half).poll_shutdown(cx),
            Self::Unix(half) => pin!(half).poll_shutdown(cx),
            Self::Tls(half) => pin!(half).poll_shutdown(cx),
        }
    }
}
