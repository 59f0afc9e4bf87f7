//! `mag sender new NAME`: a folder with a small, whole sender in it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::super::{EXIT_USAGE, complain, print};
use super::kits::Lang;

/// Characters of a name.
const NAME_CHARS: usize = 32;

/// Arguments of `mag sender new`.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct NewArgs {
    /// Its name, and that of the new folder: small letters, digits, hyphens
    name: String,
    /// The language to write it in
    #[arg(long, value_enum)]
    lang: Lang,
}

/// Writes a new sender; exit status 0, or 2 when it cannot.
pub(super) fn run(args: &NewArgs) -> ExitCode {
    match write(args, Path::new("")) {
        Ok(_files) => {
            // How many there are changes with every file of the SDK, and helps nobody.
            print(&format!("{}/ is made\n\nnext:\n", args.name));
            for step in steps(args) {
                print(&format!("  {step}\n"));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("mag: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Why there is no new sender.
#[derive(Debug, thiserror::Error)]
enum NotNew {
    #[error("{0:?} is no name for a sender: small letters, digits and hyphens, a letter first, at most {most}", most = NAME_CHARS)]
    Name(String),
    #[error("{}/ is there already: choose another name, or remove it", .0.display())]
    There(PathBuf),
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

fn write(args: &NewArgs, parent: &Path) -> Result<usize, NotNew> {
    if !is_name(&args.name) {
        return Err(NotNew::Name(args.name.clone()));
    }
    let folder = parent.join(&args.name);
    let failed = |path: &Path, error| NotNew::Write { path: path.to_owned(), error };
    match fs::create_dir(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(NotNew::There(folder)),
        Err(error) => return Err(failed(&folder, error)),
    }
    let files = args.lang.files(&args.name);
    for file in &files {
        let path = folder.join(&file.path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::File::create_new(&path)?.write_all(file.text.as_bytes()));
        written.map_err(|error| failed(&path, error))?;
    }
    Ok(files.len())
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(allowed)
        && !name.ends_with('-')
        && name.len() <= NAME_CHARS
}

/// What to type next.
fn steps(args: &NewArgs) -> Vec<String> {
    let tools: &[&str] = match args.lang {
        Lang::Rust => &["cargo test"],
        Lang::Js | Lang::Ts => &["npm install", "npm test"],
        Lang::Python => &["python3 -m venv .venv", ".venv/bin/pip install -r requirements.txt", "python3 -m unittest"],
        Lang::C => &["make test"],
    };
    let mut steps = vec![format!("cd {}", args.name)];
    steps.extend(tools.iter().map(|&step| step.to_owned()));
    steps.push("mag sender build".to_owned());
    steps.push(format!("mag sender test {}.wasm", args.name));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str) -> NewArgs {
        NewArgs { name: name.to_owned(), lang: Lang::Python }
    }

    #[test]
    fn a_new_sender_is_written_once_and_never_over_something() {
        let dir = tempfile::tempdir().unwrap();
        let files = write(&args("chat"), dir.path()).unwrap();
        assert!(files > 8 && dir.path().join("chat/wit/deps/http.wit").is_file());
        let again = write(&args("chat"), dir.path()).unwrap_err().to_string();
        assert!(again.contains("chat/ is there already"), "{again}");
    }

    #[test]
    fn a_name_is_a_name_in_every_language() {
        for name in ["", "Chat", "1x", "a b", "../x", "a-", "a_b", "x123456789x123456789x123456789x12"] {
            assert!(matches!(write(&args(name), Path::new("/nowhere")), Err(NotNew::Name(_))), "{name}");
        }
        assert!(is_name("a") && is_name("my-chat-2"));
    }
}
