//! `mag sender inspect`: a plugin looked into without running it, and what its last calls used where mag runs.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::ask::{Mag, Where};
use super::super::words::count;
use super::super::{EXIT_USAGE, cache_dir, complain, env, load_config, print, print_json};
use crate::admin::{LimitReport, UsageReport};
use crate::config::{self, LiveSecret, Plugin, SecretSource, SecretValue};
use crate::sender::{Host, HostOptions, Looked, Sender};

/// Arguments of `mag sender inspect`.
#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct InspectArgs {
    /// A sender of the config, a bundled plugin, or the file of a plugin
    #[arg(value_name = "NAME|FILE")]
    what: String,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// What is known of a plugin without running it.
#[derive(Debug, Serialize)]
struct Inspected {
    /// `None` for a file, or a bundled plugin that no sender uses.
    sender: Option<String>,
    plugin: String,
    bundled: bool,
    name: String,
    version: String,
    description: String,
    bytes: usize,
    sha256: String,
    contract: Option<String>,
    imports: Vec<String>,
    markup: String,
    updates_in_place: bool,
    secrets: Vec<SecretShown>,
    asks_for: Vec<Origin>,
    /// How many it asks for beside these.
    asks_for_more: usize,
    /// What is wrong with its config; then it is not known what it asks for.
    mistakes: Vec<String>,
    limits: Vec<LimitReport>,
    /// What the running mag knows.
    usage: Option<UsageReport>,
}

#[derive(Debug, Serialize)]
struct SecretShown {
    name: String,
    required: bool,
    uses: Vec<String>,
    description: String,
}

#[derive(Debug, Serialize)]
struct Origin {
    origin: String,
    /// For a person.
    #[serde(skip)]
    shown: String,
    methods: Vec<String>,
    why: String,
    granted: bool,
}

