//! That a group is over: behind what was told of it, to whoever was told, and counted nowhere.

use super::*;

const ROUTES: &[(&str, &[&str])] = &[("root", &["team"])];

fn rig(path: &Path) -> Rig {
    Rig::open(Some(path), ROUTES, &["team", "mail"])
}

fn over(text: &str) -> Group {
    Group { reason: Reason::Resolved, ..group("root", text, 0) }
}

fn told(delivery: &Delivery) -> Vec<(&str, u64, Reason)> {
    delivery.groups.iter().map(|group| (group.text.as_str(), group.count, group.reason)).collect()
}

impl Rig {
    async fn tells(&self, sender: &str) -> Delivery {
        let delivery = self.next(sender).await.expect("something waits");
        self.finish(&delivery, delivered()).await;
        delivery
    }
}

#[tokio::test]
async fn that_a_group_is_over_waits_behind_what_it_has_to_tell() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5), over("a"), group("root", "b", 1)]).await;
    let first = rig.next("team").await.expect("something waits");
    assert_eq!(told(&first), [("a", 5, Reason::Time), ("b", 1, Reason::Time)]);
    assert!(rig.next("team").await.is_none(), "the group is under way");
    rig.finish(&first, delivered()).await;
    assert_eq!(told(&rig.tells("team").await), [("a", 0, Reason::Resolved)]);
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT told FROM ledger"), 6);
}

#[tokio::test]
async fn nobody_hears_that_something_is_over_of_which_nobody_heard() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), &[("root", &["team"]), ("quiet", &[])], &["team"]);
    rig.close(vec![over("a")]).await;
    let quiet = |group: Group| Group { route: "quiet".into(), ..group };
    rig.close(vec![quiet(group("quiet", "b", 3)), quiet(Group { reason: Reason::Resolved, ..group("quiet", "b", 0) })])
        .await;
    assert!(rig.next("team").await.is_none());
    rig.close(vec![group("root", "a", 1), over("a"), over("a")]).await;
    rig.tells("team").await;
    assert_eq!(told(&rig.tells("team").await), [("a", 0, Reason::Resolved)]);
    assert!(rig.next("team").await.is_none(), "once");
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn what_fires_anew_takes_back_that_it_is_over_also_after_a_restart() {
    let (_folder, path) = file();
    let before = rig(&path);
    before.close(vec![group("root", "a", 5)]).await;
    before.tells("team").await;
    before.close(vec![over("a")]).await;
    before.stop();
    let rig = rig(&path);
    let refired = vec![group("root", "a", 0).id];
    rig.store.change(Changes { refired, ..Changes::default() }).await.expect("the store runs");
    assert!(rig.next("team").await.is_none());
    rig.close(vec![over("a")]).await;
    assert_eq!(told(&rig.tells("team").await), [("a", 0, Reason::Resolved)], "people know that it fires");
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_fallback_hears_once_that_a_group_is_over() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5)]).await;
    rig.tells("team").await;
    rig.close(vec![over("a"), group("root", "b", 2)]).await;
    let escalation = || Escalation {
        sender: "team".to_owned(),
        fallback: "mail".to_owned(),
        code: "http-500".to_owned(),
        error: "no".to_owned(),
    };
    assert_eq!(rig.store.escalate(escalation()).await.expect("the store runs"), 1);
    assert_eq!(rig.store.escalate(escalation()).await.expect("the store runs"), 0);
    let copy = rig.tells("mail").await;
    assert_eq!(told(&copy), [("b", 2, Reason::Time), ("a", 0, Reason::Resolved)]);
    let own = rig.tells("team").await;
    assert_eq!(told(&own), [("b", 2, Reason::Time), ("a", 0, Reason::Resolved)]);
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT told FROM ledger WHERE sender = 'mail'"), 2);
}

#[tokio::test]
async fn that_something_is_over_needs_room_like_anything_else() {
    let (_folder, path) = file();
    let settings = Settings { queue: 1, ..Settings::new(Some(&path)) };
    let rig = Rig::with(&settings, ROUTES, &["team"], clock::Clock::derived(NOON));
    rig.close(vec![group("root", "a", 5)]).await;
    rig.tells("team").await;
    rig.close(vec![group("root", "b", 2)]).await;
    rig.close(vec![over("a")]).await;
    assert_eq!(told(&rig.tells("team").await), [("b", 2, Reason::Time)]);
    assert!(rig.next("team").await.is_none());
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_store_that_was_cut_off_while_a_group_was_over_is_whole() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5), group("root", "b", 5)]).await;
    rig.tells("team").await;
    rig.close(vec![over("a")]).await;
    assert_eq!(told(&rig.next("team").await.expect("it is over")), [("a", 0, Reason::Resolved)], "under way");
    rig.close(vec![over("b")]).await;
    let (_crashed, copy) = file();
    for ending in ["", "-wal"] {
        std::fs::copy(beside(&path, ending), beside(&copy, ending)).expect("it is copied");
    }
    rig.stop();
    let rig = self::rig(&copy);
    assert_eq!(rig.recovered.deliveries.len(), 1, "it goes on");
    assert_eq!(told(&rig.tells("team").await), [("b", 0, Reason::Resolved)]);
    rig.stop();
    balanced(&copy);
}
