//! `mag sender lock`: a person accepts the plugins as they are; what they ask for is written to `mag.lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use super::super::words::count;
use super::super::{EXIT_USAGE, cache_dir, complain, env, load_config, print};
use crate::config::{Config, Locked};
use crate::daemon::{self, explain};
use crate::sender::{Host, HostOptions, Started};

/// Accepts them; exit status 0 written, 1 the lock cannot be written, 2 config, or a plugin does not start.
pub(super) fn run(config: Option<&Path>) -> ExitCode {
    let mut config = match load_config(config) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // What was accepted before must keep nobody from accepting something else.
    let take = |sender: &mut crate::config::Sender| sender.locked.take().map(|locked| (sender.name.clone(), locked));
    let accepted: BTreeMap<String, Locked> = config.senders.iter_mut().filter_map(take).collect();
    let started = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from);
    let started = match started.and_then(|runtime| runtime.block_on(start(&config))) {
        Ok(started) => started,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let now = started.iter().filter_map(|started| Some((started.name().to_owned(), locked(started)?))).collect();
    let path = match config.write_lock(&now) {
        Ok(path) => path,
        Err(error) => {
            complain(&format!("mag: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let lines = difference(&accepted, &now);
    print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    let same = if lines.is_empty() { ", nothing is different" } else { "" };
    print(&format!("{}: {}{same}\n", path.display(), count(now.len() as u64, "plugin")));
    ExitCode::SUCCESS
}

/// Every sender that is a file, as far as it can be without a connection.
async fn start(config: &Config) -> anyhow::Result<Vec<Started>> {
    let secrets = config.read_secrets(&env)?;
    let host = Host::new(HostOptions::new(cache_dir()))?;
    let (mut started, mut wrong) = (Vec::new(), Vec::new());
    for sender in daemon::load_senders(config, &host, &secrets)? {
        match Box::pin(sender.start()).await {
            Ok(sender) => started.push(sender),
            Err(error) => wrong.extend(explain(config, sender.name(), &error)),
        }
    }
    if wrong.is_empty() { Ok(started) } else { anyhow::bail!(wrong.join("\n")) }
}

fn locked(started: &Started) -> Option<Locked> {
    let manifest = started.manifest();
    let version = format!("{} {}", manifest.name, manifest.version);
    let origins: BTreeSet<String> = started.asked().iter().map(|asked| asked.origin.clone()).collect();
    Some(Locked { sha256: started.sha256()?, version, origins: origins.into_iter().collect() })
}

/// What a person accepts by this, in lines.
fn difference(before: &BTreeMap<String, Locked>, now: &BTreeMap<String, Locked>) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, new) in now {
        let Some(old) = before.get(name) else {
            let asks = if new.origins.is_empty() { "nothing".to_owned() } else { new.origins.join(", ") };
            lines.push(format!("sender {name}: {} is new, it asks for {asks}", new.version));
            continue;
        };
        if old == new {
            continue;
        }
        if old.sha256 == new.sha256 {
            lines.push(format!("sender {name}: {} asks for something else", new.version));
        } else {
            lines.push(format!("sender {name}: {} is another file, it was {}", new.version, old.version));
            lines.push(format!("  sha256 {}", new.sha256));
            lines.push(format!("  was    {}", old.sha256));
        }
        let more = new.origins.iter().filter(|origin| !old.origins.contains(origin));
        lines.extend(more.map(|origin| format!("  asks for {origin}, which it did not before")));
        let less = old.origins.iter().filter(|origin| !new.origins.contains(origin));
        lines.extend(less.map(|origin| format!("  no longer asks for {origin}")));
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    lines.extend(gone.map(|name| format!("sender {name}: no longer a plugin's file")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sha256;

    #[test]
    fn what_is_accepted_is_said_line_by_line() {
        let locked = |hash: u8, origins: &[&str]| {
            let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
            Locked { sha256: Sha256([hash; 32]), version: format!("own {hash}"), origins }
        };
        let entry = |name: &str, locked: Locked| (name.to_owned(), locked);
        let before = BTreeMap::from([
            entry("gone", locked(1, &[])),
            entry("other", locked(1, &["https://a", "https://b"])),
            entry("same", locked(1, &["https://a"])),
        ]);
        let now = BTreeMap::from([
            entry("new", locked(3, &[])),
            entry("other", locked(2, &["https://a", "https://c"])),
            entry("same", locked(1, &["https://a"])),
        ]);
        let (two, one) = ("02".repeat(32), "01".repeat(32));
        assert_eq!(
            difference(&before, &now),
            [
                "sender new: own 3 is new, it asks for nothing",
                "sender other: own 2 is another file, it was own 1",
                &format!("  sha256 {two}"),
                &format!("  was    {one}"),
                "  asks for https://c, which it did not before",
                "  no longer asks for https://b",
                "sender gone: no longer a plugin's file",
            ]
        );
        assert_eq!(difference(&now, &now), Vec::<String>::new());
    }
}
