//! When `prepare` is called, and what its failures mean.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_sender_is_prepared_once_and_every_call_gets_that_state() {
    let mut run = Setup::new(|_| Answer::Delivered).start();
    for text in ["a", "b"] {
        run.close(text, 1).await;
        assert_eq!(run.now().await.state, 0_u32.to_le_bytes());
    }
    assert_eq!(run.prepares(), 1);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_prepare_fails_the_queue_waits_and_prepare_is_tried_on() {
    let (_folder, path) = file();
    let prepare = |before| if before < 5 { Err(failure(FailureKind::Misconfigured)) } else { prepared(before, None) };
    let setup = Setup::new(|_| Answer::Delivered).preparing(prepare).at(&path);
    let mut run = setup.start();
    run.close("a", 1).await;
    assert!(run.within(Duration::ZERO).await.is_none());
    run.close("a", 2).await;
    assert_eq!(run.prepares(), 1);
    let (call, waited) = run.next().await;
    about(waited, 5, 1 + 2 + 4 + 8 + 16);
    assert_eq!((run.prepares(), call.told.groups[0].count, call.told.attempt), (6, 3, 1));
    run.settle().await;
    run.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn prepare_waits_as_long_as_the_destination_asks_for_but_at_most_an_hour() {
    let prepare = |before| match before {
        0 => Err(Failure { after: Some(Duration::from_secs(100)), ..failure(FailureKind::Retry) }),
        1 => Err(Failure { after: Some(Duration::MAX), ..failure(FailureKind::RateLimited) }),
        _ => prepared(before, None),
    };
    let mut run = Setup::new(|_| Answer::Delivered).preparing(prepare).start();
    run.close("a", 1).await;
    assert!(run.in_steps(Duration::from_secs(3), Duration::from_secs(99)).await.is_none());
    assert_eq!(run.prepares(), 1);
    let began = Instant::now();
    let call = run.in_steps(Duration::from_secs(10), Duration::from_secs(4_000)).await.expect("it goes on");
    about(call.at - began, 3_599, 3_610);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_misconfigured_answer_it_is_prepared_again_before_the_next_attempt() {
    let answer = |n: Notification| if n.attempt < 3 { failed(FailureKind::Misconfigured) } else { Answer::Delivered };
    let mut run = Setup::new(answer).start();
    run.close("a", 1).await;
    assert_eq!(run.now().await.state, 0_u32.to_le_bytes());
    for attempt in [2_u32, 3] {
        let (call, _) = run.next().await;
        assert_eq!((call.told.attempt, call.state), (attempt, (attempt - 1).to_le_bytes().to_vec()));
    }
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_is_renewed_when_its_time_is_over() {
    let mut run =
        Setup::new(|_| Answer::Delivered).preparing(|before| prepared(before, Some(Duration::from_secs(60)))).start();
    run.settle().await;
    for (seconds, state) in [(0, 0_u32), (59, 0), (1, 1), (59, 1), (1, 2)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        run.settle().await;
        run.close(&format!("{seconds} {state}"), 1).await;
        assert_eq!(run.now().await.state, state.to_le_bytes(), "after {seconds} s more");
    }
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_is_valid_for_no_time_is_used_all_the_same_and_not_renewed_all_the_time() {
    let mut run = Setup::new(|_| Answer::Delivered).preparing(|before| prepared(before, Some(Duration::ZERO))).start();
    run.close("a", 1).await;
    run.now().await;
    assert!(run.within(Duration::from_secs(10)).await.is_none());
    assert!(run.prepares() <= 12, "{} times in ten seconds", run.prepares());
    run.stop().await;
}
