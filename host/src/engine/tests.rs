//! The engine over a real store in memory, with tokio's clock paused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::config;
use crate::matcher::Field;
use crate::message::{DEFAULT_KIND, Entry, Labels, Message, Reason, Severity};
use crate::route::Routes;
use crate::store;
use crate::store::{Delivery, Freeze, Routing, WindowChange};

mod alerts;
mod clock;
mod ids;
mod numbered;
mod overflow;
mod reroute;

const NOON: u64 = 1_700_000_000_000;

fn root(max_messages: u64) -> config::Route {
    config::Route {
        id: "root".to_owned(),
        matchers: Vec::new(),
        group_by: vec![Field::Kind, Field::Text],
        max_messages,
        time_limit: Duration::from_secs(30),
        senders: vec!["console".to_owned()],
        flush_on_stop: false,
        r#continue: false,
        routes: Vec::new(),
    }
}

fn entry(text: &str, count: u64) -> Entry {
    let message = Message {
        text: text.to_owned(),
        kind: DEFAULT_KIND.into(),
        severity: None,
        labels: Labels::default(),
        source: "127.0.0.1".into(),
    };
    Entry { message, count, first_seen: NOON, last_seen: NOON }
}

fn routing(route: &config::Route) -> (Routes, Routing) {
    let routes = Routes::new(route);
    let mut routing = Routing::new(&routes.root().senders);
    for (_, route) in routes.iter() {
        routing.add(route.id.clone(), route.senders.clone());
    }
    (routes, routing)
}

/// Keeps tokio from moving the paused clock by itself whenever all tasks wait for the store's thread.
struct StillTime {
    _held: std::sync::mpsc::SyncSender<()>,
}

impl StillTime {
    fn new() -> Self {
        let (held, ended) = std::sync::mpsc::sync_channel::<()>(0);
        tokio::task::spawn_blocking(move || ended.recv().expect_err("nothing is ever sent"));
        Self { _held: held }
    }
}

/// An engine and a store over one file, as a run of mag joins them.
struct Rig {
    _still: StillTime,
    store: Store,
    running: store::Running,
    batches: mpsc::Sender<Batch>,
    reroutes: mpsc::Sender<Reroute>,
    engine: tokio::task::JoinHandle<Result<(), Stopped>>,
    restored: Restored,
    clock: Clock,
}

impl Rig {
    fn start(route: &config::Route, path: &std::path::Path) -> Self {
        Self::with_groups(route, path, 100_000)
    }

    fn with_groups(route: &config::Route, path: &std::path::Path, groups: impl Into<crate::group::Limits>) -> Self {
        Self::over(route, &store::Settings::new(Some(path)), groups)
    }

    fn over(route: &config::Route, settings: &store::Settings, groups: impl Into<crate::group::Limits>) -> Self {
        Self::by(Clock::derived(NOON), route, settings, groups)
    }

    fn by(
        clock: Clock,
        route: &config::Route,
        settings: &store::Settings,
        groups: impl Into<crate::group::Limits>,
    ) -> Self {
        let (routes, routing) = routing(route);
        let senders = ["console".to_owned(), "hook".to_owned()];
        let (store, running, mut recovered) =
            store::open(settings, &routing, &senders, clock.clone()).expect("the store opens");
        let mut core = Core::new(routes, recovered.next_row, groups);
        let restored = core.restore(&mut recovered, clock.now(), clock.instant());
        let alerts = std::mem::take(&mut recovered.alerts);
        core.restore_alerts(crate::alerts::Alerts::default(), alerts, clock.now(), clock.instant());
        let (batches, receiver) = mpsc::channel(16);
        let (reroutes, rerouted) = mpsc::channel(1);
        let engine = tokio::spawn(run(core, store.clone(), receiver, rerouted, clock.clone()));
        Self { _still: StillTime::new(), store, running, batches, reroutes, engine, restored, clock }
    }

    /// Sends entries and returns when they are acknowledged.
    async fn acknowledged(&self, entries: Vec<Entry>) {
        let (progress, mut acked) = watch::channel(0);
        let ack = Ack { progress: Arc::new(progress), upto: 1 };
        self.batches.send(Batch { entries, ack: Some(ack), ..Batch::default() }).await.expect("the engine runs");
        acked.wait_for(|upto| *upto == 1).await.expect("the engine confirms");
    }

