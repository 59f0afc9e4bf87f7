//! What the tests speak with: mag itself, those who send to it, and those whom it tells.
//!
//! Everything here fails a test by a panic that says what was waited for and what was there instead.

mod admin;
mod clients;
mod disk;
mod http;
mod mag;
mod record;
mod rsyslog;
mod slack;
mod smtp;
mod store;
mod text;
mod tls;
pub(crate) mod tool;
mod wire;

pub(crate) use admin::Reply;
pub(crate) use clients::{Python, curl, from_readme, program};
pub(crate) use disk::Disk;
pub(crate) use http::{Answer, Receiver, Request};
pub(crate) use mag::{Ended, Home, Mag, binary, free_port, plugin_cache};
pub(crate) use rsyslog::Rsyslog;
pub(crate) use slack::{Slack, TOKEN};
pub(crate) use smtp::{Mail, MailServer, Twist};
pub(crate) use store::Account;
pub(crate) use text::{classic, ndjson, squeezed};
pub(crate) use tls::Certificate;
pub(crate) use wire::Wire;
