//! Messages with an id: counted once, whatever is sent again, on whatever connection, over any crash.

use super::*;
use crate::message::{Answers, Identified};

/// A message with an id: what it says is its text and how many it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    id: u8,
    count: u64,
}

/// A batch as a connection makes it: entries of equal messages, and the ids in the order of their lines.
fn batch(messages: &[Named]) -> Batch {
    let mut batch = Batch::default();
    for (line, named) in (1..).zip(messages) {
        let text = format!("text {}", named.id % 3);
        let same = batch.entries.iter().position(|entry| entry.message.text == text);
        let at = same.unwrap_or_else(|| {
            batch.entries.push(Entry { first_seen: u64::MAX, last_seen: 0, ..entry(&text, 0) });
            batch.entries.len() - 1
        });
        let (id, content) = (named.id.to_string(), named.count);
        batch.ids.push(Identified { entry: at, id, content, count: named.count, time: NOON, line, number: line });
    }
    batch.answers = Some(Arc::new(Answers::default()));
    batch
}

impl Rig {
    /// Sends messages and returns, once they are acknowledged, the lines that were refused.
    async fn named(&self, messages: &[Named]) -> Vec<u64> {
        let mut batch = batch(messages);
        let answers = batch.answers.clone().expect("answers");
        let (progress, mut acked) = watch::channel(0);
        batch.ack = Some(Ack { progress: Arc::new(progress), upto: 1 });
        self.batches.send(batch).await.expect("the engine runs");
        acked.wait_for(|upto| *upto == 1).await.expect("the engine confirms");
        answers.take_refusals().into_iter().map(|refusal| refusal.line).collect()
    }
}

fn named(id: u8, count: u64) -> Named {
    Named { id, count }
}

/// A copy of the file as a crash would leave it at this moment.
fn crashed(path: &std::path::Path) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["mag.db", "mag.db-wal"] {
        std::fs::copy(path.with_file_name(name), folder.path().join(name)).expect("the file is copied");
    }
    let path = folder.path().join("mag.db");
    (folder, path)
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_acknowledged_counts_once_after_a_crash_too() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    assert_eq!(rig.named(&[named(1, 2), named(4, 3), named(1, 2)]).await, Vec::<u64>::new());
    let (_copy, copy) = crashed(&path);
    rig.stop().await;
    let rig = Rig::start(&root(30), &copy);
    assert_eq!(rig.named(&[named(4, 3), named(1, 2), named(1, 7)]).await, [3]);
    assert_eq!(rig.store.metrics().known_ids.get(), 2);
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    assert_eq!((delivery.groups.len(), delivery.groups[0].count), (1, 5));
    rig.stop().await;
    balanced(&copy);
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_message_was_told_long_ago_opens_no_window() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    rig.named(&[named(1, 2)]).await;
    rig.pass(Duration::from_secs(30)).await;
    rig.told("console").await;
    rig.named(&[named(1, 2)]).await;
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(rig.ready("console").await, None);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ids_are_on_disk_with_their_counts_while_a_sweep_goes_on() {
    let now = Instant::now();
    let mut core = Core::new(Routes::new(&root(1_000)), 1, 100_000);
    core.count(
        Batch { entries: (0..2_500).map(|n| entry(&format!("other {n}"), 1)).collect(), ..Batch::default() },
        NOON,
        now,
    );
    core.count(batch(&[named(1, 2)]), NOON, now);
    let (_, route) = core.next_ring().expect("a clock runs");
    core.ring(route, NOON + 30_000);
    core.count(batch(&[named(1, 2), named(2, 2)]), NOON, now);
    let (first, _) = core.changes(limits::SWEEP_WINDOWS);
    assert_eq!(first.ids.iter().map(|saved| saved.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(first.windows.iter().map(WindowChange::added).sum::<u64>(), 2_500 + 2 + 2);
}

#[derive(Clone, Debug)]
enum Step {
    Send { messages: Vec<Named>, hears: bool },
    Wait(u64),
    Tell,
    Stop,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let message = (0_u8..40, prop_oneof![9 => Just(1_u64), 1 => Just(2)]).prop_map(|(id, count)| Named { id, count });
    prop_oneof![
        8 => (prop::collection::vec(message, 0..20), any::<bool>())
            .prop_map(|(messages, hears)| Step::Send { messages, hears }),
        2 => (0_u64..40_000).prop_map(Step::Wait),
        2 => Just(Step::Tell),
        1 => Just(Step::Stop),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// In the end a client sends everything again, until all of it is acknowledged: each id counts once, as what it was
    /// first. What was told before a crash that a copy does not know of is told again, so all is summed up at the end.
    #[test]
    fn every_id_counts_once_whatever_is_sent_again(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let (mut folder, mut path) = file();
            let mut rig = Rig::start(&root(7), &path);
            let mut sent: Vec<Named> = Vec::new();
            for step in steps {
                match step {
                    Step::Send { messages, hears: true } => {
                        rig.named(&messages).await;
                        sent.extend(messages);
                    }
                    Step::Send { messages, hears: false } => {
                        rig.batches.send(batch(&messages)).await.expect("the engine runs");
                        sent.extend(messages);
                    }
                    Step::Wait(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
                    Step::Tell => tell_what_is_ready(&rig, &mut BTreeMap::new()).await,
                    Step::Stop => {
                        rig.stop().await;
                        balanced(&path);
                        rig = Rig::start(&root(7), &path);
                    }
                    Step::Crash => {
                        let copy = crashed(&path);
                        rig.stop().await;
                        (folder, path) = copy;
                        rig = Rig::start(&root(7), &path);
                    }
                }
            }
            let again: Vec<Vec<Named>> = sent.chunks(50).map(<[Named]>::to_vec).collect();
            for messages in again {
                rig.named(&messages).await;
            }
            rig.stop().await;
            balanced(&path);
            let counted = accepted(&path);
            let mut least_and_most = (0, 0);
            let mut ids: Vec<u8> = sent.iter().map(|named| named.id).collect();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                let counts = || sent.iter().filter(|named| named.id == id).map(|named| named.count);
                least_and_most.0 += counts().min().expect("sent");
                least_and_most.1 += counts().max().expect("sent");
            }
            assert!((least_and_most.0..=least_and_most.1).contains(&counted), "{counted} of {least_and_most:?}");
            drop(folder);
        });
    }
}

fn accepted(path: &std::path::Path) -> u64 {
    let accounts = store::look(path, |reader| reader.accounts()).expect("the file reads");
    accounts.iter().map(|account| account.accepted).sum()
}
