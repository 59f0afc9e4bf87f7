//! The file itself: whose it is, how old it is, who else has it open, and what happens when it breaks.

use super::*;

/// Whatever [`open`] says about a file that it refuses.
fn refused(path: &Path) -> OpenError {
    let opened = open(&Settings::new(Some(path)), &config(&[("root", &["console"])]), &[], clock::Clock::derived(NOON));
    opened.map(|_| ()).expect_err("the file is refused")
}

/// Makes a database as another program would.
fn foreign(path: &Path, sql: &str) {
    Connection::open(path).and_then(|conn| conn.execute_batch(sql)).expect("the file is made");
}

#[tokio::test]
async fn a_store_that_is_in_use_is_refused_with_the_pid_of_whoever_has_it() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let error = refused(&path).to_string();
    assert!(error.contains(&format!("pid {}:", std::process::id())), "{error}");
    assert!(error.contains("mag.db is in use"), "{error}");
    rig.stop();
    Rig::simple(Some(&path)).stop();
}

#[tokio::test]
async fn a_store_that_is_in_use_is_refused_under_another_name_too() {
    let (folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let other = folder.path().join("other.db");
    std::os::unix::fs::symlink(&path, &other).expect("a link");
    assert!(matches!(refused(&other), OpenError::Locked { .. }));
    rig.stop();
}

#[tokio::test]
async fn a_newer_schema_is_refused_untouched() {
    let (_folder, path) = file();
    Rig::simple(Some(&path)).stop();
    foreign(&path, "PRAGMA journal_mode = DELETE; PRAGMA user_version = 99; CREATE TABLE later (x);");
    let before = std::fs::read(&path).expect("the file reads");
    let error = refused(&path);
    assert!(matches!(error, OpenError::Newer { found: 99, known: schema::VERSION, .. }), "{error}");
    assert!(error.to_string().contains("a later one"), "it says what to do: {error}");
    assert!(before == std::fs::read(&path).expect("the file reads"), "not a byte changed");
}

#[tokio::test]
async fn the_database_of_another_program_is_refused_untouched() {
    for sql in
        ["CREATE TABLE songs (name TEXT)", "PRAGMA application_id = 7", "PRAGMA user_version = -1; CREATE TABLE t (x)"]
    {
        let (_folder, path) = file();
        foreign(&path, sql);
        let before = std::fs::read(&path).expect("the file reads");
        let error = refused(&path);
        assert!(matches!(error, OpenError::NotOurs { .. }), "{sql}: {error}");
        assert!(before == std::fs::read(&path).expect("the file reads"), "{sql}: not a byte changed");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_untouched() {
    let (_folder, path) = file();
    let text = "remember the milk\n".repeat(200);
    std::fs::write(&path, &text).expect("the file is written");
    let error = refused(&path);
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("the file reads"), text);
}

#[tokio::test]
async fn an_empty_file_becomes_a_store_and_stays_one() {
    let (_folder, path) = file();
    std::fs::write(&path, "").expect("the file is written");
    for start in 1..=2 {
        let rig = Rig::simple(Some(&path));
        rig.close(vec![group("root", "a", 1)]).await;
        rig.stop();
        balanced(&path);
        assert_eq!(number(&path, "SELECT total FROM groups"), start);
    }
    assert_eq!(usize::try_from(number(&path, "PRAGMA user_version")), Ok(schema::VERSION));
    assert_eq!(number(&path, "PRAGMA application_id"), 0x6d61_6731);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let (folder, _) = file();
    let error = refused(&folder.path().join("no/such/mag.db")).to_string();
    assert!(error.contains("no/such/mag.db.lock"), "{error}");
}

#[tokio::test]
async fn a_store_in_memory_works_and_leaves_nothing() {
    let rig = Rig::simple(None);
    rig.close(vec![group("root", "a", 3)]).await;
    let delivery = rig.next("console").await.expect("something waits");
    rig.finish(&delivery, delivered()).await;
    rig.stop();
    let rig = Rig::simple(None);
    assert_eq!(rig.next("console").await, None);
    rig.stop();
}

#[tokio::test]
async fn a_commit_waits_while_another_program_holds_the_file() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let other = Connection::open(&path).expect("anybody may look");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
    let store = rig.store.clone();
    let commit = tokio::spawn(async move { store.change(closing(vec![group("root", "a", 3)])).await });
    tokio::task::yield_now().await;
    assert!(!commit.is_finished(), "it cannot be written yet");
    other.execute_batch("COMMIT").expect("nothing was changed");
    commit.await.expect("the task ends").expect("the store goes on");
    assert_eq!(rig.next("console").await.expect("it is there once").groups[0].count, 3);
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn an_error_that_leaves_the_disk_unknown_stops_the_store_for_good() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let freeze = Freeze { sender: "console".to_owned(), max_groups: 1, split: false, living: None };
    let frozen = rig.store.arm(freeze).await.expect("the store runs");
    foreign(&path, "DROP TABLE queue");
    assert_eq!(rig.store.change(closing(vec![group("root", "a", 3)])).await, Err(Stopped));
    assert_eq!(rig.store.trim(0).await, Err(Stopped), "no further commit");
    assert!(frozen.await.is_err(), "whoever waits hears of it");
    let error = rig.store.failure().await;
    assert!(error.contains("no such table"), "{error}");
    rig.stop();
}

#[tokio::test]
async fn a_writer_that_breaks_off_is_a_failure_too() {
    let rig = Rig::simple(None);
    let huge = || WindowChange::Grew {
        route: "root".into(),
        row: 1,
        added: u64::MAX,
        count: 1,
        first_seen: NOON,
        last_seen: NOON,
    };
    // More than the ledger can count: the writer breaks off, with a panic or an error of SQLite's.
    let changes = Changes { windows: vec![huge(), huge()], ..Changes::default() };
    assert_eq!(rig.store.change(changes).await, Err(Stopped));
    assert!(!rig.store.failure().await.is_empty());
    rig.stop();
}

#[tokio::test]
async fn a_log_that_grew_while_somebody_read_gives_its_room_back() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let log = || std::fs::metadata(path.with_extension("db-wal")).expect("the log is there").len();
    let reader = Connection::open(&path).expect("anybody may read");
    reader.execute_batch("BEGIN; SELECT count(*) FROM queue;").expect("a snapshot");
    rig.close((0..400).map(|n| group("root", &format!("{n} {}", "x".repeat(60_000)), 1)).collect()).await;
    rig.close(vec![group("root", "behind it", 1)]).await;
    assert!(log() > limits::WAL_BYTES, "nothing can be copied into the file while somebody reads what was before");
    drop(reader);
    for n in 0..3 {
        rig.close(vec![group("root", &format!("then {n}"), 1)]).await;
    }
    assert!(log() <= limits::WAL_BYTES, "{} bytes", log());
    rig.stop();
    balanced(&path);
}

