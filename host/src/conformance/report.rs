//! What a run found, for people and as JSON.

use serde::Serialize;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The plugin's own name, or how it was asked for where it could not say.
    pub plugin: String,
    /// The plugin's version.
    pub version: String,
    /// What it says of itself.
    pub description: String,
    /// The origins that its config makes it want.
    pub origins: Vec<String>,
    /// Whether every check that was made is well.
    pub conforms: bool,
    /// Every check.
    pub checks: Vec<Check>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which part of the contract.
    pub part: Part,
    /// What was tried.
    pub name: String,
    /// What came of it.
    pub told: String,
    /// What the contract recommends, or the plugin's script says; empty where there is no choice.
    pub expected: String,
    /// How that compares.
    pub result: Outcome,
    /// What a person should know; may be empty.
    pub note: String,
}

/// The parts of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// `describe`, `validate`, `prepare`.
    Exports,
    /// Mistakes in the config.
    Config,
    /// What it is asked to tell.
    Notifications,
    /// What its provider answers.
    Answers,
    /// Messages that are kept up to date.
    Living,
}

impl Part {
    fn heading(self) -> &'static str {
        match self {
            Self::Exports => "the exports",
            Self::Config => "mistakes in the config",
            Self::Notifications => "what it is asked to tell",
            Self::Answers => "what it is answered",
            Self::Living => "messages that are kept up to date",
        }
    }
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should.
    Ok,
    /// Not as it should.
    Wrong,
    /// It could not be tried; the note says why.
    Skipped,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wrong => "WRONG",
            Self::Skipped => "skipped",
        }
    }
}

impl Check {
    pub(super) fn new(part: Part, name: impl Into<String>, is_ok: bool, told: impl Into<String>) -> Self {
        let result = if is_ok { Outcome::Ok } else { Outcome::Wrong };
        Self { part, name: name.into(), told: told.into(), expected: String::new(), result, note: String::new() }
    }

    pub(super) fn skipped(part: Part, name: impl Into<String>, why: &str) -> Self {
        let check = Self::new(part, name, true, "");
        Self { result: Outcome::Skipped, note: why.to_owned(), ..check }
    }

    pub(super) fn expecting(self, expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), ..self }
    }

    pub(super) fn noting(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

impl Report {
    /// As a table for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{} {}", self.plugin, self.version);
        if !self.description.is_empty() {
            out.push_str(&format!(": {}", self.description));
        }
        out.push('\n');
        if !self.origins.is_empty() {
            out.push_str(&format!("reaches {}\n", self.origins.join(", ")));
        }
        let width =
            |of: fn(&Check) -> &str| self.checks.iter().map(|check| of(check).chars().count()).max().unwrap_or(0);
        let (names, told) = (
            width(|check| &check.name),
            self.checks.iter().filter(|c| !c.expected.is_empty()).map(|c| c.told.chars().count()).max().unwrap_or(0),
        );
        let mut part = None;
        for check in &self.checks {
            if part != Some(check.part) {
                part = Some(check.part);
                out.push_str(&format!("\n{}\n", check.part.heading()));
            }
            let mut line = format!("  {:<7}  {:<names$}  {:<told$}", check.result.word(), check.name, check.told);
            if !check.expected.is_empty() {
                line.push_str(&format!("  expected: {}", check.expected));
            }
            if !check.note.is_empty() {
                line.push_str(&format!("  {}", check.note));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        let count = |result| self.checks.iter().filter(|check| check.result == result).count();
        let (wrong, skipped) = (count(Outcome::Wrong), count(Outcome::Skipped));
        let of_all = format!("{} checks, {wrong} wrong, {skipped} skipped", self.checks.len());
        let verdict = if self.conforms { "conforms" } else { "does not conform" };
        out + &format!("\n{} {verdict}: {of_all}\n", self.plugin)
    }
}
