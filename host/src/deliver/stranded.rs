//! A sender whose plugin or config does not work at all: nothing is told by it in this run, its queue waits.

use super::{Fallback, Surroundings, health::State};
use crate::store::Escalation;

/// How often what came since is handed to the fallback.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(60);

/// Hands what waits for the sender to its fallback, at once and then again and again, until mag stops.
pub async fn stranded(name: &str, fallback: Option<Fallback>, error: &str, surroundings: Surroundings) {
    let Surroundings { store, clock, stop, health, .. } = surroundings;
    health.send_modify(|health| {
        (health.state, health.since) = (State::Broken, clock.now());
    });
    let Some(fallback) = fallback else { return };
    loop {
        let escalation = Escalation {
            sender: name.to_owned(),
            fallback: fallback.sender.clone(),
            code: "not-started".to_owned(),
            error: error.to_owned(),
        };
        match store.escalate(escalation).await {
            Ok(0) => {}
            Ok(_) => {
                tracing::warn!("sender {name}: its fallback {} tells what waits", fallback.sender);
                health.send_modify(|health| health.counts.escalated += 1);
            }
            Err(crate::store::Stopped) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN.min(fallback.after)) => {}
            () = stop.cancelled() => return,
        }
    }
}
