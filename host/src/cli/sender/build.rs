//! `mag sender build`: makes the component with the language's own tools, and says what is missing.
//!
//! Installs nothing: that is for the person whose machine it is.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, io};

use clap::Args;

use super::super::{EXIT_USAGE, complain, print};

/// What Rust guests are compiled for.
const RUST_TARGET: &str = "wasm32-wasip2";
/// Settings for this machine's own programs; they break guests.
const CLEARED: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

/// Arguments of `mag sender build`.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct BuildArgs {
    /// The sender's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// Builds a sender and prints where the component is; exit status 0, 1 when the build fails, 2 when something is missing.
pub(super) fn run(args: &BuildArgs) -> ExitCode {
    match build(&args.folder) {
        Ok(component) => {
            let shown = component.strip_prefix(".").unwrap_or(&component);
            print(&format!("{}\n", shown.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            if matches!(error, NotBuilt::Failed(_)) { ExitCode::FAILURE } else { ExitCode::from(EXIT_USAGE) }
        }
    }
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
enum NotBuilt {
    #[error("{}: no sender here: no Cargo.toml, package.json, sender.py or sender.c; `mag sender new` makes one", .0.display())]
    NoSender(PathBuf),
    #[error("{tool} is missing; type: {get}")]
    Missing { tool: &'static str, get: String },
    #[error("{} does not say the sender's name", .0.display())]
    NoName(PathBuf),
    #[error("{} cannot be used: {error}", path.display())]
    Path { path: PathBuf, error: io::Error },
    #[error("{0} failed; it said why above")]
    Failed(&'static str),
}

fn build(folder: &Path) -> Result<PathBuf, NotBuilt> {
    let has = |name: &str| folder.join(name).is_file();
    if has("Cargo.toml") {
        rust(folder)
    } else if has("package.json") {
        javascript(folder)
    } else if has("sender.py") {
        python(folder)
    } else if has("sender.c") {
        c(folder)
    } else {
        Err(NotBuilt::NoSender(folder.to_owned()))
    }
}

fn rust(folder: &Path) -> Result<PathBuf, NotBuilt> {
    let manifest = folder.join("Cargo.toml");
    let text = read(&manifest)?;
    let table: toml::Table = toml::from_str(&text).unwrap_or_default();
    let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.ok_or_else(|| NotBuilt::NoName(manifest.clone()))?;
    have("cargo", "cargo", "curl https://sh.rustup.rs -sSf | sh")?;
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", RUST_TARGET]).output();
    let is_there = asked.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir());
    if !is_there {
        let get = format!("rustup target add {RUST_TARGET}");
        return Err(NotBuilt::Missing { tool: "the Rust target wasm32-wasip2", get });
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", RUST_TARGET, "--target-dir", "target"]);
    for variable in CLEARED {
        cargo.env_remove(variable);
    }
    runs(cargo.current_dir(folder), "cargo")?;
    let made = folder.join("target").join(RUST_TARGET).join("release").join(format!("{}.wasm", name.replace('-', "_")));
    let component = folder.join(format!("{name}.wasm"));
    fs::copy(&made, &component).map_err(|error| NotBuilt::Path { path: made, error })?;
    Ok(component)
}

/// JavaScript and TypeScript: what is to be done stands in `package.json`.
fn javascript(folder: &Path) -> Result<PathBuf, NotBuilt> {
    let package = folder.join("package.json");
    let json: serde_json::Value = serde_json::from_str(&read(&package)?).unwrap_or_default();
    let name = json.get("name").and_then(serde_json::Value::as_str).ok_or(NotBuilt::NoName(package))?;
    have("node", "Node.js 20 or later", "apt-get install nodejs npm")?;
    have("npm", "npm", "apt-get install npm")?;
    if !folder.join("node_modules/.bin/componentize-js").exists() {
        return Err(NotBuilt::Missing { tool: "componentize-js", get: inside(folder, "npm install") });
    }
    runs(Command::new("npm").args(["run", "--silent", "build"]).current_dir(folder), "npm run build")?;
    Ok(folder.join(format!("{name}.wasm")))
}

fn python(folder: &Path) -> Result<PathBuf, NotBuilt> {
    let own = folder.join(".venv/bin/componentize-py");
    let tool = if own.is_file() { absolute(&own)? } else { PathBuf::from("componentize-py") };
    if Command::new(&tool).arg("--version").output().is_err() {
        let get = inside(folder, "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt");
        return Err(NotBuilt::Missing { tool: "componentize-py", get });
    }
    let component = folder_name(folder)?;
    let mut componentize = Command::new(tool);
    componentize.args(["-d", "wit", "-w", "plugin-http", "componentize", "-p", ".", "-o", &component, "component"]);
    runs(componentize.current_dir(folder), "componentize-py")?;
    Ok(folder.join(component))
}

/// C: what is to be done stands in the `Makefile`, and so does the sender's name.
fn c(folder: &Path) -> Result<PathBuf, NotBuilt> {
    let makefile = folder.join("Makefile");
    let text = read(&makefile)?;
    let name = text.lines().find_map(|line| line.strip_prefix("NAME = ")).map(str::trim);
    let name = name.ok_or_else(|| NotBuilt::NoName(makefile.clone()))?;
    let debian = "apt-get install clang lld make wasi-libc libclang-rt-dev-wasm32";
    for tool in ["make", "clang", "wasm-ld"] {
        have(tool, tool, debian)?;
    }
    let libc = env::var_os("WASI_LIBC").unwrap_or_else(|| "/usr/lib/wasm32-wasi".into());
    if !Path::new(&libc).join("libc.a").is_file() {
        return Err(NotBuilt::Missing { tool: "wasi-libc", get: debian.to_owned() });
    }
    have("wit-bindgen", "wit-bindgen", "cargo install wit-bindgen-cli --version 0.62.0 --locked")?;
    if !rust_has_linker() {
        have("wasm-component-ld", "wasm-component-ld", "cargo install wasm-component-ld --locked")?;
    }
    runs(Command::new("make").args(["--silent"]).current_dir(folder), "make")?;
    Ok(folder.join(format!("{name}.wasm")))
}

/// Whether Rust's toolchain is here, which brings a linker for components.
fn rust_has_linker() -> bool {
    let asked = Command::new("rustc").args(["--print", "target-libdir"]).output();
    asked.is_ok_and(|answer| {
        let lib = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
        lib.parent().is_some_and(|target| target.join("bin/wasm-component-ld").is_file())
    })
}

/// `FOLDER.wasm`, for languages whose projects have no name of their own.
fn folder_name(folder: &Path) -> Result<String, NotBuilt> {
    let whole = absolute(folder)?;
    let name = whole.file_name().and_then(|name| name.to_str()).ok_or_else(|| NotBuilt::NoName(whole.clone()))?;
    Ok(format!("{name}.wasm"))
}

fn absolute(path: &Path) -> Result<PathBuf, NotBuilt> {
    fs::canonicalize(path).map_err(|error| NotBuilt::Path { path: path.to_owned(), error })
}

fn read(path: &Path) -> Result<String, NotBuilt> {
    fs::read_to_string(path).map_err(|error| NotBuilt::Path { path: path.to_owned(), error })
}

fn have(program: &str, tool: &'static str, get: &str) -> Result<(), NotBuilt> {
    match Command::new(program).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_not_found) => Err(NotBuilt::Missing { tool, get: get.to_owned() }),
    }
}

fn inside(folder: &Path, command: &str) -> String {
    if folder == Path::new(".") { command.to_owned() } else { format!("(cd {} && {command})", folder.display()) }
}

/// Runs a tool; what it says goes to standard error, so that standard output holds the result alone.
fn runs(command: &mut Command, tool: &'static str) -> Result<(), NotBuilt> {
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let output = stderr.map_or_else(|_closed| Stdio::null(), Stdio::from);
    let status = command.stdin(Stdio::null()).stdout(output).status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(NotBuilt::Failed(tool)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_sender_is_said_to_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no sender here") && error.contains("mag sender new"), "{error}");
    }

    #[test]
    fn what_is_missing_is_said_with_the_command_that_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("package.json"), r#"{"name":"chat"}"#).unwrap();
        let error = have("no-such-program", "the tool", "apt-get install tool").unwrap_err().to_string();
        assert_eq!(error, "the tool is missing; type: apt-get install tool");
        assert_eq!(inside(Path::new("a/b"), "npm install"), "(cd a/b && npm install)");
        assert_eq!(inside(Path::new("."), "npm install"), "npm install");
    }
}
