//! Alerts over a real store: what counts, when a group is over, and what a restart and a silence make of it.

use super::*;
use crate::alerts::{Alerts, Bounds};
use crate::message::{ALERT_KIND, Ends, OwnPosted, Posts};
use crate::silence::Silence;
use crate::store::SilenceWish;

mod annotations;

fn by_name(max_messages: u64) -> config::Route {
    config::Route { group_by: vec![Field::Label("alertname".to_owned())], ..root(max_messages) }
}

fn posted(name: &str, host: &str, ends: Ends) -> OwnPosted {
    let label = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let message = Message {
        text: format!("{name} on {host}"),
        kind: ALERT_KIND.into(),
        severity: Some(Severity::Error),
        labels: Labels::new([("alertname", name), ("host", host)].map(label).to_vec()),
        source: "127.0.0.1".into(),
    };
    OwnPosted { message, annotations: Labels::default(), generator: String::new(), starts: Some(NOON), ends }
}

/// One request.
fn together(posted: &[OwnPosted]) -> Posts {
    let mut posts = Posts::default();
    posts.source = "127.0.0.1".into();
    posted.iter().for_each(|alert| posts.push(alert.view()));
    posts
}

const OVER: Ends = Ends::At(1);

/// Holds from now on what that matches.
fn silence(matcher: &str, ends: u64) -> Silence {
    Silence {
        id: String::new(),
        matchers: vec![crate::matcher::Matcher::parse(matcher).expect("a good matcher")],
        starts: NOON,
        ends,
        created_by: "ann".to_owned(),
        comment: "work".to_owned(),
        updated: NOON,
        messages: 0,
    }
}

impl Rig {
    async fn posts(&self, posted: Vec<OwnPosted>) {
        let alerts = together(&posted);
        let (progress, mut acked) = watch::channel(0);
        let ack = Ack { progress: Arc::new(progress), upto: 1 };
        self.batches.send(Batch { alerts, ack: Some(ack), ..Batch::default() }).await.expect("the engine runs");
        acked.wait_for(|upto| *upto == 1).await.expect("the engine confirms");
    }

    async fn told_one(&self) -> (String, u64, u64, Reason) {
        let delivery = self.told("console").await;
        assert_eq!(delivery.groups.len(), 1);
        let group = &delivery.groups[0];
        (group.text.clone(), group.count, group.total, group.reason)
    }
}

fn told(text: &str, count: u64, total: u64, reason: Reason) -> (String, u64, u64, Reason) {
    (text.to_owned(), count, total, reason)
}

