//! R3: whatever a power loss leaves, the store opens, and holds what was answered and nothing else.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;

use super::oracle::{Bench, Found, Oracle};
use super::scenario::Scenario;
use super::*;

/// How many states are tried when nobody says otherwise.
const STATES: u64 = 10_000;
/// Of the scenarios that have a name; what is asked for beyond that goes to random ones.
const OF_NAMED: [u64; 3] = [7_000, 1_500, 1_000];
const OF_RANDOM: u64 = 500;
/// After one in so many states the power goes a second time.
const AGAIN: u64 = 8;

const LOSSES: [Loss; 6] =
    [Loss::Everything, Loss::Nothing, Loss::Latest, Loss::Some, Loss::Torn(512), Loss::Torn(4_096)];

/// One state: all that is needed to build it again.
#[derive(Clone, Copy, Debug)]
struct State {
    /// 0 to 2 have a name, others are seeds.
    scenario: u64,
    /// Operations that were done before the power went.
    done: usize,
    /// Its place in [`LOSSES`].
    loss: usize,
    seed: u64,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.scenario, self.done, self.loss, self.seed)
    }
}

/// What was tried of one scenario.
#[derive(Default)]
struct Tally {
    /// Hashes of the states that were tried, with what was promised then.
    seen: BTreeSet<[u8; 16]>,
    /// Among them those where the power went a second time.
    again: u64,
    wrong: Vec<String>,
}

