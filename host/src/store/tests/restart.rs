//! What a start makes of a file: senders and routes that went or came, attempts that were under way.

use super::*;

/// An open window that the store has not heard of.
pub(super) fn window(row: i64, group: &Group, shared: Message) -> Window {
    Window {
        row,
        group: group.id,
        route: crate::route::Routes::new(&root()).root_index(),
        shared: shared.into(),
        count: group.count,
        saved: 0,
        first_seen: NOON,
        last_seen: NOON,
        opened: NOON,
        reshaped: false,
        rare: None,
    }
}

fn root() -> crate::config::Route {
    crate::config::Route {
        id: "root".to_owned(),
        matchers: Vec::new(),
        group_by: Vec::new(),
        max_messages: 30,
        time_limit: Duration::from_secs(30),
        senders: Vec::new(),
        flush_on_stop: false,
        r#continue: false,
        routes: Vec::new(),
    }
}

impl Rig {
    pub(super) async fn open_window(&self, row: i64, group: &Group) {
        let window = window(row, group, message(&group.text));
        let opened = WindowChange::Opened { route: group.route.clone(), window };
        let changes = Changes { windows: vec![opened], ..Changes::default() };
        self.store.change(changes).await.expect("the store runs");
    }
}

const BOTH: &[(&str, &[&str])] = &[("root", &["console", "hook"])];

#[tokio::test]
async fn what_waits_for_or_is_under_way_to_a_sender_that_is_gone_goes_to_the_dead_letters() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), BOTH, &["console", "hook"]);
    rig.close(vec![group("root", "under way", 1)]).await;
    rig.next("hook").await.expect("hook is told");
    rig.close(vec![group("root", "backoff", 2)]).await;
    let delivery = rig.next("hook").await.expect("hook is told");
    rig.finish(&delivery, backoff()).await;
    rig.close(vec![group("root", "waits", 4), group("root", "backoff", 8)]).await;
    rig.stop();
    let rig = Rig::simple(Some(&path));
    assert_eq!((rig.recovered.buried, rig.recovered.deliveries.len()), (3, 0));
    assert_eq!(rig.next("hook").await, None);
    assert_eq!(rig.next("console").await.expect("console goes on").groups.len(), 3);
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT dead FROM ledger WHERE sender = 'hook'"), 15);
    let dead = "SELECT count(*) FROM deliveries WHERE state = 'dead' AND code = 'sender-gone' AND finished > 0";
    assert_eq!(number(&path, dead), 3);
    let rig = Rig::open(Some(&path), BOTH, &["console", "hook"]);
    assert_eq!((rig.recovered.buried, rig.next("hook").await), (0, None), "dead is dead");
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn attempts_from_the_future_of_a_clock_that_was_set_back_spend_no_budget() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.freeze(Freeze { sender: "console".into(), max_groups: 1, split: false, living: None }).await.expect("told");
    rig.stop();
    let conn = Connection::open(&path).expect("the file opens");
    conn.execute("UPDATE attempts SET started = started + 3600000", []).expect("an hour later");
    drop(conn);
    let rig = Rig::simple(Some(&path));
    assert_eq!(rig.recovered.attempts, []);
    rig.stop();
}

#[tokio::test]
async fn an_attempt_that_was_under_way_goes_on_as_the_next_one_with_the_same_id_and_content() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.close(vec![group("root", "b", 2)]).await;
    let first =
        rig.freeze(Freeze { sender: "console".into(), max_groups: 1, split: false, living: None }).await.expect("told");
    rig.close(vec![group("root", "a", 5)]).await;
    rig.stop();
    for attempt in 1..=3 {
        let rig = Rig::simple(Some(&path));
        let mut again = rig.recovered.deliveries.first().expect("it goes on").clone();
        let tries = Tries { unclear: true, ..first.tries };
        assert_eq!(again, Delivery { attempt, tries, ..first.clone() }, "it may have arrived");
        again.attempt += 1;
        rig.store.begin(again).await.expect("the store runs");
        assert_eq!(rig.recovered.attempts.len(), usize::try_from(attempt).expect("few"), "the budget knows them");
        rig.stop();
        balanced(&path);
    }
    assert_eq!(number(&path, "SELECT count(*) FROM attempts WHERE finished IS NULL"), 4);
    assert_eq!(number(&path, "SELECT waiting FROM ledger"), 5);
}

#[tokio::test]
async fn a_delivery_in_backoff_keeps_its_time_and_its_progress() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    let mut delivery = rig.next("console").await.expect("something waits");
    let with = |progress: Option<Vec<u8>>| {
        let (code, error) = ("http-500".to_owned(), "no".to_owned());
        Outcome::Backoff { next_attempt: NOON + 7_000, pause: false, code, error, progress }
    };
    rig.finish(&delivery, with(Some(vec![1, 2]))).await;
    delivery.attempt = 2;
    rig.store.begin(delivery.clone()).await.expect("the store runs");
    rig.finish(&delivery, with(None)).await;
    rig.stop();
    let rig = Rig::simple(Some(&path));
    let expect = Delivery { next_attempt: Some(NOON + 7_000), progress: Some(vec![1, 2]), ..delivery };
    assert_eq!(rig.recovered.deliveries, [expect]);
    rig.stop();
}

#[tokio::test]
async fn a_sender_that_joins_a_route_is_told_its_open_windows_and_one_that_left_is_not() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    let window = group("root", "a", 5);
    rig.open_window(1, &window).await;
    rig.stop();
    balanced(&path);
    let rig = Rig::open(Some(&path), &[("root", &["hook"])], &["console", "hook"]);
    balanced(&path);
    assert_eq!((rig.recovered.windows.len(), rig.recovered.next_row), (1, 2));
    let closed = Closed { row: 1, added: 0, group: window };
    rig.store.change(Changes { closed: vec![closed], ..Changes::default() }).await.expect("the store runs");
    assert_eq!(rig.next("console").await, None);
    assert_eq!(rig.next("hook").await.expect("hook is told").groups[0].count, 5);
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT count(*) FROM windows"), 0);
    assert_eq!(number(&path, "SELECT accepted FROM ledger WHERE sender = 'console'"), 0);
}

#[tokio::test]
async fn senders_whose_names_look_alike_are_kept_apart_when_the_ledger_is_checked() {
    let (_folder, path) = file();
    let all = &["team_a", "teamXa", "TEAM_A"];
    let rig = Rig::open(Some(&path), &[("root", &["team_a", "TEAM_A"])], all);
    rig.open_window(1, &group("root", "a", 5)).await;
    rig.stop();
    Rig::open(Some(&path), &[("root", &["teamXa"])], all).stop();
    balanced(&path);
}

#[tokio::test]
async fn the_check_of_a_file_names_each_row_that_does_not_balance() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![group("root", "a", 3)]).await;
    rig.open_window(1, &group("root", "b", 2)).await;
    rig.stop();
    Connection::open(&path)
        .and_then(|conn| conn.execute_batch("UPDATE queue SET count = 4; DELETE FROM windows"))
        .expect("anybody may write");
    let expect = [
        "route root, sender console: open is 2, its rows hold 0",
        "route root, sender console: waiting is 3, its rows hold 4",
    ];
    assert_eq!(verify(&path).expect("the file reads"), expect);
}
