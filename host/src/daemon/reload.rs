//! A new config beside the running one: read, loaded, started, signed in, bound. All of it works and is taken at once, or
//! nothing of it is taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::listeners::{self, Rules, Step};
use super::senders::{Fresh, explain};
use super::{Generation, Ready, Source, diff, fixed, load};
use crate::admin::Reloaded;
use crate::config::{self, Config};
use crate::ingest::Bound;
use crate::limits;
use crate::monitor::Monitor;
use crate::route::Routes;
use crate::sender::{FailureKind, Host, Sender};

/// What runs, as far as a new config is held against it.
pub(super) struct Running {
    pub(super) generation: Arc<Generation>,
    pub(super) sockets: Vec<(Rules, Arc<Bound>)>,
}

/// A new config that only has to be taken.
pub(super) struct Candidate {
    pub(super) generation: Generation,
    /// Set when messages go elsewhere, or senders came or went.
    pub(super) routes: Option<Routes>,
    pub(super) senders: BTreeMap<String, Fresh>,
    pub(super) monitors: Vec<Monitor>,
    pub(super) ports: Vec<(Rules, Step)>,
    pub(super) told: Reloaded,
}

/// Prepares a new config.
///
/// # Errors
///
/// Everything that is wrong with it, in lines for a person.
pub(super) async fn prepare(source: Arc<Source>, host: Host, running: Running) -> Result<Candidate, String> {
    let old = Arc::clone(&running.generation);
    let (host, own) = (host.clone(), Arc::clone(&old));
    // Files are read, and plugins looked into.
    let read = tokio::task::spawn_blocking(move || {
        let config = (source.read)()?;
        let fixed = fixed::changed(&own.config, &config);
        if !fixed.is_empty() {
            return Err(fixed.join("\n"));
        }
        load(config, host, &*source.env).map_err(|error| format!("{error:#}"))
    });
    let ready = read.await.map_err(|error| format!("mag: reading the config broke off: {error}"))??;
    let Ready { config, secrets, senders, monitors, ports, .. } = ready;
    let generation = Generation::new(config, secrets, &senders);
    let config = &generation.config;
    let mut told = Reloaded { warnings: config.warnings.clone(), ..Reloaded::default() };
    let fresh = senders.into_iter().filter(|sender| !generation.has_same(&old, sender.name())).collect();
    let started = start(config, fresh).await?;
    let rules = Rules::all(config, &generation.secrets.listen);
    let ports = listeners::prepare(config, ports, rules, running.sockets).await?;
    let senders = sign_in(started).await?;

    told.changes = diff::lines(&old, &generation, &senders);
    let monitors = monitors.into_iter().filter(|monitor| generation.has_new_monitor(&old, monitor.name())).collect();
    let names = |config: &Config| config.senders.iter().map(|sender| sender.name.clone()).collect::<Vec<_>>();
    let routes = Routes::new(&config.route);
    let same = routes == Routes::new(&old.config.route) && names(config) == names(&old.config);
    let senders = senders.into_iter().map(|(name, (fresh, _))| (name, fresh)).collect();
    Ok(Candidate { routes: (!same).then_some(routes), senders, monitors, ports, told, generation })
}

/// Senders that started, and what is to be said of them.
pub(super) type Signed = BTreeMap<String, (Fresh, Option<String>)>;

/// Compiles plugins and lets them check their config.
async fn start(config: &Config, fresh: Vec<Sender>) -> Result<Vec<crate::sender::Started>, String> {
    let mut starting = JoinSet::new();
    for sender in fresh {
        starting.spawn(async move { (sender.name().to_owned(), Box::pin(sender.start()).await) });
    }
    let (mut started, mut wrong) = (Vec::new(), BTreeMap::new());
    while let Some(ended) = starting.join_next().await {
        let (name, ended) = ended.map_err(|error| format!("mag: starting a sender broke off: {error}"))?;
        match ended {
            Ok(sender) => started.push(sender),
            Err(error) => drop(wrong.insert(name.clone(), explain(config, &name, &error).join("\n"))),
        }
    }
    if wrong.is_empty() { Ok(started) } else { Err(wrong.into_values().collect::<Vec<_>>().join("\n")) }
}

/// Lets senders sign in. What a person must change refuses the config; a destination that does not answer does not: the
/// sender goes on trying.
async fn sign_in(started: Vec<crate::sender::Started>) -> Result<Signed, String> {
    let until = Instant::now() + Duration::from_secs(limits::RELOAD_SIGN_IN_SECONDS);
    let mut signing = JoinSet::new();
    for started in started {
        signing.spawn(async move {
            let signed_in = timeout_at(until, Box::pin(started.prepare())).await;
            (started, signed_in)
        });
    }
    let (mut signed, mut wrong) = (Signed::new(), Vec::new());
    while let Some(ended) = signing.join_next().await {
        let (started, ended) = ended.map_err(|error| format!("mag: signing in broke off: {error}"))?;
        let name = started.name().to_owned();
        let (signed_in, said) = match ended {
            Ok(Ok(prepared)) => (Some((prepared, Instant::now())), None),
            Ok(Err(failure)) if matches!(failure.kind, FailureKind::Misconfigured | FailureKind::Permanent) => {
                wrong.push(format!("error: {}", failure.message));
                continue;
            }
            Ok(Err(failure)) => (None, Some(failure.message)),
            Err(_late) => {
                let late = format!("sender {name}: no answer in {} s", limits::RELOAD_SIGN_IN_SECONDS);
                (None, Some(late))
            }
        };
        signed.insert(name, (Fresh { started, signed_in }, said));
    }
    wrong.sort();
    if wrong.is_empty() { Ok(signed) } else { Err(wrong.join("\n")) }
}

impl Generation {
    /// Whether a sender is what it was: section, secrets and plugin.
    pub(super) fn has_same(&self, old: &Self, name: &str) -> bool {
        let section = |generation: &Self| {
            let found = generation.config.senders.iter().find(|section| section.name == name);
            found.map(|section| config::Sender { place: String::new(), locked: None, ..section.clone() })
        };
        let (new, former) = (section(self), section(old));
        new.is_some()
            && new == former
            && self.plugins.get(name) == old.plugins.get(name)
            && self.secrets.senders.get(name) == old.secrets.senders.get(name)
    }

    /// Whether a monitor is not what it was.
    pub(super) fn has_new_monitor(&self, old: &Self, name: &str) -> bool {
        let section = |generation: &Self| generation.config.monitors.iter().find(|one| one.name == name).cloned();
        section(self) != section(old) || self.secrets.monitors.get(name) != old.secrets.monitors.get(name)
    }
}
