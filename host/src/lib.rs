//! mag takes in messages, counts what is the same, and tells people through sandboxed senders.
//!
//! The modules, from the bottom up; a module uses only what stands above it here, and siblings do not use each other.

pub mod clock;
pub mod file;
pub mod limits;
pub mod matcher;
pub mod message;

pub mod config;
pub mod telemetry;

pub mod alerts;
pub mod egress;
pub mod group;
pub mod route;
pub mod silence;

pub mod protocol;
pub mod sender;
pub mod store;

pub mod alertmanager;
pub mod conformance;
pub mod deliver;
pub mod engine;
pub mod ids;
pub mod ingest;
pub mod monitor;

pub mod admin;

pub mod daemon;

pub mod cli;
