//! Builds the parts, joins them with bounded channels, and stops them in the right order. It holds no rules.
//!
//! Everything that runs is started here and waited for here; nothing outlives [`run`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::alertmanager::Alertmanager;
use crate::alerts::{Alerts, Bounds};
use crate::clock::{Clock, as_millis};
use crate::config::{Config, Env, SecretValues, Values};
use crate::engine::Core;
use crate::ids::Memory;
use crate::ingest::{self, Counters, Listener};
use crate::limits;
use crate::message::Batch;
use crate::route::Routes;
use crate::sender::{Host, HostOptions, Sender};
use crate::store::{self, Recovered, Routing, Store};
use crate::{engine, group, monitor};

mod listeners;
mod senders;

pub(crate) use listeners::check as check_listeners;
pub(crate) use senders::explain;

use listeners::Ports;

/// A config with everything that it names: plugins loaded, secrets read, URLs checked.
pub struct Ready {
    config: Config,
    senders: Vec<Sender>,
    monitors: Vec<monitor::Monitor>,
    ports: Ports,
    host: Host,
}

/// Loads what the config names, so that every mistake shows before mag listens. `env` is where secrets are read from.
///
/// # Errors
///
/// All that is wrong with the config's secrets, plugins and monitors.
pub fn ready(config: Config, host: HostOptions, env: &Env<'_>) -> anyhow::Result<Ready> {
    // All that are missing are told at once, before anything else is looked at.
    let secrets = config.read_secrets(env)?;
    let host = Host::new(host)?;
    let senders = load_senders(&config, &host, &secrets)?;
    let monitors = monitor::all(&config, secrets.monitors)?;
    let ports = listeners::ports(&config, secrets.listen, env)?;
    Ok(Ready { config, senders, monitors, ports, host })
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
            Err(error) => wrong.push(format!("{}: error: {error}", error.place)),
        }
    }
    if wrong.is_empty() { Ok(loaded) } else { bail!(wrong.join("\n")) }
}

/// Runs mag until `stop` is cancelled or the store fails.
///
/// # Errors
///
/// What kept it from starting, or what made the store fail.
pub async fn run(ready: Ready, clock: Clock, stop: CancellationToken) -> anyhow::Result<()> {
    let Ready { config, senders: loaded, monitors, ports, host } = ready;
    let listeners = listeners::bind(&config, ports).await?;
    let looked_at = bind_admin(&config).await?;
    let routes = Routes::new(&config.route);
    let desk_routes = routes.clone();
    let (store, writer, mut recovered) = open_store(&config, &routes, &clock)?;
    let groups = group::Limits { groups: config.limits.groups, per_source: config.limits.groups_per_source };
    let mut core = Core::new(routes, recovered.next_row, groups);
    let restored = core.restore(&mut recovered, clock.now(), clock.instant());
    let alerts = std::mem::take(&mut recovered.alerts);
    core.restore_alerts(known_alerts(&config), alerts, clock.now(), clock.instant());
    announce(&config, &listeners, looked_at.as_ref(), restored, &recovered);

    let (batches, receiver) = mpsc::channel::<Batch>(limits::BATCH_QUEUE);
    let intake = Arc::<Counters>::default();
    let mut engine = tokio::spawn(engine::run(core, store.clone(), receiver, clock.clone()));
    let desk = Arc::new(Alertmanager::new(store.clone(), desk_routes, clock.clone(), stop.clone()));
    let taking_in = take_in(&config, listeners, &batches, &clock, &stop, (&intake, desk));
    let polling = poll(monitors, &batches, &clock, &stop);
    let for_admin = batches.downgrade();
    drop(batches);
    let telling = CancellationToken::new();
    let config = Arc::new(config);
    let (mut tasks, health, looks) = senders::start(&config, loaded, recovered, &store, &clock, &telling);
    let looking = looked_at.map(|listener| {
        let admin = Admin {
            store: store.clone(),
            intake,
            batches: for_admin,
            senders: health,
            looks,
            host,
            clock: clock.clone(),
            started: clock.now(),
            stopping: stop.clone(),
        };
        tokio::spawn(admin::serve(listener, Arc::new(admin), telling.clone()))
    });
    let tidying = tokio::spawn(tidy(store.clone(), config.store.keep, clock.clone(), telling.clone()));

    until_stopped(&stop, &store, &mut engine, &mut tasks).await?;
    tracing::info!("stopping");
    let all_in = async {
        finish(taking_in).await;
        finish(polling).await;
        (&mut engine).await
    };
    tokio::select! {
        error = store.failure() => bail!("the store failed while mag stopped ({error})"),
        ended = all_in => ended.context("the engine broke off")?.context("the engine could not write everything")?,
        () = tokio::time::sleep(STOP_LIMIT) => {
            bail!("not everything was written within {} s; what was not acknowledged may be lost", STOP_LIMIT.as_secs())
        }
    }
    telling.cancel();
    let all_told = async {
        finish(tasks).await;
        tidying.await.context("the task that trims the history broke off")?;
        if let Some(looking) = looking {
            looking.await.context("[admin] broke off")?;
        }
        drop(store);
        tokio::task::spawn_blocking(move || writer.wait()).await.context("the store's writer broke off")
    };
    let Ok(ended) = tokio::time::timeout(END_LIMIT, all_told).await else {
        bail!("the store could not be written at the end; what was under way goes on at the next start")
    };
    ended?;
    tracing::info!("stopped, everything is in the store");
    Ok(())
}

