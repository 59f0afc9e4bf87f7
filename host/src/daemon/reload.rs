//! A new config beside the running one: read, loaded, started, signed in, bound. All of it works and is taken at once, or
//! nothing of it is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::listeners::{self, Rules, Step};
use super::senders::{Fresh, explain};
use super::{Generation, Ready, Source, bounds, diff, fixed, load, looking, settings_for};
use crate::admin::Reloaded;
use crate::config::{self, Config};
use crate::ingest::{self, Bound};
use crate::limits;
use crate::monitor::Monitor;
use crate::route::Routes;
use crate::sender::{FailureKind, Host, Sender};

/// What runs, as far as a new config is held against it.
pub(super) struct Running {
    pub(super) generation: Arc<Generation>,
    pub(super) sockets: Vec<(Rules, Arc<Bound>)>,
    pub(super) settings: ingest::Settings,
    /// Senders that do not work.
    pub(super) broken: BTreeSet<String>,
}

/// A new config that only has to be taken.
pub(super) struct Candidate {
    pub(super) generation: Generation,
    /// Set when messages go elsewhere, senders came or went, or more or less is held.
    pub(super) routes: Option<Routes>,
    pub(super) senders: BTreeMap<String, Fresh>,
    pub(super) monitors: Vec<Monitor>,
    pub(super) ports: Vec<(Rules, Step)>,
    /// For connections from now on.
    pub(super) settings: ingest::Settings,
    /// Set when `[admin]` is elsewhere, or nowhere.
    pub(super) looking: Option<Option<TcpListener>>,
    pub(super) told: Reloaded,
}

/// Prepares a new config, in bounded time. Dropped before its end it leaves nothing behind but what a thread still
/// reads or compiles, which nobody waits for.
///
/// # Errors
///
/// Everything that is wrong with it, in lines for a person.
pub(super) async fn prepare(source: Arc<Source>, host: Host, running: Running) -> Result<Candidate, String> {
    let limit = Duration::from_secs(limits::RELOAD_SECONDS);
    let late = || format!("error: it could not be read and started within {} s", limit.as_secs());
    tokio::time::timeout(limit, prepare_all(source, host, running)).await.unwrap_or_else(|_elapsed| Err(late()))
}

async fn prepare_all(source: Arc<Source>, host: Host, running: Running) -> Result<Candidate, String> {
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
    let (same, fresh): (Vec<_>, Vec<_>) = senders.into_iter().partition(|one| generation.has_same(&old, one.name()));
    let again = Again::of(same, &running.broken);
    let started = start(config, fresh).await?;
    let rules = Rules::all(config, &generation.secrets.listen);
    let settings = settings_for(config, &running.settings);
    let others = differ(&settings, &running.settings) || config.limits.in_flight != old.config.limits.in_flight;
    let ports = listeners::prepare(config, ports, rules, running.sockets, others).await?;
    let looking = look_elsewhere(&old.config, config).await?;
    let mut senders = sign_in(started).await?;
    let (working, still) = again.try_them(config).await;
    told.warnings.extend(still);
    senders.extend(working);

    told.changes = diff::lines(&old, &generation, &senders);
    let monitors = monitors.into_iter().filter(|monitor| generation.has_new_monitor(&old, monitor.name())).collect();
    let names = |config: &Config| config.senders.iter().map(|sender| sender.name.clone()).collect::<Vec<_>>();
    let routes = Routes::new(&config.route);
    let same = routes == Routes::new(&old.config.route)
        && names(config) == names(&old.config)
        && bounds(config) == bounds(&old.config);
    let senders = senders.into_iter().map(|(name, (fresh, _))| (name, fresh)).collect();
    Ok(Candidate { routes: (!same).then_some(routes), senders, monitors, ports, settings, looking, told, generation })
}

/// Whether connections are treated in another way.
fn differ(a: &ingest::Settings, b: &ingest::Settings) -> bool {
    let plain = |settings: &ingest::Settings| (settings.connections, settings.idle_timeout, settings.line);
    plain(a) != plain(b) || !a.addresses.allows_as_many_as(&b.addresses)
}

