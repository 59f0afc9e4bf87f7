//! Tries a plugin out: a scripted run against a local double of whatever origin it asks, and a table of what it made of it.
//!
//! Must never reach the network, and judges by the contract alone: what only one provider does stands in that plugin's
//! `conformance.toml`.

mod answers;
mod config;
mod double;
mod report;
mod run;
mod script;
mod told;
mod wire;

pub use report::{Check, Outcome, Part, Report};
pub use run::{NotRun, Subject, run};
pub use script::{Case, FILE_NAME, Mistake, Script, ScriptError, Scripted};

#[cfg(test)]
mod tests;
