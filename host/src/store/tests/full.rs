//! A store without room: what is new waits, deliveries go on, and both are there once when there is room again.

use super::*;

/// A store that may have 400 KB; SQLite says of a bound what it says of a full disk.
fn small(path: &Path) -> Rig {
    let settings =
        Settings { max_bytes: Some(400_000), full_pause: Duration::from_millis(10), ..Settings::new(Some(path)) };
    Rig::with(&settings, &[("root", &["console"])], &["console"], clock::Clock::derived(NOON))
}

/// A group whose text takes 40 KB.
fn large(n: u32) -> Group {
    group("root", &format!("{n} {}", "x".repeat(40_000)), 3)
}

/// Closes windows until there is no room; returns the one that waits, and how many are in.
async fn fill(rig: &Rig) -> (tokio::task::JoinHandle<Result<Committed, Stopped>>, u32) {
    for n in 0.. {
        let store = rig.store.clone();
        let mut change = tokio::spawn(async move { store.change(closing(vec![large(n)])).await });
        // The answer to what was asked later comes first only when there is no room.
        tokio::select! {
            biased;
            done = &mut change => { done.expect("the task ends").expect("the store runs"); }
            () = passed(rig, 3) => return (change, n),
        }
    }
    unreachable!("400 KB hold less than 4,000,000,000 groups of 40 KB")
}

/// Returns when so many transactions have passed.
async fn passed(rig: &Rig, transactions: usize) {
    for _ in 0..transactions {
        rig.store.trim(0).await.expect("the store runs");
    }
}

#[tokio::test]
async fn without_room_deliveries_go_on_and_what_is_new_is_there_once_when_there_is_room() {
    let (_folder, path) = file();
    let rig = small(&path);
    let (waits, before) = fill(&rig).await;
    assert!(before >= 2, "{before} groups fit");
    let mut told = 0;
    while let Some(delivery) =
        rig.freeze(Freeze { sender: "console".into(), max_groups: 1, split: true, living: None }).await
    {
        rig.finish(&delivery, backoff()).await;
        rig.store.begin(Delivery { attempt: 2, ..delivery.clone() }).await.expect("the store runs");
        rig.finish(&Delivery { attempt: 2, ..delivery }, delivered()).await;
        told += 1;
        if told == before {
            break;
        }
    }
    assert_eq!(told, before, "all that waited is told, and nothing of what waits for room");
    assert!(!waits.is_finished());
    while rig.store.trim(NOON + 1_000_000).await.expect("the store runs") > 0 {}
    waits.await.expect("the task ends").expect("it is written by itself when there is room");
    assert_eq!(rig.next("console").await.expect("it is told").groups.len(), 1);
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT accepted FROM ledger"), i64::from(3 * (before + 1)));
}

#[tokio::test]
async fn nobody_who_takes_back_what_it_asked_for_is_given_it_by_a_change_that_waited() {
    let (_folder, path) = file();
    let rig = small(&path);
    let (waits, _) = fill(&rig).await;
    while let Some(delivery) = rig.next("console").await {
        rig.finish(&delivery, delivered()).await;
    }
    let mut frozen = rig.armed("console").await;
    rig.store.disarm("console".to_owned()).await.expect("the store runs");
    assert!(frozen.try_recv().is_err(), "nothing waits, and from now on nothing is frozen for it");
    while rig.store.trim(NOON + 1_000_000).await.expect("the store runs") > 0 {}
    waits.await.expect("the task ends").expect("the store runs");
    assert!(rig.next("console").await.is_some(), "it still waits in the queue");
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_change_that_waited_wakes_whoever_armed_meanwhile() {
    let (_folder, path) = file();
    let rig = small(&path);
    let (waits, _) = fill(&rig).await;
    while let Some(delivery) = rig.next("console").await {
        rig.finish(&delivery, delivered()).await;
    }
    let frozen = rig.armed("console").await;
    while rig.store.trim(NOON + 1_000_000).await.expect("the store runs") > 0 {}
    waits.await.expect("the task ends").expect("the store runs");
    assert_eq!(frozen.await.expect("it is told").groups.len(), 1);
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_store_that_was_stopped_without_room_goes_on_with_it_at_the_next_start() {
    let (_folder, path) = file();
    let rig = small(&path);
    let (waits, before) = fill(&rig).await;
    waits.abort();
    assert!(waits.await.is_err(), "nobody waits for it any more");
    drop(rig.store);
    // The writer still waits for room, as it does until the process ends; another connection makes it.
    Connection::open(&path)
        .and_then(|conn| {
            conn.busy_timeout(Duration::from_secs(5))?;
            conn.execute("UPDATE groups SET text = ''", [])
        })
        .expect("the store waits, it holds no lock");
    rig.running.wait();
    balanced(&path);
    assert_eq!(number(&path, "SELECT count(*) FROM queue"), i64::from(before + 1));
}
