//! How a sender's task ends, and what the next start makes of what it left.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_idle_sender_stops_at_once() {
    let run = Setup::new(|_| Answer::Delivered).start();
    run.settle().await;
    let before = Instant::now();
    run.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_for_a_budget_or_a_backoff_stops_at_once() {
    let mut run = Setup::new(|_| retry_after(300)).start();
    run.close("a", 1).await;
    run.now().await;
    run.settle().await;
    let before = Instant::now();
    run.stop().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_end_is_cut_off_and_the_next_start_tries_it_again_under_the_same_id() {
    let (_folder, path) = file();
    let setup = Setup::new(|n| if n.attempt == 1 { Answer::Never } else { Answer::Delivered }).at(&path);
    let mut run = setup.start();
    run.close("a", 3).await;
    let first = run.now().await.told;
    run.stop.cancel();
    run.settle().await;
    tokio::time::advance(Duration::from_millis(4_999)).await;
    run.settle().await;
    assert!(!run.task.is_finished(), "it may still end by itself");
    tokio::time::advance(Duration::from_millis(1)).await;
    run.stop().await;
    balanced(&path);
    let mut run = setup.start();
    assert_eq!(run.now().await.told, Notification { attempt: 2, ..first });
    run.settle().await;
    run.stop().await;
    balanced(&path);
    let run = setup.start();
    assert_eq!(run.unfinished, [], "told");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_while_mag_stops_is_told_and_nothing_new_is_begun() {
    let (_folder, path) = file();
    let setup = Setup::new(|_| Answer::Delivered).at(&path);
    let mut run = setup.start();
    run.settle().await;
    run.stop.cancel();
    run.close("a", 1).await;
    run.settle().await;
    let told = run.called.try_recv().is_ok();
    run.stop().await;
    balanced(&path);
    let mut run = setup.start();
    assert_eq!(run.unfinished, [], "nothing was left half done");
    assert_eq!(run.within(Duration::ZERO).await.is_some(), !told, "told once");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn backoff_goes_on_over_a_restart_with_the_time_that_was_left() {
    let (_folder, path) = file();
    let setup = Setup::new(|n| if n.attempt == 1 { retry_after(60) } else { Answer::Delivered }).at(&path);
    let mut run = setup.start();
    run.close("a", 1).await;
    let first = run.now().await.told;
    run.settle().await;
    tokio::time::advance(Duration::from_secs(20)).await;
    run.stop().await;
    let mut run = setup.start();
    let (call, waited) = run.next().await;
    about(waited, 40, 40);
    assert_eq!(call.told, Notification { attempt: 2, ..first });
    run.stop().await;
}
