//! How fast a destination is told: budget, pauses it asked for, and restraint while it fails.

use super::*;
use crate::config::Rate;

/// Asks for a pause, of that length or of mag's own choice.
fn limited(seconds: Option<u64>) -> Answer {
    Answer::Failed(Failure { after: seconds.map(Duration::from_secs), ..failure(FailureKind::RateLimited) })
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_pauses_the_whole_sender() {
    let setup = Setup::new(|n| if n.title == "a" && n.attempt == 1 { limited(Some(30)) } else { Answer::Delivered });
    let mut run = setup.start();
    run.close("a", 1).await;
    run.now().await;
    run.close("b", 1).await;
    let (call, waited) = run.next().await;
    about(waited, 30, 30);
    assert_eq!((call.text(), call.told.attempt), ("a", 2), "who waits longest comes first");
    assert_eq!(run.now().await.text(), "b");
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_without_a_time_makes_the_pauses_longer() {
    let mut run = Setup::new(|_| limited(None)).start();
    run.close("a", 1).await;
    run.now().await;
    for _ in 0..8 {
        run.in_steps(Duration::from_secs(5), Duration::from_secs(400)).await.expect("it is tried on and on");
    }
    let began = Instant::now();
    for _ in 0..20 {
        run.in_steps(Duration::from_secs(5), Duration::from_secs(400)).await.expect("it is tried on and on");
    }
    assert!(began.elapsed() > Duration::from_secs(600), "twenty pauses took {:?}", began.elapsed());
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn being_rate_limited_for_days_gives_nothing_up() {
    let calls = AtomicU32::new(0);
    let answer = move |_| match calls.fetch_add(1, Ordering::Relaxed) {
        0..60 => limited(Some(3_600)),
        60 => failed(FailureKind::Retry),
        _ => Answer::Delivered,
    };
    let mut run = Setup::new(answer).start();
    run.close("a", 1).await;
    let first = run.now().await.told;
    for attempt in 2..=62 {
        let call = run.in_steps(Duration::from_secs(120), Duration::from_secs(4_000)).await.expect("another attempt");
        assert_eq!((call.told.attempt, &call.told.id), (attempt, &first.id));
    }
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_nothing_new_is_begun_until_the_destination_works_again() {
    let up = Arc::new(AtomicU32::new(0));
    let is_up = Arc::clone(&up);
    let answer = move |n: Notification| match is_up.load(Ordering::Relaxed) {
        0 => failed(FailureKind::Retry),
        _ if n.title == "bad" => retry_after(300),
        _ => Answer::Delivered,
    };
    let mut run = Setup::new(answer).start();
    let mut ids = Vec::new();
    for text in ["a", "b", "c"] {
        run.close(text, 1).await;
        ids.push(run.now().await.told.id);
        tokio::time::advance(Duration::from_millis(5)).await;
    }
    run.close("d", 1).await;
    for _ in 0..20 {
        let (call, _) = run.next().await;
        assert!(ids.contains(&call.told.id), "only what failed already is tried, not {:?}", call.text());
    }
    up.store(1, Ordering::Relaxed);
    assert_eq!(run.next().await.0.told.groups.len(), 1);
    assert_eq!(run.now().await.text(), "d", "the destination works, so what is new is told at once");
    run.pass(Duration::from_secs(300)).await;
    for one_failure_is_no_reason_to_wait in ["bad", "good"] {
        run.close(one_failure_is_no_reason_to_wait, 1).await;
        assert_eq!(run.now().await.text(), one_failure_is_no_reason_to_wait);
    }
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn notifications_that_a_working_destination_refuses_do_not_hold_back_others() {
    let answer = |n: Notification| match n.title.as_str() {
        "later" if n.attempt == 1 => retry_after(300),
        "good" | "later" => Answer::Delivered,
        _ => failed(FailureKind::Permanent),
    };
    let mut run = Setup::new(answer).start();
    run.close("later", 1).await;
    run.now().await;
    for bad in ["bad 1", "bad 2", "bad 3", "bad 4"] {
        run.close(bad, 1).await;
        assert_eq!(run.now().await.text(), bad);
    }
    run.close("good", 1).await;
    assert_eq!(run.now().await.text(), "good");
    run.stop().await;
}

/// When calls came, over all runs of a test.
async fn collect(run: &mut Run, time: Duration, calls: &mut Vec<Instant>) {
    let until = Instant::now() + time;
    let step = Duration::from_millis(250);
    while let Some(call) = run.in_steps(step, until.saturating_duration_since(Instant::now())).await {
        calls.push(call.at);
    }
}

#[tokio::test(start_paused = true)]
async fn no_minute_sees_more_than_the_budget_also_across_restarts() {
    let (_folder, path) = file();
    let mut setup = Setup::new(|_| Answer::Delivered).at(&path);
    setup.settings.rate = Some(Rate { count: 12, per: Duration::from_secs(60) });
    let mut calls = Vec::new();
    let mut run = setup.start();
    for n in 0..70 {
        run.close(&format!("text {n}"), 1).await;
    }
    for seconds in [2, 7, 31, 64, 90] {
        collect(&mut run, Duration::from_secs(seconds), &mut calls).await;
        run.stop().await;
        run = setup.start();
    }
    run.stop().await;
    balanced(&path);
    for (n, first) in calls.iter().enumerate() {
        let minute = calls[n..].iter().filter(|at| **at - *first < Duration::from_secs(60)).count();
        assert!(minute <= 12 + 3, "{minute} in a minute");
    }
    let (all, least) = (calls.len(), 3 + 194 / 5 - 6);
    assert!(all >= least, "{all} in 194 seconds: the budget is also used, a restart costs little");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_costs_a_token_also_one_that_failed() {
    let mut setup = Setup::new(|_| failed(FailureKind::Retry));
    setup.settings.rate = Some(Rate { count: 1, per: Duration::from_secs(60) });
    setup.settings.burst = 2;
    let mut run = setup.start();
    run.close("a", 1).await;
    run.now().await;
    about(run.next().await.1, 1, 1);
    about(run.next().await.1, 55, 60);
    run.stop().await;
}
