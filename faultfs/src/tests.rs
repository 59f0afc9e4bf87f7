//! The shim against SQLite itself, and the checks that it can find what is wrong.

use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::*;

const LIMIT: Duration = Duration::from_secs(60);
const LOSSES: [Loss; 5] = [Loss::Everything, Loss::Latest, Loss::Some, Loss::Torn(512), Loss::Torn(4_096)];

fn open(fs: &FaultFs, path: &Path) -> Connection {
    let conn = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), fs.name()).expect("the file opens");
    conn.busy_timeout(Duration::ZERO).expect("it is set");
    conn
}

fn with_table(fs: &FaultFs, path: &Path, wal: bool, synchronous: &str) -> Connection {
    let conn = open(fs, path);
    conn.pragma_update(None, "journal_mode", if wal { "WAL" } else { "DELETE" }).expect("it is set");
    conn.pragma_update(None, "synchronous", synchronous).expect("it is set");
    conn.execute_batch("CREATE TABLE t (n INTEGER, filler BLOB)").expect("the table is made");
    conn
}

fn insert(conn: &Connection) -> rusqlite::Result<usize> {
    conn.execute("INSERT INTO t SELECT count(*) + 1, randomblob(3000) FROM t", [])
}

/// How many rows an image holds; `None` when it is damaged.
fn rows(image: &Image) -> Option<u64> {
    let folder = folder();
    let path = folder.path().join("t.db");
    image.write(&path).expect("the image is written");
    let conn = Connection::open(&path).ok()?;
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).ok()?;
    let sum = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (count, sum) = conn.query_row("SELECT count(*), coalesce(sum(n), 0) FROM t", [], sum).ok()?;
    (sound == "ok" && sum == count * (count + 1) / 2).then_some(count.unsigned_abs())
}

/// Ten rows, one commit each, with a checkpoint on the way; returns how many crash states lost what was committed.
fn lost(wal: bool, synchronous: &str) -> usize {
    let (fs, folder) = (FaultFs::register(), folder());
    let conn = with_table(&fs, &folder.path().join("t.db"), wal, synchronous);
    let mut committed = vec![fs.logged()];
    for n in 0..10 {
        insert(&conn).expect("the row is written");
        committed.push(fs.logged());
        if wal && n == 5 {
            conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("it is done");
        }
    }
    drop(conn);
    let mut disk = Disk::new(&Image::default(), FailedSync::Drops);
    let (mut rng, mut lost) = (Rng::with_seed(7), 0);
    for (done, operation) in (1..).zip(fs.take_log()) {
        disk.apply(&operation);
        let promised = committed.iter().filter(|at| **at <= done).count();
        if promised > 0 && operation.changes_files() {
            for loss in LOSSES {
                lost += usize::from(rows(&disk.crashed(loss, &mut rng)).is_none_or(|rows| rows + 1 < promised as u64));
            }
        }
    }
    lost
}

#[test]
fn what_sqlite_syncs_in_wal_mode_survives_every_power_loss() {
    assert_eq!(lost(true, "FULL"), 0);
}

#[test]
fn what_sqlite_syncs_with_a_journal_survives_every_power_loss() {
    // EXTRA also syncs the folder after the journal is gone; FULL may bring a journal back and so take a commit back.
    assert_eq!(lost(false, "EXTRA"), 0);
    assert!(lost(false, "FULL") > 0);
}

#[test]
fn a_writer_that_does_not_sync_is_caught() {
    assert!(lost(true, "NORMAL") > 0, "it acknowledges before the sync");
    assert!(lost(true, "OFF") > 0);
    assert!(lost(false, "OFF") > 0);
}

#[test]
fn the_log_applied_to_an_empty_disk_gives_the_files() {
    let (fs, folder) = (FaultFs::register(), folder());
    let path = folder.path().join("t.db");
    let conn = with_table(&fs, &path, true, "FULL");
    for _ in 0..5 {
        insert(&conn).expect("the row is written");
    }
    let mut disk = Disk::new(&Image::default(), FailedSync::Drops);
    fs.take_log().iter().for_each(|operation| disk.apply(operation));
    assert!(disk.cached() == Image::read(&path).expect("the files read"));
    drop(conn);
    fs.take_log().iter().for_each(|operation| disk.apply(operation));
    assert!(disk.cached() == Image::read(&path).expect("the files read"), "and after the end, without a WAL");
    assert_eq!(rows(&disk.cached()), Some(5));
}

