//! Send messages to mag from Rust, without a runtime, with every message acknowledged or accounted for: [`Client`] waits
//! for mag, [`Background`] never makes anybody wait.
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
//! A program that must not wait, whatever happens to mag, hands its messages to a thread with a bounded buffer:
//!
//! ```no_run
//! use std::time::Duration;
//! use mag_client::{Client, Message};
//!
//! # async fn work() -> Result<(), Box<dyn std::error::Error>> {
//! let mag = Client::builder("127.0.0.1:3050").background(10_000)?;
//! drop(mag.send(Message::new("cache is cold"))); // never waits; full: dropped and counted
//! mag.flush().await?; // a future for any runtime
//! mag.close(Duration::from_secs(5))?; // at the end of the program; this one blocks
//! # Ok(())
//! # }
//! ```
//!
//! # What an error leaves behind
//!
//! A client remembers every message until mag says that it is committed. When a connection breaks, the client connects
//! again, waiting longer and longer, and sends again what was not acknowledged, nothing else. A message whose ack got lost
//! with the connection is counted once all the same, by its id; without ids ([`Builder::ids`]) it is **counted twice**.
//!
//! The classic protocol knows no acks: [`Client::close`] alone says that all is committed, and what the system had
//! taken but mag had not read when a connection broke is lost.

mod background;
mod client;
mod error;
mod message;
mod outbox;
mod transport;
mod wire;

pub use background::{Background, Flush, Full, Unsent};
pub use client::{Builder, Client, Protocol};
pub use error::{Error, Refusal};
pub use message::{Message, Severity};
pub use transport::{Transport, connect};
