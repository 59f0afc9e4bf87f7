//! The store against a model that fits on a page: any operations in any order, with restarts and crashes between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::message::{Cause, Severity};

mod reading;
mod rig;
mod simple;

/// What may happen to a store. Numbers are taken modulo what there is to choose from.
#[derive(Clone, Debug)]
enum Operation {
    /// Messages of one group come in.
    Count(Counting),
    /// A window reaches its limit, with messages that the store has not heard of.
    CloseByCount(Counting),
    /// A route's clock rings, unless a sweep is still going on.
    Ring {
        route: usize,
    },
    /// The next windows of that sweep close.
    SweepPart {
        windows: usize,
    },
    Arm {
        sender: usize,
        max_groups: u32,
        split: bool,
    },
    Disarm {
        sender: usize,
    },
    /// An attempt that is under way ends.
    Finish {
        nth: usize,
        end: End,
    },
    /// A delivery in backoff is tried again.
    Begin {
        nth: usize,
    },
    /// Another sender shall tell what this one cannot.
    Escalate {
        from: usize,
        to: usize,
    },
    /// A person decides about a dead letter.
    Letter {
        nth: usize,
        deed: Deed,
    },
    /// mag stops and starts with this config.
    Reopen {
        config: usize,
    },
    /// mag is killed, perhaps while a commit is under way, and starts with this config.
    Crash {
        config: usize,
        during: Option<Counting>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Counting {
    route: usize,
    text: usize,
    count: u64,
    severity: Option<Severity>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Delivered,
    Backoff,
    Dead,
    /// Dead, and this sender is the fallback.
    Escalated(usize),
}

/// Routes with their senders, the root first, and the senders that exist.
type Config = (&'static [(&'static str, &'static [&'static str])], &'static [&'static str]);

/// Fewer than the groups that one sender may have to tell.
const QUEUE: u64 = 2;
const SENDERS: &[&str] = &["one", "two", "three"];
const ROUTES: &[&str] = &["root", "both", "two", "nobody"];
const CONFIGS: &[Config] = &[
    (&[("root", &["one"]), ("both", &["one", "two"]), ("two", &["two"]), ("nobody", &[])], SENDERS),
    // A route is gone, another one has senders now.
    (&[("root", &["one"]), ("both", &["two", "one"]), ("nobody", &["three"])], SENDERS),
    // A sender is gone, its routes have others.
    (&[("root", &["one"]), ("both", &["one"]), ("two", &["three"]), ("nobody", &[])], &["one", "three"]),
    // Nearly everything is gone.
    (&[("root", &["three"])], &["three"]),
    // Nobody is told.
    (&[("root", &[]), ("both", &["one", "two", "three"]), ("two", &[])], SENDERS),
];

fn escalation(from: &str, to: &str) -> Escalation {
    let (code, error) = ("http-400".to_owned(), "refused".to_owned());
    Escalation { sender: from.to_owned(), fallback: to.to_owned(), code, error }
}

fn counting() -> impl Strategy<Value = Counting> {
    let severity = prop_oneof![Just(None), Just(Some(Severity::Info)), Just(Some(Severity::Error))];
    (0..ROUTES.len(), 0_usize..2, 1_u64..50, severity).prop_map(|(route, text, count, severity)| Counting {
        route,
        text,
        count,
        severity,
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let config = || prop_oneof![3 => Just(0), 2 => 0..CONFIGS.len()];
    let end = prop_oneof![2 => Just(End::Delivered), 2 => Just(End::Backoff), 1 => Just(End::Dead),
        1 => (0..SENDERS.len()).prop_map(End::Escalated)];
    prop_oneof![
        8 => counting().prop_map(Operation::Count),
        4 => counting().prop_map(Operation::CloseByCount),
        2 => (0..ROUTES.len()).prop_map(|route| Operation::Ring { route }),
        3 => (1_usize..4).prop_map(|windows| Operation::SweepPart { windows }),
        6 => (0..SENDERS.len(), 1_u32..4, any::<bool>())
            .prop_map(|(sender, max_groups, split)| Operation::Arm { sender, max_groups, split }),
        1 => (0..SENDERS.len()).prop_map(|sender| Operation::Disarm { sender }),
        5 => (any::<usize>(), end).prop_map(|(nth, end)| Operation::Finish { nth, end }),
        2 => any::<usize>().prop_map(|nth| Operation::Begin { nth }),
        2 => (0..SENDERS.len(), 0..SENDERS.len()).prop_map(|(from, to)| Operation::Escalate { from, to }),
        1 => (any::<usize>(), prop_oneof![2 => Just(Deed::Replay), 1 => Just(Deed::Drop)])
            .prop_map(|(nth, deed)| Operation::Letter { nth, deed }),
        1 => config().prop_map(|config| Operation::Reopen { config }),
        1 => (config(), prop::option::of(counting())).prop_map(|(config, during)| Operation::Crash { config, during }),
    ]
}

/// Does the operations one after the other; what the store holds is compared after each of them.
fn check(operations: &[Operation]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut rig = rig::Checked::start();
        for operation in operations {
            tokio::time::advance(Duration::from_secs(1)).await;
            rig.apply(operation).await;
            rig.compare();
        }
        rig.reopen(0).await;
        rig.compare();
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..80)) {
        check(&operations);
    }
}