/// Looks; exit status 0, 1 when the plugin is broken, 2 for arguments and the config.
pub(in crate::cli) fn run(args: &InspectArgs, config: Option<&Path>) -> ExitCode {
    let (section, used) = match find(args, config) {
        Ok(found) => found,
        Err(why) => {
            complain(&why);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(anyhow::Error::from);
    let looked = runtime.and_then(|runtime| runtime.block_on(Box::pin(look(&section))));
    match looked {
        Ok((sender, looked)) => {
            let usage = used.as_ref().and_then(|used| usage(used, &section.name));
            let mut inspected = inspected(used.is_some().then_some(section.name.as_str()), &sender, looked, usage);
            inspected.secrets.extend(smtp_password(&section));
            if args.json {
                print_json(&inspected)
            } else {
                print(&screen(&inspected))
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("mag: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What was asked for: its section, and where to ask for what it used.
fn find(args: &InspectArgs, config: Option<&Path>) -> Result<(config::Sender, Option<Mag>), String> {
    let what = args.what.as_str();
    let path = Path::new(what);
    if what.contains('/') || path.extension().is_some_and(|extension| extension == "wasm") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        return Ok((config::Sender::new(&name, Plugin::Path(path.to_owned()), ""), None));
    }
    let bundled = || (config::Sender::new(what, Plugin::Bundled(what.to_owned()), ""), None);
    let bundled = config::is_bundled(what).then(bundled);
    let config = match load_config(config) {
        Ok(config) => config,
        Err(_) if bundled.is_some() => return bundled.ok_or_else(String::new),
        Err(error) => return Err(error.to_string()),
    };
    let found = config.senders.iter().find(|sender| sender.name == what).cloned();
    let known = config.senders.iter().map(|sender| sender.name.as_str()).collect::<Vec<_>>().join(", ");
    match (found, bundled) {
        (Some(section), _) => Ok((section, Some(Mag::of(&args.place, config)))),
        (None, Some(bundled)) => Ok(bundled),
        (None, None) => Err(format!(
            "mag: there is no sender {what} and no bundled plugin of that name; there are the senders {known}, and paths like ./my.wasm"
        )),
    }
}

async fn look(section: &config::Sender) -> anyhow::Result<(Sender, Looked)> {
    let host = Host::new(HostOptions::new(cache_dir()))?;
    // A look sends nothing, so that a secret may be missing here.
    let missing = || SecretValue("missing".to_owned());
    let value = |source: &SecretSource| LiveSecret::from(source.read(&env).unwrap_or_else(|_| missing()));
    let values = section.secrets.iter().map(|(name, secret)| (name.clone(), value(&secret.source))).collect();
    let sender = host.load(section, &values)?;
    let looked = Box::pin(sender.look()).await?;
    Ok((sender, looked))
}

/// The one secret that the plugin does not know of, because mag itself uses it.
fn smtp_password(section: &config::Sender) -> Option<SecretShown> {
    let has = section.secrets.contains_key("smtp_password");
    has.then(|| SecretShown {
        name: "smtp_password".to_owned(),
        required: section.smtp.as_ref().is_some_and(|smtp| smtp.username.is_some()),
        uses: vec!["smtp".to_owned()],
        description: "mag itself logs in at the mail server with it".to_owned(),
    })
}

fn usage(mag: &Mag, sender: &str) -> Option<UsageReport> {
    match mag.get::<UsageReport>(&format!("/api/v1/senders/{sender}")) {
        Ok(report) => Some(report),
        Err(error) => {
            complain(&format!("mag: what its calls used is not known: {error}"));
            None
        }
    }
}

fn inspected(name: Option<&str>, sender: &Sender, looked: Looked, usage: Option<UsageReport>) -> Inspected {
    let (file, Looked { manifest, asked, more, mistakes }) = (sender.file(), looked);
    let limit = |allowed: crate::sender::Allowed| LimitReport {
        limit: allowed.limit.name().to_owned(),
        code: allowed.limit.code().to_owned(),
        call: allowed.call.as_str().to_owned(),
        key: allowed.key.map(str::to_owned),
        allowed: allowed.amount,
        most: None,
        last: None,
    };
    let limits = match &usage {
        Some(usage) => usage.limits.clone(),
        None => sender.limits().into_iter().map(limit).collect(),
    };
    let secret = |secret: crate::sender::SecretUse| {
        let crate::sender::SecretUse { name, required, uses, description } = secret;
        SecretShown { name, required, uses, description }
    };
    let origin = |asked: crate::sender::Asked| {
        let shown = asked.place().to_owned();
        let crate::sender::Asked { origin, methods, why, granted } = asked;
        Origin { origin, shown, methods, why, granted }
    };
    Inspected {
        sender: name.map(str::to_owned),
        plugin: sender.plugin().to_owned(),
        bundled: sender.is_bundled(),
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        bytes: file.bytes,
        sha256: file.sha256,
        contract: file.export,
        imports: file.imports,
        markup: format!("{:?}", manifest.markup).to_lowercase(),
        updates_in_place: manifest.updates_in_place,
        secrets: manifest.secrets.into_iter().map(secret).collect(),
        asks_for: asked.into_iter().map(origin).collect(),
        asks_for_more: more,
        mistakes: mistakes
            .into_iter()
            .map(|mistake| format!("config{}: {}", mistake.pointer, mistake.message))
            .collect(),
        limits,
        usage,
    }
}

fn screen(of: &Inspected) -> String {
    let mut out = String::new();
    let mut row = |head: &str, said: &str| {
        out.push_str(&format!("{head:<12}{said}\n"));
    };
    if let Some(sender) = &of.sender {
        row("sender", sender);
    }
    let place = if of.bundled { "bundled".to_owned() } else { of.plugin.clone() };
    row("plugin", &format!("{} {} ({place})", of.name, of.version));
    row("", &of.description);
    row("file", &format!("{}, sha256 {}", count(of.bytes as u64, "byte"), of.sha256));
    row("contract", of.contract.as_deref().unwrap_or("none"));
    for (nth, import) in of.imports.iter().enumerate() {
        row(if nth == 0 { "imports" } else { "" }, import);
    }
    row("markup", &format!("{}{}", of.markup, if of.updates_in_place { ", updates in place" } else { "" }));
    for (nth, secret) in of.secrets.iter().enumerate() {
        let need = if secret.required { "needed" } else { "may be given" };
        let said = format!("{} ({need}, in {}): {}", secret.name, secret.uses.join(" "), secret.description);
        row(if nth == 0 { "secrets" } else { "" }, &said);
    }
    for (nth, asked) in of.asks_for.iter().enumerate() {
        let granted = match (asked.granted, &of.sender) {
            (true, _) => "granted".to_owned(),
            (false, Some(sender)) => format!("refused: add allow = [\"{}\"] to [senders.{sender}]", asked.origin),
            (false, None) => "needs allow".to_owned(),
        };
        let said = format!("{} {}, {}: {granted}", asked.shown, asked.methods.join(" "), asked.why);
        row(if nth == 0 { "asks for" } else { "" }, &said);
    }
    if of.asks_for_more > 0 {
        row("", &format!("and {} more", of.asks_for_more));
    }
    for (nth, mistake) in of.mistakes.iter().enumerate() {
        row(if nth == 0 { "config" } else { "" }, mistake);
    }
    out.push_str(&table(of));
    out
}

/// The limits, beside what was used of them where that is known.
fn table(of: &Inspected) -> String {
    let calls = of.usage.as_ref().map_or(0, |usage| usage.calls.len());
    let mut out = format!("\n{:<32}{:>10}", "limit", "allowed");
    if calls > 0 {
        out.push_str(&format!("{:>22}{:>22}", format!("most of {calls} calls"), "the last"));
    }
    out.push('\n');
    for limit in &of.limits {
        let name = limit.key.as_deref().unwrap_or(&limit.limit);
        out.push_str(&format!("{name:<32}{:>10}", limit.allowed));
        if calls > 0 {
            let shown = |used: &Option<String>| used.clone().unwrap_or_else(|| "-".to_owned());
            out.push_str(&format!("{:>22}{:>22}", shown(&limit.most), shown(&limit.last)));
        }
        out.push('\n');
    }
    let failed = of.usage.iter().flat_map(|usage| &usage.calls).filter(|call| call.ended != "ok");
    for call in failed {
        out.push_str(&format!("{} failed: {}\n", call.call, call.ended));
    }
    out
}
