//! One task a sender: it compiles the plugin, lets it check its config, and then delivers. A new config replaces tasks,
//! each once its calls under way have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Generation;
use crate::admin::{self, Seen};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::deliver::health::State;
use crate::deliver::{self, Fallback, Health, Plugin, Resume, Settings, Surroundings};
use crate::limits;
use crate::message::{Millis, Notification, counted};
use crate::sender::{
    Delivered, Failure, LoadError, LoadReason, Manifest, Overflow, Prepared, Sender, StartError, Started,
};
use crate::store::{Left, LookError, Recovered, Stopped, Store};

impl Plugin for Started {
    async fn prepare(&self) -> Result<Prepared, Failure> {
        Self::prepare(self).await
    }

    async fn send(&self, state: &[u8], n: &Notification) -> Result<Delivered, Failure> {
        Self::send(self, state, n).await
    }
}

/// A sender of a new config, ready to tell.
pub(super) struct Fresh {
    pub(super) started: Started,
    /// What signing in gave, and when; else it goes on trying.
    pub(super) signed_in: Option<(Prepared, Instant)>,
}

/// All senders that run.
pub(super) struct Senders {
    store: Store,
    clock: Clock,
    /// Cancelled when mag stops telling.
    ending: CancellationToken,
    tasks: JoinSet<()>,
    running: BTreeMap<String, Running>,
    /// Those that left the config and may have a call under way: when they have ended.
    leaving: BTreeMap<String, CancellationToken>,
    seen: watch::Sender<admin::Senders>,
}

/// A sender that runs.
struct Running {
    stop: CancellationToken,
    /// Cancelled when it begins nothing any more…
    settled: CancellationToken,
    /// …and when nothing of it runs any more, however it ended.
    ended: CancellationToken,
    health: watch::Sender<Health>,
    look: Arc<Notify>,
}

