//! What happens to one delivery: its attempts, and what ends them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_window_that_closes_is_told_at_once_as_attempt_one() {
    let (_folder, path) = file();
    let mut run = Setup::new(|_| Answer::Delivered).at(&path).start();
    run.settle().await;
    run.close("disk full", 30).await;
    let call = run.now().await;
    assert_eq!((call.told.attempt, call.told.sender.as_str()), (1, "hook"));
    assert_eq!((call.text(), call.told.groups[0].count, call.told.timeout_ms), ("disk full", 30, 10_000));
    assert_eq!(call.told.title, "disk full (30 times)");
    run.settle().await;
    run.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_longer_and_longer_and_tell_the_same_under_the_same_id() {
    let mut run = Setup::new(|n| if n.attempt < 8 { failed(FailureKind::Retry) } else { Answer::Delivered }).start();
    run.close("a", 3).await;
    let first = run.now().await;
    for (attempt, most) in (2..=8).zip([1, 2, 4, 8, 16, 32, 64]) {
        // What closes meanwhile belongs to the next delivery.
        run.close("a", 1).await;
        let (call, waited) = run.next().await;
        about(waited, 1, most);
        assert_eq!(call.told, Notification { attempt, ..first.told.clone() });
    }
    let next = run.now().await;
    assert_ne!(next.told.id, first.told.id);
    assert_eq!((next.told.attempt, next.told.groups[0].count, next.told.groups[0].total), (1, 7, 10));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_time_that_the_destination_asks_for_is_waited() {
    let mut run = Setup::new(|n| if n.attempt == 1 { retry_after(90) } else { Answer::Delivered }).start();
    run.close("a", 1).await;
    run.now().await;
    about(run.next().await.1, 90, 90);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_given_up_at_once_and_the_queue_goes_on() {
    let (_folder, path) = file();
    let bad = |n: Notification| if n.title == "bad" { failed(FailureKind::Permanent) } else { Answer::Delivered };
    let setup = Setup::new(bad).at(&path);
    let mut run = setup.start();
    run.close("bad", 1).await;
    run.close("good", 1).await;
    assert_eq!(run.now().await.text(), "bad");
    assert_eq!(run.now().await.text(), "good");
    assert!(run.within(Duration::from_secs(2)).await.is_none());
    run.stop().await;
    balanced(&path);
    let run = setup.start();
    assert_eq!(run.unfinished, [], "neither goes on");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivery_in_backoff_holds_back_only_its_own_groups() {
    let once = |n: Notification| if n.title == "a" && n.attempt == 1 { retry_after(60) } else { Answer::Delivered };
    let mut run = Setup::new(once).start();
    run.close("a", 1).await;
    assert_eq!(run.now().await.text(), "a");
    run.close("b", 1).await;
    assert_eq!(run.now().await.text(), "b");
    run.close("a", 5).await;
    run.close("b", 1).await;
    assert_eq!(run.now().await.text(), "b");
    let (call, waited) = run.next().await;
    assert_eq!((call.text(), call.told.attempt, call.told.groups[0].count), ("a", 2, 1));
    about(waited, 60, 60);
    assert_eq!(run.now().await.told.groups[0].count, 5, "then what waited behind it");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn progress_is_handed_to_the_next_attempt_also_after_a_restart() {
    let (_folder, path) = file();
    let with = |n: Notification| {
        let progress = (n.attempt == 1).then(|| vec![1, 2, 3]);
        Answer::Failed(Failure { progress, ..failure(FailureKind::Retry) })
    };
    let setup = Setup::new(with).at(&path);
    let mut run = setup.start();
    run.close("a", 1).await;
    assert_eq!(run.now().await.told.progress, None);
    assert_eq!(run.next().await.0.told.progress, Some(vec![1, 2, 3]));
    run.settle().await;
    run.stop().await;
    let mut run = setup.start();
    let (call, _) = run.next().await;
    assert_eq!((call.told.attempt, call.told.progress), (3, Some(vec![1, 2, 3])), "kept when no new one came");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_faults_five_times_on_a_notification_is_not_asked_again() {
    let faulty = |n: Notification| {
        let fault = (n.title == "a").then_some(Fault::Trap);
        if fault.is_some() {
            Answer::Failed(Failure { fault, ..failure(FailureKind::Retry) })
        } else {
            Answer::Delivered
        }
    };
    let mut run = Setup::new(faulty).start();
    run.close("a", 1).await;
    for attempt in 1..=5 {
        assert_eq!(run.next().await.0.told.attempt, attempt);
    }
    assert!(run.in_steps(Duration::from_secs(5), Duration::from_secs(400)).await.is_none());
    run.close("b", 1).await;
    assert_eq!(run.now().await.text(), "b");
    run.close("a", 1).await;
    assert_eq!(run.now().await.told.attempt, 1, "the group itself is free again");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_day_of_failing_is_the_end_of_a_delivery() {
    let mut run = Setup::new(|_| failed(FailureKind::Retry)).start();
    run.close("a", 1).await;
    let first = run.now().await.told;
    let began = Instant::now();
    let mut last = began;
    while let Some(call) = run.in_steps(Duration::from_secs(60), Duration::from_secs(600)).await {
        assert_eq!(call.told.id, first.id);
        last = call.at;
    }
    let tried = last - began;
    let day = Duration::from_secs(24 * 60 * 60);
    assert!(tried >= day && tried <= day + Duration::from_secs(500), "{tried:?}");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_was_set_back_holds_no_delivery_longer_than_an_hour() {
    let (_folder, path) = file();
    let setup = Setup::new(|n| if n.attempt == 1 { retry_after(60) } else { Answer::Delivered }).at(&path);
    let mut run = setup.start();
    run.close("a", 1).await;
    run.now().await;
    run.settle().await;
    run.stop().await;
    let years_before = Setup { clock: Clock::derived(NOON - 400_000_000_000), ..setup };
    let mut run = years_before.start();
    let call = run.in_steps(Duration::from_secs(10), Duration::from_secs(3_610)).await;
    assert_eq!(call.expect("within the hour").told.attempt, 2);
    run.stop().await;
}