/// Returns when mag is told to stop.
async fn until_stopped(
    stop: &CancellationToken,
    store: &Store,
    engine: &mut JoinHandle<Result<(), store::Stopped>>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    tokio::select! {
        // First, because a stop also ends the engine.
        biased;
        () = stop.cancelled() => Ok(()),
        error = store.failure() => {
            bail!("the store failed ({error}); what was not acknowledged may or may not be in it: start mag again")
        }
        broken = engine => {
            broken.context("the engine broke off, start mag again")?.context("the engine lost the store")?;
            bail!("the engine ended, start mag again")
        }
        never = watch(tasks) => match never {},
    }
}

async fn bind_admin(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let bound = TcpListener::bind(&admin.address).await;
    bound.map(Some).with_context(|| {
        format!("cannot listen on {}: free the port, or give another `address` in [admin]", admin.address)
    })
}

fn open_store(config: &Config, routes: &Routes, clock: &Clock) -> anyhow::Result<(Store, store::Running, Recovered)> {
    let mut routing = Routing::new(&routes.root().senders);
    for (_, route) in routes.iter() {
        routing.add(route.id.clone(), route.senders.clone());
    }
    let names: Vec<String> = config.senders.iter().map(|sender| sender.name.clone()).collect();
    let settings = store::Settings {
        queue: config.limits.queue,
        max_bytes: config.limits.store,
        ids: Memory { ids: config.store.ids, keep_ms: as_millis(config.store.ids_keep) },
        replace_damaged: config.store.replace_damaged,
        ..store::Settings::new(config.store.path.as_deref())
    };
    Ok(store::open(&settings, &routing, &names, clock.clone())?)
}

/// Alerts that are known to fire: none yet.
fn known_alerts(config: &Config) -> Alerts {
    let mut key = [0; 32];
    getrandom::fill(&mut key).expect("the system has a source of random numbers, TLS needs one too");
    let bounds = Bounds { resolve_timeout: config.alerts.resolve_timeout, alerts: config.limits.alerts };
    Alerts::new(key, bounds)
}

fn announce(
    config: &Config,
    listeners: &[Listener],
    looked_at: Option<&TcpListener>,
    restored: engine::Restored,
    recovered: &Recovered,
) {
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
        tracing::info!("continued {} groups, {} messages, from {place}", restored.groups, restored.messages);
    }
    if recovered.buried > 0 {
        tracing::error!(
            "{} notifications went to the dead letters: their sender is no longer in the config",
            recovered.buried
        );
    }
    if let Some(address) = looked_at.and_then(|listener| listener.local_addr().ok()) {
        tracing::info!("[admin] on http://{address}");
    }
    for listener in listeners {
        tracing::info!("listening on {}", listeners::in_words(listener));
    }
}

