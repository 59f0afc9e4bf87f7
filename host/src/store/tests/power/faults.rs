//! R1, R4: no answer before the sync returned; and what the store does when the N-th operation of the disk fails.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;

use super::oracle::{Bench, Oracle};
use super::player::{Ended, Played, play};
use super::scenario::Scenario;
use super::*;

#[tokio::test]
async fn nothing_is_answered_before_its_sync_returned() {
    let (fs, folder) = (FaultFs::register(), folder());
    let path = folder.path().join("mag.db");
    let settings = Settings { vfs: Some(fs.name().to_owned()), ..Settings::new(Some(&path)) };
    let (store, running, _) = player::start(&settings, 0, clock::Clock::derived(NOON), None).expect("the store opens");
    let freeze = Freeze { sender: "one".to_owned(), max_groups: 9, split: true, living: None };
    let mut frozen = store.arm(freeze).await.expect("the store runs");
    store.trim(0).await.expect("the store runs");
    fs.hold_syncs();
    let mut commit = Box::pin({
        let store = store.clone();
        async move { store.change(closing(vec![group("root", "a", 3)])).await }
    });
    assert!(waits(&mut commit).await, "it is sent");
    let fs = tokio::task::spawn_blocking(move || {
        assert!(fs.wait_until_sync_is_held(Duration::from_secs(60)));
        fs
    });
    let fs = fs.await.expect("a sync is held");
    // Whatever could be answered by mistake is by now: the writer stands at the sync.
    assert!(waits(&mut commit).await, "no answer before the sync returned");
    assert!(frozen.try_recv().is_err(), "nothing to tell either");
    fs.release_syncs();
    commit.await.expect("it is answered then");
    frozen.await.expect("and can be told");
    drop(store);
    running.wait();
    balanced(&path);
}

/// Whether there is no answer yet.
async fn waits<T>(asked: &mut (impl Future<Output = T> + Unpin)) -> bool {
    tokio::select! {
        biased;
        _ = asked => false,
        () = std::future::ready(()) => true,
    }
}

/// What came of the faults.
#[derive(Debug, Default)]
struct Tally {
    points: u64,
    struck: u64,
    /// It went on as if nothing had been: SQLite tried again, or the work was not needed.
    unharmed: u64,
    /// It waited until the disk was well, then went on.
    waited: u64,
    stopped: u64,
    refused: u64,
    wrong: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { points, struck, unharmed, waited, stopped, refused, wrong } = self;
        let wrong = wrong.len();
        write!(
            f,
            "{points} I/O faults, struck {struck} times: {stopped} stopped the store, {refused} refused to open, \
             {waited} waited, {unharmed} did no harm; {wrong} wrong"
        )
    }
}

/// Of the kinds of operations that a scenario has more of, only a part is failed when nobody says otherwise.
const RARE: u64 = 100;
const EVERY: u64 = 12;

/// A fault, and how often it strikes, where it lasts and the store waits it out.
#[derive(Clone, Copy, Debug)]
struct Course {
    fault: Fault,
    strikes: u64,
}

/// The store has waited for it then.
const SHORT: u64 = 2;
/// More often than SQLite itself tries for a lock that it needs to begin with: after a hundred times, some ten seconds, it
/// speaks of another error than a busy file.
const LONG: u64 = 250;

/// Fails the operations of a scenario, once and from then on: all of those that are rare, one in `every` of the others.
fn try_faults(number: u64, every: u64, seed: u64) -> Tally {
    let counting = FaultFs::register();
    let oracle = Oracle::play_on(Scenario::number(number), &counting);
    let mut faults = Vec::new();
    for trouble in Trouble::ALL {
        for nth in 1..=counting.count(trouble) {
            faults
                .extend([false, true].map(|lasting| Course { fault: Fault { trouble, nth, lasting }, strikes: SHORT }));
        }
    }
    let mut rng = Rng::with_seed(seed);
    faults.retain(|course| counting.count(course.fault.trouble) <= RARE || rng.u64(..every) == 0);
    try_each(number, &oracle, &faults)
}

/// Lets somebody else hold each lock of a scenario, or one in `every`, for longer than SQLite itself tries.
fn try_long_locks(number: u64, every: u64, seed: u64) -> Tally {
    let counting = FaultFs::register();
    let oracle = Oracle::play_on(Scenario::number(number), &counting);
    let mut rng = Rng::with_seed(seed);
    let locks: Vec<Course> = (1..=counting.count(Trouble::Busy))
        .filter(|_| rng.u64(..every) == 0)
        .map(|nth| Course { fault: Fault { trouble: Trouble::Busy, nth, lasting: true }, strikes: LONG })
        .collect();
    try_each(number, &oracle, &locks)
}

