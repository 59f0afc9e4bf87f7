//! Builds the plugins that come inside the binary, as WebAssembly components, and tells the library where they lie; lists
//! the files that a new sender begins with.
//!
//! A cargo of its own does it, with a target folder of its own that the debug and the release build of the host share.
//! It must see nothing of the settings that the outer build was started with: they are meant for another target.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each is the package `mag-plugin-NAME`.
const BUNDLED: &[&str] = &[
    "console",
    "discord",
    "email",
    "googlechat",
    "matrix",
    "mattermost",
    "ntfy",
    "pagerduty",
    "pushover",
    "rocketchat",
    "slack",
    "teams",
    "telegram",
    "twilio",
    "webhook",
    "zulip",
];
/// What they are compiled for.
const TARGET: &str = "wasm32-wasip2";
/// Their profile in the workspace's `Cargo.toml`.
const PROFILE: &str = "guest";
/// What decides whether they must be built anew, from the workspace's folder.
const INPUTS: [&str; 9] = [
    "plugins",
    "plugin-sdk/src",
    "plugin-sdk/docs",
    "plugin-sdk/examples",
    "plugin-sdk/wit",
    "plugin-sdk/kits",
    "plugin-sdk/README.md",
    "plugin-sdk/Cargo.toml",
    "Cargo.lock",
];
/// What a person who tries a kit out where it lies leaves behind.
const LEFT_BEHIND: [&str; 6] = ["target", "node_modules", "build", ".venv", "__pycache__", "package-lock.json"];
/// Settings of the outer build: flags for the machine's own linker break the guests', wrappers and folders are not ours.
const CLEARED: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

fn main() {
    if let Err(reason) = run() {
        for line in reason.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn run() -> Result<(), String> {
    let workspace = folder("CARGO_MANIFEST_DIR")?.join("..");
    let workspace =
        workspace.canonicalize().map_err(|error| format!("cannot find {}: {error}", workspace.display()))?;
    for input in INPUTS {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
    have_target()?;
    let out = folder("OUT_DIR")?;
    let guests = target_dir(&out)?;
    build(&workspace, &guests)?;
    let list = list(&workspace, &guests, &out)?;
    write(&out.join("bundled.rs"), &list)?;
    write(&out.join("kits.rs"), &kits(&workspace.join("plugin-sdk"))?)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Rust source: path and text of each file that a new sender may begin with.
fn kits(sdk: &Path) -> Result<String, String> {
    let mut source = String::new();
    for (name, about, folder, inside) in [
        ("KITS", "What is each language's own: LANGUAGE/PATH.", "kits", ""),
        ("WIT", "The contract.", "wit/1.0.0", ""),
        ("SDK", "The SDK for Rust.", "src", "src/"),
    ] {
        let mut files = Vec::new();
        collect(&sdk.join(folder), inside, &mut files)?;
        if name == "SDK" {
            files.push(("README.md".to_owned(), sdk.join("README.md")));
            // What it points to.
            for folder in ["docs", "examples"] {
                collect(&sdk.join(folder), &format!("{folder}/"), &mut files)?;
            }
        }
        files.sort();
        writeln!(source, "/// {about}\nconst {name}: &[(&str, &str)] = &[").map_err(|error| error.to_string())?;
        for (place, path) in files {
            writeln!(source, "    ({place:?}, include_str!({path:?})),").map_err(|error| error.to_string())?;
        }
        source.push_str("];\n");
    }
    Ok(source)
}

/// Every file below a folder, with the place that it has in a new sender.
fn collect(folder: &Path, inside: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if LEFT_BEHIND.contains(&name.as_str()) || name.ends_with(".wasm") {
            continue;
        }
        let place = format!("{inside}{name}");
        if path.is_dir() {
            collect(&path, &format!("{place}/"), files)?;
        } else {
            files.push((place, path));
        }
    }
    Ok(())
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {variable}"))
}

/// `guests` beside the folders of the profiles: `OUT_DIR` is PROFILE/build/PACKAGE/out.
fn target_dir(out: &Path) -> Result<PathBuf, String> {
    let target = out.ancestors().nth(4).ok_or_else(|| format!("{} lies in no target folder", out.display()))?;
    Ok(target.join("guests"))
}

/// Makes sure that the standard library for the guests is there.
fn have_target() -> Result<(), String> {
    if is_installed()? {
        return Ok(());
    }
    // Its own messages go to standard error, which cargo shows when this script fails.
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) && is_installed()? {
        return Ok(());
    }
    Err(format!("the plugins need the Rust target {TARGET}, which is not installed; type: rustup target add {TARGET}"))
}

fn is_installed() -> Result<bool, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let answer = asked.map_err(|error| format!("cannot run rustc: {error}"))?;
    let path = String::from_utf8_lossy(&answer.stdout);
    Ok(answer.status.success() && Path::new(path.trim()).is_dir())
}

fn build(workspace: &Path, guests: &Path) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--target", TARGET, "--profile", PROFILE]);
    command.arg("--manifest-path").arg(workspace.join("Cargo.toml")).arg("--target-dir").arg(guests);
    for name in BUNDLED {
        command.arg("--package").arg(format!("mag-plugin-{name}"));
    }
    for variable in CLEARED {
        command.env_remove(variable);
    }
    let status = command.current_dir(workspace).status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the bundled plugins do not build; cargo said why above".to_owned()) }
}

/// Rust source: name, bytes and script of each. The files are named where they lie, not copied.
fn list(workspace: &Path, guests: &Path, out: &Path) -> Result<String, String> {
    let mut list = String::from(
        "/// Name, component and conformance.toml of each bundled plugin.\nconst BUNDLED: &[(&str, &[u8], &str)] = &[\n",
    );
    for name in BUNDLED {
        let built = guests.join(TARGET).join(PROFILE).join(format!("mag_plugin_{name}.wasm"));
        // A copy, because cargo would take the shared file, newer than the start of this script, for a change to build
        // for once more.
        let path = out.join(format!("{name}.wasm"));
        fs::copy(&built, &path).map_err(|error| format!("cargo built no {}: {error}", built.display()))?;
        let script = workspace.join("plugins").join(name).join("conformance.toml");
        let script = if script.is_file() { format!("include_str!({script:?})") } else { "\"\"".to_owned() };
        writeln!(list, "    ({name:?}, include_bytes!({path:?}), {script}),").map_err(|error| error.to_string())?;
    }
    list.push_str("];\n");
    Ok(list)
}
