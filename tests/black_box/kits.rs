//! From an empty folder to a sender that conforms, in each language that there is a kit for.
//!
//! Each builds a guest with its language's own tools and compiles it: minutes, so they run when asked for, as `.ci/run` does:
//! `cargo test -p mag --test black_box kits:: -- --ignored`. Where a tool is missing the test says so and ends; in CI it fails.

use std::path::Path;
use std::process::{Command, Output};

use super::support::{binary, plugin_cache};

/// Runs a command in a folder, with this machine's own environment.
#[track_caller]
fn output(folder: &Path, program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("XDG_CACHE_HOME", plugin_cache());
    command.output().unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()))
}

/// Runs what must work, and gives its standard output.
#[track_caller]
fn works(folder: &Path, program: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = output(folder, program, arguments);
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{} {arguments:?}: {status}\n{stdout}\n{stderr}", program.display());
    stdout
}

/// Whether a tool is there; where it is not, that is said, and in CI it is a failure.
fn has(tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").output().is_ok();
    let in_ci = std::env::var_os("CI").is_some();
    assert!(is_there || !in_ci, "{tool} is missing: .ci/run must install it");
    if !is_there {
        println!("skipped: {tool} is not installed");
    }
    is_there
}

/// Makes a sender with the commands that `mag sender new` names, and lets it show that it conforms.
#[track_caller]
fn conforms(lang: &str, tools: &[&str]) {
    if !tools.iter().all(|tool| has(tool)) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mag = binary();
    let said = works(folder.path(), &mag, &["sender", "new", "chat", "--lang", lang]);
    let chat = folder.path().join("chat");
    let steps = said.lines().skip_while(|line| *line != "next:").skip(1).map(str::trim);
    for step in steps.filter(|step| !step.starts_with("cd ") && !step.starts_with("mag ")) {
        works(&chat, Path::new("sh"), &["-c", step]);
    }
    assert_eq!(works(folder.path(), &mag, &["sender", "build", "chat"]), "chat/chat.wasm\n");
    let Output { status, stdout, stderr } = output(&chat, &mag, &["sender", "test", "chat.wasm", "--json"]);
    let report = String::from_utf8_lossy(&stdout);
    assert_eq!(status.code(), Some(0), "{report}{}", String::from_utf8_lossy(&stderr));
    let report: serde_json::Value = serde_json::from_str(&report).expect("a report is JSON");
    let checks = report["checks"].as_array().expect("checks");
    assert!(checks.len() > 30 && checks.iter().all(|check| check["result"] == "ok"), "{report}");
    assert_eq!((&report["plugin"], &report["origins"]), (&"chat".into(), &serde_json::json!(["https://example.org"])));
}

#[test]
fn the_pages_show_what_a_new_sender_is_answered_with() {
    let pages = [
        ("rust", include_str!("../../plugin-sdk/docs/rust.md")),
        ("js", include_str!("../../plugin-sdk/docs/javascript.md")),
        ("python", include_str!("../../plugin-sdk/docs/python.md")),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (lang, page) in pages {
        let said = works(folder.path(), &binary(), &["sender", "new", "room", "--lang", lang]);
        let shown = format!("$ mag sender new room --lang {lang}\n{said}");
        assert!(page.contains(&shown), "the page for {lang} does not show this:\n{shown}");
        std::fs::remove_dir_all(folder.path().join("room")).expect("the new folder");
    }
}

#[test]
#[ignore = "builds a guest: minutes"]
fn a_new_sender_in_rust_conforms() {
    conforms("rust", &["cargo"]);
}

#[test]
#[ignore = "builds a guest: minutes"]
fn a_new_sender_in_javascript_conforms() {
    conforms("js", &["node", "npm"]);
}

#[test]
#[ignore = "builds a guest: minutes"]
fn a_new_sender_in_typescript_conforms() {
    conforms("ts", &["node", "npm"]);
}

#[test]
#[ignore = "builds a guest: minutes"]
fn a_new_sender_in_python_conforms() {
    conforms("python", &["python3"]);
}

#[test]
#[ignore = "builds a guest: minutes"]
fn a_new_sender_in_c_conforms() {
    conforms("c", &["make", "clang", "wasm-ld", "wit-bindgen"]);
}

#[test]
fn what_a_build_needs_is_said_with_the_command_that_gets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    works(folder.path(), &binary(), &["sender", "new", "chat", "--lang", "python"]);
    // Nothing is installed where there is no PATH.
    let mut build = Command::new(binary());
    build.args(["sender", "build", "chat"]).current_dir(folder.path()).env_clear();
    let ended = build.output().expect("mag runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    let get = "(cd chat && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt)";
    assert!(said.contains("componentize-py is missing") && said.contains(get), "{said}");
    assert_eq!(ended.status.code(), Some(2));
}
