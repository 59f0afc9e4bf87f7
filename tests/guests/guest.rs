//! A guest: a core module in text with a few words about it, wrapped into a component.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mag::config::{self, Plugin, PluginLimits};
use mag::message::{Group, GroupId, Labels, Notification, Reason};
use serde_json::json;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a guest may import, beside what the contract has it export.
const WORLD: &str = "package test:guest;
    world guest {
        include mag:sender/plugin@1.0.0;
        include wasi:cli/imports@0.2.12;
        import wasi:http/outgoing-handler@0.2.12;
    }";

/// The exports, with their parameters.
const EXPORTS: [(&str, &str); 4] =
    [("describe", ""), ("validate", "(param i32 i32)"), ("prepare", "(param i32 i32)"), ("send", "(param i32)")];

/// Which call a guest must fail in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// `describe` or `validate`, or before.
    Start,
    /// `prepare`.
    Prepare,
    /// `send`.
    Send,
}

/// A guest and what must become of it.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) name: String,
    text: String,
    pub(super) when: When,
    /// The code of its failure.
    pub(super) fails: String,
    /// What its failure says: the key that raises the limit it ran into.
    pub(super) says: Vec<String>,
    timeout: Duration,
    limits: PluginLimits,
    encoding: StringEncoding,
    pages: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests")
}

/// Every guest that attacks, by name.
pub(super) fn all() -> impl Iterator<Item = Guest> {
    let files = fs::read_dir(folder()).expect("the folder reads").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "wat")).collect();
    files.sort();
    files.into_iter().filter(|path| !path.ends_with("prelude.wat")).map(|path| Guest::read(&path))
}

/// Keys that stand directly in a sender's section or nowhere: the failures that have none.
const NO_KEY: [&str; 8] = [
    "trap",
    "offline",
    "stack",
    "refused",
    "forbidden-origin",
    "forbidden-url",
    "forbidden-method",
    "forbidden-address",
];

