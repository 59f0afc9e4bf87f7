//! What a test says to its file system, and what the file system keeps for it. No `unsafe` here.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::ffi;

use crate::log::{Kind, Operation};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named like SQLite's error codes")]
pub enum Trouble {
    ReadError,
    WriteError,
    SyncError,
    TruncateError,
    DeleteError,
    CannotOpen,
    Full,
    NoMemory,
    Busy,
    ShmError,
}

impl Trouble {
    /// Every kind of trouble.
    pub const ALL: [Self; 10] = [
        Self::ReadError,
        Self::WriteError,
        Self::SyncError,
        Self::TruncateError,
        Self::DeleteError,
        Self::CannotOpen,
        Self::Full,
        Self::NoMemory,
        Self::Busy,
        Self::ShmError,
    ];

    /// Whether an operation of this kind can fail so.
    #[must_use]
    pub fn strikes(self, kind: Kind) -> bool {
        match self {
            Self::ReadError => kind == Kind::Read,
            Self::WriteError | Self::Full => kind == Kind::Write,
            Self::SyncError => kind == Kind::Sync,
            Self::TruncateError => kind == Kind::Truncate,
            Self::DeleteError => kind == Kind::Delete,
            Self::CannotOpen => kind == Kind::Open,
            Self::NoMemory => true,
            Self::Busy => matches!(kind, Kind::Lock | Kind::ShmLock),
            Self::ShmError => kind == Kind::ShmMap,
        }
    }

    pub(crate) fn code(self) -> i32 {
        match self {
            Self::ReadError => ffi::SQLITE_IOERR_READ,
            Self::WriteError => ffi::SQLITE_IOERR_WRITE,
            Self::SyncError => ffi::SQLITE_IOERR_FSYNC,
            Self::TruncateError => ffi::SQLITE_IOERR_TRUNCATE,
            Self::DeleteError => ffi::SQLITE_IOERR_DELETE,
            Self::CannotOpen => ffi::SQLITE_CANTOPEN,
            Self::Full => ffi::SQLITE_FULL,
            Self::NoMemory => ffi::SQLITE_NOMEM,
            Self::Busy => ffi::SQLITE_BUSY,
            Self::ShmError => ffi::SQLITE_IOERR_SHMMAP,
        }
    }
}

/// A failure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub trouble: Trouble,
    /// At which of the operations that it can strike, from 1, counted from when the fault was set.
    pub nth: u64,
    /// Whether all later ones fail too.
    pub lasting: bool,
}

#[derive(Default)]
struct State {
    log: Vec<Operation>,
    fault: Option<Fault>,
    /// Operations since the fault was set that it could strike.
    met: u64,
    fired: u64,
    counts: BTreeMap<Kind, u64>,
    holding: bool,
    held: u64,
}

/// Shared by a test and its file system.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

impl Control {
    /// Nothing in here can be left half done by a test that panicked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether an operation of this kind goes on, or with which code it fails; holds syncs back.
    pub(crate) fn begin(&self, kind: Kind) -> Result<(), i32> {
        let mut state = self.state();
        *state.counts.entry(kind).or_default() += 1;
        if kind == Kind::Sync && state.holding {
            state.held += 1;
            self.changed.notify_all();
            state = self.changed.wait_while(state, |state| state.holding).unwrap_or_else(PoisonError::into_inner);
            state.held -= 1;
        }
        let Some(fault) = state.fault.filter(|fault| fault.trouble.strikes(kind)) else { return Ok(()) };
        state.met += 1;
        if state.met == fault.nth || (fault.lasting && state.met > fault.nth) {
            state.fired += 1;
            self.changed.notify_all();
            return Err(fault.trouble.code());
        }
        Ok(())
    }

    pub(crate) fn push(&self, operation: Operation) {
        self.state().log.push(operation);
    }

    pub(crate) fn set(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        if fault.is_some() {
            (state.met, state.fired) = (0, 0);
        }
    }

    pub(crate) fn fired(&self) -> u64 {
        self.state().fired
    }

    pub(crate) fn wait_until_fired(&self, times: u64, limit: Duration) -> bool {
        self.wait(limit, |state| state.fired < times)
    }

    pub(crate) fn hold_syncs(&self, hold: bool) {
        self.state().holding = hold;
        self.changed.notify_all();
    }

    pub(crate) fn wait_until_sync_is_held(&self, limit: Duration) -> bool {
        self.wait(limit, |state| state.held == 0)
    }

    fn wait(&self, limit: Duration, not_yet: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| not_yet(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    pub(crate) fn count(&self, trouble: Trouble) -> u64 {
        self.state().counts.iter().filter(|(kind, _)| trouble.strikes(**kind)).map(|(_, count)| count).sum()
    }

    pub(crate) fn logged(&self) -> usize {
        self.state().log.len()
    }

    pub(crate) fn take_log(&self) -> Vec<Operation> {
        std::mem::take(&mut self.state().log)
    }
}
