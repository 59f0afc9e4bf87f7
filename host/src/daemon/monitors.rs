//! One task a monitor; a new config replaces those that it changes, the others keep what they have seen.

use std::collections::BTreeMap;
use std::convert::Infallible;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::message::Batch;
use crate::monitor::Monitor;

/// All monitors that poll.
pub(super) struct Monitors {
    batches: mpsc::WeakSender<Batch>,
    clock: Clock,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    running: BTreeMap<String, CancellationToken>,
}

impl Monitors {
    /// None yet.
    pub(super) fn new(batches: mpsc::WeakSender<Batch>, clock: Clock, stop: CancellationToken) -> Self {
        Self { batches, clock, stop, tasks: JoinSet::new(), running: BTreeMap::new() }
    }

    /// Starts a monitor, in the place of the one with this name.
    pub(super) fn start(&mut self, monitor: Monitor) {
        // Without an engine mag is stopping, and takes nothing in.
        let Some(batches) = self.batches.upgrade() else { return };
        let (stop, name) = (self.stop.child_token(), monitor.name().to_owned());
        self.tasks.spawn(monitor.run(batches, self.clock.clone(), stop.clone()));
        if let Some(former) = self.running.insert(name, stop) {
            former.cancel();
        }
    }

    /// Ends the monitors that are not among these.
    pub(super) fn keep(&mut self, names: &[&str]) {
        self.running.retain(|name, stop| {
            let kept = names.contains(&name.as_str());
            if !kept {
                stop.cancel();
            }
            kept
        });
    }

    /// Notes what broke off; returns never.
    pub(super) async fn watch_over(&mut self) -> Infallible {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a monitor broke off and polls no more, start mag again");
            }
        }
        std::future::pending().await
    }

    /// All of them end, once taking in is stopped.
    pub(super) fn into_tasks(self) -> JoinSet<()> {
        self.tasks
    }
}
