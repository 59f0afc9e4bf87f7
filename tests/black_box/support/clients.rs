//! Clients that people already have: programs from Debian and packages from PyPI, started as their owners start them.
//!
//! Where one is not installed its test says so and passes; with `CI=true` it fails. `.ci/run` installs all of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where programs are that a user's `PATH` may not name.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A Python that has certain packages.
pub(crate) struct Python(PathBuf);

impl Python {
    /// The Python of `MAG_TEST_CLIENTS`, a virtual environment, else of `target/clients`. Packages by the names by which
    /// they are imported.
    #[track_caller]
    pub(crate) fn with(packages: &str) -> Option<Self> {
        let folder = std::env::var_os("MAG_TEST_CLIENTS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients"), PathBuf::from);
        let python = folder.join("bin/python3");
        let found = Command::new(&python).args(["-c", &format!("import {packages}")]).output();
        if found.is_ok_and(|output| output.status.success()) {
            return Some(Self(python));
        }
        missing(&format!("{} cannot import {packages}", python.display()));
        None
    }

    /// Runs a script with these variables to its end, which must be a good one; gives back all that it said.
    #[track_caller]
    pub(crate) fn runs(&self, script: &str, variables: &[(&str, &str)]) -> String {
        said(Command::new(&self.0).args(["-c", script]).envs(variables.iter().copied()).output())
    }
}

/// Runs `curl` with these arguments; `None` where there is none that can do `feature`.
#[track_caller]
pub(crate) fn curl(feature: &str, arguments: &[&str]) -> Option<String> {
    let version = Command::new("curl").arg("--version").output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(feature)) {
        missing(&format!("there is no curl with {feature}"));
        return None;
    }
    Some(said(Command::new("curl").args(["--silent", "--show-error", "--max-time", "60"]).args(arguments).output()))
}

/// The file of a program that a package of Debian's brings.
#[track_caller]
pub(crate) fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').chain(FOLDERS).map(|folder| Path::new(folder).join(name)).find(|file| file.is_file());
    if found.is_none() {
        missing(&format!("there is no {name}, of Debian's package {package}"));
    }
    found
}

/// What the README says, with the place of mag put in.
#[track_caller]
pub(crate) fn from_readme(setting: &str, port: u16) -> String {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).expect("the README");
    assert!(readme.contains(setting), "the README does not say: {setting}");
    setting.replace("mag.example.org", "127.0.0.1").replace("3050", &port.to_string())
}

#[track_caller]
fn said(output: std::io::Result<Output>) -> String {
    let output = output.expect("the client starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the client failed: {}\n{out}\n{err}", output.status);
    format!("{out}{err}")
}

#[track_caller]
fn missing(what: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{what}: `.ci/run` installs it");
    eprintln!("skipped: {what}; `.ci/run` installs it");
}
