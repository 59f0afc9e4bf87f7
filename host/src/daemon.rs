//! Builds the parts, joins them with bounded channels, and stops them in the right order. It holds no rules.
//!
//! Everything that runs is started here and waited for here; nothing outlives [`run`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Loaded, Reload};
use crate::alertmanager::Alertmanager;
use crate::alerts::Alerts;
use crate::clock::{Clock, as_millis};
use crate::config::{Config, Env, SecretValues, Values};
use crate::engine::Core;
use crate::ids::Memory;
use crate::ingest::{self, Counters, Listener};
use crate::limits;
use crate::message::{Batch, counted};
use crate::monitor::Monitor;
use crate::route::Routes;
use crate::sender::{Host, HostOptions, Sender};
use crate::store::{self, Recovered, Routing, Store};
use crate::telemetry::Logging;
use crate::{alerts, engine, group, monitor};

mod diff;
mod files;
mod fixed;
mod house;
mod listeners;
mod looking;
mod monitors;
mod reload;
mod senders;
mod wanted;

pub(crate) use listeners::check as check_listeners;
pub(crate) use senders::explain;

use house::{House, Rest};
use listeners::{Listeners, Ports, Rules};
use looking::Looking;
use monitors::Monitors;
use senders::Senders;

/// A config with everything that it names: plugins loaded, secrets read, URLs checked.
pub struct Ready {
    config: Config,
    secrets: SecretValues,
    senders: Vec<Sender>,
    monitors: Vec<Monitor>,
    ports: Ports,
    host: Host,
}