    /// The sender's next delivery, told at once.
    async fn told(&self, sender: &str) -> Delivery {
        let freeze = Freeze { sender: sender.to_owned(), max_groups: 1_000, split: false, living: None };
        let delivery = self.store.arm(freeze).await.expect("the store runs").await.expect("a delivery comes");
        let attempted = store::Attempted {
            id: delivery.id.clone(),
            attempt: delivery.attempt,
            sender: sender.to_owned(),
            outcome: store::Outcome::Delivered { receipt: None, updated_in_place: false },
            tries: delivery.tries,
            fallback: None,
        };
        self.store.finish(attempted).await.expect("the store runs");
        delivery
    }

    /// A delivery that is ready now, if there is one; it counts as begun.
    async fn ready(&self, sender: &str) -> Option<Delivery> {
        let freeze = Freeze { sender: sender.to_owned(), max_groups: 3, split: true, living: None };
        let mut frozen = self.store.arm(freeze).await.expect("the store runs");
        // Arming and disarming in one transaction would freeze nothing: wait for one in between.
        self.store.trim(0).await.expect("the store runs");
        self.store.disarm(sender.to_owned()).await.expect("the store runs");
        frozen.try_recv().ok()
    }

    /// Lets the clock run and waits until the engine did what was due.
    async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        self.acknowledged(Vec::new()).await;
    }

    async fn stop(self) {
        drop(self.batches);
        self.engine.await.expect("the engine does not panic").expect("the store runs to the end");
        drop(self.store);
        self.running.wait();
    }
}

fn balanced(path: &std::path::Path) {
    assert_eq!(store::verify(path).expect("the file reads"), Vec::<String>::new());
}

/// A file for one test; the folder goes with it.
fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mag.db");
    (folder, path)
}

#[tokio::test(start_paused = true)]
async fn a_window_that_reaches_its_limit_is_told_at_once_with_its_exact_count() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    for _ in 0..30 {
        rig.acknowledged(vec![entry("disk full", 1)]).await;
    }
    let delivery = rig.told("console").await;
    assert_eq!(delivery.groups.len(), 1);
    assert_eq!((delivery.groups[0].count, delivery.groups[0].reason), (30, Reason::Count));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn the_clock_closes_all_open_windows_of_a_route_into_one_digest() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    rig.acknowledged(vec![entry("a", 3)]).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    rig.acknowledged(vec![entry("b", 5)]).await;
    tokio::time::advance(Duration::from_millis(19_999)).await;
    assert_eq!(rig.ready("console").await, None, "not a millisecond early");
    tokio::time::advance(Duration::from_millis(1)).await;
    let delivery = rig.told("console").await;
    let counts: BTreeMap<_, _> = delivery.groups.iter().map(|g| (g.text.as_str(), g.count)).collect();
    assert_eq!(counts, BTreeMap::from([("a", 3), ("b", 5)]));
    for group in &delivery.groups {
        assert_eq!(group.reason, Reason::Time);
        assert_eq!(group.closed - group.opened, 30_000, "the digest tells of the clock's 30 seconds");
    }
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_long_sweep_is_told_whole() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    let entries = (0..2_500).map(|n| entry(&format!("text {n}"), 2)).collect();
    rig.acknowledged(entries).await;
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    assert_eq!(delivery.groups.len() as u64 + delivery.omitted_groups, 2_500);
    let told: u64 = delivery.groups.iter().map(|g| g.count).sum();
    assert_eq!(told + delivery.omitted_messages, 5_000);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_commit_during_a_long_sweep_holds_all_that_was_counted() {
    let now = Instant::now();
    let mut core = Core::new(Routes::new(&root(30)), 1, 100_000);
    let batch = |texts: std::ops::Range<u32>| Batch {
        entries: texts.map(|n| entry(&format!("text {n}"), 1)).collect(),
        ..Batch::default()
    };
    core.count(batch(0..2_500), NOON, now);
    drop(core.changes(limits::SWEEP_WINDOWS));
    core.count(batch(2_000..2_500), NOON, now);
    let (_, route) = core.next_ring().expect("a clock runs");
    core.ring(route, NOON + 30_000);
    let (progress, _acked) = watch::channel(0);
    let ack = Ack { progress: Arc::new(progress), upto: 1 };
    core.count(Batch { ack: Some(ack), ..Batch::default() }, NOON, now);
    let (first, acks) = core.changes(limits::SWEEP_WINDOWS);
    let part = first.sweep.expect("the sweep begins");
    assert_eq!((part.closed.len(), part.whole, acks.len()), (1_000, false, 1));
    assert_eq!((first.windows.len(), first.windows.iter().map(WindowChange::added).sum::<u64>()), (500, 500));
    assert!(core.changes(limits::SWEEP_WINDOWS).0.windows.is_empty(), "the rest of the sweep holds nothing new");
}

