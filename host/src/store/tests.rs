//! The store over real files: what is the same for all of its tests.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::group::{Window, group_id};
use crate::matcher::Field;
use crate::message::{DEFAULT_KIND, Group, GroupId, Labels, Message, Reason};

mod annotations;
mod damage;
mod escalations;
mod file;
mod full;
mod history;
mod ids;
mod letters;
mod living;
mod migration;
mod model;
mod notification;
mod power;
mod resolved;
mod restart;
mod silenced;
mod waiting;

const NOON: Millis = 1_700_000_000_000;

/// A file for one test; the folder goes with it.
fn file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mag.db");
    (folder, path)
}

#[track_caller]
fn balanced(path: &Path) {
    assert_eq!(verify(path).expect("the file reads"), Vec::<String>::new());
}

fn message(text: &str) -> Message {
    Message {
        text: text.to_owned(),
        kind: DEFAULT_KIND.into(),
        severity: None,
        labels: Labels::default(),
        source: "127.0.0.1".into(),
    }
}

/// A window of the route that closed by its clock.
fn group(route: &str, text: &str, count: u64) -> Group {
    Group {
        id: group_id(route, &[Field::Text], &message(text)),
        route: route.into(),
        kind: DEFAULT_KIND.into(),
        source: Some("127.0.0.1".to_owned()),
        text: text.to_owned(),
        severity: None,
        labels: Labels::default(),
        annotations: Labels::default(),
        count,
        total: count,
        first_seen: NOON,
        last_seen: NOON,
        opened: NOON,
        closed: NOON + 30_000,
        samples: Vec::new(),
        reason: Reason::Time,
    }
}

/// Closes windows of which the store has heard nothing yet.
fn closing(groups: Vec<Group>) -> Changes {
    let closed = groups.into_iter().map(|group| Closed { row: 0, added: group.count, group });
    Changes { closed: closed.collect(), ..Changes::default() }
}

fn config(routes: &[(&str, &[&str])]) -> Routing {
    let owned = |senders: &[&str]| senders.iter().map(|&sender| sender.to_owned()).collect::<Vec<_>>();
    let mut routing = Routing::new(&owned(routes.first().expect("a root").1));
    for (route, senders) in routes {
        routing.add((*route).into(), owned(senders));
    }
    routing
}

/// A store with what it found at its start.
struct Rig {
    store: Store,
    running: Running,
    recovered: Recovered,
}

impl Rig {
    /// One route, `root`, told by `console`.
    fn simple(path: Option<&Path>) -> Self {
        Self::open(path, &[("root", &["console"])], &["console"])
    }

    fn open(path: Option<&Path>, routes: &[(&str, &[&str])], senders: &[&str]) -> Self {
        Self::at(path, routes, senders, clock::Clock::derived(NOON))
    }

    fn at(path: Option<&Path>, routes: &[(&str, &[&str])], senders: &[&str], clock: clock::Clock) -> Self {
        Self::with(&Settings::new(path), routes, senders, clock)
    }

    fn with(settings: &Settings, routes: &[(&str, &[&str])], senders: &[&str], clock: clock::Clock) -> Self {
        let senders: Vec<String> = senders.iter().map(|&sender| sender.to_owned()).collect();
        let (store, running, recovered) = open(settings, &config(routes), &senders, clock).expect("the store opens");
        Self { store, running, recovered }
    }

    async fn close(&self, groups: Vec<Group>) {
        self.store.change(closing(groups)).await.expect("the store runs");
    }

    /// Arms, and takes it back once a transaction has passed in between.
    async fn freeze(&self, freeze: Freeze) -> Option<Delivery> {
        let sender = freeze.sender.clone();
        let mut frozen = self.store.arm(freeze).await.expect("the store runs");
        self.store.trim(0).await.expect("the store runs");
        self.store.disarm(sender).await.expect("the store runs");
        frozen.try_recv().ok()
    }

    /// What a sender is given that was armed in a transaction before this one.
    async fn armed(&self, sender: &str) -> oneshot::Receiver<Delivery> {
        let freeze = Freeze { sender: sender.to_owned(), max_groups: 9, split: false, living: None };
        let frozen = self.store.arm(freeze).await.expect("the store runs");
        self.store.trim(0).await.expect("the store runs");
        frozen
    }

    /// The next delivery of a sender that takes all.
    async fn next(&self, sender: &str) -> Option<Delivery> {
        self.freeze(Freeze { sender: sender.to_owned(), max_groups: 1_000, split: true, living: None }).await
    }

    async fn finish(&self, delivery: &Delivery, outcome: Outcome) {
        self.store.finish(attempted(delivery, outcome)).await.expect("the store runs");
    }

    fn stop(self) {
        drop(self.store);
        self.running.wait();
    }
}

fn attempted(delivery: &Delivery, outcome: Outcome) -> Attempted {
    let (id, sender) = (delivery.id.clone(), delivery.sender.clone());
    Attempted { id, attempt: delivery.attempt, sender, outcome, tries: delivery.tries, fallback: None }
}

fn delivered() -> Outcome {
    Outcome::Delivered { receipt: None, updated_in_place: false }
}

fn backoff() -> Outcome {
    Outcome::Backoff {
        next_attempt: NOON + 1_000,
        pause: false,
        code: "http-500".into(),
        error: "no".into(),
        progress: None,
    }
}

fn dead() -> Outcome {
    Outcome::Dead { code: "http-400".to_owned(), error: "refused".to_owned() }
}

/// One number out of a file that a store may have open.
fn number(path: &Path, sql: &str) -> i64 {
    Connection::open(path).and_then(|conn| conn.query_row(sql, [], |row| row.get(0))).expect("a number")
}

fn texts(delivery: &Delivery) -> Vec<&str> {
    delivery.groups.iter().map(|group| group.text.as_str()).collect()
}
