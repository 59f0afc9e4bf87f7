//! The guests, made with the commands that a person types.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The component of a guest in `lang` below `folder`, built unless it is there.
pub(super) fn built(mag: &Path, folder: &Path, lang: &str) -> anyhow::Result<PathBuf> {
    let name = format!("bench-{lang}");
    let project = folder.join(&name);
    let component = project.join(format!("{name}.wasm"));
    if component.is_file() {
        return Ok(component);
    }
    println!("building the guest in {lang}");
    std::fs::create_dir_all(folder).context("cannot make the folder of the guests")?;
    runs(Command::new(mag).args(["sender", "new", &name, "--lang", lang]).current_dir(folder))?;
    let (file, text) = match lang {
        "rust" => ("src/lib.rs", include_str!("../../guests/lib.rs")),
        "js" => ("sender.js", include_str!("../../guests/sender.js")),
        _ => ("sender.py", include_str!("../../guests/sender.py")),
    };
    std::fs::write(project.join(file), text).context("cannot write the guest")?;
    let tools = match lang {
        "rust" => "true",
        "js" => "npm install --no-audit --no-fund",
        _ => "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt",
    };
    runs(Command::new("sh").args(["-c", tools]).current_dir(&project))?;
    runs(Command::new(mag).args(["sender", "build"]).current_dir(&project))?;
    Ok(component)
}

fn runs(command: &mut Command) -> anyhow::Result<()> {
    let ended = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(ended.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}
