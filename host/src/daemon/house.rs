//! A mag that runs: it takes a new config when somebody wants that, and stops its parts in the right order.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::listeners::Listeners;
use super::looking::Looking;
use super::monitors::Monitors;
use super::reload::{self, Candidate, Running};
use super::senders::Senders;
use super::wanted::{Outcome, Wanted};
use super::{Generation, Phase, Source, as_loaded, bounds, files, names, routing};
use crate::admin::{Loaded, Reload, Reloaded, Unchanged};
use crate::clock::Clock;
use crate::engine::Reroute;
use crate::limits;
use crate::route::Routes;
use crate::sender::Host;
use crate::store::{self, Store};

/// Everything that a new config may change.
pub(super) struct House {
    pub(super) current: Arc<Generation>,
    pub(super) source: Arc<Source>,
    pub(super) host: Host,
    pub(super) engine: JoinHandle<Result<(), store::Stopped>>,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) listeners: Listeners,
    pub(super) polling: Monitors,
    pub(super) senders: Senders,
    pub(super) reroutes: mpsc::Sender<Reroute>,
    pub(super) desk_routes: watch::Sender<Routes>,
    pub(super) keep: watch::Sender<Duration>,
    pub(super) watched: watch::Sender<Vec<PathBuf>>,
    pub(super) shown: watch::Sender<Loaded>,
    pub(super) looking: Looking,
}

/// What else runs, and ends with the rest.
pub(super) struct Rest {
    pub(super) telling: CancellationToken,
    pub(super) watching: JoinHandle<()>,
    pub(super) tidying: JoinHandle<()>,
    pub(super) writer: store::Running,
}

/// A new config that is being prepared.
struct Preparing {
    /// Dropped when a newer one takes its place: then nothing of it is left.
    candidate: Pin<Box<dyn Future<Output = Result<Candidate, String>> + Send>>,
    wanted: Wanted,
}

impl House {
    /// Returns when mag is told to stop. Until then a new config is taken when somebody wants it; it is prepared beside all
    /// that goes on, and a newer wish takes the place of one that is not taken yet.
    pub(super) async fn until_stopped(
        &mut self,
        stop: &CancellationToken,
        mut reloads: mpsc::Receiver<Reload>,
    ) -> anyhow::Result<()> {
        (self.source.manager)(Phase::Ready("takes messages in"));
        let mut preparing: Option<Preparing> = None;
        loop {
            let prepared = tokio::select! {
                // First, because a stop also ends the engine.
                biased;
                () = stop.cancelled() => {
                    if preparing.is_some() {
                        tracing::info!("the new config is not taken: mag is stopping, the next start reads it anew");
                    }
                    return Ok(());
                }
                error = self.store.failure() => {
                    bail!("the store failed ({error}); what was not acknowledged may or may not be in it: start mag again")
                }
                broken = &mut self.engine => {
                    broken.context("the engine broke off, start mag again")?.context("the engine lost the store")?;
                    bail!("the engine ended, start mag again")
                }
                never = self.senders.watch_over() => match never {},
                never = self.listeners.watch_over() => match never {},
                never = self.polling.watch_over() => match never {},
                prepared = of(&mut preparing) => prepared,
                Some(reload) = reloads.recv() => {
                    // Whoever waits already wants the same.
                    let wanted = Wanted::new(reload, std::iter::from_fn(|| reloads.try_recv().ok()));
                    preparing = Some(self.prepare(wanted, preparing.take()));
                    continue;
                }
            };
            let Some(Preparing { wanted, .. }) = preparing.take() else { continue };
            let outcome = match prepared {
                Ok(candidate) => self.take(candidate, stop).await,
                Err(why) => Err(Unchanged::Refused(why)),
            };
            self.tell(&outcome, wanted.is_quiet());
            wanted.answer(&outcome);
        }
    }

    /// Begins to prepare a new config, in the place of one that is being prepared.
    fn prepare(&self, wanted: Wanted, former: Option<Preparing>) -> Preparing {
        (self.source.manager)(Phase::Reloading);
        let wanted = match former {
            Some(Preparing { candidate, wanted: former }) => {
                tracing::info!("the config is read anew, in the place of a reload that was not done");
                // Whatever it has bound is free again before this one looks.
                drop(candidate);
                wanted.overtake(former)
            }
            None => wanted,
        };
        let running = Running {
            generation: Arc::clone(&self.current),
            sockets: self.listeners.sockets(),
            settings: self.listeners.settings().clone(),
            broken: self.senders.broken(),
        };
        let candidate = Box::pin(reload::prepare(Arc::clone(&self.source), self.host.clone(), running));
        Preparing { candidate, wanted }
    }