/// RELIABILITY R1; every protocol answers when its ack is confirmed, and nothing else confirms one.
#[tokio::test(start_paused = true)]
async fn no_ack_leaves_before_the_sync_of_its_commit_returned() {
    let (fs, folder) = (Arc::new(faultfs::FaultFs::register()), faultfs::folder());
    let path = folder.path().join("mag.db");
    let settings = store::Settings { vfs: Some(fs.name().to_owned()), ..store::Settings::new(Some(&path)) };
    let rig = Rig::over(&root(30), &settings, 100_000);
    fs.hold_syncs();
    let (progress, mut acked) = watch::channel(0);
    let ack = Ack { progress: Arc::new(progress), upto: 1 };
    rig.batches
        .send(Batch { entries: vec![entry("a", 3)], ack: Some(ack), ..Batch::default() })
        .await
        .expect("the engine runs");
    let waiting = Arc::clone(&fs);
    let held = tokio::task::spawn_blocking(move || waiting.wait_until_sync_is_held(Duration::from_secs(60)));
    assert!(held.await.expect("the thread ends"), "the commit stands at its sync");
    // Five seconds for whoever might answer by mistake: time is paused, so they pass as soon as all others wait.
    tokio::time::advance(Duration::from_secs(5)).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*acked.borrow(), 0, "no ack while the sync is held");
    fs.release_syncs();
    acked.wait_for(|upto| *upto == 1).await.expect("the engine confirms");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn windows_go_on_after_a_stop_with_the_time_they_had_left() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    rig.acknowledged(vec![entry("a", 3)]).await;
    rig.stop().await;
    balanced(&path);
    let rig = Rig::start(&root(30), &path);
    assert_eq!(rig.restored, Restored { groups: 1, messages: 3 });
    rig.acknowledged(vec![entry("a", 4)]).await;
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    assert_eq!(delivery.groups[0].count, 7);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn windows_of_a_route_that_is_gone_are_told_at_once_by_the_senders_it_had() {
    let (_folder, path) = file();
    let mut tree = root(30);
    let mut child = root(30);
    child.id = "child".to_owned();
    child.senders = vec!["hook".to_owned()];
    child.matchers = vec![crate::matcher::Matcher::parse("kind=\"default\"").expect("a good matcher")];
    tree.routes = vec![child];
    let rig = Rig::start(&tree, &path);
    rig.acknowledged(vec![entry("a", 3)]).await;
    rig.stop().await;
    let rig = Rig::start(&root(30), &path);
    let delivery = rig.told("hook").await;
    assert_eq!((&*delivery.groups[0].route, delivery.groups[0].count), ("child", 3));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_route_that_groups_in_another_way_now_tells_its_old_windows_and_begins_anew() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    rig.acknowledged(vec![entry("a", 3), entry("b", 4)]).await;
    rig.stop().await;
    let mut by_kind = root(30);
    by_kind.group_by = vec![Field::Kind];
    let rig = Rig::start(&by_kind, &path);
    let delivery = rig.told("console").await;
    assert_eq!(delivery.groups.iter().map(|g| g.count).sum::<u64>(), 7);
    rig.acknowledged(vec![entry("a", 1), entry("b", 1)]).await;
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    assert_eq!((delivery.groups.len(), delivery.groups[0].count), (1, 2));
    assert_eq!(delivery.groups[0].samples, ["b"]);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn what_a_route_without_senders_takes_is_held_by_rule() {
    let (_folder, path) = file();
    let mut nobody = root(2);
    nobody.senders = Vec::new();
    let rig = Rig::start(&nobody, &path);
    rig.acknowledged(vec![entry("a", 3), entry("b", 1)]).await;
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn flush_on_stop_tells_what_is_open_instead_of_keeping_it() {
    let (_folder, path) = file();
    let mut flush = root(30);
    flush.flush_on_stop = true;
    let rig = Rig::start(&flush, &path);
    rig.acknowledged(vec![entry("a", 3)]).await;
    rig.stop().await;
    let rig = Rig::start(&flush, &path);
    assert_eq!(rig.restored, Restored::default());
    assert_eq!(rig.told("console").await.groups[0].count, 3);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_group_shows_the_highest_severity_and_the_labels_that_all_share() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(2), &path);
    let with = |severity, host: &str| {
        let mut entry = entry("a", 1);
        entry.message.severity = severity;
        let labels = vec![("host".to_owned(), host.to_owned()), ("app".to_owned(), "db".to_owned())];
        entry.message.labels = Labels::new(labels);
        entry
    };
    rig.acknowledged(vec![with(Some(Severity::Error), "one"), with(None, "two")]).await;
    let group = rig.told("console").await.groups.remove(0);
    assert_eq!(group.severity, Some(Severity::Error));
    assert_eq!(group.labels.iter().collect::<Vec<_>>(), [("app", "db")]);
    rig.stop().await;
}

/// What a client does in the property test.
#[derive(Clone, Debug)]
enum Step {
    Send { texts: Vec<u8>, ack: bool },
    Wait(u64),
    Tell,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::collection::vec(0_u8..6, 0..40), any::<bool>()).prop_map(|(texts, ack)| Step::Send { texts, ack }),
        2 => (0_u64..40_000).prop_map(Step::Wait),
        2 => Just(Step::Tell),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn told_counts_are_sent_counts_for_each_group_and_the_ledger_balances(
        steps in prop::collection::vec(step(), 1..30), max_messages in 1_u64..12
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let (_folder, path) = file();
            let mut rig = Rig::start(&root(max_messages), &path);
            let mut sent: BTreeMap<String, u64> = BTreeMap::new();
            let mut told: BTreeMap<String, u64> = BTreeMap::new();
            for step in steps {
                rig = one_step(rig, step, &path, (max_messages, 100_000), &mut sent, &mut told).await;
            }
            // Everything that was sent before this ack is counted; then the clock closes what is open.
            rig.acknowledged(Vec::new()).await;
            rig.pass(Duration::from_secs(31)).await;
            tell_what_is_ready(&rig, &mut told).await;
            rig.stop().await;
            balanced(&path);
            assert_eq!(told, sent);
        });
    }
}

