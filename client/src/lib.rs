//! Send messages to mag from Rust: blocking, without a runtime, with every message acknowledged or accounted for.
//!
//! ```no_run
//! use mag_client::{Client, Message, Severity};
//!
//! # fn main() -> Result<(), mag_client::Error> {
//! let mut client = Client::builder("127.0.0.1:3050").connect()?;
//! client.send(&Message::new("disk full").severity(Severity::Error).label("host", "web-1"))?;
//! client.close()?; // waits until mag has committed it
//! # Ok(())
//! # }
//! ```
//!
//! # What an error leaves behind
//!
//! A client remembers every message until mag says that it is committed. When a connection breaks, the client connects
//! again, waiting longer and longer, and sends again what was not acknowledged, nothing else. A message that was
//! committed but whose ack got lost with the connection is then **counted twice**: mag cannot know it for the same one.
//! Whoever would rather miss a message than count it twice turns that off with [`Builder::reconnect`].
//!
//! The classic protocol knows no acks: [`Client::close`] alone says that all is committed, and what the system had
//! taken but mag had not read when a connection broke is lost.

mod client;
mod error;
mod message;
mod outbox;
mod wire;

pub use client::{Builder, Client, Protocol};
pub use error::{Error, Refusal};
pub use message::{Message, Severity};