/// An environment that lasts as long as mag does.
pub type OwnEnv = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where a new config comes from while mag runs.
pub struct Source {
    /// Reads the file again; what is wrong comes in lines for a person.
    pub read: Box<dyn Fn() -> Result<Config, String> + Send + Sync>,
    /// Where secrets are read from.
    pub env: OwnEnv,
    /// How mag logs, which a new config may change.
    pub logging: Logging,
    /// Hears what mag is at.
    pub manager: Box<dyn Fn(Phase<'_>) + Send + Sync>,
}

/// What mag is at, for a service manager.
#[derive(Clone, Copy, Debug)]
pub enum Phase<'a> {
    /// It takes messages in, and there is this to say.
    Ready(&'a str),
    /// It reads its config again; `Ready` follows, whatever comes of it.
    Reloading,
    /// It stops.
    Stopping,
}

/// Loads what the config names, so that every mistake shows before mag listens. `env` is where secrets are read from.
///
/// # Errors
///
/// All that is wrong with the config's secrets, plugins and monitors.
pub fn ready(config: Config, host: HostOptions, env: &Env<'_>) -> anyhow::Result<Ready> {
    load(config, Host::new(host)?, env)
}

fn load(config: Config, host: Host, env: &Env<'_>) -> anyhow::Result<Ready> {
    // All that are missing are told at once, before anything else is looked at.
    let secrets = config.read_secrets(env)?;
    let senders = load_senders(&config, &host, &secrets)?;
    let monitors = monitor::all(&config, secrets.monitors.clone())?;
    let ports = listeners::ports(&config, secrets.listen.clone(), env)?;
    Ok(Ready { config, secrets, senders, monitors, ports, host })
}

/// Loads every sender's plugin, without compiling it.
///
/// # Errors
///
/// All that cannot be loaded, each with its place and the reason.
pub fn load_senders(config: &Config, host: &Host, secrets: &SecretValues) -> anyhow::Result<Vec<Sender>> {
    let mut loaded = Vec::new();
    let mut wrong = Vec::new();
    for sender in &config.senders {
        let none = Values::new();
        match host.load(sender, secrets.senders.get(&sender.name).unwrap_or(&none)) {
            Ok(sender) => loaded.push(sender),
            Err(error) => wrong.extend(senders::unfit(config, &error)),
        }
    }
    if wrong.is_empty() { Ok(loaded) } else { bail!(wrong.join("\n")) }
}

/// A config that mag runs with, and what a later one is held against.
struct Generation {
    config: Config,
    secrets: SecretValues,
    plugins: BTreeMap<String, Plugin>,
}

/// What else than its section makes a sender another one.
#[derive(PartialEq)]
struct Plugin {
    component: [u8; 32],
    /// Where its secrets lead that are whole URLs.
    leads_to: Vec<String>,
    /// How far it may reach while no person accepted it.
    bound: Option<Vec<String>>,
}

impl Generation {
    fn new(config: Config, secrets: SecretValues, senders: &[Sender]) -> Self {
        let plugin = |sender: &Sender| Plugin {
            component: sender.component(),
            leads_to: sender.leads_to(),
            bound: sender.bound().map(<[String]>::to_vec),
        };
        let plugins = senders.iter().map(|sender| (sender.name().to_owned(), plugin(sender))).collect();
        Self { config, secrets, plugins }
    }
}

/// Runs mag until `stop` is cancelled or the store fails. Whoever holds the other end of `reloads` has the config read
/// again from `source`.
///
/// # Errors
///
/// What kept it from starting, or what made the store fail.
pub async fn run(
    ready: Ready,
    source: Source,
    reloads: (mpsc::Sender<Reload>, mpsc::Receiver<Reload>),
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Ready { config, secrets, senders: loaded, monitors, ports, host } = ready;
    let listeners = listeners::bind(&config, ports).await?;
    let looked_at = looking::bind(&config).await?;
    let routes = Routes::new(&config.route);
    let (store, writer, mut recovered) = open_store(&config, &routes, &clock)?;
    let (core, restored) = core(&config, routes.clone(), &mut recovered, &clock);
    announce(&config, &listeners, restored, &recovered);

    let (batches, receiver) = mpsc::channel::<Batch>(limits::BATCH_QUEUE);
    let (reroutes, rerouted) = mpsc::channel(1);
    let engine = tokio::spawn(engine::run(core, store.clone(), receiver, rerouted, clock.clone()));
    let (desk_routes, routes) = watch::channel(routes);
    let desk = Arc::new(Alertmanager::new(store.clone(), routes, clock.clone(), stop.clone()));
    let intake = Arc::<Counters>::default();
    let service = listeners::Service {
        settings: settings(&config, desk),
        batches: batches.downgrade(),
        clock: clock.clone(),
        stop: stop.clone(),
        counters: Arc::clone(&intake),
    };
    let listeners = Listeners::serve(service, Rules::all(&config, &secrets.listen), listeners);
    let mut polling = Monitors::new(batches.downgrade(), clock.clone(), stop.clone());
    monitors.into_iter().for_each(|monitor| polling.start(monitor));
    let for_admin = batches.downgrade();
    drop(batches);
    let telling = CancellationToken::new();
    let current = Arc::new(Generation::new(config, secrets, &loaded));
    let mut senders = Senders::new(&store, &clock, &telling);
    senders.start(&current, loaded, recovered);
    let (watched, files) = watch::channel(files::of(&current.config));
    let watching = tokio::spawn(files::run(files, reloads.0.clone(), stop.clone()));
    let (keep, kept) = watch::channel(current.config.store.keep);
    let shown = watch::channel(as_loaded(&current.config, &clock)).0;
    let admin = Admin {
        store: store.clone(),
        intake,
        batches: for_admin,
        senders: senders.watch(),
        loaded: shown.subscribe(),
        reload: reloads.0,
        host: host.clone(),
        clock: clock.clone(),
        started: clock.now(),
        stopping: stop.clone(),
    };
    let mut looking = Looking::new(admin, &telling);
    looking.at(looked_at);
    let tidying = tokio::spawn(tidy(store.clone(), kept, clock.clone(), telling.clone()));
    let mut house = House {
        current,
        source: Arc::new(source),
        host,
        engine,
        store,
        clock,
        listeners,
        polling,
        senders,
        reroutes,
        desk_routes,
        keep,
        watched,
        shown,
        looking,
    };
    house.until_stopped(&stop, reloads.1).await?;
    house.stop(Rest { telling, watching, tidying, writer }).await
}

fn open_store(config: &Config, routes: &Routes, clock: &Clock) -> anyhow::Result<(Store, store::Running, Recovered)> {
    let bounds = bounds(config);
    let settings = store::Settings {
        queue: bounds.queue,
        max_bytes: config.limits.store,
        ids: bounds.ids,
        replace_damaged: config.store.replace_damaged,
        ..store::Settings::new(config.store.path.as_deref())
    };
    Ok(store::open(&settings, &routing(routes), &names(config), clock.clone())?)
}

/// The config, as others see it.
fn as_loaded(config: &Config, clock: &Clock) -> Loaded {
    let file = config.file.as_ref().map(|file| file.display().to_string());
    Loaded { file, at: clock.now(), refused: None }
}

/// Who is told by which route.
fn routing(routes: &Routes) -> Routing {
    let mut routing = Routing::new(&routes.root().senders);
    for (_, route) in routes.iter() {
        routing.add(route.id.clone(), route.senders.clone());
    }
    routing
}

fn names(config: &Config) -> Vec<String> {
    config.senders.iter().map(|sender| sender.name.clone()).collect()
}

/// The engine's rules, with what a former run left.
fn core(config: &Config, routes: Routes, recovered: &mut Recovered, clock: &Clock) -> (Core, engine::Restored) {
    let bounds = bounds(config);
    let mut core = Core::new(routes, recovered.next_row, bounds.groups);
    let restored = core.restore(recovered, clock.now(), clock.instant());
    let alerts = std::mem::take(&mut recovered.alerts);
    core.restore_alerts(Alerts::new(bounds.alerts), alerts, clock.now(), clock.instant());
    (core, restored)
}

/// How much engine and store hold at most.
fn bounds(config: &Config) -> engine::Bounds {
    engine::Bounds {
        groups: group::Limits { groups: config.limits.groups, per_source: config.limits.groups_per_source },
        alerts: alerts::Bounds { resolve_timeout: config.alerts.resolve_timeout, alerts: config.limits.alerts },
        ids: Memory { ids: config.store.ids, keep_ms: as_millis(config.store.ids_keep) },
        queue: config.limits.queue,
    }
}

fn announce(config: &Config, listeners: &[Listener], restored: engine::Restored, recovered: &Recovered) {
    for warning in &config.warnings {
        // The level says already what it is.
        tracing::warn!("{}", warning.replacen(" warning:", "", 1));
    }
    if !config.from_env.is_empty() {
        tracing::info!("from the environment: {}", config.from_env.join(", "));
    }
    let place = config.store.path.as_ref().map_or_else(|| ":memory:".to_owned(), |path| path.display().to_string());
    if config.store.path.is_none() {
        tracing::warn!("the store is :memory:, a stop loses what is in it, and an ack means counted, not committed");
    }
    if restored.groups > 0 {
        let (groups, messages) = (counted(restored.groups, "group"), counted(restored.messages, "message"));
        tracing::info!("continued {groups}, {messages}, from {place}");
    }
    if recovered.buried > 0 {
        tracing::error!(
            "{} went to the dead letters: the sender is no longer in the config",
            counted(recovered.buried, "notification")
        );
    }
    for listener in listeners {
        tracing::info!("listening on {}", listeners::in_words(listener));
    }
}

fn settings(config: &Config, desk: Arc<Alertmanager>) -> ingest::Settings {
    ingest::Settings {
        connections: ingest::handles::connections(config.limits.connections, handles_of_others(config)),
        addresses: ingest::Addresses::new(Some(config.limits.connections_per_address)),
        idle_timeout: config.limits.idle_timeout,
        line: config.limits.line,
        flight: ingest::Flight::new(config.limits.in_flight),
        desk: Some(desk),
    }
}

/// The same for another config, with all that connections share.
fn settings_for(config: &Config, now: &ingest::Settings) -> ingest::Settings {
    ingest::Settings {
        connections: ingest::handles::connections(config.limits.connections, handles_of_others(config)),
        addresses: now.addresses.with_most(Some(config.limits.connections_per_address)),
        idle_timeout: config.limits.idle_timeout,
        line: config.limits.line,
        ..now.clone()
    }
}

/// Handles that senders and the admin interface may need at a time.
fn handles_of_others(config: &Config) -> usize {
    let senders = config.senders.iter().map(|sender| sender.concurrency + limits::IDLE_CONNECTIONS);
    senders.sum::<usize>() + config.monitors.len() + config.admin.as_ref().map_or(0, |_| limits::ADMIN_CONNECTIONS)
}

/// Between two looks for history that is old enough to forget.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

async fn tidy(store: Store, mut keep: watch::Receiver<Duration>, clock: Clock, stop: CancellationToken) {
    loop {
        let before = clock.now().saturating_sub(as_millis(*keep.borrow_and_update()));
        match store.trim(before).await {
            Ok(trimmed) if trimmed.more && !stop.is_cancelled() => continue,
            Ok(_) => {}
            Err(store::Stopped) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            Ok(()) = keep.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}
