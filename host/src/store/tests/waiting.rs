//! What waits: one entry a sender and group, merged; what may be frozen, and in which order.

use super::*;
use crate::message::Severity;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The entry that the windows of one group become while they wait.
async fn merged(windows: Vec<Group>) -> Group {
    let rig = Rig::simple(None);
    for window in windows {
        rig.close(vec![window]).await;
    }
    let mut delivery = rig.next("console").await.expect("something waits");
    assert_eq!(rig.next("console").await, None, "one entry a group");
    rig.stop();
    delivery.groups.remove(0)
}

#[tokio::test]
async fn windows_that_close_while_their_group_waits_become_one_entry() {
    let early = Group {
        severity: Some(Severity::Error),
        labels: labels(&[("app", "db"), ("host", "one")]),
        first_seen: NOON + 5,
        last_seen: NOON + 6,
        opened: NOON + 10,
        closed: NOON + 20,
        reason: Reason::Count,
        ..group("root", "disk full", 30)
    };
    let late = Group {
        kind: "monitor".to_owned(),
        source: Some("10.0.0.1".to_owned()),
        severity: Some(Severity::Warning),
        labels: labels(&[("app", "db"), ("host", "two")]),
        first_seen: NOON + 1,
        last_seen: NOON + 9,
        opened: NOON + 5,
        closed: NOON + 90,
        reason: Reason::Time,
        ..group("root", "disk full", 4)
    };
    let entry = merged(vec![early.clone(), late]).await;
    let expect = Group {
        kind: DEFAULT_KIND.to_owned(),
        source: None,
        labels: labels(&[("app", "db")]),
        count: 34,
        total: 34,
        first_seen: NOON + 1,
        last_seen: NOON + 9,
        opened: NOON + 5,
        closed: NOON + 90,
        reason: Reason::Time,
        ..early
    };
    assert_eq!(entry, expect);
}

#[tokio::test]
async fn what_two_windows_have_in_common_stays_when_they_merge() {
    let window = || Group { severity: Some(Severity::Info), reason: Reason::Count, ..group("root", "a", 2) };
    let entry = merged(vec![window(), window()]).await;
    assert_eq!(entry, Group { count: 4, total: 4, ..window() });
}

#[tokio::test]
async fn a_severity_wins_over_none_when_windows_merge() {
    let with = |severity| Group { severity, ..group("root", "a", 1) };
    let entry = merged(vec![with(None), with(Some(Severity::Debug)), with(None)]).await;
    assert_eq!(entry.severity, Some(Severity::Debug));
}

#[tokio::test]
async fn samples_of_merged_windows_are_the_newest_other_texts_each_once() {
    let with = |text: &str, samples: &[&str]| Group {
        id: group("root", "the group", 1).id,
        samples: samples.iter().map(|&sample| sample.to_owned()).collect(),
        ..group("root", text, 1)
    };
    let entry = merged(vec![with("a", &["b", "c"]), with("d", &["b", "a"])]).await;
    assert_eq!((entry.text.as_str(), entry.samples), ("a", ["c", "d", "b"].map(str::to_owned).to_vec()));
    let entry = merged(vec![with("a", &["b", "c", "d", "e", "f"]), with("g", &[])]).await;
    assert_eq!(entry.samples, ["c", "d", "e", "f", "g"]);
}

#[tokio::test]
async fn a_group_that_is_being_told_waits_while_others_go_on() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 1)]).await;
    let first = rig.next("console").await.expect("a is told");
    rig.finish(&first, backoff()).await;
    rig.close(vec![group("root", "a", 2), group("root", "b", 3)]).await;
    rig.close(vec![group("root", "a", 4)]).await;
    let second = rig.next("console").await.expect("b goes on");
    assert_eq!(texts(&second), ["b"]);
    assert_eq!(rig.next("console").await, None, "a is in backoff, b under way");
    balanced(&path);
    rig.finish(&first, delivered()).await;
    let third = rig.next("console").await.expect("a goes on");
    assert_eq!((third.groups[0].count, third.groups[0].total), (6, 7), "the rest of a, and all of it ever");
    rig.finish(&second, dead()).await;
    rig.finish(&third, delivered()).await;
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT told FROM ledger"), 7);
    assert_eq!(number(&path, "SELECT dead FROM ledger"), 3);
}

