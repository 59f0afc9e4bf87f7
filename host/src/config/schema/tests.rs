//! The schema against the readers: the same keys, the same types, defaults that are the defaults, files that pass both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;
use crate::config::{Config, Source, typed};

/// Sections of a file, each with a header that makes a good one of it.
const HEADERS: [(&str, &str); 18] = [
    ("listen", "[[listen]]\naddress = \"127.0.0.1:3050\"\n"),
    ("tls", "[[listen]]\naddress = \"127.0.0.1:3050\"\n[listen.tls]\ncert = \"c\"\nkey = \"k\"\n"),
    ("store", "[store]\n"),
    ("admin", "[admin]\n"),
    ("route", "[senders.console]\nplugin = \"console\"\n[route]\n"),
    ("child", "[senders.console]\nplugin = \"console\"\n[[route.routes]]\nmatch = ['kind=\"a\"']\n"),
    ("sender", "[senders.a]\nplugin = \"console\"\n"),
    (
        "plugin",
        "[senders.a.plugin]\npath = \"./Cargo.toml\"\nsha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n",
    ),
    (
        "smtp",
        "[senders.a]\nplugin = \"email\"\nsecrets.smtp_password = { env = \"X\" }\n[senders.a.smtp]\nurl = \"smtp://h\"\n",
    ),
    ("sender_limits", "[senders.a]\nplugin = \"console\"\n[senders.a.limits]\n"),
    ("secret", SECRET),
    ("sender_secret", "[senders.a]\nplugin = \"console\"\n[senders.a.secrets.s]\nenv = \"X\"\n"),
    ("monitor", MONITOR),
    ("token_refresh", REFRESH),
    ("limits", "[limits]\n"),
    ("alerts", "[alerts]\n"),
    ("log", "[log]\n"),
    ("reload", "[reload]\n"),
];
const MONITOR: &str = "[monitors.m]\nurl = \"http://h/\"\nitems = \"/a\"\nid = \"/b\"\nvalue = \"/c\"\nalert_if = \"delta < 1\"\n\
                       text = \"t\"\nsecrets.token = { env = \"X\" }\n";
const SECRET: &str = "[monitors.m]\nurl = \"http://h/\"\nitems = \"/a\"\nid = \"/b\"\nvalue = \"/c\"\nalert_if = \"delta < 1\"\n\
                      text = \"t\"\n[monitors.m.secrets.token]\nenv = \"X\"\n";
const REFRESH: &str = "[monitors.m]\nurl = \"http://h/\"\nitems = \"/a\"\nid = \"/b\"\nvalue = \"/c\"\nalert_if = \"delta < 1\"\n\
                       text = \"t\"\nsecrets.token = { env = \"X\" }\n[monitors.m.token_refresh]\nurl = \"http://h/\"\nevery = \"1h\"\n";

fn load(text: &str) -> Result<Config, String> {
    let source = Source { file: Some(PathBuf::from("mag.toml")), text: text.to_owned() };
    Config::load(&source, &|_| None).map_err(|mistakes| mistakes.to_string())
}

/// A section's file with one more key; a key that the header has already is put in its place.
fn with(section: &str, key: &str, value: &str) -> String {
    let (_, header) = HEADERS.iter().find(|(name, _)| *name == section).expect("a header");
    let at = header.rfind("\n[").map_or(0, |at| at + 1);
    let (before, own) = header.split_at(at);
    let own: Vec<&str> = own.lines().filter(|line| !line.starts_with(&format!("{key} = "))).collect();
    let own = own.iter().filter(|line| key != "secrets" || !line.starts_with("secrets."));
    format!("{before}{}\n{key} = {value}\n", own.copied().collect::<Vec<_>>().join("\n"))
}

/// Every key of every section but the file itself.
fn all_keys() -> impl Iterator<Item = (&'static str, Key)> {
    SECTIONS.iter().skip(1).flat_map(|section| section.keys.iter().map(|key| (section.name, *key)))
}

#[test]
fn the_readers_take_the_keys_that_the_schema_has_and_no_others() {
    typed::ASKED.take();
    for (_, header) in HEADERS {
        load(header).expect("a good file");
    }
    let mut read: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (header, keys) in typed::ASKED.take() {
        let parts: Vec<&str> = header.trim_matches(['[', ']']).split('.').collect();
        let section = match parts.as_slice() {
            ["senders", _] => "sender",
            ["senders", _, "limits"] => "sender_limits",
            ["monitors", _] => "monitor",
            ["route", "routes"] => "child",
            ["senders", _, "secrets", _] => "sender_secret",
            ["monitors", _, "secrets", _] => "secret",
            [.., own] => SECTIONS.iter().find(|section| section.name == *own).expect("a section").name,
            [] => "",
        };
        // The root takes every message, and says so to whoever gives it one of these.
        let refused = ["name", "match", "continue"];
        read.entry(section)
            .or_default()
            .extend(keys.into_iter().filter(|key| section != "route" || !refused.contains(key)));
    }
    for section in SECTIONS {
        let known: BTreeSet<&str> = section.keys.iter().map(|key| key.name).collect();
        let asked = read.remove(section.name).unwrap_or_default();
        assert_eq!(known, asked, "config/schema/keys.rs (left) and the readers differ in {}", section.name);
    }
    assert!(read.is_empty(), "sections that are not in config/schema/keys.rs: {read:?}");
}

