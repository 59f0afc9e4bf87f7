//! Damaged files: refused with a clear error and left as they are, or without effect; never a wrong count.

use std::fs;

use rusqlite::OpenFlags;

use super::*;

/// What of a store is copied, and all but the last damaged.
const FILES: [&str; 4] = ["mag.db", "mag.db-wal", "mag.db-shm", "mag.db.mark"];

/// A store with everything in it: open windows, a queue, deliveries in backoff and under way, history, receipts.
async fn full(path: &Path) -> Rig {
    let rig = Rig::with(&settings(path), BOTH, &["console", "hook"], clock::Clock::derived(NOON));
    for n in 0..30 {
        rig.close(vec![group("root", &format!("told {n}"), 3 + n)]).await;
        for sender in ["console", "hook"] {
            let delivery = rig.next(sender).await.expect("something waits");
            let outcome = Outcome::Delivered { receipt: Some(vec![1, 2, 3]), updated_in_place: false };
            rig.finish(&delivery, if sender == "hook" && n % 10 == 9 { dead() } else { outcome }).await;
        }
    }
    // The first half lies in the database, the rest in its log.
    rusqlite_checkpoint(path);
    rig.close(vec![group("root", "backoff", 5)]).await;
    let delivery = rig.next("hook").await.expect("something waits");
    rig.finish(&delivery, backoff()).await;
    rig.close(vec![group("root", "under way", 7)]).await;
    rig.next("console").await.expect("something waits");
    rig.close((0..20).map(|n| group("root", &format!("waits {n}"), 11 + n)).collect()).await;
    for row in 1..=20 {
        rig.open_window(row, &group("root", &format!("open {row}"), 2)).await;
    }
    rig
}

fn rusqlite_checkpoint(path: &Path) {
    let conn = Connection::open(path).expect("anybody may look");
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_row| Ok(())).expect("nobody else writes");
}

const BOTH: &[(&str, &[&str])] = &[("root", &["console", "hook"])];

fn settings(path: &Path) -> Settings {
    Settings { reserve_bytes: 0, ..Settings::new(Some(path)) }
}

/// The files of a store as bytes.
type Image = Vec<(&'static str, Vec<u8>)>;

fn image(folder: &Path) -> Image {
    FILES.iter().filter_map(|name| Some((*name, fs::read(folder.join(name)).ok()?))).collect()
}

/// Writes an image; the database's time stays what it was, as it does when a disk forgets a bit.
fn write(image: &Image, folder: &Path, written: std::time::SystemTime) {
    for (name, bytes) in image {
        fs::write(folder.join(name), bytes).expect("the file is written");
    }
    let database = fs::File::options().write(true).open(folder.join("mag.db")).expect("a database");
    database.set_modified(written).expect("a time");
}

/// Every count that is in a store.
fn counts(path: &Path) -> Vec<String> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it opens");
    let mut statement = conn
        .prepare(
            "SELECT 'open ' || count FROM windows
             UNION ALL SELECT 'waits ' || sender || ' ' || count FROM queue
             UNION ALL SELECT 'frozen ' || d.sender || ' ' || g.count
               FROM deliveries d JOIN delivery_groups g ON g.delivery = d.id WHERE d.finished IS NULL
             UNION ALL SELECT 'ledger ' || sender || route || ' ' || accepted || ' ' || open || ' ' || waiting || ' '
               || frozen || ' ' || told || ' ' || dead || ' ' || dropped FROM ledger ORDER BY 1",
        )
        .expect("it is a store");
    let counts = statement.query_map([], |row| row.get(0)).expect("rows");
    counts.collect::<rusqlite::Result<_>>().expect("texts")
}

/// What came of opening a damaged store.
#[derive(Debug, Default)]
struct Seen {
    without_effect: u32,
    refused: u32,
}

/// Opens a store from an image and checks that it is either refused, said and untouched, or has exactly these counts.
fn open_damaged(image: &Image, written: std::time::SystemTime, expect: &[String], what: &str, seen: &mut Seen) {
    let folder = tempfile::tempdir().expect("a folder");
    write(image, folder.path(), written);
    let path = folder.path().join("mag.db");
    let senders = ["console".to_owned(), "hook".to_owned()];
    match open(&settings(&path), &config(BOTH), &senders, clock::Clock::derived(NOON)) {
        Ok((store, running, recovered)) => {
            assert_eq!((recovered.windows.len(), recovered.deliveries.len()), (20, 2), "{what}");
            drop(store);
            running.wait();
            assert_eq!(counts(&path), expect, "{what}");
            balanced(&path);
            seen.without_effect += 1;
        }
        Err(error) => {
            let said = error.to_string();
            assert_eq!(said.matches(&*path.to_string_lossy()).count() - said.matches(".db.mark").count(), 1, "{said}");
            for (name, bytes) in image.iter().filter(|(name, _)| ["mag.db", "mag.db-wal"].contains(name)) {
                // An empty log may be gone.
                let now = fs::read(folder.path().join(name)).unwrap_or_default();
                assert!(*bytes == now, "{what}: {name} changed");
            }
            seen.refused += 1;
        }
    }
}

