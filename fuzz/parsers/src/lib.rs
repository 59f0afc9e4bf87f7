//! What must hold of every parser for any bytes, and the malformed inputs that are kept to show it.
//!
//! The parsers stand in `host/src`; their files here are links, so that what is fuzzed and tested is what runs, without
//! the minutes that the rest of the daemon takes to build. Nothing here may make a parser pass that would not pass there.

#![cfg_attr(test, expect(dead_code, reason = "only built for the lints: the daemon's tests use what these do not"))]

pub mod alertmanager;
pub mod config;
pub mod file;
pub mod ingest;
pub mod limits;
pub mod matcher;
pub mod message;
pub mod protocol;
pub mod silence;

mod check;
pub mod corpus;

pub use check::{PARSERS, Parser, Verdict, computed};