/// The names of all files of a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn whoever_looks_at_a_store_that_stopped_leaves_nothing_beside_it_and_changes_nothing() {
    let (folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 1)]).await;
    rig.stop();
    let (before, bytes) = (names(folder.path()), std::fs::read(&path).expect("a store"));
    let written = std::fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
    balanced(&path);
    backup(&path, &folder.path().join("copy.db")).expect("it is copied");
    std::fs::remove_file(folder.path().join("copy.db")).expect("it is there");
    assert_eq!(names(folder.path()), before);
    assert_eq!(std::fs::metadata(&path).and_then(|found| found.modified()).expect("a time"), written);
    assert!(std::fs::read(&path).expect("a store") == bytes);
    // What a start has to take over is left to it.
    let (crashed, copy) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "b", 1)]).await;
    for ending in ["", "-wal"] {
        std::fs::copy(beside(&path, ending), beside(&copy, ending)).expect("it is copied");
    }
    rig.stop();
    let log = std::fs::read(beside(&copy, "-wal")).expect("a log");
    balanced(&copy);
    assert!(std::fs::read(beside(&copy, "-wal")).expect("a log") == log && !log.is_empty());
    assert_eq!(number(&copy, "SELECT sum(accepted) FROM ledger"), 2);
    drop(crashed);
}
