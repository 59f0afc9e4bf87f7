//! Messages told by number, beside the same messages told with all they say: nobody may see a difference.

use std::ops::Range;

use super::*;
use crate::matcher::Matcher;
use crate::message::{Count, Group, Numbered, Origin, Times};

/// A commit that nothing is to be learned from.
const COMMITTED: Committed = Committed { seq: 1, took: Duration::ZERO, held: Vec::new() };

#[derive(Clone, Debug)]
enum Step {
    /// Messages, with how many there were of each, from one of three origins.
    Count {
        origin: usize,
        messages: Vec<(usize, u64)>,
        later: u64,
    },
    Ring,
    Commit,
    /// The config has other routes.
    Reroute {
        number: usize,
    },
    /// The origin is gone, and another one comes in its place.
    Forget {
        origin: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize, prop::collection::vec((0..MESSAGES, 1..4_u64), 0..12), 0..50_u64)
            .prop_map(|(origin, messages, later)| Step::Count { origin, messages, later }),
        1 => Just(Step::Ring),
        2 => Just(Step::Commit),
        1 => (0..3_usize).prop_map(|number| Step::Reroute { number }),
        1 => (0..3_usize).prop_map(|origin| Step::Forget { origin }),
    ]
}

const MESSAGES: usize = 24;

/// One of many messages that go apart in every field.
fn message(n: usize) -> Message {
    let severity = [None, Some(Severity::Error)][n / 3 % 2];
    let labels = [vec![], vec![("app".to_owned(), "db".to_owned())]][n / 6 % 2].clone();
    Message {
        text: format!("text {}", n % 3),
        kind: [DEFAULT_KIND, "k"][n / 12 % 2].into(),
        severity,
        labels: Labels::new(labels),
        source: format!("10.0.0.{}", n % 2).into(),
    }
}

/// By text, by kind alone, and one that takes a message twice.
fn tree(max_messages: u64) -> config::Route {
    let child = |id: &str, matcher: &str, group_by: Vec<Field>, r#continue| config::Route {
        id: id.to_owned(),
        matchers: vec![Matcher::parse(matcher).expect("a good matcher")],
        group_by,
        r#continue,
        ..root(max_messages)
    };
    let twice = child("twice", "severity=error", vec![Field::Text], true);
    let by_kind = child("kind", "kind=k", vec![Field::Kind], false);
    config::Route { routes: vec![twice, by_kind], ..root(max_messages) }
}

/// The same with a route less, and with one that groups in another way.
fn other_trees(max_messages: u64) -> [config::Route; 3] {
    let whole = tree(max_messages);
    let without = config::Route { routes: whole.routes[1..].to_vec(), ..whole.clone() };
    let mut otherwise = whole.clone();
    otherwise.routes[1].group_by = vec![Field::Kind, Field::Source];
    [whole, without, otherwise]
}

/// A core, what was told of it, and what the store knows of its windows.
struct Side {
    core: Core,
    told: Vec<Group>,
    written: BTreeMap<i64, u64>,
    now: Instant,
}

impl Side {
    fn new(max_messages: u64, groups: usize) -> Self {
        let core = Core::new(Routes::new(&tree(max_messages)), 1, groups);
        Self { core, told: Vec::new(), written: BTreeMap::new(), now: Instant::now() }
    }

    fn commit(&mut self) {
        while self.core.has_changes() {
            let (changes, _) = self.core.changes(limits::SWEEP_WINDOWS);
            for change in &changes.windows {
                *self.written.entry(change.row()).or_default() += change.added();
            }
            let swept = changes.sweep.into_iter().flat_map(|part| part.closed);
            for closed in changes.closed.into_iter().chain(swept) {
                *self.written.entry(closed.row).or_default() += closed.added;
                assert_eq!(self.written.remove(&closed.row), Some(closed.group.count), "the store has all of it");
                self.told.push(closed.group);
            }
        }
    }

    fn reroute(&mut self, route: &config::Route, now: u64) {
        self.commit();
        let before = self.written.len();
        let rerouted = self.core.reroute(Routes::new(route), &[], now, self.now);
        assert_eq!(rerouted.kept + rerouted.closed, before as u64, "every open window goes on or closes");
    }

    fn ring(&mut self, now: u64) {
        while let Some((_, route)) = self.core.next_ring() {
            self.core.ring(route, now);
        }
    }
}

