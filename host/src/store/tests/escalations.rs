//! What one sender cannot tell and another one tells instead: once, with the ledger in balance.

use super::*;
use crate::message::Cause;

const ROUTES: &[(&str, &[&str])] = &[("root", &["team"])];

fn rig(path: &Path) -> Rig {
    Rig::open(Some(path), ROUTES, &["team", "mail"])
}

fn escalation() -> Escalation {
    Escalation {
        sender: "team".to_owned(),
        fallback: "mail".to_owned(),
        code: "http-500".to_owned(),
        error: "no".to_owned(),
    }
}

async fn escalate(rig: &Rig) -> usize {
    rig.store.escalate(escalation()).await.expect("the store runs")
}

/// What of a sender's messages is accepted, waiting, frozen, told, dead.
fn account(path: &Path, sender: &str) -> [i64; 5] {
    ["accepted", "waiting", "frozen", "told", "dead"]
        .map(|term| number(path, &format!("SELECT coalesce(sum({term}), 0) FROM ledger WHERE sender = '{sender}'")))
}

#[tokio::test]
async fn what_waits_is_told_by_the_fallback_too_and_goes_on_waiting() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5), group("root", "b", 7)]).await;
    assert_eq!(escalate(&rig).await, 1);
    balanced(&path);
    assert_eq!(account(&path, "team"), [12, 12, 0, 0, 0]);
    assert_eq!(account(&path, "mail"), [12, 0, 12, 0, 0]);
    let copy = rig.next("mail").await.expect("the copy");
    assert_eq!((copy.attempt, copy.reason, texts(&copy)), (1, Some(Reason::Escalated), vec!["b", "a"]));
    let cause = Cause { sender: "team".to_owned(), code: "http-500".to_owned(), error: "no".to_owned() };
    assert_eq!(copy.cause, Some(cause));
    rig.finish(&copy, delivered()).await;
    let own = rig.next("team").await.expect("the original");
    assert_eq!((own.reason, texts(&own)), (None, vec!["b", "a"]));
    rig.finish(&own, delivered()).await;
    rig.stop();
    balanced(&path);
    assert_eq!((account(&path, "team")[3], account(&path, "mail")[3]), (12, 12));
}

#[tokio::test]
async fn nothing_is_escalated_twice_and_what_comes_later_is_added_until_the_fallback_begins() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5)]).await;
    assert_eq!(escalate(&rig).await, 1);
    assert_eq!(escalate(&rig).await, 0);
    rig.close(vec![group("root", "a", 2), group("root", "b", 9)]).await;
    let frozen = rig.next("team").await.expect("all windows");
    assert_eq!((frozen.groups[0].count, frozen.groups[1].count), (9, 7));
    assert_eq!(escalate(&rig).await, 1, "what came since, in the delivery by now");
    let copy = rig.next("mail").await.expect("one copy");
    assert_eq!((texts(&copy), copy.groups[0].count, copy.groups[1].count), (vec!["b", "a"], 9, 7));
    rig.close(vec![group("root", "a", 1)]).await;
    assert_eq!(escalate(&rig).await, 1);
    assert_eq!(rig.next("mail").await, None, "another one, and it waits: they share a group");
    rig.finish(&copy, delivered()).await;
    let later = rig.next("mail").await.expect("then it comes");
    assert_eq!(later.groups[0].count, 1);
    rig.finish(&later, delivered()).await;
    rig.finish(&frozen, dead()).await;
    rig.stop();
    balanced(&path);
    assert_eq!((account(&path, "team"), account(&path, "mail")), ([17, 1, 0, 0, 16], [17, 0, 0, 17, 0]));
}

#[tokio::test]
async fn a_dead_letter_is_told_by_the_fallback_in_the_same_commit() {
    let (_folder, path) = file();
    let rig = rig(&path);
    let mut armed = rig.armed("mail").await;
    rig.close(vec![group("root", "a", 5)]).await;
    let dying = rig.next("team").await.expect("it waits");
    rig.store.finish(Attempted { fallback: Some("mail".to_owned()), ..attempted(&dying, dead()) }).await.unwrap();
    let copy = armed.try_recv().expect("whoever is armed gets it at once");
    assert_eq!((copy.groups[0].count, copy.cause.map(|cause| cause.error)), (5, Some("refused".to_owned())));
    assert_ne!(copy.id, dying.id);
    rig.stop();
    balanced(&path);
    assert_eq!((account(&path, "team"), account(&path, "mail")), ([5, 0, 0, 0, 5], [5, 0, 5, 0, 0]));
}

/// Dies once more, as a sender with a fallback.
async fn dies(rig: &Rig, delivery: &Delivery) {
    let attempted = Attempted { fallback: Some("mail".to_owned()), ..attempted(delivery, dead()) };
    rig.store.finish(attempted).await.expect("the store runs");
}

async fn replay(rig: &Rig, delivery: &Delivery) -> Delivery {
    let which = Which::Ids(vec![delivery.id.clone()]);
    rig.store.letters(which, Deed::Replay).await.expect("the store runs").expect("it is dead");
    rig.next("team").await.expect("it is told again")
}

