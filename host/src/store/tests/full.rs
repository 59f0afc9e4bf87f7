//! A store without room: what is new waits, deliveries go on, and both are there once when there is room again.

use super::*;

/// A store that may have 400 KB.
fn small(path: &Path) -> Rig {
    bounded(path, 400_000)
}

/// A store that may have so many bytes; SQLite says of a bound what it says of a full disk.
fn bounded(path: &Path, bytes: u64) -> Rig {
    let settings =
        Settings { max_bytes: Some(bytes), full_pause: Duration::from_millis(10), ..Settings::new(Some(path)) };
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
    while rig.store.trim(NOON + 1_000_000).await.expect("the store runs").forgot > 0 {}
    waits.await.expect("the task ends").expect("it is written by itself when there is room");
    assert_eq!(rig.next("console").await.expect("it is told").groups.len(), 1);
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT accepted FROM ledger"), i64::from(3 * (before + 1)));
}

#[tokio::test]
async fn a_store_that_may_be_larger_takes_in_what_waited_and_one_that_may_be_smaller_keeps_what_it_has() {
    let (_folder, path) = file();
    // It would look for room by itself only in an hour.
    let pause = Duration::from_secs(60 * 60);
    let settings = Settings { max_bytes: Some(400_000), full_pause: pause, ..Settings::new(Some(&path)) };
    let rig = Rig::with(&settings, &[("root", &["console"])], &["console"], clock::Clock::derived(NOON));
    let (waits, before) = fill(&rig).await;
    rig.store.rebound(Some(4_000_000)).await.expect("the store runs");
    waits.await.expect("the task ends").expect("there is room for it");
    rig.store.rebound(Some(400_000)).await.expect("the store runs");
    let store = rig.store.clone();
    let waits = tokio::spawn(async move { store.change(closing(vec![large(before + 1)])).await });
    passed(&rig, 3).await;
    assert!(!waits.is_finished(), "there is more in it than it may have");
    rig.store.rebound(None).await.expect("the store runs");
    waits.await.expect("the task ends").expect("nothing bounds it");
    for n in 2..40 {
        rig.store.change(closing(vec![large(before + n)])).await.expect("nothing bounds it");
    }
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT count(*) FROM queue"), i64::from(before + 40));
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
    while rig.store.trim(NOON + 1_000_000).await.expect("the store runs").forgot > 0 {}
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
    while rig.store.trim(NOON + 1_000_000).await.expect("the store runs").forgot > 0 {}
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

/// Opens windows with texts of 1 KB.
fn opening(rows: std::ops::Range<i64>) -> Changes {
    let open = |row| {
        let group = group("root", &format!("{row} {}", "y".repeat(1_000)), 2);
        let window = Window {
            row,
            group: group.id,
            route: crate::message::RouteIndex::new(0),
            shared: message(&group.text).into(),
            count: 2,
            saved: 0,
            first_seen: NOON,
            last_seen: NOON,
            opened: NOON,
            reshaped: false,
            rare: None,
        };
        WindowChange::Opened { route: "root".into(), window }
    };
    Changes { windows: rows.map(open).collect(), ..Changes::default() }
}

/// Closes one of them, of which the store knows all.
fn closing_known(row: i64) -> Changes {
    let group = group("root", &format!("{row} {}", "y".repeat(1_000)), 2);
    Changes { closed: vec![Closed { row, added: 0, group }], ..Changes::default() }
}

#[tokio::test]
async fn without_room_windows_that_the_store_knows_close_and_are_told() {
    let (_folder, path) = file();
    let rig = bounded(&path, 2_000_000);
    rig.store.change(opening(1..4)).await.expect("there is room");
    while rig.store.trouble().is_none() {
        // The last of these goes into the room that is kept, which is more than it takes.
        let first = number(&path, "SELECT max(id) + 1 FROM windows");
        rig.store.change(opening(first..first + 20)).await.expect("it is written all the same");
    }
    assert_eq!(rig.store.trouble(), Some(Trouble::Full));
    for row in 1..4 {
        rig.store.change(closing_known(row)).await.expect("it is written");
        let delivery = rig.next("console").await.expect("it is told");
        assert_eq!(delivery.groups.len(), 1);
        rig.finish(&delivery, delivered()).await;
    }
    assert_eq!(rig.store.trouble(), Some(Trouble::Full), "all that while");
    let store = rig.store.clone();
    let waits = tokio::spawn(async move { store.change(closing(vec![large(1), large(2), large(3)])).await });
    passed(&rig, 3).await;
    assert!(!waits.is_finished(), "something new that is larger than the room that is kept");
    let after = closing_known(4);
    let store = rig.store.clone();
    let behind = tokio::spawn(async move { store.change(after).await });
    passed(&rig, 3).await;
    assert!(!behind.is_finished(), "what the engine says stays in its order");
    balanced(&path);
}

#[tokio::test]
async fn a_quota_that_refuses_bytes_is_waited_for_like_a_full_disk() {
    let (_folder, path) = file();
    let fs = faultfs::FaultFs::register();
    let settings = Settings {
        vfs: Some(fs.name().to_owned()),
        full_pause: Duration::from_millis(10),
        refuses: |_beside| true,
        ..Settings::new(Some(&path))
    };
    let rig = Rig::with(&settings, &[("root", &["console"])], &["console"], clock::Clock::derived(NOON));
    let refused = faultfs::Fault { trouble: faultfs::Trouble::WriteError, nth: 1, lasting: true };
    fs.set(Some(refused));
    let store = rig.store.clone();
    let waits = tokio::spawn(async move { store.change(closing(vec![group("root", "a", 3)])).await });
    let mut trouble = rig.store.watch_trouble();
    trouble.wait_for(|trouble| *trouble == Some(Trouble::Full)).await.expect("the store runs");
    assert!(fs.fired() > 0 && !waits.is_finished());
    fs.set(None);
    waits.await.expect("the task ends").expect("it is written when bytes are taken again");
    trouble.wait_for(Option::is_none).await.expect("the store runs");
    rig.stop();
    balanced(&path);
}

#[test]
fn a_place_that_takes_bytes_is_not_full() {
    let (folder, path) = file();
    assert!(!crate::store::full::refuses_bytes(&path));
    assert!(
        !crate::store::full::refuses_bytes(&folder.path().join("no/such/folder/mag.db")),
        "another error is another error"
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left of the try");
}