#[tokio::test]
async fn one_group_for_two_senders_waits_for_each_of_them_apart() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), &[("root", &["console", "hook"])], &["console", "hook"]);
    rig.close(vec![group("root", "a", 5)]).await;
    let console = rig.next("console").await.expect("console is told");
    rig.finish(&console, delivered()).await;
    rig.close(vec![group("root", "a", 7)]).await;
    assert_eq!(rig.next("hook").await.expect("hook is told").groups[0].count, 12);
    assert_eq!(rig.next("console").await.expect("console is told again").groups[0].count, 7);
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn an_armed_sender_gets_its_delivery_in_the_commit_that_closes_the_window() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let mut frozen = rig.armed("console").await;
    let before = rig.store.change(Changes::default()).await.expect("the store runs");
    let closed = rig.store.change(closing(vec![group("root", "a", 1)])).await.expect("the store runs");
    assert_eq!(frozen.try_recv().expect("it is there before the commit is answered").attempt, 1);
    assert_eq!(closed.seq, before.seq + 1);
    assert_eq!(number(&path, "SELECT value FROM meta WHERE key = 'commit_seq'").unsigned_abs(), closed.seq);
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn an_armed_sender_gets_what_waited_behind_a_delivery_in_the_commit_that_ends_it() {
    let rig = Rig::simple(None);
    rig.close(vec![group("root", "a", 1)]).await;
    let first = rig.next("console").await.expect("something waits");
    rig.close(vec![group("root", "a", 2)]).await;
    let mut frozen = rig.armed("console").await;
    rig.finish(&first, dead()).await;
    assert_eq!(frozen.try_recv().expect("its group is free").groups[0].count, 2);
    rig.stop();
}

#[tokio::test]
async fn a_sender_that_disarmed_is_given_nothing() {
    let rig = Rig::simple(None);
    let mut frozen = rig.armed("console").await;
    rig.store.disarm("console".to_owned()).await.expect("the store runs");
    rig.close(vec![group("root", "a", 1)]).await;
    assert!(frozen.try_recv().is_err());
    assert_eq!(texts(&rig.next("console").await.expect("it still waits")), ["a"]);
    rig.stop();
}

#[tokio::test]
async fn a_sweep_is_told_when_its_last_part_is_there_and_what_closes_by_count_at_once() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let part = |text: &str| {
        let closed = vec![Closed { row: 0, added: 1, group: group("root", text, 1) }];
        Changes { sweep: Some(SweepPart { number: 1, closed, whole: false }), ..Changes::default() }
    };
    rig.store.change(part("a")).await.expect("the store runs");
    assert_eq!(rig.next("console").await, None);
    rig.close(vec![group("root", "by count", 30)]).await;
    assert_eq!(texts(&rig.next("console").await.expect("not held back")), ["by count"]);
    rig.store.change(part("b")).await.expect("the store runs");
    let mut frozen = rig.armed("console").await;
    let last = SweepPart { number: 1, closed: Vec::new(), whole: true };
    rig.store.change(Changes { sweep: Some(last), ..Changes::default() }).await.expect("the store runs");
    assert_eq!(texts(&frozen.try_recv().expect("whole now")), ["a", "b"]);
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn what_finds_no_room_waits_in_one_entry_a_route_and_nothing_is_lost() {
    let (_folder, path) = file();
    let routes: &[(&str, &[&str])] = &[("root", &["console", "hook"]), ("shop", &["console"])];
    let settings = Settings { queue: 2, ..Settings::new(Some(&path)) };
    let rig = Rig::with(&settings, routes, &["console", "hook"], clock::Clock::derived(NOON));
    let error = |text, count| Group { severity: Some(Severity::Error), ..group("root", text, count) };
    rig.close(vec![group("root", "a", 1), group("root", "b", 2), error("c", 4), group("shop", "d", 8)]).await;
    rig.close(vec![group("root", "e", 16), group("root", "a", 32)]).await;
    let past = |sender: &str| {
        let sender = sender.to_owned();
        rig.store.metrics().queue_overflowed.get_or_create(&crate::telemetry::metrics::BySender { sender }).get()
    };
    assert_eq!((past("console"), past("hook")), (4 + 8 + 16, 4 + 16));
    rig.stop();
    balanced(&path);
    // The limit holds after a start too, and what was taken out makes room.
    let rig = Rig::with(&settings, routes, &["console", "hook"], clock::Clock::derived(NOON));
    rig.close(vec![group("root", "f", 64)]).await;
    let told = |delivery: Delivery| -> Vec<(String, u64, String)> {
        let mut told: Vec<_> = delivery.groups.into_iter().map(|g| (g.text, g.count, g.samples.join(" "))).collect();
        told.sort();
        told
    };
    let line = |text: &str, count, samples: &str| (text.to_owned(), count, samples.to_owned());
    let others = "other messages in more waiting groups than the limit of 2";
    let delivery = rig.next("console").await.expect("console is told");
    assert!(delivery.groups.iter().any(|g| g.text == others && g.severity == Some(Severity::Error)));
    let expect = [line("a", 33, ""), line("b", 2, ""), line(others, 8, "d"), line(others, 84, "c e f")];
    assert_eq!(told(delivery.clone()), expect);
    rig.finish(&delivery, delivered()).await;
    rig.close(vec![group("root", "g", 128)]).await;
    assert_eq!(told(rig.next("console").await.expect("console is told")), [line("g", 128, "")]);
    assert_eq!(told(rig.next("hook").await.expect("hook is told"))[2], line(others, 212, "c e f g"));
    rig.stop();
    balanced(&path);
}