#[tokio::test]
async fn a_letter_that_is_replayed_and_dies_again_is_told_by_the_fallback_again_under_another_id() {
    let (_folder, path) = file();
    let first = rig(&path);
    first.close(vec![group("root", "a", 5), group("root", "b", 2)]).await;
    let dying = first.next("team").await.expect("it waits");
    dies(&first, &dying).await;
    let once = first.next("mail").await.expect("the copy");
    first.finish(&once, delivered()).await;
    let again = replay(&first, &dying).await;
    assert_eq!((again.id.as_str(), again.attempt), (dying.id.as_str(), 2));
    assert_eq!(first.next("mail").await, None, "that somebody replays it is nothing to tell");
    first.stop();
    // A crash between the death and the fallback's attempt: the copy came with the death, and comes once.
    let second = rig(&path);
    dies(&second, &again).await;
    second.stop();
    let third = rig(&path);
    let twice = third.next("mail").await.expect("another copy");
    assert_ne!(twice.id, once.id, "the destination would take the same id for what it has");
    assert_eq!((texts(&twice), twice.groups[0].count, twice.reason), (vec!["a", "b"], 5, Some(Reason::Escalated)));
    third.finish(&twice, delivered()).await;
    assert_eq!(escalate(&third).await, 0, "and each death once");
    assert_eq!(third.next("mail").await, None);
    third.stop();
    balanced(&path);
    assert_eq!((account(&path, "team"), account(&path, "mail")), ([7, 0, 0, 0, 7], [14, 0, 0, 14, 0]));
}

#[tokio::test]
async fn a_fallback_that_has_not_begun_the_copy_of_the_first_death_is_not_told_twice_of_the_same_messages() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5)]).await;
    let dying = rig.next("team").await.expect("it waits");
    dies(&rig, &dying).await;
    let again = replay(&rig, &dying).await;
    let later = Outcome::Dead { code: "http-410".to_owned(), error: "gone".to_owned() };
    let again = Attempted { fallback: Some("mail".to_owned()), ..attempted(&again, later) };
    rig.store.finish(again).await.expect("the store runs");
    let copy = rig.next("mail").await.expect("one copy");
    assert_eq!((copy.groups[0].count, copy.cause.map(|cause| cause.code)), (5, Some("http-410".to_owned())));
    // It has begun: a third death is another one.
    let again = replay(&rig, &dying).await;
    dies(&rig, &again).await;
    rig.finish(&Delivery { cause: None, ..copy }, delivered()).await;
    assert_eq!(rig.next("mail").await.map(|copy| copy.groups[0].count), Some(5));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_replayed_letter_that_cannot_be_told_for_long_is_told_by_the_fallback_once_for_its_new_life() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close(vec![group("root", "a", 5)]).await;
    let dying = rig.next("team").await.expect("it waits");
    dies(&rig, &dying).await;
    let once = rig.next("mail").await.expect("the copy");
    rig.finish(&once, delivered()).await;
    let again = replay(&rig, &dying).await;
    rig.finish(&again, backoff()).await;
    assert_eq!(escalate(&rig).await, 1);
    let twice = rig.next("mail").await.expect("another copy");
    rig.finish(&twice, delivered()).await;
    dies(&rig, &again).await;
    assert_eq!(rig.next("mail").await, None, "its end is no news after that");
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_chain_of_fallbacks_hands_on_what_the_first_one_cannot_tell_either() {
    let (_folder, path) = file();
    let rig = Rig::open(Some(&path), ROUTES, &["team", "mail", "console"]);
    rig.close(vec![group("root", "a", 5)]).await;
    escalate(&rig).await;
    let second = Escalation { sender: "mail".to_owned(), fallback: "console".to_owned(), ..escalation() };
    assert_eq!(rig.store.escalate(second).await, Ok(1));
    let copy = rig.next("console").await.expect("the copy of the copy");
    assert_eq!((copy.groups[0].count, copy.cause.map(|cause| cause.sender)), (5, Some("mail".to_owned())));
    rig.stop();
    balanced(&path);
}

#[tokio::test]
async fn a_copy_that_is_too_much_for_the_fallback_is_summed_up() {
    let (_folder, path) = file();
    let rig = rig(&path);
    rig.close((1..=10).map(|n| group("root", &format!("text {n}"), n)).collect()).await;
    escalate(&rig).await;
    let freeze = Freeze { sender: "mail".to_owned(), max_groups: 3, split: true, living: None };
    let copy = rig.freeze(freeze).await.expect("the copy");
    assert_eq!(texts(&copy), ["text 10", "text 9", "text 8"]);
    assert_eq!((copy.omitted_groups, copy.omitted_messages), (7, 28));
    rig.finish(&copy, backoff()).await;
    rig.stop();
    balanced(&path);
    let rig = Rig::open(Some(&path), ROUTES, &["team", "mail"]);
    let again = &rig.recovered.deliveries[0];
    assert_eq!((texts(again), again.omitted_groups, again.cause.is_some()), (texts(&copy), 7, true));
    rig.stop();
}

#[tokio::test]
async fn a_copy_that_nobody_took_yet_is_still_there_after_a_restart_and_is_buried_with_its_sender() {
    let (_folder, path) = file();
    let first = rig(&path);
    first.close(vec![group("root", "a", 5)]).await;
    escalate(&first).await;
    first.stop();
    let second = rig(&path);
    assert_eq!(second.recovered.deliveries, [], "it is queued, not under way");
    second.stop();
    let third = Rig::open(Some(&path), ROUTES, &["team"]);
    assert_eq!(third.recovered.buried, 1);
    third.stop();
    balanced(&path);
    assert_eq!(account(&path, "mail"), [5, 0, 0, 0, 5]);
}