impl Senders {
    /// None yet.
    pub(super) fn new(store: &Store, clock: &Clock, ending: &CancellationToken) -> Self {
        Self {
            store: store.clone(),
            clock: clock.clone(),
            ending: ending.clone(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            seen: watch::channel(admin::Senders::new()).0,
        }
    }

    /// What others see of them.
    pub(super) fn watch(&self) -> watch::Receiver<admin::Senders> {
        self.seen.subscribe()
    }

    /// Those that do not work as they are: a new config tries them again, also when it says nothing new of them.
    pub(super) fn broken(&self) -> BTreeSet<String> {
        let broken = |state| matches!(state, State::Broken | State::Misconfigured | State::NotReady);
        let of = self.running.iter().filter(|(_, running)| broken(running.health.borrow().state));
        of.map(|(name, _)| name.clone()).collect()
    }

    /// Starts every sender; what a former run left for it goes on.
    pub(super) fn start(&mut self, current: &Arc<Generation>, loaded: Vec<Sender>, recovered: Recovered) {
        let mut resumes = by_sender(recovered, self.clock.now());
        for sender in loaded {
            let resume = resumes.remove(sender.name()).unwrap_or_default();
            let (name, current) = (sender.name().to_owned(), Arc::clone(current));
            self.spawn(&name, |surroundings| first(current, sender, resume, surroundings));
        }
        self.show();
    }

    /// Takes the senders of a new config: what is not in `fresh` runs on, what is not in the config ends. Returns when
    /// nothing is begun any more by those that were.
    pub(super) async fn replace(&mut self, config: &Config, fresh: BTreeMap<String, Fresh>) {
        self.leaving.retain(|_, ended| !ended.is_cancelled());
        let kept: Vec<&String> = config.senders.iter().map(|section| &section.name).collect();
        let gone: Vec<String> = self.running.keys().filter(|name| !kept.contains(name)).cloned().collect();
        let replaced = gone.iter().chain(fresh.keys()).filter_map(|name| self.running.get(name));
        let settling: Vec<_> = replaced.map(|former| (former.settled.clone(), former.ended.clone())).collect();
        for name in gone {
            self.retire(name);
        }
        for (name, fresh) in fresh {
            let Some(section) = config.senders.iter().find(|section| section.name == name) else { continue };
            let former = self.running.remove(&name);
            if let Some(former) = &former {
                former.stop.cancel();
            }
            let ended = former.as_ref().map(|former| former.ended.clone()).or_else(|| self.leaving.remove(&name));
            let settings = settings(section, fresh.started.manifest());
            let known = former.map(|Running { health, look, .. }| (health, look));
            self.spawn_known(&name, known, |surroundings| next(ended, fresh, settings, surroundings));
        }
        self.show();
        let settled = async {
            for (settled, ended) in settling {
                tokio::select! {
                    () = settled.cancelled() => {}
                    () = ended.cancelled() => {}
                }
            }
        };
        // It takes two commits. With a store that writes none the rest of the config need not wait.
        if tokio::time::timeout(SETTLE_LIMIT, settled).await.is_err() {
            tracing::warn!("a sender may still begin something by the config before, the store is slow");
        }
    }

    /// Lets a sender end its calls under way; then what is left of it goes to the dead letters.
    fn retire(&mut self, name: String) {
        let Some(former) = self.running.remove(&name) else { return };
        former.stop.cancel();
        let (store, ending, buried) = (self.store.clone(), self.ending.clone(), CancellationToken::new());
        self.leaving.insert(name.clone(), buried.clone());
        self.tasks.spawn(async move {
            let _ended = buried.drop_guard();
            former.ended.cancelled().await;
            if !ending.is_cancelled() {
                bury(&store, name).await;
            }
        });
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, name: &str, task: impl FnOnce(Surroundings) -> F) {
        self.spawn_known(name, None, task);
    }

    fn spawn_known<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &str,
        known: Option<(watch::Sender<Health>, Arc<Notify>)>,
        task: impl FnOnce(Surroundings) -> F,
    ) {
        let (health, look) = known.unwrap_or_else(|| {
            let health = Health { since: self.clock.now(), ..Health::default() };
            (watch::channel(health).0, Arc::default())
        });
        let (stop, settled, ended) = (self.ending.child_token(), CancellationToken::new(), CancellationToken::new());
        let surroundings = Surroundings {
            store: self.store.clone(),
            clock: self.clock.clone(),
            stop: stop.clone(),
            ending: self.ending.clone(),
            settled: settled.clone(),
            health: health.clone(),
            look: Arc::clone(&look),
        };
        let (task, guard) = (task(surroundings), ended.clone().drop_guard());
        self.tasks.spawn(async move {
            let _ended = guard;
            Box::pin(task).await;
        });
        self.running.insert(name.to_owned(), Running { stop, settled, ended, health, look });
    }

    fn show(&self) {
        let seen = |running: &Running| Seen { health: running.health.subscribe(), look: Arc::clone(&running.look) };
        self.seen.send_replace(self.running.iter().map(|(name, running)| (name.clone(), seen(running))).collect());
    }

    /// Says at once when a sender's task broke off; the others go on, and the next start goes on with its queue.
    pub(super) async fn watch_over(&mut self) -> std::convert::Infallible {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a sender's task broke off, its queue waits until mag starts again");
            }
        }
        std::future::pending().await
    }

    /// All of them end, once telling is stopped.
    pub(super) fn into_tasks(self) -> JoinSet<()> {
        self.tasks
    }
}

/// A sender of the config that mag started with.
async fn first(current: Arc<Generation>, sender: Sender, resume: Resume, surroundings: Surroundings) {
    let Some(section) = current.config.senders.iter().find(|section| section.name == sender.name()) else { return };
    let started = tokio::select! {
        started = sender.start() => started,
        () = surroundings.stop.cancelled() => return,
    };
    match started {
        Ok(started) => {
            let settings = settings(section, started.manifest());
            deliver::run(started, None, settings, resume, surroundings).await;
        }
        Err(error) => {
            tracing::error!("sender {}: not ready, its queue waits for a config that works", section.name);
            for line in explain(&current.config, &section.name, &error) {
                tracing::error!("{line}");
            }
            deliver::stranded(&section.name, fallback(section), &error.to_string(), surroundings).await;
        }
    }
}

