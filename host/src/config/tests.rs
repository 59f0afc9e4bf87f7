//! What a person sees for what they typed: each case is one input and the whole output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::*;

mod environment;
mod files;
mod mistakes;
mod monitors;
mod routes;
mod secrets;
mod senders;
mod syntax;

/// An environment of these variables only.
fn env(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    move |name| variables.get(name).cloned()
}

fn source(text: &str) -> Source {
    Source { file: Some(PathBuf::from("mag.toml")), text: text.to_owned() }
}

/// Loads a file that has no mistakes.
#[track_caller]
fn load(text: &str) -> Config {
    match Config::load(&source(text), &env(&[])) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// What is said about a file: its mistakes, else its warnings.
#[track_caller]
fn check(text: &str, expect: &Expect) {
    let said = match Config::load(&source(text), &env(&[])) {
        Ok(config) => config.warnings.join("\n"),
        Err(mistakes) => mistakes.to_string(),
    };
    expect.assert_eq(&said);
}
