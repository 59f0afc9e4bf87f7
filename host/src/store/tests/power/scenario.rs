//! What is played: steps, the canonical ones and random ones.

use fastrand::Rng;

use super::oracle::Oracle;
use super::*;

/// Something that happens to a store. Routes, texts, senders and configs are numbers, taken from the tables below.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Messages of one group come in.
    Take { route: usize, text: usize, count: u64, severity: Option<Severity> },
    /// A group reaches its limit, with messages that the store has not heard of.
    Close { route: usize, text: usize, count: u64 },
    /// A route's clock rings, and its windows close in that many transactions.
    Ring { route: usize, parts: usize },
    /// A sender is free.
    Next { sender: usize, max_groups: u32, split: bool },
    /// A sender is free that tells each group by a message which it keeps up to date.
    NextLiving { sender: usize },
    /// The oldest attempt of a sender that is under way ends.
    End { sender: usize, end: End },
    /// A delivery that waits for its next attempt is tried again.
    Again { sender: usize },
    /// Commands that one transaction takes together.
    Together { route: usize, count: u64 },
    /// Another sender is told what this one has not told.
    Escalate { sender: usize },
    /// A person replays or drops the dead letters of a sender.
    Letters { sender: usize, deed: Deed },
    /// A person asks for a test notification.
    Test { sender: usize },
    /// What was told until now is forgotten.
    Trim,
    /// mag stops in order and starts with this config.
    Reopen { config: usize },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Delivered,
    Backoff,
    Dead,
    /// Dead, and the other sender tells it.
    Escalated,
}

/// Routes with their senders, the root first, and the senders that exist.
pub(super) type Config = (&'static [(&'static str, &'static [&'static str])], &'static [&'static str]);

pub(super) const SENDERS: &[&str] = &["one", "two"];
pub(super) const ROUTES: &[&str] = &["root", "both", "two", "nobody"];
pub(super) const CONFIGS: &[Config] = &[
    (&[("root", &["one"]), ("both", &["one", "two"]), ("two", &["two"]), ("nobody", &[])], SENDERS),
    // Two routes are gone.
    (&[("root", &["one"]), ("both", &["two", "one"])], SENDERS),
    // A sender is gone: what is left for it goes to the dead letters.
    (&[("root", &["one"]), ("both", &["one"]), ("two", &["one"]), ("nobody", &[])], &["one"]),
];

/// The text of a group; one is longer than a page of the file.
pub(super) fn text(n: usize) -> String {
    format!("text {n} {}", "x".repeat(if n == 1 { 6_000 } else { 150 }))
}

/// What is on the disk before, and what then happens.
#[derive(Clone)]
pub(super) struct Scenario {
    pub(super) start: Image,
    /// Messages that were taken in before, by route.
    pub(super) accepted: BTreeMap<&'static str, u64>,
    pub(super) steps: Vec<Step>,
}

impl Scenario {
    /// 0 to 2 have a name, others are seeds.
    pub(super) fn number(number: u64) -> Self {
        match number {
            0 => canonical(),
            1 => first_release(),
            2 => after_a_kill(),
            seed => random(seed),
        }
    }
}

