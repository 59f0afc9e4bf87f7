//! How much one delivery holds, what comes first, and what the history keeps of it.

use super::*;
use crate::message::Severity;

fn freeze(max_groups: u32, split: bool) -> Freeze {
    Freeze { sender: "console".to_owned(), max_groups, split, living: None }
}

/// A store in which windows of these texts wait.
async fn with(groups: Vec<Group>) -> Rig {
    let rig = Rig::simple(None);
    rig.close(groups).await;
    rig
}

#[tokio::test]
async fn the_most_severe_comes_first_then_the_largest_then_whoever_waits_longest() {
    let with_severity = |text, severity, count| Group { severity, ..group("root", text, count) };
    let mut groups: Vec<Group> = vec![with_severity("none", None, 1_000)];
    groups.extend(Severity::ALL.map(|severity| with_severity(severity.as_str(), Some(severity), 1)));
    groups.push(with_severity("larger", Some(Severity::Error), 7));
    groups.push(with_severity("later", Some(Severity::Error), 1));
    let rig = with(groups).await;
    let delivery = rig.next("console").await.expect("something waits");
    let expect = ["critical", "larger", "error", "later", "warning", "notice", "info", "debug", "trace", "none"];
    assert_eq!(texts(&delivery), expect);
    rig.stop();
}

#[tokio::test]
async fn a_sender_that_splits_tells_the_rest_in_further_notifications() {
    let rig = with((1..=5).map(|n| group("root", &format!("{n}"), n)).collect()).await;
    for expect in [&["5", "4"][..], &["3", "2"], &["1"]] {
        let delivery = rig.freeze(freeze(2, true)).await.expect("something waits");
        assert_eq!((texts(&delivery), delivery.omitted_groups, delivery.omitted_messages), (expect.to_vec(), 0, 0));
    }
    assert_eq!(rig.freeze(freeze(2, true)).await, None);
    rig.stop();
}

#[tokio::test]
async fn a_sender_that_summarizes_counts_the_rest_in_the_same_notification() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close((1..=5).map(|n| group("root", &format!("{n}"), n)).collect()).await;
    let delivery = rig.freeze(freeze(2, false)).await.expect("something waits");
    assert_eq!(texts(&delivery), ["5", "4"]);
    assert_eq!((delivery.omitted_groups, delivery.omitted_messages), (3, 6));
    assert_eq!(rig.freeze(freeze(2, false)).await, None, "all are under way");
    balanced(&path);
    rig.finish(&delivery, delivered()).await;
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT told FROM ledger"), 15, "what is summed up is told");
    let omitted = "SELECT sum(count) FROM delivery_groups WHERE omitted = 1";
    assert_eq!(number(&path, omitted), 6, "the history knows which ones were summed up");
}

/// About what the record weighs that a plugin gets.
fn weight(delivery: &Delivery) -> usize {
    let group = |g: &Group| {
        let labels: usize = g.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        let samples: usize = g.samples.iter().map(String::len).sum();
        let source = g.source.as_ref().map_or(0, String::len);
        g.text.len() + g.route.len() + g.kind.len() + source + labels + samples
    };
    delivery.groups.iter().map(group).sum()
}

async fn check_bound(fat: impl Fn(usize) -> Group, groups: usize, split: bool) {
    let rig = with((0..groups).map(fat).collect()).await;
    let mut told = 0;
    while let Some(delivery) = rig.freeze(freeze(1_000, split)).await {
        assert!(weight(&delivery) <= limits::NOTIFICATION_BYTES, "{} bytes", weight(&delivery));
        assert!(!delivery.groups.is_empty());
        told += delivery.groups.len() + usize::try_from(delivery.omitted_groups).expect("few");
        assert!(split || told == groups, "all is in the first one");
    }
    assert_eq!(told, groups);
    rig.stop();
}

#[tokio::test]
async fn a_notification_stays_within_what_the_contract_promises_the_plugin() {
    let long = |n: usize| group("root", &format!("{n}{}", "x".repeat(limits::TEXT_BYTES - 10)), 1);
    check_bound(long, 20, true).await;
    check_bound(long, 20, false).await;
    let source = |n: usize| Group { source: Some("s".repeat(limits::WORD_BYTES)), ..group("root", &n.to_string(), 1) };
    check_bound(source, 1_000, true).await;
    let sampled = |n: usize| Group {
        samples: vec!["y".repeat(limits::SAMPLE_BYTES); limits::SAMPLES],
        ..group("root", &n.to_string(), 1)
    };
    check_bound(sampled, 200, true).await;
}

#[tokio::test]
async fn a_group_that_is_larger_than_a_notification_is_told_alone() {
    let huge = "x".repeat(limits::NOTIFICATION_BYTES * 2);
    let rig = with(vec![group("root", &huge, 2), group("root", "small", 1)]).await;
    assert_eq!(rig.next("console").await.expect("the huge one").groups.len(), 1);
    assert_eq!(texts(&rig.next("console").await.expect("the small one")), ["small"]);
    rig.stop();
}

#[tokio::test]
async fn trimming_forgets_what_was_told_before_then_and_keeps_dead_letters_and_what_is_under_way() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let told = Outcome::Delivered { receipt: Some(vec![1]), updated_in_place: false };
    for (text, outcome) in [("told", told), ("dead", dead()), ("backoff", backoff())] {
        rig.close(vec![group("root", text, 1)]).await;
        let delivery = rig.next("console").await.expect("something waits");
        rig.finish(&delivery, outcome).await;
    }
    let all = |forgot| Ok(Trimmed { forgot, more: false });
    assert_eq!(rig.store.trim(NOON).await, all(0), "not old enough");
    assert_eq!(rig.store.trim(NOON + 1_000_000).await, all(5), "a delivery, its receipt, three groups");
    assert_eq!(rig.store.trim(NOON + 1_000_000).await, all(0), "that was all");
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT count(*) FROM deliveries WHERE state = 'dead'"), 1);
    assert_eq!(number(&path, "SELECT count(*) FROM deliveries WHERE state = 'backoff'"), 1);
    for table in ["deliveries", "delivery_groups", "attempts"] {
        assert_eq!(number(&path, &format!("SELECT count(*) FROM {table}")), 2, "{table}");
    }
    assert_eq!(number(&path, "SELECT told FROM ledger"), 1, "the ledger never forgets");
}

#[tokio::test]
async fn a_receipt_is_kept_for_each_group_that_was_told_in_full() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    for receipt in [1, 2] {
        rig.close(vec![group("root", "a", 2), group("root", "omitted", 1)]).await;
        let delivery = rig.freeze(freeze(1, false)).await.expect("something waits");
        rig.finish(&delivery, Outcome::Delivered { receipt: Some(vec![receipt]), updated_in_place: false }).await;
    }
    rig.stop();
    assert_eq!(number(&path, "SELECT count(*) FROM receipts WHERE receipt = x'02'"), 1);
    assert_eq!(number(&path, "SELECT count(*) FROM receipts"), 1);
}