fn try_each(number: u64, oracle: &Oracle, faults: &[Course]) -> Tally {
    let tally = Mutex::new(Tally { points: faults.len() as u64, ..Tally::default() });
    in_parallel(faults.len() as u64, |next| {
        let (fs, bench) = (FaultFs::register(), Bench::new());
        while let Some(n) = next() {
            let course = faults[usize::try_from(n).expect("a place in the list")];
            try_fault(number, oracle, &fs, &bench, course, &tally);
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn try_fault(number: u64, oracle: &Oracle, fs: &FaultFs, bench: &Bench, course: Course, tally: &Mutex<Tally>) {
    let Course { fault, strikes } = course;
    let played = with_fault(oracle, fs, course);
    let (struck, log) = (fs.fired(), fs.take_log());
    let mut wrong = Vec::new();
    if struck == 0 {
        wrong.push("the fault never struck".to_owned());
    }
    wrong.extend(right_end(oracle, &played, fault).err());
    wrong.extend(right_files(oracle, bench, fault, &played, &log).err());
    if fault.trouble == Trouble::SyncError {
        wrong.extend(survives_a_restart(oracle, bench, &played, &log).err());
    }
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.struck += struck;
    let waits = matches!(fault.trouble, Trouble::Full | Trouble::Busy);
    match &played.ended {
        None if waits => tally.waited += 1,
        None => tally.unharmed += 1,
        Some(Ended::Stopped(_)) => tally.stopped += 1,
        Some(Ended::Refused(_)) => tally.refused += 1,
    }
    let Fault { trouble, nth, lasting } = fault;
    let place = Trouble::ALL.iter().position(|one| *one == trouble).unwrap_or_default();
    let lasts = if lasting { strikes - 1 } else { 0 };
    let replay = format!("MAG_FAULT_REPLAY={number}/{place}/{nth}/{lasts}");
    tally.wrong.extend(wrong.iter().map(|wrong| format!("{wrong} ({replay}, {fault:?}, {:?})", played.ended)));
}

/// Plays with a fault; one that the store waits out is over when it has struck often enough.
fn with_fault(oracle: &Oracle, fs: &FaultFs, Course { fault, strikes }: Course) -> Played {
    let folder = folder();
    fs.set(Some(fault));
    let waits = matches!(fault.trouble, Trouble::Full | Trouble::Busy) && fault.lasting;
    let (over, is_over) = std::sync::mpsc::sync_channel::<()>(1);
    let played = thread::scope(|scope| {
        if waits {
            scope.spawn(move || {
                while !fs.wait_until_fired(strikes, Duration::from_millis(20)) {
                    if is_over.try_recv().is_ok() {
                        return;
                    }
                }
                fs.set(None);
            });
        }
        let played = play(&oracle.scenario, fs, folder.path());
        // Nobody is there to take it when the fault is over already.
        let _already_over = over.try_send(());
        played
    });
    fs.set(None);
    played
}

/// Whether the play ended as this fault lets it.
fn right_end(oracle: &Oracle, played: &Played, fault: Fault) -> Result<(), String> {
    let all = played.answered.len() == oracle.answered.len();
    match (&played.ended, fault.trouble) {
        (None, _) if all => Ok(()),
        (None, _) => Err("it ended early without a word".to_owned()),
        (Some(Ended::Stopped(_)), Trouble::Full | Trouble::Busy) => Err("it should have waited".to_owned()),
        (Some(Ended::Refused(_)), Trouble::Busy) => Err("it should have waited".to_owned()),
        (Some(Ended::Stopped(why)), _) if why.is_empty() => Err("it did not say why it stopped".to_owned()),
        (
            Some(
                Ended::Refused(OpenError::Sqlite(_) | OpenError::Failed { .. } | OpenError::Full { .. })
                | Ended::Stopped(_),
            ),
            _,
        ) => Ok(()),
        (Some(Ended::Refused(error)), _) => Err(format!("the wrong error: {error}")),
    }
}

/// Whether what is on the disk is what was answered: as the process left it, and after a power loss.
fn right_files(oracle: &Oracle, bench: &Bench, fault: Fault, played: &Played, log: &[Operation]) -> Result<(), String> {
    let config = played.configs.last().map_or(0, |run| run.config);
    let commits = oracle.commits_after(played.answered.len());
    let mut disk = Disk::new(&oracle.scenario.start, FailedSync::Drops);
    log.iter().for_each(|operation| disk.apply(operation));
    let mut rng = Rng::with_seed(log.len() as u64);
    for loss in [Loss::Nothing, Loss::Everything, Loss::Some] {
        let image = disk.crashed(loss, &mut rng);
        let checked = if fault.trouble == Trouble::Full && played.ended.is_none() {
            oracle.check_end(bench, &image, config)
        } else {
            oracle.check(bench, &image, config, &commits).map(drop)
        };
        checked.map_err(|wrong| format!("losing {loss:?}: {wrong}"))?;
    }
    Ok(())
}

/// A sync failed, and the process died, at once or after it closed the file. What the system keeps in memory of that
/// commit is not on the disk and never will be; a start must not build on it.
fn survives_a_restart(oracle: &Oracle, bench: &Bench, played: &Played, log: &[Operation]) -> Result<(), String> {
    let Some(failed) = log.iter().position(|operation| matches!(operation, Operation::FailedSync { .. })) else {
        return Err("no sync failed".to_owned());
    };
    for done in [failed + 1, log.len()] {
        let runs = played.configs.partition_point(|run| run.from < done);
        let config = played.configs[runs.saturating_sub(1)].config;
        let mut disk = Disk::new(&oracle.scenario.start, FailedSync::Drops);
        log[..done].iter().for_each(|operation| disk.apply(operation));
        let restart = bench.recovery(&disk.cached(), config);
        restart.log[..restart.answered].iter().for_each(|operation| disk.apply(operation));
        let kept = bench.commits(&disk.cached());
        for loss in [Loss::Everything, Loss::Some, Loss::Torn(512)] {
            let left = disk.crashed(loss, &mut Rng::with_seed(1));
            let found = bench.commits(&left);
            if found != kept {
                return Err(format!("{kept} commits were there after a restart, a power loss leaves {found}"));
            }
            bench.reopen(&left, config).map_err(|wrong| format!("after a restart and a power loss: {wrong}"))?;
        }
    }
    Ok(())
}

fn check_faults(number: u64) {
    if let Ok(replay) = std::env::var("MAG_FAULT_REPLAY") {
        return replay_fault(&replay, number);
    }
    let seed = from_env("MAG_SEED").unwrap_or(1);
    let tally = try_faults(number, from_env("MAG_FAULT_EVERY").unwrap_or(EVERY), seed);
    println!("scenario {number}, seed {seed}: {tally}");
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert!(tally.struck >= tally.points);
    assert!(tally.stopped > 0 && tally.refused > 0 && tally.waited > 0 && tally.unharmed > 0, "{tally}");
}

fn replay_fault(replay: &str, number: u64) {
    let numbers: Vec<u64> = replay.split('/').map(|number| number.parse().expect("four numbers")).collect();
    if numbers[0] != number {
        return;
    }
    let trouble = Trouble::ALL[usize::try_from(numbers[1]).expect("a small number")];
    let fault = Fault { trouble, nth: numbers[2], lasting: numbers[3] > 0 };
    let course = Course { fault, strikes: numbers[3] + 1 };
    let oracle = Oracle::play(Scenario::number(number));
    let tally = Mutex::new(Tally::default());
    try_fault(number, &oracle, &FaultFs::register(), &Bench::new(), course, &tally);
    assert_eq!(tally.into_inner().unwrap_or_else(PoisonError::into_inner).wrong, Vec::<String>::new());
}

#[test]
fn an_operation_that_fails_costs_no_answer_and_no_count() {
    check_faults(0);
}

#[test]
fn an_operation_that_fails_in_a_migration_costs_no_answer_and_no_count() {
    check_faults(1);
}

#[test]
fn an_operation_that_fails_in_a_recovery_costs_no_answer_and_no_count() {
    check_faults(2);
}

/// A program that is stopped, or a machine that is very busy, may hold a lock for longer than SQLite tries.
#[test]
fn a_lock_that_somebody_holds_for_longer_than_sqlite_tries_is_waited_for() {
    if let Ok(replay) = std::env::var("MAG_FAULT_REPLAY") {
        return (0..3).for_each(|number| replay_fault(&replay, number));
    }
    let (every, seed) = (from_env("MAG_FAULT_EVERY").unwrap_or(EVERY), from_env("MAG_SEED").unwrap_or(1));
    for number in 0..3 {
        let tally = try_long_locks(number, every, seed);
        println!("scenario {number}, seed {seed}: {tally}");
        assert_eq!(tally.wrong, Vec::<String>::new());
        assert!(tally.waited > 0 && tally.waited == tally.points, "{tally}");
    }
}