    /// Takes a config that is prepared: the routes first, because they are what can still fail; the rest cannot.
    async fn take(&mut self, candidate: Candidate, stop: &CancellationToken) -> Outcome {
        let Candidate { generation, routes, senders, monitors, ports, settings, looking, mut told } = candidate;
        if let Some(routes) = routes {
            let (done, answered) = oneshot::channel();
            let senders = names(&generation.config);
            let bounds = bounds(&generation.config);
            let reroute = Reroute { routes: routes.clone(), routing: routing(&routes), senders, bounds, done };
            self.reroutes.send(reroute).await.map_err(|_gone| Unchanged::Stopping)?;
            let answered = stop.run_until_cancelled(answered).await.ok_or(Unchanged::Stopping)?;
            let rerouted = answered
                .map_err(|_gone| Unchanged::Stopping)?
                .map_err(|trouble| Unchanged::Refused(format!("error: the store {trouble}: nothing was changed")))?;
            if rerouted.closed > 0 {
                let closed = rerouted.closed;
                told.changes.push(format!("open groups: {} kept, {closed} closed with their routes", rerouted.kept));
            }
            self.desk_routes.send_replace(routes);
        }
        let (limits, former) = (&generation.config.limits, &self.current.config.limits);
        if limits.store != former.store {
            // Without a store mag is about to end; one that is busy must not keep it from that.
            let bounded = stop.run_until_cancelled(self.store.rebound(limits.store)).await;
            bounded.ok_or(Unchanged::Stopping)?.map_err(|store::Stopped| Unchanged::Stopping)?;
        }
        if limits.in_flight != former.in_flight {
            // Before connections get what it says.
            settings.flight.resize(limits.in_flight);
        }
        self.senders.replace(&generation.config, senders).await;
        self.listeners.replace(ports, settings);
        if let Some(looking) = looking {
            self.looking.at(looking);
        }
        let polled: Vec<&str> = generation.config.monitors.iter().map(|monitor| monitor.name.as_str()).collect();
        self.polling.keep(&polled);
        monitors.into_iter().for_each(|monitor| self.polling.start(monitor));
        self.keep.send_if_modified(|keep| std::mem::replace(keep, generation.config.store.keep) != *keep);
        self.watched.send_replace(files::of(&generation.config));
        let log = &generation.config.log;
        if *log != self.current.config.log {
            self.source.logging.change(log.json, log.level);
        }
        self.current = Arc::new(generation);
        self.host.forget_unused();
        Ok(told)
    }

    /// Says what came of a reload, to the log and to whoever looks in.
    fn tell(&self, outcome: &Outcome, quiet: bool) {
        match outcome {
            Ok(Reloaded { changes, warnings }) => {
                for warning in warnings {
                    tracing::warn!("{}", warning.replacen(" warning:", "", 1));
                }
                match (changes.is_empty(), quiet) {
                    (false, _) => tracing::info!("the config is read again, it counts from now on"),
                    (true, false) => tracing::info!("the config is read again, nothing is different"),
                    (true, true) => tracing::debug!("the config is read again, nothing is different"),
                }
                changes.iter().for_each(|change| tracing::info!("{change}"));
                self.shown.send_replace(as_loaded(&self.current.config, &self.clock));
                (self.source.manager)(Phase::Ready("takes messages in"));
            }
            Err(Unchanged::Overtaken | Unchanged::Stopping) => {
                tracing::info!("the new config is not taken: mag is stopping, the next start reads it anew");
            }
            Err(Unchanged::Refused(why)) => {
                tracing::error!("the new config is refused, the one before goes on");
                tracing::error!("{why}");
                self.shown.send_modify(|loaded| loaded.refused = Some((self.clock.now(), why.clone())));
                let first = why.lines().next().unwrap_or_default();
                (self.source.manager)(Phase::Ready(&format!(
                    "a new config is refused, the one before goes on: {first}"
                )));
            }
        }
    }

    /// Stops downstream: what comes in, what is counted, what is told, the store.
    pub(super) async fn stop(self, rest: Rest) -> anyhow::Result<()> {
        (self.source.manager)(Phase::Stopping);
        tracing::info!("stopping");
        let Self { mut engine, store, listeners, polling, senders, looking, .. } = self;
        let all_in = async {
            finish(listeners.into_tasks()).await;
            finish(polling.into_tasks()).await;
            (&mut engine).await
        };
        tokio::select! {
            error = store.failure() => bail!("the store failed while mag stopped ({error})"),
            ended = all_in => ended.context("the engine broke off")?.context("the engine could not write everything")?,
            () = tokio::time::sleep(STOP_LIMIT) => {
                bail!("not everything was written within {} s; what was not acknowledged may be lost", STOP_LIMIT.as_secs())
            }
        }
        let Rest { telling, watching, tidying, writer } = rest;
        telling.cancel();
        let all_told = async {
            finish(senders.into_tasks()).await;
            watching.await.context("the task that watches the config broke off")?;
            tidying.await.context("the task that trims the history broke off")?;
            finish(looking.into_tasks()).await;
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
}

/// What comes of the preparing, if there is any.
async fn of(preparing: &mut Option<Preparing>) -> Result<Candidate, String> {
    match preparing {
        Some(preparing) => (&mut preparing.candidate).await,
        None => std::future::pending().await,
    }
}

async fn finish(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a task broke off");
        }
    }
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
