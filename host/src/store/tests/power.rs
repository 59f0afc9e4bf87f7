//! The store when the power goes or the disk fails: RELIABILITY R1, R3, R4.
//!
//! A *scenario* is played through the store's own commands over [`FaultFs`], which logs what reaches the disk. From the
//! log come the states that a power loss at any moment can leave; a store is opened on each of them, and the *oracle*
//! compares what it finds with what the same scenario holds after that many commits.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use faultfs::{Disk, FailedSync, Fault, FaultFs, Image, Loss, Operation, Part, Trouble, folder};

use super::*;
use crate::message::Severity;

mod crashes;
mod faults;
mod oracle;
mod player;
mod scenario;

/// A number that a run may be given in the environment.
fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.replace('_', "").parse().unwrap_or_else(|error| panic!("{name}={value}: {error}")))
}

/// Does the work of all threads that this machine has; `work` gets the numbers from 0 on, each once.
fn in_parallel(count: u64, work: impl Fn(&mut dyn FnMut() -> Option<u64>) + Sync) {
    let next = std::sync::atomic::AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                work(&mut || {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    (n < count).then_some(n)
                });
            });
        }
    });
}