async fn one_step(
    rig: Rig,
    step: Step,
    path: &std::path::Path,
    (max_messages, groups): (u64, usize),
    sent: &mut BTreeMap<String, u64>,
    told: &mut BTreeMap<String, u64>,
) -> Rig {
    match step {
        Step::Send { texts, ack } => {
            let entries: Vec<Entry> = texts.iter().map(|t| entry(&format!("text {t}"), u64::from(*t) + 1)).collect();
            for entry in &entries {
                *sent.entry(entry.message.text.clone()).or_default() += entry.count;
            }
            if ack {
                rig.acknowledged(entries).await;
            } else {
                rig.batches.send(Batch { entries, ..Batch::default() }).await.expect("the engine runs");
            }
        }
        Step::Wait(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
        Step::Tell => tell_what_is_ready(&rig, told).await,
        Step::Restart => {
            rig.stop().await;
            balanced(path);
            return Rig::with_groups(&root(max_messages), path, groups);
        }
    }
    rig
}

async fn tell_what_is_ready(rig: &Rig, told: &mut BTreeMap<String, u64>) {
    while let Some(delivery) = rig.ready("console").await {
        for group in &delivery.groups {
            *told.entry(group.text.clone()).or_default() += group.count;
        }
        let outcome = store::Outcome::Delivered { receipt: Some(vec![1]), updated_in_place: false };
        let attempted = store::Attempted {
            id: delivery.id,
            attempt: 1,
            sender: delivery.sender,
            outcome,
            tries: delivery.tries,
            fallback: None,
        };
        rig.store.finish(attempted).await.expect("the store runs");
    }
}