#[tokio::test(start_paused = true)]
async fn a_group_counts_alerts_and_not_how_often_they_are_posted() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(30), &path);
    for _ in 0..5 {
        rig.posts(vec![posted("Disk", "a", Ends::Unsaid), posted("Disk", "b", Ends::Unsaid)]).await;
    }
    rig.pass(Duration::from_secs(30)).await;
    let delivery = rig.told("console").await;
    let group = &delivery.groups[0];
    assert_eq!((group.count, group.kind.as_str(), group.severity), (2, ALERT_KIND, Some(Severity::Error)));
    assert_eq!((group.labels.get("alertname"), group.labels.get("host")), (Some("Disk"), None));
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    assert_eq!(rig.ready("console").await, None);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_is_posted_again_is_confirmed_without_a_commit() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(30), &path);
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    let commit = || rig.store.look(|reader| reader.overview());
    let before = commit().await.expect("the store reads").commit;
    for _ in 0..5 {
        rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    }
    assert_eq!(commit().await.expect("the store reads").commit, before);
    rig.posts(vec![posted("Disk", "b", Ends::Unsaid)]).await;
    assert!(commit().await.expect("the store reads").commit > before);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_over_when_the_last_of_its_alerts_is() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(2), &path);
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid), posted("Disk", "b", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 2, 2, Reason::Count));
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    assert_eq!(rig.ready("console").await, None, "one still fires");
    tokio::time::advance(Duration::from_secs(10)).await;
    rig.posts(vec![posted("Disk", "b", OVER)]).await;
    let delivery = rig.told("console").await;
    let group = &delivery.groups[0];
    assert_eq!((group.count, group.total, group.reason), (0, 2, Reason::Resolved));
    assert_eq!((group.labels.get("alertname"), group.labels.get("host")), (Some("Disk"), None));
    assert_eq!(group.closed - group.opened, 10_000, "so long it lasted");
    rig.posts(vec![posted("Link", "a", Ends::Unsaid), posted("Link", "b", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Link on a", 2, 2, Reason::Count));
    tokio::time::advance(Duration::from_secs(50)).await;
    rig.posts(vec![posted("Link", "a", Ends::At(NOON + 40_000)), posted("Link", "b", Ends::At(NOON + 30_000))]).await;
    let group = rig.told("console").await.groups.remove(0);
    assert_eq!((group.opened, group.closed), (NOON, NOON + 40_000), "when it was over, not when that was heard");
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_before_it_was_told_is_told_and_then_over() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(30), &path);
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    assert_eq!(rig.ready("console").await, None, "its window is open");
    rig.stop().await;
    let rig = Rig::start(&by_name(30), &path);
    rig.pass(Duration::from_secs(30)).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 1, 1, Reason::Time));
    assert_eq!(rig.told_one().await, told("Disk on a", 0, 1, Reason::Resolved));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn what_fires_anew_before_it_was_told_as_over_is_not_over() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(1), &path);
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 3, 3, Reason::Count));
    assert_eq!(rig.ready("console").await, None);
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 0, 3, Reason::Resolved));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_is_not_posted_again_is_over_and_a_restart_gives_it_time() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(1), &path);
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 1, 1, Reason::Count));
    rig.pass(Duration::from_secs(200)).await;
    rig.stop().await;
    let rig = Rig::start(&by_name(1), &path);
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    rig.pass(Duration::from_secs(299)).await;
    assert_eq!(rig.ready("console").await, None);
    rig.pass(Duration::from_secs(1)).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 0, 1, Reason::Resolved));
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    assert_eq!(rig.ready("console").await, None, "it is over already");
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn alerts_past_the_limit_count_each_time() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(30), &path);
    rig.stop().await;
    let mut core = Core::new(Routes::new(&by_name(30)), 1, 100);
    core.restore_alerts(Alerts::new(Bounds { alerts: 1, ..Bounds::default() }), Vec::new(), NOON, Instant::now());
    for _ in 0..3 {
        let alerts = together(&[posted("Disk", "a", Ends::Unsaid), posted("Link", "a", Ends::Unsaid)]);
        core.count(Batch { alerts, ..Batch::default() }, NOON, Instant::now());
    }
    let (changes, _) = core.changes(limits::SWEEP_WINDOWS);
    let counts: Vec<u64> = changes.windows.iter().map(WindowChange::added).collect();
    assert_eq!((counts, changes.alerts.len()), (vec![1, 3], 1));
    assert_eq!((core.take_noticed().refreshed, changes.alerts_gone.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_silence_keeps_what_it_matches_from_being_told_and_counts_it() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(1), &path);
    let silence = silence("host=a", NOON + 60_000);
    let id = rig.store.silence(SilenceWish::Set(silence)).await.expect("the store runs").expect("it is set");
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid), posted("Disk", "b", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Disk on b", 1, 2, Reason::Count));
    rig.posts(vec![posted("Link", "a", Ends::Unsaid)]).await;
    rig.posts(vec![posted("Link", "a", OVER)]).await;
    assert_eq!(rig.ready("console").await, None, "nor that it is over");
    let kept = id.clone();
    let found = rig.store.look(move |reader| reader.silence(&kept)).await.expect("the store reads");
    assert_eq!(found.map(|silence| silence.messages), Some(2));
    let accounts = rig.store.look(|reader| reader.accounts()).await.expect("the store reads");
    let held = accounts[0].terms.iter().find(|(term, _)| *term == "held");
    assert_eq!((accounts[0].accepted, held), (3, Some(&("held", 2))));
    rig.store.silence(SilenceWish::Expire(id.clone())).await.expect("the store runs").expect("it is expired");
    rig.posts(vec![posted("Link", "a", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Link on a", 1, 2, Reason::Count));
    let again = rig.store.silence(SilenceWish::Expire(id)).await.expect("the store runs");
    assert!(matches!(again, Err(store::SilenceError::Expired(_))));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_outlasts_its_silence_is_told_when_it_is_posted_again_and_so_is_its_end() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(1), &path);
    let silence = SilenceWish::Set(silence("alertname=Disk", NOON + 60_000));
    rig.store.silence(silence).await.expect("the store runs").expect("it is set");
    for _ in 0..5 {
        rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    assert_eq!(rig.ready("console").await, None, "it is silenced");
    let accounts = rig.store.look(|reader| reader.accounts()).await.expect("the store reads");
    assert_eq!(accounts[0].accepted, 1, "what is posted again counts nothing while the silence lasts");
    tokio::time::advance(Duration::from_secs(10)).await;
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 1, 2, Reason::Count));
    for _ in 0..3 {
        rig.posts(vec![posted("Disk", "a", Ends::Unsaid)]).await;
        assert_eq!(rig.ready("console").await, None, "once");
    }
    rig.posts(vec![posted("Disk", "a", OVER)]).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 0, 2, Reason::Resolved));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_was_silenced_before_a_restart_is_told_after_it_and_one_that_was_told_is_not() {
    let (_folder, path) = file();
    let rig = Rig::start(&by_name(1), &path);
    let silence = SilenceWish::Set(silence("alertname=Disk", NOON + 3_600_000));
    let id = rig.store.silence(silence).await.expect("the store runs").expect("it is set");
    rig.posts(vec![posted("Disk", "a", Ends::Unsaid), posted("Link", "a", Ends::Unsaid)]).await;
    assert_eq!(rig.told_one().await, told("Link on a", 1, 1, Reason::Count));
    rig.stop().await;
    let rig = Rig::start(&by_name(1), &path);
    let both = || vec![posted("Disk", "a", Ends::Unsaid), posted("Link", "a", Ends::Unsaid)];
    rig.posts(both()).await;
    assert_eq!(rig.ready("console").await.map(|delivery| delivery.attempt), None);
    rig.store.silence(SilenceWish::Expire(id)).await.expect("the store runs").expect("it is expired");
    rig.posts(both()).await;
    assert_eq!(rig.told_one().await, told("Disk on a", 1, 2, Reason::Count));
    rig.posts(both()).await;
    assert_eq!(rig.ready("console").await, None);
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn silences_go_on_after_a_restart_and_end_in_time() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(1), &path);
    let silence = silence("text=a", NOON + 60_000);
    rig.store.silence(SilenceWish::Set(silence)).await.expect("the store runs").expect("it is set");
    rig.stop().await;
    let rig = Rig::start(&root(1), &path);
    rig.acknowledged(vec![entry("a", 1)]).await;
    assert_eq!(rig.ready("console").await, None);
    tokio::time::advance(Duration::from_secs(60)).await;
    rig.acknowledged(vec![entry("a", 1)]).await;
    assert_eq!(rig.told_one().await, told("a", 1, 2, Reason::Count));
    rig.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn all_silences_together_have_a_bounded_number_of_regular_expressions() {
    let (_folder, path) = file();
    let rig = Rig::start(&root(1), &path);
    let set = |matcher: &str| silence(matcher, NOON + 60_000);
    let mut ids = Vec::new();
    for _ in 0..limits::SILENCE_REGEXES {
        let made = rig.store.silence(SilenceWish::Set(set("host=~a.*"))).await.expect("the store runs");
        ids.push(made.expect("it is set"));
    }
    let more = rig.store.silence(SilenceWish::Set(set("host=~b.*"))).await.expect("the store runs");
    let why = more.expect_err("one too many").to_string();
    assert!(why.contains("100 regular expressions at most"), "{why}");
    let plain = rig.store.silence(SilenceWish::Set(set("host=b"))).await.expect("the store runs");
    assert!(plain.is_ok(), "an equation costs nothing");
    rig.store.silence(SilenceWish::Expire(ids.remove(0))).await.expect("the store runs").expect("it is expired");
    let again = rig.store.silence(SilenceWish::Set(set("host=~b.*"))).await.expect("the store runs");
    assert!(again.is_ok(), "there is room again");
    rig.stop().await;
}