fn times(variable: &str, default: u32) -> u32 {
    std::env::var(variable).ok().and_then(|times| times.parse().ok()).unwrap_or(default)
}

/// Damages copies of a store that ran when it was cut off, and of one that stopped in order.
async fn damage(times: u32, mut change: impl FnMut(&mut fastrand::Rng, &mut Image) -> String) {
    let seed =
        std::env::var("MAG_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("MAG_TEST_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let (folder, path) = file();
    let rig = full(&path).await;
    let time = || fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
    let killed = ("a store whose log is full", image(folder.path()), time());
    rusqlite_checkpoint(&path);
    let emptied = ("a store whose log is empty", image(folder.path()), time());
    rig.stop();
    let stopped = ("a store that stopped", image(folder.path()), time());
    let expect = counts(&path);
    let images = [killed, emptied, stopped];
    assert_eq!(images.each_ref().map(|(_, image, _)| image.len()), [4, 4, 2], "with a log, and without");
    for (what, image, written) in &images {
        let mut seen = Seen::default();
        open_damaged(image, *written, &expect, "unharmed", &mut seen);
        assert_eq!(seen.without_effect, 1, "{what}");
        for _ in 0..times.div_ceil(3) {
            let mut image = image.clone();
            let done = format!("{} of {what}", change(&mut rng, &mut image));
            open_damaged(&image, *written, &expect, &format!("MAG_TEST_SEED={seed}: {done}"), &mut seen);
        }
        println!("{what}: {seen:?}");
        assert!(seen.refused > times / 100, "damage of {what} is found: {seen:?}");
    }
}

/// One of the files that hold something, the mark aside.
fn pick<'i>(rng: &mut fastrand::Rng, image: &'i mut Image) -> &'i mut (&'static str, Vec<u8>) {
    let places = image.iter().enumerate().filter(|(_, (name, bytes))| !name.ends_with(".mark") && !bytes.is_empty());
    let place = rng.choice(places.map(|(place, _)| place).collect::<Vec<_>>()).expect("there is a database");
    &mut image[place]
}

#[tokio::test]
async fn a_flipped_bit_is_found_or_has_no_effect() {
    damage(times("MAG_TEST_BIT_FLIPS", 500), |rng, image| {
        let (name, bytes) = pick(rng, image);
        let (at, bit) = (rng.usize(..bytes.len()), rng.u8(..8));
        bytes[at] ^= 1 << bit;
        format!("bit {bit} of byte {at} of {name}")
    })
    .await;
}

#[tokio::test]
async fn a_truncated_file_is_found_or_has_no_effect() {
    damage(times("MAG_TEST_TRUNCATIONS", 50), |rng, image| {
        let (name, bytes) = pick(rng, image);
        let left = if rng.u8(..8) == 0 { 0 } else { rng.usize(..bytes.len()) };
        bytes.truncate(left);
        format!("{name} cut to {left} bytes")
    })
    .await;
}

#[tokio::test]
async fn commits_that_a_damaged_log_lost_are_missed() {
    let (folder, path) = file();
    let rig = full(&path).await;
    let mut image = image(folder.path());
    rig.stop();
    image.retain(|(name, _)| *name != "mag.db-wal");
    let other = tempfile::tempdir().expect("a folder");
    write(&image, other.path(), fs::metadata(&path).and_then(|found| found.modified()).expect("a time"));
    let error = open(&settings(&other.path().join("mag.db")), &config(BOTH), &[], clock::Clock::derived(NOON));
    let error = error.map(|_| ()).expect_err("it is refused").to_string();
    assert!(error.contains("commits are missing") && error.contains("mag.db.mark"), "{error}");
}

#[tokio::test]
async fn a_damaged_store_is_moved_aside_and_a_new_one_begun_when_that_is_asked_for() {
    let (folder, path) = file();
    full(&path).await.stop();
    let mut bytes = fs::read(&path).expect("the file reads");
    bytes.truncate(10_000);
    fs::write(&path, &bytes).expect("the file is written");
    let replacing = Settings { replace_damaged: true, ..settings(&path) };
    let rig = Rig::with(&replacing, BOTH, &["console", "hook"], clock::Clock::derived(NOON));
    assert_eq!((rig.recovered.windows.len(), rig.recovered.deliveries.len()), (0, 0));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.stop();
    balanced(&path);
    let aside = folder.path().join("mag.db.damaged-20231114T221320Z");
    assert!(fs::read(aside).expect("it is kept") == bytes, "as it was");
    Rig::with(&replacing, BOTH, &["console", "hook"], clock::Clock::derived(NOON)).stop();
    assert_eq!(number(&path, "SELECT waiting FROM ledger WHERE sender = 'hook'"), 3, "a store that is whole stays");
}