#[test]
fn the_readers_take_the_types_that_the_schema_has_and_no_others() {
    const VALUES: [(&str, &str, &str); 6] = [
        ("string", "string", "\"x\""),
        ("integer", "integer", "7"),
        ("number", "float", "7.5"),
        ("boolean", "boolean", "true"),
        ("array", "array", "[]"),
        ("object", "table", "{}"),
    ];
    for (section, key) in all_keys() {
        for (kind, found, value) in VALUES {
            let said = load(&with(section, key.name, value)).err().unwrap_or_default();
            let of_kind = of(key.kind);
            let wanted = of_kind.get("type").and_then(Value::as_str).unwrap_or("object");
            if kind == "string" && matches!(key.kind, Kind::TextOr(_)) {
                continue;
            }
            assert_eq!(
                said.contains(&format!("`{}`: expected", key.name)) && said.contains(&format!(", found {found}")),
                kind != wanted,
                "{section}.{} = {value}, in the schema it is {wanted}: {said}",
                key.name
            );
        }
    }
}

#[test]
fn a_default_of_the_schema_changes_nothing() {
    let shown = |config: &Config| {
        let Config { listen, store, admin, route, senders, monitors, limits, alerts, log, reload, .. } = config;
        format!(
            "{listen:?} {store:?} {admin:?} {route:?} {senders:?} {monitors:?} {limits:?} {alerts:?} {log:?} {reload:?}"
        )
    };
    let mut checked = 0;
    for (section, key) in all_keys() {
        let Some(default) = key.default else { continue };
        let (_, header) = HEADERS.iter().find(|(name, _)| *name == section).expect("a header");
        let without = load(header).expect("a good file");
        let given =
            load(&with(section, key.name, default)).unwrap_or_else(|said| panic!("{section}.{}: {said}", key.name));
        assert_eq!(shown(&given), shown(&without), "{section}.{} = {default} is not the default", key.name);
        checked += 1;
    }
    assert!(checked > 15, "only {checked} defaults");
}

#[test]
fn a_key_that_must_be_there_is_missed_by_the_readers_too() {
    for (section, key) in all_keys().filter(|(_, key)| key.required) {
        let without = with(section, key.name, "1").replace(&format!("{} = 1\n", key.name), "");
        let said = load(&without).expect_err(key.name);
        assert!(said.contains(&format!("missing `{}`", key.name)), "{section}.{}: {said}", key.name);
    }
}

fn validate(text: &str) -> Result<(), String> {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("mag.json", schema()).expect("JSON");
    let index = compiler.compile("mag.json", &mut schemas).expect("a JSON Schema");
    let document: Value = toml::from_str(text).expect("TOML");
    schemas.validate(&document, index).map_err(|error| error.to_string())
}

#[test]
fn the_shipped_file_and_the_examples_of_the_readme_are_valid() {
    validate(include_str!("../../../../mag.toml")).expect("valid");
    let readme = include_str!("../../../../README.md");
    let examples: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .filter(|text| {
            !["mag-client = ", "[package]", "[[mistakes]]"].iter().any(|of_another| text.contains(of_another))
        })
        .collect();
    assert!(examples.len() >= 5, "{examples:#?}");
    for example in examples {
        validate(example).unwrap_or_else(|why| panic!("{example}\n{why}"));
    }
}

#[test]
fn what_the_readers_refuse_the_schema_refuses() {
    for text in [
        "[stor]\n",
        "[admin]\ntls = true\n",
        "[route]\nmax_messages = 0\n",
        "[route]\ntime_limit = 30\n",
        "[senders.a]\nrate = \"1/s\"\n",
        "[senders.a]\nplugin = \"console\"\nsecrets.s = \"typed\"\n",
        "[senders.a]\nplugin = \"console\"\nsecrets.s = { env = \"A\", file = \"b\" }\n",
        "[senders.a]\nplugin = \"console\"\nsecrets.s = { in = [\"body\"] }\n",
        "[[listen]]\naddress = \"h:1\"\nprotocol = \"http\"\ntoken = { env = \"A\", in = [\"body\"] }\n",
        "[senders.\"a b\"]\nplugin = \"console\"\n",
        "[[listen]]\nprotocol = \"auto\"\n",
        "[log]\nformat = \"yaml\"\n",
    ] {
        assert!(load(text).is_err(), "the readers take it: {text}");
        assert!(validate(text).is_err(), "the schema takes it: {text}");
    }
}
