//! One message a group at the destination: what a delivery updates, what it shows, and what the ledger counts of it.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn living() -> Freeze {
    Freeze { sender: "console".to_owned(), max_groups: 9, split: false, living: Some(HOUR) }
}

fn posted(receipt: u8) -> Outcome {
    Outcome::Delivered { receipt: Some(vec![receipt]), updated_in_place: false }
}

fn updated() -> Outcome {
    Outcome::Delivered { receipt: None, updated_in_place: true }
}

fn later(text: &str, count: u64, at: Millis) -> Group {
    Group { opened: at, closed: at + 1, ..group("root", text, count) }
}

/// What is posted or updated next: receipt of the message to update, count, start.
async fn next(rig: &Rig) -> (Delivery, Option<Vec<u8>>, u64, Millis) {
    let delivery = rig.freeze(living()).await.expect("something waits");
    assert_eq!(delivery.groups.len(), 1, "one group a message");
    let (previous, group) = (delivery.previous.clone(), delivery.groups[0].clone());
    (delivery, previous, group.count, group.opened)
}

#[tokio::test(start_paused = true)]
async fn a_message_is_brought_up_to_date_with_all_that_came_since_it_was_posted() {
    let (_folder, path) = file();
    let clock = clock::Clock::derived(NOON);
    let open = || Rig::at(Some(&path), &[("root", &["console"])], &["console"], clock.clone());
    let rig = open();
    rig.close(vec![later("a", 30, NOON), later("b", 2, NOON)]).await;
    let (first, previous, count, _) = next(&rig).await;
    assert_eq!((texts(&first), previous, count), (vec!["a"], None, 30));
    rig.finish(&first, posted(7)).await;
    let (other, previous, ..) = next(&rig).await;
    assert_eq!((texts(&other), previous), (vec!["b"], None));
    rig.finish(&other, posted(8)).await;
    rig.close(vec![later("a", 30, NOON + 50)]).await;
    let (second, previous, count, opened) = next(&rig).await;
    assert_eq!((previous, count, opened), (Some(vec![7]), 60, NOON));
    rig.finish(&second, updated()).await;
    rig.close(vec![later("a", 5, NOON + 90)]).await;
    rig.stop();
    let rig = open();
    let (third, previous, count, opened) = next(&rig).await;
    assert_eq!((previous, count, opened), (Some(vec![7]), 65, NOON), "receipts survive a restart");
    rig.finish(&third, backoff()).await;
    rig.stop();
    let rig = open();
    assert_eq!(rig.recovered.deliveries[0].groups, third.groups, "the same content on each attempt");
    assert_eq!(rig.recovered.deliveries[0].previous, Some(vec![7]));
    rig.finish(&third, updated()).await;
    rig.stop();
    balanced(&path);
    assert_eq!(number(&path, "SELECT told FROM ledger"), 67, "each message is told once");
}

#[tokio::test(start_paused = true)]
async fn after_its_time_a_new_message_is_posted_and_begins_to_count_anew() {
    let rig = Rig::simple(None);
    rig.close(vec![later("a", 30, NOON)]).await;
    let (first, ..) = next(&rig).await;
    rig.finish(&first, posted(7)).await;
    tokio::time::advance(HOUR + Duration::from_secs(1)).await;
    rig.close(vec![later("a", 4, NOON + 3_700_000)]).await;
    let (second, previous, count, opened) = next(&rig).await;
    assert_eq!((previous, count, opened), (None, 4, NOON + 3_700_000));
    rig.finish(&second, posted(9)).await;
    rig.close(vec![later("a", 1, NOON + 3_800_000)]).await;
    let (_, previous, count, _) = next(&rig).await;
    assert_eq!((previous, count), (Some(vec![9]), 5));
    rig.stop();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_gone_and_posted_anew_is_the_one_that_is_updated_from_then_on() {
    let rig = Rig::simple(None);
    rig.close(vec![later("a", 30, NOON)]).await;
    let (first, ..) = next(&rig).await;
    rig.finish(&first, posted(7)).await;
    rig.close(vec![later("a", 4, NOON)]).await;
    let (second, ..) = next(&rig).await;
    rig.finish(&second, posted(8)).await;
    rig.close(vec![later("a", 1, NOON)]).await;
    let (_, previous, count, _) = next(&rig).await;
    assert_eq!((previous, count), (Some(vec![8]), 35));
    rig.stop();
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_never_turned_into_the_living_message_of_one_of_its_groups() {
    let rig = Rig::simple(None);
    rig.close(vec![group("root", "a", 3), group("root", "b", 3)]).await;
    let digest = rig.next("console").await.expect("both wait");
    rig.finish(&digest, posted(7)).await;
    rig.close(vec![group("root", "a", 1)]).await;
    let (_, previous, count, _) = next(&rig).await;
    assert_eq!((previous, count), (None, 1));
    rig.stop();
}

#[tokio::test(start_paused = true)]
async fn a_replayed_letter_adds_to_what_its_message_shows_by_now() {
    let (_folder, path) = file();
    let rig = Rig::simple(Some(&path));
    rig.close(vec![later("a", 6, NOON)]).await;
    let (first, ..) = next(&rig).await;
    rig.finish(&first, posted(7)).await;
    rig.close(vec![later("a", 3, NOON)]).await;
    let (dying, _, count, _) = next(&rig).await;
    assert_eq!(count, 9);
    rig.finish(&dying, dead()).await;
    rig.close(vec![later("a", 4, NOON)]).await;
    let (other, _, count, _) = next(&rig).await;
    assert_eq!(count, 10);
    rig.finish(&other, updated()).await;
    let moved = rig.store.letters(Which::All, Deed::Replay).await.expect("the store runs").expect("a letter");
    assert_eq!((moved.letters, moved.messages), (1, 3), "what it shows besides was told before");
    let (again, previous, count, _) = next(&rig).await;
    assert_eq!((&again.id, previous, count), (&dying.id, Some(vec![7]), 13));
    rig.finish(&again, updated()).await;
    rig.close(vec![later("a", 1, NOON)]).await;
    assert_eq!(next(&rig).await.2, 14);
    rig.stop();
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_tells_of_more_does_not_take_the_place_of_a_living_one() {
    let rig = Rig::simple(None);
    rig.close(vec![later("a", 6, NOON)]).await;
    let (first, ..) = next(&rig).await;
    rig.finish(&first, posted(7)).await;
    rig.close(vec![later("a", 3, NOON)]).await;
    let digest = rig.next("console").await.expect("it waits");
    rig.finish(&digest, posted(9)).await;
    rig.close(vec![later("a", 1, NOON)]).await;
    let (_, previous, count, _) = next(&rig).await;
    assert_eq!((previous, count), (Some(vec![7]), 7));
    rig.stop();
}