/// The numbers that an origin gave.
#[derive(Default)]
struct Numbers {
    origin: Arc<Origin>,
    given: Vec<usize>,
}

impl Numbers {
    /// The same messages with all they say, and by number.
    fn batches(&mut self, messages: &[(usize, u64)], time: u64) -> (Batch, Batch) {
        let mut merged: Vec<(usize, Times)> = Vec::new();
        for (n, count) in messages {
            match merged.iter_mut().find(|(known, _)| known == n) {
                Some((_, times)) => times.add(time, *count),
                None => merged.push((*n, Times::at(time, *count))),
            }
        }
        let entry = |(n, times): &(usize, Times)| Entry {
            message: message(*n),
            count: times.count,
            first_seen: times.first_seen,
            last_seen: times.last_seen,
        };
        let plain = Batch { entries: merged.iter().map(entry).collect(), ..Batch::default() };
        let mut new = Vec::new();
        let counts = merged.iter().map(|(n, times)| {
            let given = self.given.iter().position(|given| given == n).unwrap_or_else(|| {
                self.given.push(*n);
                new.push(Arc::new(message(*n)));
                self.given.len() - 1
            });
            Count { number: u32::try_from(given).expect("few numbers"), times: *times }
        });
        let counts = counts.collect();
        let numbered = Some(Numbered { origin: Arc::clone(&self.origin), new, counts });
        (plain, Batch { numbered, ..Batch::default() })
    }
}

fn run(steps: Vec<Step>, max_messages: u64, groups: usize) {
    let (mut plain, mut numbered) = (Side::new(max_messages, groups), Side::new(max_messages, groups));
    let mut numbers: [Numbers; 3] = std::array::from_fn(|_| Numbers::default());
    let mut time = NOON;
    for step in steps.into_iter().chain([Step::Ring, Step::Commit]) {
        match step {
            Step::Count { origin, messages, later } => {
                time += later;
                let (entries, counts) = numbers[origin].batches(&messages, time);
                plain.core.count(entries, time, plain.now);
                numbered.core.count(counts, time, numbered.now);
            }
            Step::Ring => [&mut plain, &mut numbered].into_iter().for_each(|side| side.ring(time)),
            Step::Reroute { number } => {
                let route = &other_trees(max_messages)[number];
                [&mut plain, &mut numbered].into_iter().for_each(|side| side.reroute(route, time));
            }
            Step::Commit => [&mut plain, &mut numbered].into_iter().for_each(Side::commit),
            Step::Forget { origin } => {
                numbers[origin] = Numbers::default();
                numbered.core.written(COMMITTED);
            }
        }
        assert_eq!(plain.core.take_noticed(), numbered.core.take_noticed());
        assert_eq!(plain.core.next_ring().is_some(), numbered.core.next_ring().is_some());
    }
    assert_eq!(plain.told, numbered.told);
    assert_eq!((plain.written, numbered.written), (BTreeMap::new(), BTreeMap::new()));
}

proptest! {
    #[test]
    fn a_number_counts_as_its_message_would_whatever_closes_meanwhile(
        steps in prop::collection::vec(step(), 1..40),
        max_messages in prop_oneof![Just(1_000_u64), 1..12_u64],
        groups in prop_oneof![Just(1_000_usize), 1..4_usize],
    ) {
        run(steps, max_messages, groups);
    }
}

fn core_with(batches: Range<u64>) -> (Core, Numbers) {
    let (mut core, mut numbers) = (Core::new(Routes::new(&root(30)), 1, 100), Numbers::default());
    for time in batches {
        core.count(numbers.batches(&[(0, 1)], NOON + time).1, NOON + time, Instant::now());
    }
    (core, numbers)
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_name_any_more_is_let_go() {
    let (mut core, mut numbers) = core_with(0..1);
    let message = {
        let (_, batch) = numbers.batches(&[(1, 1)], NOON);
        let message = Arc::downgrade(&batch.numbered.as_ref().expect("a number").new[0]);
        core.count(batch, NOON, Instant::now());
        message
    };
    let (_, route) = core.next_ring().expect("a clock runs");
    core.ring(route, NOON + 30_000);
    drop(core.changes(limits::SWEEP_WINDOWS));
    core.written(COMMITTED);
    assert!(message.upgrade().is_some(), "its number may come again");
    drop(numbers);
    core.written(COMMITTED);
    assert!(message.upgrade().is_none());
}