/// A sender of a later config: it goes on where the former one of that name ended.
async fn next(former: Option<CancellationToken>, fresh: Fresh, settings: Settings, surroundings: Surroundings) {
    if let Some(former) = former {
        // Also when this one is replaced meanwhile: a third one must not begin before the first one ended.
        former.cancelled().await;
    }
    let Some(left) = left(&settings.name, &surroundings).await else { return };
    let now = surroundings.clock.now();
    let ago = |began: Millis| Duration::from_millis(now.saturating_sub(began));
    let resume = Resume {
        deliveries: left.deliveries,
        spent: left.attempts.into_iter().map(ago).collect(),
        paused_until: left.paused_until,
        last_delivered: left.last_delivered,
    };
    deliver::run(fresh.started, fresh.signed_in, settings, resume, surroundings).await;
}

/// What the store has of the former one; nothing when this one has to stop.
async fn left(name: &str, surroundings: &Surroundings) -> Option<Left> {
    loop {
        if surroundings.stop.is_cancelled() {
            return None;
        }
        match surroundings.store.left(name.to_owned(), surroundings.clock.now()).await {
            Ok(left) => return Some(left),
            Err(LookError::Stopped(Stopped)) => return None,
            Err(error) => {
                tracing::warn!(%error, "sender {name}: cannot read what it left, will try again");
                surroundings.stop.run_until_cancelled(tokio::time::sleep(LOOK_AGAIN)).await?;
            }
        }
    }
}

/// How long a reload waits until senders that it replaces begin nothing any more.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// Between two tries to read what a sender left.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

async fn bury(store: &Store, name: String) {
    let mut all = 0;
    loop {
        match store.bury(name.clone()).await {
            Ok(0) => break,
            Ok(buried) => all += buried,
            Err(Stopped) => return,
        }
    }
    if all > 0 {
        let dead = counted(all, "notification");
        tracing::error!("sender {name} left the config: to the dead letters went {dead} that waited for it");
    }
}

fn fallback(section: &config::Sender) -> Option<Fallback> {
    let config::Fallback { sender, after } = section.fallback.clone()?;
    Some(Fallback { sender, after })
}

fn settings(section: &config::Sender, manifest: &Manifest) -> Settings {
    Settings {
        name: section.name.clone(),
        plugin: format!("{} {}", manifest.name, manifest.version),
        max_groups: manifest.max_groups.unwrap_or(limits::NOTIFICATION_GROUPS).clamp(1, limits::NOTIFICATION_GROUPS),
        split: manifest.overflow == Overflow::Split,
        rate: section.rate,
        burst: section.burst,
        concurrency: section.concurrency,
        give_up_after: section.give_up_after,
        living: section.living,
        fallback: fallback(section),
        timeout: section.timeout,
    }
}

/// What a start found for each sender.
fn by_sender(recovered: Recovered, now: u64) -> BTreeMap<String, Resume> {
    let mut resumes: BTreeMap<String, Resume> = BTreeMap::new();
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

/// Why a sender cannot be loaded, in lines for a person.
pub(super) fn unfit(config: &Config, error: &LoadError) -> Vec<String> {
    match &*error.reason {
        LoadReason::CannotSign { mistakes } => {
            mistakes.iter().map(|at| config.report(&error.sender, &at.pointer, &at.message)).collect()
        }
        _ => vec![format!("{}: error: {error}", error.place)],
    }
}

/// Why a sender did not start, in lines for a person: a mistake in its config with the place in `mag.toml`.
pub(crate) fn explain(config: &Config, name: &str, error: &StartError) -> Vec<String> {
    let place = config.senders.iter().find(|section| section.name == name).map_or("", |section| &section.place);
    match error {
        StartError::Config { sender, mistakes } => {
            mistakes.iter().map(|mistake| config.report(sender, &mistake.pointer, &mistake.message)).collect()
        }
        other => vec![format!("{place}: error: {other}")],
    }
}