/// Every way that a message can go, from an empty folder on.
fn canonical() -> Scenario {
    use End::{Backoff, Dead, Delivered, Escalated};
    use Step::{Again, Close, Escalate, Letters, NextLiving, Reopen, Ring, Test, Together, Trim};
    let take = |route, text, count| Step::Take { route, text, count, severity: None };
    let worse = |route, text, count| Step::Take { route, text, count, severity: Some(Severity::Error) };
    let next = |sender| Step::Next { sender, max_groups: 9, split: true };
    let end = |sender, end| Step::End { sender, end };
    let mut steps = vec![
        take(0, 0, 3),
        take(1, 0, 1),
        take(1, 1, 5),
        take(2, 0, 2),
        take(3, 0, 4),
        take(1, 0, 2),
        worse(1, 1, 7),
        // By count: with a window, and without one that the store knows.
        Close { route: 0, text: 0, count: 27 },
        Close { route: 2, text: 2, count: 7 },
        // Frozen at once.
        next(0),
        next(1),
        end(0, Delivered),
        end(1, Backoff),
        // Waits behind its own group, then is merged.
        Close { route: 2, text: 2, count: 1 },
        Close { route: 2, text: 2, count: 2 },
        Again { sender: 1 },
        end(1, Dead),
        next(1),
        end(1, Delivered),
        Together { route: 1, count: 11 },
        // Armed before there is anything: the sweep's last part freezes.
        Step::Next { sender: 0, max_groups: 1, split: false },
        Ring { route: 1, parts: 3 },
        Step::Next { sender: 1, max_groups: 1, split: true },
        end(0, Backoff),
        end(1, Delivered),
        Ring { route: 3, parts: 1 },
        Trim,
        // Kept up to date in place.
        Close { route: 0, text: 5, count: 3 },
        NextLiving { sender: 0 },
        end(0, Delivered),
        Close { route: 0, text: 5, count: 4 },
        NextLiving { sender: 0 },
        end(0, Delivered),
        // Given up and told by another, which fails too.
        Close { route: 0, text: 2, count: 6 },
        next(0),
        end(0, Escalated),
        next(1),
        end(1, Backoff),
        Close { route: 0, text: 2, count: 2 },
        Escalate { sender: 0 },
        Test { sender: 0 },
        next(0),
        end(0, Delivered),
        // What a person does about the dead letters.
        Letters { sender: 1, deed: Deed::Replay },
        Letters { sender: 0, deed: Deed::Replay },
        next(0),
        end(0, Escalated),
        Letters { sender: 0, deed: Deed::Drop },
        take(2, 1, 13),
        take(0, 3, 17),
        // One attempt under way, one in backoff, one entry waiting, windows open.
        next(1),
        Reopen { config: 1 },
        take(0, 3, 19),
        Again { sender: 0 },
        end(0, Delivered),
        Close { route: 1, text: 4, count: 23 },
        Reopen { config: 2 },
        next(0),
        end(0, Dead),
        Reopen { config: 0 },
    ];
    steps.extend([take(1, 5, 29), Ring { route: 1, parts: 1 }, next(1), Trim]);
    Scenario { start: Image::default(), accepted: BTreeMap::new(), steps }
}

/// A start that finds a WAL which nobody copied into the file, with work of every sort.
fn after_a_kill() -> Scenario {
    let oracle = Oracle::play(canonical());
    let reopened = oracle.played.configs[1].from;
    let answer = oracle.played.answered.partition_point(|answered| answered.at <= reopened) - 1;
    let start = oracle.commits[&oracle.answered[answer]].clone();
    assert!(start.0.get(&Part::Wal).is_some_and(|wal| !wal.is_empty()), "there is a WAL");
    let steps = vec![
        Step::Take { route: 0, text: 0, count: 37, severity: None },
        Step::Again { sender: 0 },
        Step::End { sender: 0, end: End::Delivered },
        Step::Ring { route: 2, parts: 1 },
    ];
    Scenario { start, accepted: oracle.played.answered[answer].accepted.clone(), steps }
}

/// A file as the first release left it, which the start brings to today's schema.
fn first_release() -> Scenario {
    let folder = folder();
    let path = folder.path().join("mag.db");
    let conn = Connection::open(&path).expect("the file opens");
    let open = group("both", &text(0), 0).id.to_string();
    let rows = FIRST_RELEASE_ROWS.replace("00000000000000aa", &open).replace("'open'", &format!("'{}'", text(0)));
    let sql = format!("PRAGMA journal_mode = WAL; BEGIN; {} {rows} COMMIT;", schema::MIGRATIONS[0]);
    conn.execute_batch(&sql).expect("the file is made");
    drop(conn);
    let steps = vec![
        Step::Take { route: 1, text: 3, count: 31, severity: None },
        Step::Again { sender: 0 },
        Step::End { sender: 0, end: End::Delivered },
        Step::Next { sender: 1, max_groups: 9, split: false },
        Step::Reopen { config: 0 },
    ];
    let start = Image::read(&path).expect("the file reads");
    Scenario { start, accepted: BTreeMap::from([("both", 21)]), steps }
}

