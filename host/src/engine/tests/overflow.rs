//! More groups than may be open: nothing is lost, and what stands for the rest says so.

use super::*;
use crate::group::{Limits, OverflowGroup};

const LIMIT: usize = 3;

fn overflow_text() -> String {
    "other messages in more groups than the limit of 3".to_owned()
}

fn texts(range: std::ops::Range<u32>) -> Vec<Entry> {
    range.map(|n| entry(&format!("text {n}"), 2)).collect()
}

fn counts(delivery: &Delivery) -> BTreeMap<String, u64> {
    delivery.groups.iter().map(|group| (group.text.clone(), group.count)).collect()
}

fn expected(others: u64) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = (0..3).map(|n| (format!("text {n}"), 2)).collect();
    counts.insert(overflow_text(), others);
    counts
}

#[tokio::test(start_paused = true)]
async fn what_would_open_one_group_too_many_is_told_together_and_exactly() {
    let (_folder, path) = file();
    let rig = Rig::with_groups(&root(30), &path, LIMIT);
    rig.acknowledged(texts(0..1_000)).await;
    assert_eq!(rig.store.metrics().overflowed.get(), 1_994);
    assert_eq!(rig.ready("console").await, None, "only the clock closes it");
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    assert_eq!(counts(&delivery), expected(1_994));
    let other = delivery.groups.iter().find(|group| group.text == overflow_text()).expect("the overflow group");
    assert_eq!((other.id, OverflowGroup::of(other)), (OverflowGroup::Groups.id("root"), Some(OverflowGroup::Groups)));
    assert_eq!(other.samples, ["text 995", "text 996", "text 997", "text 998", "text 999"]);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn the_overflow_group_goes_on_after_a_restart_under_the_same_id() {
    let (_folder, path) = file();
    let rig = Rig::with_groups(&root(30), &path, LIMIT);
    rig.acknowledged(texts(0..10)).await;
    rig.stop().await;
    balanced(&path);
    let rig = Rig::with_groups(&root(30), &path, LIMIT);
    assert_eq!(rig.restored, Restored { groups: 4, messages: 20 });
    rig.acknowledged(texts(3..10)).await;
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(counts(&rig.told("console").await), expected(28));
    // The clock made room, and a limit that is lower now closes nothing that is open.
    rig.acknowledged(texts(0..3)).await;
    rig.stop().await;
    let rig = Rig::with_groups(&root(30), &path, 1);
    rig.acknowledged(texts(0..3)).await;
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(rig.told("console").await.groups.iter().map(|group| group.count).collect::<Vec<_>>(), [4, 4, 4]);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_at_once_needs_no_room() {
    let (_folder, path) = file();
    let rig = Rig::with_groups(&root(2), &path, 1);
    rig.acknowledged(vec![entry("open", 1), entry("other", 1), entry("at once", 2)]).await;
    let delivery = rig.told("console").await;
    assert_eq!(counts(&delivery), BTreeMap::from([("at once".to_owned(), 2)]));
    rig.acknowledged(vec![entry("open", 1)]).await;
    assert_eq!(counts(&rig.told("console").await), BTreeMap::from([("open".to_owned(), 2)]));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn an_overflow_group_shows_what_all_its_messages_share() {
    let (_folder, path) = file();
    let rig = Rig::with_groups(&root(30), &path, 1);
    let with = |text: &str, severity, host: &str| {
        let mut entry = entry(text, 1);
        entry.message.severity = severity;
        let labels = vec![("host".to_owned(), host.to_owned()), ("app".to_owned(), "db".to_owned())];
        entry.message.labels = Labels::new(labels);
        entry
    };
    let errors = vec![entry("first", 1), with("b", Some(Severity::Error), "one"), with("c", None, "two")];
    rig.acknowledged(errors).await;
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    let other = delivery.groups.iter().find(|group| OverflowGroup::of(group).is_some()).expect("the overflow group");
    assert_eq!((other.count, other.severity, other.kind.as_str()), (2, Some(Severity::Error), DEFAULT_KIND));
    assert_eq!(other.labels.iter().collect::<Vec<_>>(), [("app", "db")]);
    rig.stop().await;
}

#[test]
fn nothing_more_is_taken_while_the_store_has_more_closed_groups_to_take_than_may_be_open() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let now = Instant::now();
        let mut core = Core::new(Routes::new(&root(30)), 1, LIMIT);
        for round in 0..2 {
            assert!(!core.is_full());
            core.count(Batch { entries: texts(round * 10..round * 10 + 3), ..Batch::default() }, NOON, now);
            let (_, route) = core.next_ring().expect("a clock runs");
            core.ring(route, NOON + 30_000);
        }
        assert!(core.is_full());
        drop(core.changes(limits::SWEEP_WINDOWS));
        assert!(!core.is_full());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever comes and however few groups may be open: every text is told under itself or in the overflow group, and
    /// no message is lost or told twice.
    #[test]
    fn nothing_is_lost_past_the_limit(
        steps in prop::collection::vec(step(), 1..30), max_messages in 1_u64..12, groups in 1_usize..5
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let (_folder, path) = file();
            let mut rig = Rig::with_groups(&root(max_messages), &path, groups);
            let (mut sent, mut told) = (BTreeMap::new(), BTreeMap::new());
            for step in steps {
                rig = one_step(rig, step, &path, (max_messages, groups), &mut sent, &mut told).await;
            }
            rig.acknowledged(Vec::new()).await;
            rig.pass(Duration::from_secs(31)).await;
            tell_what_is_ready(&rig, &mut told).await;
            rig.stop().await;
            balanced(&path);
            let others = OverflowGroup::Groups.text(groups as u64);
            assert_eq!(told.values().sum::<u64>(), sent.values().sum::<u64>());
            for (text, count) in told.iter().filter(|(text, _)| **text != others) {
                assert!(*count <= sent[text], "{text}: told {count} of {}", sent[text]);
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_that_has_counted_all_that_can_be_counted_goes_on_and_balances() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(30), &path);
    rig.acknowledged(vec![entry("a", 1)]).await;
    rig.stop().await;
    let conn = rusqlite::Connection::open(&path).expect("the file opens");
    conn.execute_batch(
        "UPDATE ledger SET accepted = accepted + (1 << 60) - 5, told = told + (1 << 60) - 5;
         INSERT INTO groups SELECT group_id, route, text, 9223372036854775807, 0, 0, 0, 0 FROM windows;",
    )
    .expect("the file is changed");
    drop(conn);
    let rig = Rig::start(&root(30), &path);
    for count in [29, 1_000_000_000, 1_000_000_000] {
        rig.acknowledged(vec![entry("a", count), entry("b", count)]).await;
    }
    let delivery = rig.told("console").await;
    let told = counts(&delivery);
    assert_eq!((told["a"], delivery.groups[0].total), (30, i64::MAX.unsigned_abs()));
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(counts(&rig.told("console").await), BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 3)]));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_source_with_too_many_groups_harms_no_other_one() {
    let (_folder, path) = file();
    let limits = Limits { groups: 100, per_source: Some(2) };
    let of = |source: &str, text: &str| {
        let mut entry = entry(text, 1);
        entry.message.source = source.into();
        entry
    };
    let flood = |range: std::ops::Range<u32>| range.map(|n| of("loud", &format!("text {n}"))).collect::<Vec<_>>();
    let rig = Rig::with_groups(&root(30), &path, limits);
    rig.acknowledged(flood(0..50)).await;
    rig.acknowledged(vec![of("quiet", "a"), of("quiet", "b"), of("loud", "a")]).await;
    rig.stop().await;
    balanced(&path);
    // What a source has open is known after a restart too.
    let rig = Rig::with_groups(&root(30), &path, limits);
    rig.acknowledged(flood(0..50)).await;
    rig.pass(Duration::from_secs(30)).await;
    let others = "other messages of sources with more groups than the limit of 2 each";
    let expected = [("text 0", 2), ("text 1", 2), ("a", 2), ("b", 1), (others, 96)];
    let told = rig.told("console").await;
    assert_eq!(counts(&told), expected.map(|(text, count)| (text.to_owned(), count)).into());
    let other = told.groups.iter().find(|group| group.text == others).expect("the overflow group");
    assert_eq!(OverflowGroup::of(other), Some(OverflowGroup::Source));
    // The clock made room.
    rig.acknowledged(flood(50..52)).await;
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(rig.told("console").await.groups.len(), 2);
    rig.stop().await;
    balanced(&path);
}
