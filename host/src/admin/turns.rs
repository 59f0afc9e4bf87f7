//! Who waits for whom on the connections to `[admin]`. When there are as many as may be, the one whose client has kept mag
//! waiting for longest makes room for the next: nobody shuts others out by saying nothing.
//!
//! It never ends a connection while mag works on its answer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::limits;

/// Whose turn it is on one connection.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// Since when mag waits for the client; `None` while it works on the answer.
    waits: Arc<Mutex<Option<Instant>>>,
    clock: Clock,
}

impl Turn {
    /// The client's, which has just connected.
    pub(super) fn of_client(clock: Clock) -> Self {
        Self { waits: Arc::new(Mutex::new(Some(clock.instant()))), clock }
    }

    /// The client has said what it had to.
    pub(super) fn is_mags(&self) {
        self.set(None);
    }

    /// mag waits for the client: for its words, or until it has read the answer.
    pub(super) fn is_clients(&self) {
        self.set(Some(self.clock.instant()));
    }

    fn set(&self, waits: Option<Instant>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = waits;
    }

    fn waits_since(&self) -> Option<Instant> {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections that are open.
#[derive(Debug, Default)]
pub(super) struct Turns {
    open: Vec<(Turn, AbortHandle)>,
}

impl Turns {
    /// Makes room for one more connection; `false` when mag works on the answers to all that are open.
    pub(super) fn make_room(&mut self) -> bool {
        self.open.retain(|(_, task)| !task.is_finished());
        if self.open.len() < limits::ADMIN_CONNECTIONS {
            return true;
        }
        let waiting = self.open.iter().enumerate().filter_map(|(at, (turn, _))| Some((turn.waits_since()?, at)));
        let Some((_, longest)) = waiting.min() else { return false };
        self.open.swap_remove(longest).1.abort();
        true
    }

    /// Takes in a connection that there is room for.
    pub(super) fn push(&mut self, turn: Turn, task: AbortHandle) {
        self.open.push((turn, task));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_keeps_mag_waiting_for_longest_makes_room_and_none_that_mag_works_on() {
        let clock = Clock::derived(0);
        let (mut turns, mut open) = (Turns::default(), Vec::new());
        for _ in 0..limits::ADMIN_CONNECTIONS {
            assert!(turns.make_room());
            let (turn, task) = (Turn::of_client(clock.clone()), tokio::spawn(std::future::pending::<()>()));
            turns.push(turn.clone(), task.abort_handle());
            open.push((turn, task));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        open[0].0.is_mags();
        open[1].0.is_mags();
        open[1].0.is_clients();
        assert!(turns.make_room());
        tokio::task::yield_now().await;
        let ended: Vec<usize> = (0..open.len()).filter(|at| open[*at].1.is_finished()).collect();
        assert_eq!(ended, [2], "the first is at work, the second has just said something");
        turns.push(open[2].0.clone(), tokio::spawn(std::future::pending::<()>()).abort_handle());
        open.iter().for_each(|(turn, _)| turn.is_mags());
        assert!(!turns.make_room());
    }
}
