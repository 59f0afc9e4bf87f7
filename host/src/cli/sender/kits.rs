//! The files of a new sender, one list a language, as the build script found them in the repository.

use clap::ValueEnum;

include!(concat!(env!("OUT_DIR"), "/kits.rs"));

/// What the kit's files call the sender; a new one gets its own name there.
const NAME: &str = "my-sender";
/// The same where no hyphen may stand.
const IDENTIFIER: &str = "my_sender";

/// A language that there is a kit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    /// Rust, with the SDK beside it
    Rust,
    /// JavaScript, by componentize-js
    Js,
    /// TypeScript, by tsc and componentize-js
    Ts,
    /// Python, by componentize-py
    Python,
    /// C, by clang and wit-bindgen
    C,
}

/// A file to write.
pub(super) struct KitFile {
    /// Relative to the new folder.
    pub(super) path: String,
    pub(super) text: String,
}

impl Lang {
    fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Ts => "ts",
            Self::Python => "python",
            Self::C => "c",
        }
    }

    /// Everything that a new sender of this name consists of.
    pub(super) fn files(self, name: &str) -> Vec<KitFile> {
        let identifier = name.replace('-', "_");
        let named = |text: &str| text.replace(NAME, name).replace(IDENTIFIER, &identifier);
        let own = KITS.iter().filter_map(|(path, text)| {
            let path = path.strip_prefix(self.folder())?.strip_prefix('/')?;
            Some(KitFile { path: placed(path).to_owned(), text: named(text) })
        });
        let under = |folder: &'static str| {
            move |(path, text): &(&str, &str)| KitFile { path: format!("{folder}{path}"), text: (*text).to_owned() }
        };
        let shared: Vec<KitFile> = match self {
            Self::Rust => SDK.iter().map(under("sdk/")).chain(WIT.iter().map(under("sdk/wit/1.0.0/"))).collect(),
            Self::Js | Self::Ts | Self::Python | Self::C => WIT.iter().map(under("wit/")).collect(),
        };
        own.chain(shared).collect()
    }
}

/// Where a file of a kit goes: some would act in the repository under their own names.
fn placed(path: &str) -> &str {
    match path {
        "gitignore" => ".gitignore",
        "sdk.toml" => "sdk/Cargo.toml",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_language_has_a_whole_kit() {
        for lang in Lang::value_variants() {
            let files = lang.files("chat-room");
            for wanted in ["README.md", "conformance.toml", ".gitignore"] {
                assert!(files.iter().any(|file| file.path == wanted), "{lang:?} has no {wanted}");
            }
            let wit = |file: &KitFile| file.path.ends_with("/sender.wit") && file.text.contains("mag:sender@1.0.0");
            assert!(files.iter().any(wit), "{lang:?} has no contract");
            let own = files.iter().filter(|file| !file.path.starts_with("sdk/"));
            assert!(own.clone().any(|file| file.text.contains("chat-room")));
            assert!(own.clone().all(|file| !file.text.contains(NAME) && !file.text.contains(IDENTIFIER)));
        }
    }

    #[test]
    fn every_page_of_a_kit_points_to_what_is_there() {
        for lang in Lang::value_variants() {
            let files = lang.files("chat-room");
            for page in files.iter().filter(|file| file.path.ends_with(".md")) {
                let folder = Path::new(&page.path).parent().unwrap();
                let links = page.text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
                let near = links.map(|(link, _)| link).filter(|link| !link.contains("://") && !link.starts_with('#'));
                for link in near {
                    let mut path = folder.to_owned();
                    for step in link.split('#').next().unwrap_or_default().split('/') {
                        if step == ".." {
                            path.pop();
                        } else {
                            path.push(step);
                        }
                    }
                    let there = files.iter().any(|file| Path::new(&file.path) == path);
                    assert!(there, "{lang:?}: {} points to {link}", page.path);
                }
            }
        }
    }

    #[test]
    fn the_sdk_of_a_kit_wants_what_the_workspace_wants() {
        let read = |path: &str| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
            std::fs::read_to_string(&path).unwrap().parse::<toml::Table>().unwrap()
        };
        let workspace = read("Cargo.toml")["workspace"]["dependencies"].clone();
        let kit = read("plugin-sdk/kits/rust/sdk.toml");
        let guest = kit["target"]["cfg(target_arch = \"wasm32\")"]["dependencies"].clone();
        for (name, wanted) in kit["dependencies"].as_table().unwrap().iter().chain(guest.as_table().unwrap()) {
            assert_eq!(Some(wanted), workspace.get(name), "{name}");
        }
    }
}