#[test]
fn every_trouble_strikes_where_it_should_and_only_once() {
    for trouble in [Trouble::WriteError, Trouble::SyncError, Trouble::Full, Trouble::NoMemory, Trouble::Busy] {
        let (fs, folder) = (FaultFs::register(), folder());
        let conn = with_table(&fs, &folder.path().join("t.db"), true, "FULL");
        // A lock that is busy once may be tried again by SQLite itself.
        fs.set(Some(Fault { trouble, nth: 1, lasting: trouble == Trouble::Busy }));
        let error = insert(&conn).expect_err("it fails").sqlite_error_code().expect("SQLite's error");
        let expect = match trouble {
            Trouble::Full => ErrorCode::DiskFull,
            Trouble::NoMemory => ErrorCode::OutOfMemory,
            Trouble::Busy => ErrorCode::FileLockingProtocolFailed,
            _ => ErrorCode::SystemIoFailure,
        };
        assert_eq!(error, expect, "{trouble:?}");
        assert!(fs.fired() == 1 || trouble == Trouble::Busy, "{trouble:?}");
        fs.set(None);
        insert(&conn).expect("the next one is written");
        fs.set(Some(Fault { trouble, nth: 1, lasting: true }));
        insert(&conn).expect_err("it fails");
        insert(&conn).expect_err("it fails again");
        assert!(fs.fired() > 1, "{trouble:?}");
        fs.set(None);
        insert(&conn).expect("all is well again");
    }
}

#[test]
fn a_commit_waits_for_its_sync() {
    let (fs, folder) = (FaultFs::register(), folder());
    let conn = with_table(&fs, &folder.path().join("t.db"), true, "FULL");
    fs.hold_syncs();
    std::thread::scope(|scope| {
        let commit = scope.spawn(move || insert(&conn));
        assert!(fs.wait_until_sync_is_held(LIMIT));
        assert!(!commit.is_finished());
        fs.release_syncs();
        commit.join().expect("the thread ends").expect("the row is written");
    });
}

#[test]
fn a_name_is_on_the_disk_only_after_its_folder_was_synced() {
    let mut rng = Rng::with_seed(1);
    let mut disk = Disk::new(&Image::default(), FailedSync::Drops);
    disk.apply(&Operation::Open { part: Part::Wal, created: true });
    disk.apply(&Operation::Write { part: Part::Wal, offset: 0, bytes: [1; 8].into() });
    disk.apply(&Operation::Sync { part: Part::Wal, folder: false });
    assert_eq!(disk.crashed(Loss::Everything, &mut rng), Image::default());
    disk.apply(&Operation::Sync { part: Part::Wal, folder: true });
    assert_eq!(disk.crashed(Loss::Everything, &mut rng), disk.cached());
    disk.apply(&Operation::Delete { part: Part::Wal, folder: false });
    assert_eq!(disk.cached(), Image::default());
    assert_eq!(disk.crashed(Loss::Everything, &mut rng).0[&Part::Wal], [1; 8], "it comes back");
}

#[test]
fn what_a_failed_sync_dropped_is_seen_but_not_on_the_disk() {
    let mut disk = Disk::new(&Image([(Part::Database, vec![0; 4])].into()), FailedSync::Drops);
    disk.apply(&Operation::Write { part: Part::Database, offset: 1, bytes: [1; 2].into() });
    disk.apply(&Operation::FailedSync { part: Part::Database });
    disk.apply(&Operation::Sync { part: Part::Database, folder: false });
    assert_eq!(disk.cached().0[&Part::Database], [0, 1, 1, 0]);
    assert_eq!(disk.crashed(Loss::Everything, &mut Rng::with_seed(1)).0[&Part::Database], [0; 4]);
    assert!(!disk.is_synced());
    disk.apply(&Operation::Rewrite { part: Part::Database });
    assert_eq!(disk.crashed(Loss::Everything, &mut Rng::with_seed(1)), disk.cached(), "unless it is written again");
}

#[test]
fn a_torn_write_keeps_whole_sectors() {
    let mut disk = Disk::new(&Image([(Part::Database, vec![0; 2_048])].into()), FailedSync::Drops);
    disk.apply(&Operation::Write { part: Part::Database, offset: 256, bytes: vec![1; 1_536].into() });
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let image = disk.crashed(Loss::Torn(512), &mut Rng::with_seed(seed));
        let bytes = &image.0[&Part::Database];
        let sectors: Vec<u8> = [256, 512, 1_024, 1_536].iter().map(|at| bytes[*at]).collect();
        for (sector, from, to) in [(0, 256, 512), (1, 512, 1_024), (2, 1_024, 1_536), (3, 1_536, 1_792)] {
            assert!(bytes[from..to].iter().all(|byte| *byte == sectors[sector]));
        }
        assert!(bytes[..256].iter().chain(&bytes[1_792..]).all(|byte| *byte == 0), "what was not written stays");
        seen.insert(sectors);
    }
    assert!(seen.len() > 8, "all sorts of tears: {}", seen.len());
}