#[tokio::test]
async fn an_older_copy_is_refused_as_long_as_the_mark_knows_of_later_commits() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.stop();
    let older = fs::read(&path).expect("the file reads");
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.stop();
    fs::write(&path, &older).expect("the file is written");
    let refused = open(&settings(&path), &config(&[("root", &["console"])]), &[], clock::Clock::derived(NOON));
    let error = refused.map(|_| ()).expect_err("two commits are missing").to_string();
    assert!(error.contains("on purpose, delete"), "{error}");
    fs::remove_file(path.with_extension("db.mark")).expect("it is there");
    let rig = Rig::simple(Some(&path));
    assert_eq!(rig.next("console").await.expect("it goes on").groups[0].count, 3);
    rig.stop();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_mark_that_finds_no_room_fails_no_store_and_accuses_none() {
    let (_folder, path) = file();
    let mark = path.with_extension("db.mark");
    let rig = Rig::with(&settings(&path), BOTH, &["console", "hook"], clock::Clock::derived(NOON));
    rig.close(vec![group("root", "before", 3)]).await;
    let behind = fs::read(&mark).expect("it is there");
    rig.stop();
    fs::remove_file(&mark).expect("it is there");
    std::os::unix::fs::symlink("/dev/full", &mark).expect("a link");
    for n in 1..4 {
        let rig = Rig::with(&settings(&path), BOTH, &["console", "hook"], clock::Clock::derived(NOON));
        rig.close(vec![group("root", "without room", n)]).await;
        assert_eq!((rig.store.has_failed(), rig.store.trouble()), (None, None));
        rig.stop();
    }
    fs::remove_file(&mark).expect("it is there");
    // What it was before there was no room, whole and torn.
    for left in [&behind[..], &behind[..20]] {
        fs::write(&mark, left).expect("it is written");
        Rig::with(&settings(&path), BOTH, &["console", "hook"], clock::Clock::derived(NOON)).stop();
        balanced(&path);
    }
    assert_eq!(number(&path, "SELECT sum(count) FROM queue"), 2 * (3 + 1 + 2 + 3), "by both senders");
}

#[tokio::test]
async fn a_store_that_another_program_wrote_meanwhile_is_looked_at_and_gone_on_with() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.stop();
    let wrote = |sql: &str| Connection::open(&path).and_then(|conn| conn.execute(sql, [])).expect("anybody may write");
    wrote("UPDATE groups SET text = 'b'");
    Rig::simple(Some(&path)).stop();
    wrote("UPDATE queue SET count = 4");
    let refused = open(&settings(&path), &config(&[("root", &["console"])]), &[], clock::Clock::derived(NOON));
    let error = refused.map(|_| ()).expect_err("the ledger says 3").to_string();
    assert!(error.contains("waiting is 3, its rows hold 4"), "{error}");
}

#[test]
fn places_that_cannot_hold_a_store_are_named_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |path: &Path| {
        let opened = open(&settings(path), &config(&[("root", &["console"])]), &[], clock::Clock::system());
        opened.map(|_| ()).expect_err("it is refused")
    };
    let path = folder.path().join("folder.db");
    fs::create_dir(&path).expect("a folder");
    assert!(matches!(refused(&path), OpenError::NotAFile { what: "a folder", .. }));
    let path = folder.path().join("gone.db");
    fs::write(folder.path().join("gone.db-wal"), "a log").expect("a file");
    let error = refused(&path).to_string();
    assert!(error.contains("gone.db") && error.contains("its log"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_store_with_a_second_name_is_refused_under_either_until_that_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, other) = (folder.path().join("mag.db"), folder.path().join("other.db"));
    let opened =
        |path: &Path| open(&settings(path), &config(&[("root", &["console"])]), &[], clock::Clock::system()).map(drop);
    opened(&path).expect("a new store");
    fs::hard_link(&path, &other).expect("a second name");
    for name in [&path, &other] {
        let error = opened(name).expect_err("it is refused");
        assert!(matches!(error, OpenError::Linked { links: 2, .. }), "{error}");
        assert!(error.to_string().contains("2 names (hard links)"), "{error}");
    }
    fs::remove_file(&other).expect("a name less");
    opened(&path).expect("it has one name");
}
