//! The client: queues, writes, listens, and connects again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, Refusal};
use crate::message::Message;
use crate::outbox::Outbox;
use crate::transport::{Dial, Transport, connect};
use crate::wire::{Wire, now};

/// What is queued goes out when there is so much of it.
const WRITE_BYTES: usize = 64 * 1024;
/// So much may wait for acks; then sending waits.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// One attempt to write, before the answers are looked at again.
const TURN: Duration = Duration::from_millis(20);
/// The first pause before another connection, and the longest.
pub(crate) const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Longer than anybody waits, and short enough to be added to any time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// NDJSON with acks.
    #[default]
    Ndjson,
    /// The protocol of the Go service: text alone, no acks.
    Classic,
}

/// How to connect; made by [`Client::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    address: String,
    dial: Option<Dial>,
    protocol: Protocol,
    timeout: Duration,
    reconnect: bool,
    ids: bool,
}

impl Builder {
    /// NDJSON with acks, unless said otherwise.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// How long to wait for a connection, and how long without any progress for an ack; 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(LONGEST);
        self
    }

    /// Whether a broken connection is made again and what was not acknowledged is sent again; it is, by default.
    ///
    /// A message whose ack was lost with the connection is counted once all the same, by its id: see [`Builder::ids`].
    #[must_use]
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Whether each message goes out with an id, so that mag counts it once however often it is sent; it does, by default.
    ///
    /// mag remembers ids one by one, while equal messages without ids cost it next to nothing: without them a client may
    /// send far more, and what it sends again after a broken connection may be counted twice.
    #[must_use]
    pub fn ids(mut self, ids: bool) -> Self {
        self.ids = ids;
        self
    }

    /// How to connect instead of plainly to the address, which then only names mag in errors: a program that speaks TLS
    /// does so here. It is given the time that it may take.
    #[must_use]
    pub fn dial(mut self, dial: impl Fn(Duration) -> io::Result<Box<dyn Transport>> + Send + Sync + 'static) -> Self {
        self.dial = Some(Dial(Arc::new(dial)));
        self
    }

    /// A client that connects when it has something to send.
    pub(crate) fn unconnected(self) -> Client {
        Client { options: self, wire: None, outbox: Outbox::default(), name: random_name() }
    }

    /// Connects, once: a mag that is not there is told at once.
    ///
    /// # Errors
    ///
    /// [`Error::NotReached`].
    pub fn connect(self) -> Result<Client, Error> {
        let mut client = self.unconnected();
        match client.wire(client.options.timeout) {
            Ok(_) => Ok(client),
            Err(source) => Err(client.not_reached(source)),
        }
    }
}

/// A connection to mag that outlives broken connections.
#[derive(Debug)]
pub struct Client {
    options: Builder,
    wire: Option<Wire>,
    outbox: Outbox,
    /// What the ids of its messages begin with: nobody else's do.
    name: String,
}

/// The standard library's own source of chance is seeded by the system.
fn random_name() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

impl Client {
    /// Begins to describe a client of the mag at `address`, `HOST:PORT` or `unix:PATH`.
    #[must_use]
    pub fn builder(address: impl Into<String>) -> Builder {
        let timeout = Duration::from_secs(10);
        let (protocol, address) = (Protocol::default(), address.into());
        Builder { address, dial: None, protocol, timeout, reconnect: true, ids: true }
    }

    /// Connects to the mag at `address`, `HOST:PORT` or `unix:PATH`, with all defaults.
    ///
    /// # Errors
    ///
    /// [`Error::NotReached`].
    pub fn connect(address: impl Into<String>) -> Result<Self, Error> {
        Self::builder(address).connect()
    }

    /// Sends one message at once, without waiting for its ack.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when the message cannot be sent; [`Error::NotReached`] and [`Error::NoAck`] when mag is not
    /// there or takes nothing: the message is kept, and the next call sends it.
    pub fn send(&mut self, message: &Message) -> Result<(), Error> {
        self.queue(message)?;
        self.push()
    }

    /// Sends many messages with as few system calls as possible, without waiting for their acks.
    ///
    /// # Errors
    ///
    /// As [`Client::send`]; what `messages` had not given out then is not sent.
    pub fn send_all(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), Error> {
        for message in messages {
            self.queue(&message)?;
        }
        self.push()
    }

