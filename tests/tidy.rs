//! The rules of the repository as tests: the layers, who may know what, and what every file begins with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `host/src`, from the bottom up: a module uses only modules of the layers below its own.
const LAYERS: [&[&str]; 9] = [
    &["message", "limits"],
    &["matcher", "clock", "file"],
    &["config", "telemetry"],
    &["group", "ids", "alerts", "route", "silence", "egress"],
    &["protocol", "store", "sender"],
    &["ingest", "engine", "deliver", "monitor", "alertmanager", "conformance"],
    &["admin"],
    &["daemon"],
    &["main", "cli", "lib"],
];

/// What only one module may know, and which.
const KEPT_TO: [(&str, &[&str]); 7] = [
    ("rusqlite", &["store"]),
    ("wasmtime", &["sender"]),
    ("reqwest", &["egress"]),
    ("lettre", &["sender"]),
    ("SystemTime", &["clock"]),
    ("std::time::Instant", &["clock"]),
    ("std::env", &["main", "cli"]),
];

/// Modules with these names hold whatever nobody found a place for.
const NO_NAMES: [&str; 5] = ["utils", "util", "common", "helpers", "manager"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder reads") {
            let path = entry.expect("the entry reads").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("the file reads");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust files in {folder}");
    found
}

/// The module of the top level that a file of `host/src` belongs to.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("host/src")).expect("a file of the host");
    let first = inside.components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn layer(module: &str) -> usize {
    let of = |layer: &&[&str]| layer.contains(&module);
    let layer = LAYERS.iter().position(of);
    assert!(layer.is_some(), "module {module} stands in no layer: add it to this table");
    layer.unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The code of a file without its comments and without the tests at its end.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_module_uses_only_the_layers_below_its_own() {
    let mut wrong = Vec::new();
    for (path, text) in sources("host/src").iter().filter(|(path, _)| !is_test(path)) {
        let user = module(path);
        if user == "lib" || user == "main" {
            continue;
        }
        for used in code(text).split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if used != user && !used.is_empty() && layer(&used) >= layer(&user) {
                wrong.push(format!("{}: {user} uses {used}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_one_module_keeps_to_itself_appears_nowhere_else() {
    let mut wrong = Vec::new();
    for (path, text) in sources("host/src").iter().filter(|(path, _)| !is_test(path)) {
        let user = module(path);
        let code = code(text);
        for (word, keepers) in KEPT_TO {
            if code.contains(word) && !keepers.contains(&user.as_str()) {
                wrong.push(format!("{}: {word} belongs to {keepers:?}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_file_says_at_its_top_what_it_is_for() {
    for folder in [
        "host",
        "plugin-sdk/src",
        "plugins",
        "client/src",
        "bench/src",
        "faultfs/src",
        "testkit/src",
        "fuzz/parsers",
        "tests",
    ] {
        for (path, text) in sources(folder) {
            let described = text.starts_with("//! ") || text.starts_with("#![doc = include_str!(");
            assert!(described, "{} does not begin with a //! line", path.display());
        }
    }
}

#[test]
fn no_file_is_named_after_nothing_in_particular() {
    for folder in [
        "host/src",
        "plugin-sdk/src",
        "plugins",
        "client/src",
        "bench/src",
        "faultfs/src",
        "testkit/src",
        "fuzz/parsers",
        "tests",
    ] {
        for (path, _) in sources(folder) {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            assert!(!NO_NAMES.contains(&name.as_str()), "{}", path.display());
            assert_ne!(name, "mod", "{}: foo.rs stands beside foo/", path.display());
        }
    }
}

#[test]
fn files_stay_small_enough_to_hold_in_the_head() {
    let long: BTreeMap<String, usize> = sources("host/src")
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path.display().to_string(), text.lines().count()))
        .filter(|(_, lines)| *lines > 600)
        .collect();
    assert_eq!(long, BTreeMap::new());
}

/// Every released contract, and how the hash of its file begins.
const CONTRACTS: [(&str, &str); 1] = [("1.0.0", "0fc09b86b3e94b01")];

#[test]
fn released_contracts_have_not_changed_and_each_has_plugins_that_are_kept() {
    for (version, begins) in CONTRACTS {
        let wit = fs::read(root().join(format!("plugin-sdk/wit/{version}/sender.wit"))).expect("the contract reads");
        let hash = blake3::hash(&wit).to_hex();
        assert!(
            hash.starts_with(begins),
            "mag:sender@{version} is frozen: new abilities are new interfaces, a changed record is a new version"
        );
        let kept = fs::read_dir(root().join(format!("tests/data/plugins/{version}"))).expect("the folder reads");
        assert!(kept.count() > 0, "no compiled plugin of mag:sender@{version} is kept");
    }
    let folders = fs::read_dir(root().join("plugin-sdk/wit")).expect("the folder reads");
    let versions: Vec<String> =
        folders.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(versions.len(), CONTRACTS.len(), "each contract in plugin-sdk/wit stands in this table: {versions:?}");
}

/// Where the tests are that promises name.
const PLACES_OF_TESTS: [&str; 3] = ["host/src", "tests/black_box", "tests"];

/// Whether a name in the table of promises is one of the tree: a file or folder, a module, a function. One that ends with
/// `…` is the beginning of a function's.
fn is_there(name: &str, code: &str) -> bool {
    if name.contains('/') {
        return root().join(name).exists();
    }
    if let Some(begin) = name.strip_suffix('…') {
        return code.contains(&format!("fn {begin}"));
    }
    let (within, last) = name.rsplit_once("::").unwrap_or(("", name));
    let of = |module: &str| format!("{}.rs", module.replace("::", "/"));
    let holder = fs::read_to_string(root().join("host/src").join(of(within))).unwrap_or_default();
    PLACES_OF_TESTS.iter().any(|place| root().join(place).join(of(name)).is_file())
        || [format!("mod {last} {{"), format!("fn {last}(")].iter().any(|part| holder.contains(part))
        || within.is_empty() && code.contains(&format!("fn {name}("))
}

/// `a::{b, c}` is two names.
fn names(said: &str) -> Vec<String> {
    let Some((within, inner)) = said.split_once('{') else { return vec![said.to_owned()] };
    inner.trim_end_matches('}').split(", ").map(|name| format!("{within}{name}")).collect()
}

#[test]
fn every_promise_stands_once_and_the_tests_that_it_names_are_there() {
    let page = fs::read_to_string(root().join("tests/RELIABILITY.md")).expect("the page reads");
    let folders = ["host", "plugin-sdk/src", "plugins", "testkit/src", "tests"];
    let code: String = folders.into_iter().flat_map(sources).map(|(_, text)| text).collect();
    let (mut promises, mut wrong) = (Vec::new(), Vec::new());
    for row in page.lines().filter(|line| line.starts_with("| R") || line.starts_with("| S")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [promise, _, tests, _] = cells[..] else { panic!("four cells: {row}") };
        if promises.contains(&promise) {
            wrong.push(format!("{promise} stands twice"));
        }
        promises.push(promise);
        for said in tests.split('`').skip(1).step_by(2) {
            // A command has words, of which those that a test reads stand in it.
            let is_command = said.contains('=') || said.contains(' ') && !said.contains('{');
            if is_command {
                let variables = said.split([' ', '=']).filter(|word| word.starts_with("MAG_"));
                wrong.extend(variables.filter(|name| !code.contains(*name)).map(|name| format!("{promise}: {name}")));
            } else {
                wrong.extend(
                    names(said).iter().filter(|name| !is_there(name, &code)).map(|n| format!("{promise}: {n}")),
                );
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(promises.len() > 30, "{promises:?}");
}