/// The new address of `[admin]`, bound, when it is another one.
async fn look_elsewhere(old: &Config, new: &Config) -> Result<Option<Option<TcpListener>>, String> {
    if old.admin == new.admin {
        return Ok(None);
    }
    let bound = looking::bind(new).await;
    bound.map(Some).map_err(|error| new.report_key(&["admin", "address"], &format!("{error:#}")))
}

/// Senders of which nothing is new, and which did not work: what was wrong may have been elsewhere. They refuse no config
/// and stay as they are when they do not work still.
struct Again(Vec<Sender>);

impl Again {
    fn of(same: Vec<Sender>, broken: &BTreeSet<String>) -> Self {
        Self(same.into_iter().filter(|sender| broken.contains(sender.name())).collect())
    }

    /// Those that work now, and a line for each that does not.
    async fn try_them(self, config: &Config) -> (Signed, Vec<String>) {
        let mut trying = JoinSet::new();
        for sender in self.0 {
            let config = config.clone();
            trying.spawn(async move {
                let name = sender.name().to_owned();
                let signed = match start(&config, vec![sender]).await {
                    Ok(started) => sign_in(started).await,
                    Err(why) => Err(why),
                };
                let signed = signed.and_then(|signed| match signed.get(&name) {
                    Some((Fresh { signed_in: None, .. }, said)) => Err(said.clone().unwrap_or_default()),
                    _ => Ok(signed),
                });
                signed.map_err(|why| format!("sender {name}: tried again, and not ready still: {why}"))
            });
        }
        let (mut working, mut still) = (Signed::new(), Vec::new());
        while let Some(ended) = trying.join_next().await {
            match ended {
                Ok(Ok(signed)) => working.extend(signed),
                Ok(Err(why)) => still.push(why),
                Err(error) => still.push(format!("trying a sender again broke off: {error}")),
            }
        }
        still.sort();
        (working, still)
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use tokio::sync::oneshot;
    use tokio::time::advance;

    use super::*;
    use crate::config::SecretValues;
    use crate::sender::HostOptions;
    use crate::telemetry::Logging;

    fn running() -> Running {
        let text = config::Source { file: Some("mag.toml".into()), text: String::new() };
        let config = Config::load(&text, &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let settings = ingest::Settings {
            connections: 1,
            addresses: ingest::Addresses::new(None),
            idle_timeout: None,
            line: 1,
            flight: ingest::Flight::new(1),
            desk: None,
        };
        let generation = Arc::new(Generation::new(config, SecretValues::default(), &[]));
        Running { generation, sockets: Vec::new(), settings, broken: BTreeSet::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_config_that_takes_too_long_is_given_up() {
        let ((begins, begun), (go_on, held)) = (oneshot::channel(), mpsc::sync_channel::<()>(0));
        let waiting = Mutex::new((Some(begins), held));
        // A folder that does not answer.
        let read = move || {
            let (begins, held) = &mut *waiting.lock().expect("one reads");
            begins.take().expect("it is read once").send(()).expect("the test waits");
            held.recv().expect_err("nothing is sent");
            Err("the folder answers at last".to_owned())
        };
        let (logging, manager) = (Logging::nowhere(), Box::new(|_: crate::daemon::Phase<'_>| {}));
        let source = Arc::new(Source { read: Box::new(read), env: Box::new(|_| None), logging, manager });
        let stdout = Box::new(std::io::sink());
        let host = HostOptions { cache_dir: None, stdout, stdout_is_terminal: false, double: None };
        let host = Host::new(host).expect("a host of plugins");
        let reload = tokio::spawn(prepare(source, host, running()));
        begun.await.expect("it is read");
        advance(Duration::from_secs(limits::RELOAD_SECONDS - 1)).await;
        tokio::task::yield_now().await;
        assert!(!reload.is_finished(), "there is time left");
        advance(Duration::from_secs(1)).await;
        let said = reload.await.expect("it ends").err();
        assert_eq!(said.as_deref(), Some("error: it could not be read and started within 120 s"));
        drop(go_on);
    }
}