    /// Queues a message; it goes out with the next [`Client::push`], or when enough has come together.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub fn queue(&mut self, message: &Message) -> Result<(), Error> {
        let protocol = self.options.protocol;
        let id = self.options.ids.then(|| format!("{}-{}", self.name, self.outbox.queued() + 1));
        self.outbox.queue(|out| match protocol {
            Protocol::Classic => message.write_classic(out),
            Protocol::Ndjson => {
                message.write_ndjson(id.as_deref(), out);
                Ok(())
            }
        })?;
        if self.outbox.unwritten().len() >= WRITE_BYTES {
            self.push()?;
        }
        if self.outbox.held() >= WINDOW_BYTES {
            self.drive(|outbox| outbox.held() < WINDOW_BYTES / 2)?;
        }
        Ok(())
    }

    /// Hands what is queued to the system, without waiting for acks.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub fn push(&mut self) -> Result<(), Error> {
        self.drive(|outbox| outbox.unwritten().is_empty())
    }

    /// Sends what is queued and waits until all of it is answered. With [`Protocol::Classic`] there are no answers, and
    /// only [`Client::close`] knows.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when mag refused some; [`Error::NotReached`] and [`Error::NoAck`] as [`Client::send`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.drive(|outbox| outbox.unwritten().is_empty() && outbox.is_empty())?;
        let (mut refusals, refused) = self.outbox.take_refusals();
        if refusals.is_empty() {
            return Ok(());
        }
        Err(Error::Refused { first: refusals.swap_remove(0), refused })
    }

    /// What mag refused since the last time, at most the first hundred; then [`Client::flush`] is silent about it.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        self.outbox.take_refusals().0
    }

    /// Messages sent or queued, and not yet answered.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.outbox.open()
    }

    /// [`Client::flush`], then waits until mag has committed everything and closed the connection.
    ///
    /// # Errors
    ///
    /// As [`Client::flush`].
    pub fn close(mut self) -> Result<(), Error> {
        self.flush()?;
        let Some(mut wire) = self.wire.take() else { return Ok(()) };
        if self.options.protocol == Protocol::Ndjson {
            return Ok(());
        }
        let ended = wire.finish().and_then(|()| {
            let until = now() + self.options.timeout;
            while !wire.ended {
                let left = until.saturating_duration_since(now());
                if left.is_zero() {
                    return Ok(false);
                }
                wire.read(left)?;
            }
            Ok(true)
        });
        match ended {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.no_ack()),
            Err(source) => Err(self.not_reached(source)),
        }
    }

    /// Writes and listens until `done`, or until nothing has moved for the whole timeout.
    fn drive(&mut self, done: impl Fn(&Outbox) -> bool) -> Result<(), Error> {
        let timeout = self.options.timeout;
        let mut until = now() + timeout;
        let mut pause = BACKOFF.0;
        while !done(&self.outbox) {
            let left = until.saturating_duration_since(now());
            match self.turn(left) {
                Ok(true) => {
                    until = now() + timeout;
                    pause = BACKOFF.0;
                }
                Ok(false) if left.is_zero() => return Err(self.no_ack()),
                Ok(false) => {}
                Err(source) => {
                    self.wire = None;
                    // Neither becomes another in a moment.
                    let settled = matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::PermissionDenied);
                    let retry = self.options.reconnect && !settled;
                    if !retry || left.is_zero() {
                        return Err(self.not_reached(source));
                    }
                    sleep(pause.min(left));
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
        Ok(())
    }

    /// Reads what has come and writes what can go; waits at most `patience` when there is nothing else to do. Says
    /// whether anything moved.
    fn turn(&mut self, patience: Duration) -> io::Result<bool> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.dial(patience)?,
        };
        let moved = self.exchange(&mut wire, patience);
        // What mag acknowledged before a break is acknowledged.
        while moved.is_err() && !wire.ended && wire.read(Duration::ZERO).is_ok_and(|came| came) {}
        self.hear_all(&mut wire)?;
        let moved = moved?;
        if wire.ended {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        self.wire = Some(wire);
        Ok(moved)
    }

    fn exchange(&mut self, wire: &mut Wire, patience: Duration) -> io::Result<bool> {
        let moved = wire.read(Duration::ZERO)?;
        let unwritten = self.outbox.unwritten();
        if unwritten.is_empty() {
            return Ok(moved || wire.read(patience.max(Duration::from_millis(1)))?);
        }
        if wire.ended {
            return Ok(moved);
        }
        let written = wire.write(unwritten, TURN)?;
        self.outbox.wrote(written);
        if self.options.protocol == Protocol::Classic {
            self.outbox.forget_written();
        }
        Ok(moved || written > 0)
    }

    fn hear_all(&mut self, wire: &mut Wire) -> io::Result<()> {
        while let Some(reply) = wire.reply() {
            if self.options.protocol == Protocol::Ndjson {
                self.hear(&reply)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, reply: &[u8]) -> io::Result<()> {
        let reply: serde_json::Value = serde_json::from_slice(reply).unwrap_or_default();
        let number = |name: &str| reply.get(name).and_then(serde_json::Value::as_u64);
        if let Some(acked) = number("acked") {
            self.outbox.ack(acked);
        } else if let (Some(line), Some(error)) = (number("line"), reply.get("error").and_then(|e| e.as_str())) {
            self.outbox.refuse(line, error);
        } else {
            return Err(io::Error::new(ErrorKind::InvalidData, "the answer is not mag's"));
        }
        Ok(())
    }

    fn wire(&mut self, patience: Duration) -> io::Result<&mut Wire> {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.dial(patience)?,
        };
        Ok(self.wire.insert(wire))
    }

    /// A new connection, on which everything that is not answered goes again.
    fn dial(&mut self, patience: Duration) -> io::Result<Wire> {
        let mut wire = Wire::over(match &self.options.dial {
            Some(Dial(dial)) => dial(patience)?,
            None => connect(&self.options.address, patience)?,
        });
        let wish: &[u8] = match self.options.protocol {
            Protocol::Classic => b"",
            Protocol::Ndjson => b"{\"ack\":true}\n",
        };
        // A fresh connection takes these few bytes whole.
        if !wish.is_empty() && wire.write(wish, patience)? != wish.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        self.outbox.rewind(if wish.is_empty() { 1 } else { 2 });
        Ok(wire)
    }

    fn not_reached(&self, source: io::Error) -> Error {
        Error::NotReached { address: self.options.address.clone(), source }
    }

    fn no_ack(&self) -> Error {
        Error::NoAck {
            address: self.options.address.clone(),
            waited: self.options.timeout,
            unacknowledged: self.outbox.open(),
        }
    }
}

#[cfg(test)]
mod tests;