/// Goes over all operations again and again, with other losses each time, until so many different states were tried.
fn try_states(number: u64, oracle: &Oracle, states: u64, seed: u64) -> Tally {
    let tally = Mutex::new(Tally::default());
    let points: Vec<usize> =
        (1..).zip(&oracle.log).filter(|(_, operation)| operation.changes_files()).map(|(done, _)| done).collect();
    let enough = |tally: &Tally| tally.seen.len() as u64 >= states || tally.wrong.len() > 20;
    for round in 0.. {
        let before = tally.lock().unwrap_or_else(PoisonError::into_inner).seen.len();
        in_parallel(points.len() as u64, |next| {
            let bench = Bench::new();
            let mut disk = Disk::new(&oracle.scenario.start, FailedSync::Drops);
            let mut applied = 0;
            while let Some(point) = next() {
                let done = points[usize::try_from(point).expect("a place in the log")];
                oracle.log[applied..done].iter().for_each(|operation| disk.apply(operation));
                applied = done;
                for loss in 0..LOSSES.len() {
                    let seed = Rng::with_seed(seed ^ round << 40 ^ point << 8 ^ loss as u64).u64(..);
                    if enough(&tally.lock().unwrap_or_else(PoisonError::into_inner)) {
                        return;
                    }
                    try_state(oracle, &bench, &disk, State { scenario: number, done, loss, seed }, &tally);
                }
            }
        });
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if enough(&tally) || tally.seen.len() == before {
            break;
        }
    }
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn try_state(oracle: &Oracle, bench: &Bench, disk: &Disk, state: State, tally: &Mutex<Tally>) {
    let mut rng = Rng::with_seed(state.seed);
    let image = disk.crashed(LOSSES[state.loss], &mut rng);
    let (config, commits) = (oracle.config_at(state.done), oracle.commits_at(state.done));
    if !is_new(&image, config, &commits, tally) {
        return;
    }
    let checked = oracle.check(bench, &image, config, &commits).and_then(|found| {
        let again = rng.u64(..AGAIN) == 0;
        if again { try_again(oracle, bench, &image, (config, &found), &mut rng, tally) } else { Ok(()) }
    });
    if let Err(wrong) = checked {
        let wrong = format!("{wrong} (MAG_CRASH_REPLAY={state}, {:?})", LOSSES[state.loss]);
        tally.lock().unwrap_or_else(PoisonError::into_inner).wrong.push(wrong);
    }
}

/// The power goes a second time, while a store recovers from the first or just after it took in one more message.
fn try_again(
    oracle: &Oracle,
    bench: &Bench,
    image: &Image,
    (config, found): (usize, &Found),
    rng: &mut Rng,
    tally: &Mutex<Tally>,
) -> Result<(), String> {
    let recovery = bench.recovery(image, config);
    let log = &recovery.log[..recovery.answered];
    let points = (1..).zip(log).filter(|(_, operation)| operation.changes_files()).map(|(done, _)| done);
    let Some(done) = rng.choice(points.collect::<Vec<_>>()) else { return Ok(()) };
    let mut disk = Disk::new(image, FailedSync::Drops);
    log[..done].iter().for_each(|operation| disk.apply(operation));
    let left = disk.crashed(rng.choice(LOSSES).unwrap_or(Loss::Everything), rng);
    let least = found.commits + u64::from(done == recovery.answered);
    let most = found.commits + u64::from(done > recovery.opened);
    if !is_new(&left, config, &(least..=most), tally) {
        return Ok(());
    }
    tally.lock().unwrap_or_else(PoisonError::into_inner).again += 1;
    let checked = if most == found.commits {
        oracle.check(bench, &left, config, &(least..=most)).map(drop)
    } else {
        let commits = bench.reopen(&left, config).map(|found| found.commits);
        commits.and_then(|commits| {
            let right = (least..=most).contains(&commits);
            if right { Ok(()) } else { Err(format!("it holds {commits} commits, not {least}..={most}")) }
        })
    };
    checked.map_err(|wrong| format!("the power went a second time: {wrong}"))
}

fn is_new(image: &Image, config: usize, commits: &RangeInclusive<u64>, tally: &Mutex<Tally>) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{config} {commits:?}").as_bytes());
    for (part, bytes) in &image.0 {
        hasher.update(format!("{part:?} {}", bytes.len()).as_bytes()).update(bytes);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    tally.lock().unwrap_or_else(PoisonError::into_inner).seen.insert(short)
}

#[test]
fn every_state_that_a_power_loss_leaves_opens_with_what_was_answered_and_nothing_else() {
    if let Ok(replay) = std::env::var("MAG_CRASH_REPLAY") {
        return replay_state(&replay);
    }
    let states = from_env("MAG_CRASH_STATES").unwrap_or(STATES);
    let seed = from_env("MAG_SEED").unwrap_or(1);
    let (mut tried, mut again, mut points, mut number) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    while tried < states && wrong.is_empty() {
        let share = OF_NAMED.get(number).copied().unwrap_or(OF_RANDOM);
        let scenario_number =
            if number < OF_NAMED.len() { number as u64 } else { seed.wrapping_mul(1_000_003) + number as u64 };
        let oracle = Oracle::play(Scenario::number(scenario_number));
        let tally = try_states(scenario_number, &oracle, share.min(states - tried), seed);
        tried += tally.seen.len() as u64;
        again += tally.again;
        points += oracle.log.iter().filter(|operation| operation.changes_files()).count();
        wrong = tally.wrong;
        number += 1;
    }
    println!(
        "{tried} different crash states at {points} operations of {number} scenarios, {again} of them after a second power loss; \
         seed {seed}; {} wrong",
        wrong.len()
    );
    assert_eq!(wrong, Vec::<String>::new());
    assert!(again > 0, "the power also went a second time");
}

fn replay_state(replay: &str) {
    let numbers: Vec<u64> = replay.split('/').map(|number| number.parse().expect("four numbers")).collect();
    let place = |n: usize| usize::try_from(numbers[n]).expect("a small number");
    let state = State { scenario: numbers[0], done: place(1), loss: place(2), seed: numbers[3] };
    let oracle = Oracle::play(Scenario::number(state.scenario));
    let mut disk = Disk::new(&oracle.scenario.start, FailedSync::Drops);
    oracle.log[..state.done].iter().for_each(|operation| disk.apply(operation));
    let tally = Mutex::new(Tally::default());
    try_state(&oracle, &Bench::new(), &disk, state, &tally);
    assert_eq!(tally.into_inner().unwrap_or_else(PoisonError::into_inner).wrong, Vec::<String>::new());
}

/// Else a power loss could leave the hash of a file that was written since.
#[test]
fn the_mark_of_a_stop_is_taken_back_for_good_before_the_store_is_written() {
    let bench = Bench::new();
    bench.reopen(&Image::default(), 0).expect("a new store");
    let log = bench.recovery(&bench.left(), 0).log;
    let first = |what: &dyn Fn(&Operation) -> bool| log.iter().position(what).expect("it is done");
    let taken_back = first(&|operation| matches!(operation, Operation::Sync { part: Part::Mark, .. }));
    let written = first(&|operation| matches!(operation, Operation::Write { part: Part::Database | Part::Wal, .. }));
    assert!(taken_back < written, "{taken_back} and {written}");
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_caught() {
    let mut oracle = Oracle::play(Scenario::number(1));
    for operation in &mut oracle.log {
        if let Operation::Sync { .. } = operation {
            *operation = Operation::Look;
        }
    }
    let tally = try_states(1, &oracle, 400, 1);
    assert!(tally.wrong.len() > 20, "only {} of the states were found wrong", tally.wrong.len());
}