fn take_in(
    config: &Config,
    listeners: Vec<Listener>,
    batches: &mpsc::Sender<Batch>,
    clock: &Clock,
    stop: &CancellationToken,
    (counters, desk): (&Arc<Counters>, Arc<Alertmanager>),
) -> JoinSet<()> {
    let connections = ingest::handles::connections(config.limits.connections, handles_of_others(config));
    let flight = ingest::Flight::new(config.limits.in_flight);
    let settings = ingest::Settings {
        connections,
        addresses: ingest::Addresses::new(Some(config.limits.connections_per_address)),
        idle_timeout: config.limits.idle_timeout,
        line: config.limits.line,
        flight,
        desk: Some(desk),
    };
    let mut tasks = JoinSet::new();
    for listener in listeners {
        let (settings, batches, clock) = (settings.clone(), batches.clone(), clock.clone());
        let (stop, counters) = (stop.clone(), Arc::clone(counters));
        tasks.spawn(ingest::serve(listener, settings, batches, clock, stop, counters));
    }
    tasks
}

/// Handles that senders and the admin interface may need at a time.
fn handles_of_others(config: &Config) -> usize {
    let senders = config.senders.iter().map(|sender| sender.concurrency + limits::IDLE_CONNECTIONS);
    senders.sum::<usize>() + config.monitors.len() + config.admin.as_ref().map_or(0, |_| limits::ADMIN_CONNECTIONS)
}

fn poll(
    monitors: Vec<monitor::Monitor>,
    batches: &mpsc::Sender<Batch>,
    clock: &Clock,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for monitor in monitors {
        tasks.spawn(monitor.run(batches.clone(), clock.clone(), stop.clone()));
    }
    tasks
}

async fn finish(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task broke off");
        }
    }
}

/// Says at once when a sender's task broke off; the others go on, and the next start goes on with its queue.
async fn watch(tasks: &mut JoinSet<()>) -> Infallible {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a sender's task broke off, its queue waits until mag starts again");
        }
    }
    std::future::pending().await
}

/// How long a stop waits until what came in is on disk; with what is told after it, a stop takes less than 10 s.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// Clients that do not listen, or are slow to send, must not use up that time: what they brought is to be committed after it.
const _: () = assert!(
    limits::STOP_READ_MILLIS + limits::STOP_WRITE_MILLIS + 2 * limits::STOP_LINGER_MILLIS
        <= (STOP_LIMIT.as_secs() - 1) * 1_000 + 500
);

/// How long the end may take then: a little more than calls in flight are waited for.
const END_LIMIT: Duration = Duration::from_millis(5_700);

/// Between two looks for history that is old enough to forget.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

async fn tidy(store: Store, keep: Duration, clock: Clock, stop: CancellationToken) {
    loop {
        let before = clock.now().saturating_sub(as_millis(keep));
        match store.trim(before).await {
            Ok(trimmed) if trimmed.more && !stop.is_cancelled() => continue,
            Ok(_) => {}
            Err(store::Stopped) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(TIDY_EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What a start found for each sender.
fn by_sender(recovered: Recovered, now: u64) -> BTreeMap<String, crate::deliver::Resume> {
    let mut resumes: BTreeMap<String, crate::deliver::Resume> = BTreeMap::new();
    for delivery in recovered.deliveries {
        resumes.entry(delivery.sender.clone()).or_default().deliveries.push(delivery);
    }
    for (sender, until) in recovered.paused {
        resumes.entry(sender).or_default().paused_until = Some(until);
    }
    for (sender, last) in recovered.last_delivered {
        resumes.entry(sender).or_default().last_delivered = Some(last);
    }
    for (sender, started) in recovered.attempts {
        resumes.entry(sender).or_default().spent.push(Duration::from_millis(now.saturating_sub(started)));
    }
    resumes
}