/// A window, an entry that waits, a delivery in backoff, a dead letter, and what was told long ago.
const FIRST_RELEASE_ROWS: &str = "
PRAGMA application_id = 0x6d616731;
PRAGMA user_version = 1;
UPDATE meta SET value = 41;
INSERT INTO routes VALUES ('root', '[\"one\"]', NULL, NULL), ('both', '[\"one\",\"two\"]', 1, 2);
INSERT INTO windows VALUES (5, '00000000000000aa', 'both', 'default', '', 'open', NULL, '{}', 3, 1, 1, 1, '[]');
INSERT INTO groups VALUES ('00000000000000bb', 'both', 'closed', 18, 1, 1, 1);
INSERT INTO queue (sender, sweep, group_id, route, kind, text, labels, count, first_seen, last_seen, opened, closed,
  samples, reason) VALUES ('two', 0, '00000000000000bb', 'both', 'default', 'closed', '{}', 8, 1, 1, 1, 2, '[]', 'time');
INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
  next_attempt) VALUES ('018bcfe5-6800-7000-8000-000000000001', 'one', 'backoff', 2, 1, 8, 0, 0, 1, 9);
INSERT INTO delivery_groups VALUES ('018bcfe5-6800-7000-8000-000000000001', 0, 0, 18, '00000000000000bb', 'both',
  'default', NULL, 'closed', NULL, '{}', 8, 1, 1, 1, 2, '[]', 'time', 0);
INSERT INTO deliveries (id, sender, state, attempt, groups, messages, omitted_groups, omitted_messages, created,
  finished, code, error) VALUES ('018bcfe5-6800-7000-8000-000000000002', 'one', 'dead', 1, 1, 1, 0, 0, 2, 3, 'http-400', 'no');
INSERT INTO delivery_groups VALUES ('018bcfe5-6800-7000-8000-000000000002', 0, 0, 18, '00000000000000bb', 'both',
  'default', NULL, 'closed', NULL, '{}', 1, 1, 1, 1, 2, '[]', 'time', 0);
INSERT INTO ledger (route, sender, accepted, open, waiting, frozen, told, dead) VALUES
  ('both', 'one', 21, 3, 0, 8, 9, 1), ('both', 'two', 21, 3, 8, 0, 10, 0);
";

/// Any steps in any order.
fn random(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed);
    let steps = (0..rng.usize(20..60)).map(|_| random_step(&mut rng)).collect();
    Scenario { start: Image::default(), accepted: BTreeMap::new(), steps }
}

fn random_step(rng: &mut Rng) -> Step {
    let (route, text, count) = (rng.usize(..ROUTES.len()), rng.usize(..6), rng.u64(1..50));
    let sender = rng.usize(..SENDERS.len());
    match rng.u32(..36) {
        0..8 => Step::Take {
            route,
            text,
            count,
            severity: rng.choice([None, Some(Severity::Info), Some(Severity::Error)]).flatten(),
        },
        8..12 => Step::Close { route, text, count },
        12..14 => Step::Ring { route, parts: rng.usize(1..4) },
        14..19 => Step::Next { sender, max_groups: rng.u32(1..4), split: rng.bool() },
        19..24 => Step::End {
            sender,
            end: rng.choice([End::Delivered, End::Backoff, End::Dead, End::Escalated]).unwrap_or(End::Dead),
        },
        24..26 => Step::Again { sender },
        26 => Step::Together { route, count },
        27 => Step::Trim,
        28 | 29 => Step::Letters { sender, deed: rng.choice([Deed::Replay, Deed::Drop]).unwrap_or(Deed::Drop) },
        30 => Step::Test { sender },
        31 => Step::Escalate { sender },
        32 | 33 => Step::NextLiving { sender },
        _ => Step::Reopen { config: rng.choice([0, 0, 1, 2]).unwrap_or(0) },
    }
}
