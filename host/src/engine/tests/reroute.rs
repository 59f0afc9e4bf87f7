//! Other routes while the engine runs: the same as a restart with them, without one.

use super::*;
use crate::matcher::Matcher;

impl Rig {
    /// Gives the engine other routes and returns what became of the windows.
    async fn reroute(&self, route: &config::Route) -> Rerouted {
        self.reroute_within(route, bounds(100_000)).await
    }

    async fn reroute_within(&self, route: &config::Route, bounds: Bounds) -> Rerouted {
        let (routes, routing) = routing(route);
        let (done, answer) = oneshot::channel();
        let senders = vec!["console".to_owned(), "hook".to_owned()];
        let reroute = Reroute { routes, routing, senders, bounds, done };
        self.reroutes.send(reroute).await.expect("the engine runs");
        answer.await.expect("the engine answers").expect("the store has room")
    }
}

fn bounds(groups: impl Into<crate::group::Limits>) -> Bounds {
    let (alerts, ids) = (crate::alerts::Bounds::default(), crate::ids::Memory::default());
    Bounds { groups: groups.into(), alerts, ids, queue: u64::MAX }
}

/// A root and a child `more` for texts that begin with it.
fn with_child(child: config::Route) -> config::Route {
    config::Route { routes: vec![child], ..root(30) }
}

fn more() -> config::Route {
    let matchers = vec![Matcher::parse("text=~\"more.*\"").expect("a good matcher")];
    config::Route { id: "more".to_owned(), matchers, senders: vec!["hook".to_owned()], ..root(30) }
}

/// Messages on both routes under `old`, and 10 s later `new` counts, by a restart or without one; what each sender is then
/// told, of what, when.
async fn told(old: &config::Route, new: &config::Route, restart: bool) -> Vec<(String, String, u64, u64)> {
    let (_folder, path) = file();
    let mut rig = Rig::start(old, &path);
    rig.acknowledged(vec![entry("disk full", 3), entry("more of it", 2)]).await;
    rig.pass(Duration::from_secs(10)).await;
    if restart {
        let clock = rig.clock.clone();
        rig.stop().await;
        rig = Rig::by(clock, new, &store::Settings::new(Some(&path)), 100_000);
    } else {
        rig.reroute(new).await;
    }
    rig.acknowledged(vec![entry("disk full", 1), entry("more of it", 1)]).await;
    let mut told = Vec::new();
    for second in 0..60 {
        for sender in ["console", "hook"] {
            while let Some(delivery) = rig.ready(sender).await {
                let groups = delivery.groups.iter();
                told.extend(groups.map(|group| (sender.to_owned(), group.text.clone(), group.count, second)));
                finish(&rig, delivery).await;
            }
        }
        rig.pass(Duration::from_secs(1)).await;
    }
    rig.stop().await;
    balanced(&path);
    told.sort();
    told
}

async fn finish(rig: &Rig, delivery: Delivery) {
    let attempted = store::Attempted {
        id: delivery.id,
        attempt: delivery.attempt,
        sender: delivery.sender,
        outcome: store::Outcome::Delivered { receipt: None, updated_in_place: false },
        tries: delivery.tries,
        fallback: None,
    };
    rig.store.finish(attempted).await.expect("the store runs");
}

#[tokio::test(start_paused = true)]
async fn other_routes_do_what_a_restart_with_them_does() {
    let two = with_child(more());
    let fewer = with_child(config::Route { time_limit: Duration::from_secs(5), ..more() });
    let otherwise = with_child(config::Route { group_by: vec![Field::Text, Field::Severity], ..more() });
    let silent = with_child(config::Route { senders: Vec::new(), ..more() });
    let smaller = with_child(config::Route { max_messages: 2, ..more() });
    let to_both = config::Route { senders: vec!["console".to_owned(), "hook".to_owned()], ..root(30) };
    for (name, old, new) in [
        ("the same", &two, &two),
        ("a route is gone", &two, &root(30)),
        ("a route comes", &root(30), &two),
        ("a shorter clock", &two, &fewer),
        ("other groups", &two, &otherwise),
        ("nobody is told", &two, &silent),
        ("fewer messages", &two, &smaller),
        ("another sender", &root(30), &to_both),
    ] {
        let restarted = told(old, new, true).await;
        assert!(!restarted.is_empty(), "{name}");
        assert_eq!(told(old, new, false).await, restarted, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_counts_under_the_old_routes_is_on_disk_before_the_new_ones_count() {
    let (_folder, path) = file();
    let rig = Rig::start(&with_child(more()), &path);
    rig.acknowledged(vec![entry("disk full", 3), entry("more of it", 2)]).await;
    // Nobody waits for these: only the change of routes makes the engine write them.
    rig.batches
        .send(Batch { entries: vec![entry("more of it", 5)], ..Batch::default() })
        .await
        .expect("the engine runs");
    while rig.batches.capacity() < rig.batches.max_capacity() {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.reroute(&root(30)).await, Rerouted { kept: 1, closed: 1 });
    let delivery = rig.told("hook").await;
    assert_eq!((delivery.groups.len(), delivery.groups[0].count), (1, 7));
    rig.stop().await;
    balanced(&path);
}

/// What the console is told when the route's clock rings, without what stands for groups past a limit.
async fn own_groups(rig: &Rig) -> Vec<(String, u64)> {
    rig.pass(Duration::from_secs(31)).await;
    let groups = rig.told("console").await.groups.into_iter();
    let mut own: Vec<_> = groups
        .filter(|group| !group.text.starts_with("other messages"))
        .map(|group| (group.text, group.count))
        .collect();
    own.sort();
    own
}

#[tokio::test(start_paused = true)]
async fn other_bounds_count_for_windows_that_open_from_then_on_and_close_none() {
    let (_folder, path) = file();
    let rig = Rig::with_groups(&root(30), &path, 1);
    rig.acknowledged(vec![entry("a", 1), entry("b", 1)]).await;
    assert_eq!(rig.reroute_within(&root(30), bounds(2)).await, Rerouted { kept: 2, closed: 0 });
    rig.acknowledged(vec![entry("a", 1), entry("c", 1), entry("d", 1)]).await;
    assert_eq!(rig.reroute_within(&root(30), bounds(1)).await.closed, 0);
    rig.acknowledged(vec![entry("c", 1), entry("e", 1)]).await;
    assert_eq!(own_groups(&rig).await, [("a".to_owned(), 2), ("c".to_owned(), 2)]);
    // Now also by source, which was not counted before.
    let by_source = crate::group::Limits { groups: 10, per_source: Some(1) };
    rig.acknowledged(vec![entry("f", 1)]).await;
    rig.reroute_within(&root(30), bounds(by_source)).await;
    rig.acknowledged(vec![entry("f", 1), entry("g", 1)]).await;
    assert_eq!(own_groups(&rig).await, [("f".to_owned(), 2)]);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn fewer_groups_may_wait_for_a_sender_from_then_on() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(1), &path);
    rig.acknowledged(vec![entry("a", 1), entry("b", 1)]).await;
    rig.reroute_within(&root(1), Bounds { queue: 2, ..bounds(10) }).await;
    rig.acknowledged(vec![entry("c", 1), entry("d", 1), entry("a", 1)]).await;
    let mut told: Vec<_> =
        rig.told("console").await.groups.into_iter().map(|group| (group.text, group.count)).collect();
    told.sort();
    let others = "other messages in more waiting groups than the limit of 2".to_owned();
    assert_eq!(told, [("a".to_owned(), 2), ("b".to_owned(), 1), (others, 2)]);
    rig.stop().await;
    balanced(&path);
}
