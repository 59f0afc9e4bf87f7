//! The parsers of `host/src/protocol`, as they stand there (these files are links), for the fuzz targets.
#![allow(dead_code, unused_imports, reason = "the daemon uses what the targets do not")]

pub mod limits;
pub mod message;
pub mod protocol;
