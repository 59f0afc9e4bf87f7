//! What came in so far, and waiting until enough of it did.

use std::fmt::Debug;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// No test waits longer for anything: far more than the slowest machine needs, so that only a mistake reaches it.
const LIMIT: Duration = Duration::from_secs(120);

/// Things in the order in which they came; one thread adds, another waits.
#[derive(Debug)]
pub(crate) struct Record<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    things: Vec<T>,
    ended: bool,
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { things: Vec::new(), ended: false }), changed: Condvar::new() }
    }
}

impl<T: Clone + Debug> Record<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a thing.
    pub(crate) fn push(&self, thing: T) {
        self.state().things.push(thing);
        self.changed.notify_all();
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// All that came so far.
    pub(crate) fn all(&self) -> Vec<T> {
        self.state().things.clone()
    }

    /// Waits until `found` finds what it looks for.
    #[track_caller]
    pub(crate) fn wait_for<R>(&self, what: &str, found: impl Fn(&[T]) -> Option<R>) -> R {
        let waiting = |state: &mut State<T>| !state.ended && found(&state.things).is_none();
        let waited = self.changed.wait_timeout_while(self.state(), LIMIT, waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match found(&state.things) {
            Some(found) => found,
            None => panic!("waited for {what}; ended: {}; there is only {:#?}", state.ended, state.things),
        }
    }

    /// Waits until nothing more will come.
    #[track_caller]
    pub(crate) fn wait_for_the_end(&self, what: &str) {
        let waited = self.changed.wait_timeout_while(self.state(), LIMIT, |state| !state.ended);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "waited for {what}; there is only {:#?}", state.things);
    }
}
