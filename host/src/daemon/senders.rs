//! One task a sender: it compiles the plugin, lets it check its config, and then delivers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::deliver::{self, Fallback, Health, Plugin, Resume, Settings, Surroundings};
use crate::limits;
use crate::message::Notification;
use crate::sender::{Delivered, Failure, Manifest, Overflow, Prepared, Sender, StartError, Started};
use crate::store::{Recovered, Store};

impl Plugin for Started {
    async fn prepare(&self) -> Result<Prepared, Failure> {
        Self::prepare(self).await
    }

    async fn send(&self, state: &[u8], n: &Notification) -> Result<Delivered, Failure> {
        Self::send(self, state, n).await
    }
}

/// How each sender is doing, by name.
pub(super) type Healths = BTreeMap<String, watch::Receiver<Health>>;

/// By whose name a person makes which sender look at its destination again.
pub(super) type Looks = BTreeMap<String, Arc<Notify>>;

/// Starts every sender; what a former run left for it goes on.
pub(super) fn start(
    config: &Arc<Config>,
    loaded: Vec<Sender>,
    recovered: Recovered,
    store: &Store,
    clock: &Clock,
    stop: &CancellationToken,
) -> (JoinSet<()>, Healths, Looks) {
    let mut resumes = super::by_sender(recovered, clock.now());
    let mut tasks = JoinSet::new();
    let (mut health, mut looks) = (Healths::new(), Looks::new());
    for sender in loaded {
        let resume = resumes.remove(sender.name()).unwrap_or_default();
        let (shown, seen) = watch::channel(Health { since: clock.now(), ..Health::default() });
        health.insert(sender.name().to_owned(), seen);
        let look = Arc::clone(looks.entry(sender.name().to_owned()).or_default());
        let config = Arc::clone(config);
        let surroundings =
            Surroundings { store: store.clone(), clock: clock.clone(), stop: stop.clone(), health: shown, look };
        tasks.spawn(async move {
            Box::pin(one(config, sender, resume, surroundings)).await;
        });
    }
    (tasks, health, looks)
}

async fn one(config: Arc<Config>, sender: Sender, resume: Resume, surroundings: Surroundings) {
    let Some(section) = config.senders.iter().find(|section| section.name == sender.name()) else { return };
    let started = tokio::select! {
        started = sender.start() => started,
        () = surroundings.stop.cancelled() => return,
    };
    match started {
        Ok(started) => {
            let settings = settings(section, started.manifest());
            deliver::run(started, settings, resume, surroundings).await;
        }
        Err(error) => {
            tracing::error!(
                "sender {}: not ready, its queue waits until mag starts with a config that works",
                section.name
            );
            for line in explain(&config, &section.name, &error) {
                tracing::error!("{line}");
            }
            deliver::stranded(&section.name, fallback(section), &error.to_string(), surroundings).await;
        }
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