impl Guest {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Self::parse(name, &fs::read_to_string(path).expect("a text"))
    }

    /// One that does what it should.
    pub(super) fn good() -> Self {
        Self::parse("good".to_owned(), ";; in: send\n;; fails: never\n")
    }

    pub(super) fn parse(name: String, text: &str) -> Self {
        let words: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix(";; ")?.split_once(": ")).collect();
        let time = |key: &str, or: Duration| words.get(key).map_or(or, |typed| humantime(typed));
        let when = match words.get("in") {
            Some(&"start") => When::Start,
            Some(&"prepare") => When::Prepare,
            Some(&"send") => When::Send,
            other => panic!("{name}: in: {other:?}"),
        };
        let fails = (*words.get("fails").unwrap_or_else(|| panic!("{name}: fails"))).to_owned();
        // Whoever must fail by something else has all the time that it needs.
        let cpu = Duration::from_millis(if fails == "cpu" { 10 } else { 10_000 });
        let timeout = time("timeout", Duration::from_secs(60));
        let number = |key: &str| words.get(key).map(|typed| typed.parse().expect("a number"));
        let default = PluginLimits::default();
        let limits = PluginLimits {
            offline_timeout: Duration::from_secs(60),
            offline_cpu: cpu,
            prepare_timeout: timeout,
            prepare_cpu: cpu,
            send_cpu: cpu,
            memory_bytes: 32 * 1024 * 1024,
            instances: number("instances").map_or(default.instances, |number: u32| number as usize),
            requests_at_once: number("requests_at_once").unwrap_or(default.requests_at_once),
            answer_timeout: words.get("answer_timeout").map(|typed| humantime(typed)),
            ..default
        };
        let says =
            if NO_KEY.contains(&fails.as_str()) { vec![] } else { vec!["of [senders.team] raises that".to_owned()] };
        let encoding =
            if words.get("encoding") == Some(&"utf16") { StringEncoding::UTF16 } else { StringEncoding::UTF8 };
        let pages = words.get("memory").unwrap_or(&"2").to_string();
        Self { name, when, fails, says, timeout, limits, encoding, pages, text: text.to_owned() }
    }

    /// The same with more time to compute.
    pub(super) fn with_cpu(mut self, cpu: &str) -> Self {
        self.limits.send_cpu = humantime(cpu);
        self
    }

    /// Its section of `mag.toml`.
    pub(super) fn section(&self, path: &Path, receiver: &str) -> config::Sender {
        config::Sender {
            name: "team".to_owned(),
            plugin: Plugin::Path(path.to_owned()),
            config: json!({ "url": format!("http://{receiver}/") }),
            secrets: BTreeMap::new(),
            timeout: self.timeout,
            rate: None,
            burst: 5,
            concurrency: 1,
            give_up_after: Duration::from_secs(86_400),
            living: None,
            fallback: None,
            allow: Vec::new(),
            allow_private: false,
            smtp: None,
            limits: self.limits,
            place: "mag.toml:1:1".to_owned(),
            pin: None,
            locked: None,
        }
    }

    /// The component.
    pub(super) fn component(&self, receiver: &str, canary: &str) -> Vec<u8> {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-sdk/wit/1.0.0");
        let mut resolve = Resolve::default();
        resolve.push_dir(&wit).expect("the contract");
        let package = resolve.push_str("guest.wit", WORLD).expect("the world");
        let world = resolve.select_world(&[package], Some("guest")).expect("the world");
        let text = self.module(receiver, canary);
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        embed_component_metadata(&mut module, &resolve, world, self.encoding).expect("a module");
        let mut encoder = ComponentEncoder::default().module(&module).expect(&self.name).validate(true);
        encoder.encode().unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    fn module(&self, receiver: &str, canary: &str) -> String {
        let prelude = fs::read_to_string(folder().join("prelude.wat")).expect("the prelude");
        let mut text = format!("(module\n{prelude}\n(memory (export \"memory\") {})\n{}\n", self.pages, self.text);
        for (export, parameters) in EXPORTS {
            if !self.text.contains(&format!("(func ${export} ")) {
                text.push_str(&format!("(func ${export} {parameters} (result i32) (i32.const 1024))\n"));
            }
            text.push_str(&format!("(export \"mag:sender/sender@1.0.0#{export}\" (func ${export}))\n"));
        }
        if !self.text.contains("(func $realloc ") {
            text.push_str(
                "(func $realloc (param i32 i32 i32 i32) (result i32) (call $bump (local.get 2) (local.get 3)))\n",
            );
        }
        text.push_str("(export \"cabi_realloc\" (func $realloc))\n");
        for (name, at, address) in [("receiver", 3072, receiver), ("canary", 3328, canary)] {
            text.push_str(&format!(
                "(data (i32.const {at}) \"{address}\")\n(global ${name} i32 (i32.const {at}))\n(global ${name}_len i32 (i32.const {}))\n",
                address.len()
            ));
        }
        text + ")"
    }
}

fn humantime(typed: &str) -> Duration {
    let (number, unit) = typed.split_at(typed.find(|c: char| c.is_ascii_alphabetic()).expect("a unit"));
    let number = number.parse().expect("a number");
    if unit == "s" { Duration::from_secs(number) } else { Duration::from_millis(number) }
}

/// Something to tell.
pub(super) fn notification() -> Notification {
    Notification {
        id: "n1".to_owned(),
        attempt: 1,
        sender: "team".to_owned(),
        kind: "default".to_owned(),
        reason: Reason::Count,
        period_ms: 1_000,
        title: "disk full".to_owned(),
        groups: vec![Group {
            id: GroupId(1),
            route: "root".into(),
            kind: "default".to_owned(),
            source: None,
            text: "disk full".to_owned(),
            severity: None,
            labels: Labels::default(),
            annotations: Labels::default(),
            count: 30,
            total: 30,
            first_seen: 1,
            last_seen: 2,
            opened: 1,
            closed: 2,
            samples: Vec::new(),
            reason: Reason::Count,
        }],
        omitted_groups: 0,
        omitted_messages: 0,
        sent_at: 3,
        timeout_ms: 1_000,
        progress: None,
        previous: None,
        cause: None,
    }
}
