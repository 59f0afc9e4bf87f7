//! What happens when a destination does not work: the fallback tells it, a person is waited for, others go on.

use super::*;
use crate::store::Freeze;

const MINUTE: Duration = Duration::from_secs(60);

impl Run {
    /// The texts and counts of what the fallback is given, in the order of its deliveries.
    async fn escalated(&self) -> Vec<(String, u64)> {
        let mut told = Vec::new();
        loop {
            let freeze = Freeze { sender: "mail".to_owned(), max_groups: 9, split: true, living: None };
            let mut frozen = self.store.arm(freeze).await.expect("the store runs");
            self.store.trim(0).await.expect("the store runs");
            self.store.disarm("mail".to_owned()).await.expect("the store runs");
            let Ok(delivery) = frozen.try_recv() else { return told };
            assert_eq!(delivery.reason, Some(Reason::Escalated));
            told.extend(delivery.groups.iter().map(|group| (group.text.clone(), group.count)));
            let Delivery { id, attempt, sender, tries, .. } = delivery;
            let outcome = Outcome::Delivered { receipt: None, updated_in_place: false };
            let attempted = Attempted { id, attempt, sender, outcome, tries, fallback: None };
            self.store.finish(attempted).await.expect("the store runs");
        }
    }

    /// Lets time pass, whatever the plugin is called for.
    pub(super) async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        let step = (time / 60).max(Duration::from_secs(1));
        while Instant::now() < until {
            self.settle().await;
            while self.called.try_recv().is_ok() {}
            tokio::time::advance(step.min(until - Instant::now())).await;
        }
        self.settle().await;
    }
}

fn with_fallback(send: impl Fn(Notification) -> Answer + Send + Sync + 'static) -> Setup {
    let mut setup = Setup::new(send);
    setup.settings.fallback = Some(Fallback { sender: "mail".to_owned(), after: 5 * MINUTE });
    setup
}

fn told(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_nothing_for_five_minutes_is_told_by_the_fallback() {
    let (_folder, path) = file();
    let mut run = with_fallback(|_| failed(FailureKind::Retry)).at(&path).start();
    run.close("a", 3).await;
    run.pass(Duration::from_secs(298)).await;
    assert_eq!(run.escalated().await, []);
    run.close("a", 2).await;
    run.pass(Duration::from_secs(3)).await;
    assert_eq!(run.escalated().await, told(&[("a", 5)]), "what is tried, and what waits behind it");
    run.close("b", 1).await;
    run.pass(MINUTE).await;
    assert_eq!(run.escalated().await, told(&[("b", 1)]), "then every minute what came since");
    run.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_takes_something_now_and_then_is_not_given_to_the_fallback() {
    let answer = |n: Notification| if n.title == "bad" { failed(FailureKind::Retry) } else { Answer::Delivered };
    let mut run = with_fallback(answer).start();
    run.close("bad", 1).await;
    for n in 0..5 {
        run.pass(2 * MINUTE).await;
        run.close(&format!("good {n}"), 1).await;
        run.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(run.escalated().await, []);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_told_by_the_fallback_at_once() {
    let mut run = with_fallback(|_| failed(FailureKind::Permanent)).start();
    run.close("a", 4).await;
    run.now().await;
    run.settle().await;
    assert_eq!(run.escalated().await, told(&[("a", 4)]));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_destination_asked_for_does_not_silence_what_it_holds_back() {
    let limited = || Failure { after: Some(60 * MINUTE), ..failure(FailureKind::RateLimited) };
    let mut run = with_fallback(move |_| Answer::Failed(limited())).start();
    run.close("a", 1).await;
    run.pass(6 * MINUTE).await;
    assert_eq!(run.escalated().await, told(&[("a", 1)]));
    assert_eq!(run.health.borrow().state, health::State::Paused);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_cannot_sign_in_is_told_by_its_fallback_at_once_when_a_person_is_needed() {
    let prepare = |_| Err(failure(FailureKind::Misconfigured));
    let mut run = with_fallback(|_| Answer::Delivered).preparing(prepare).start();
    run.close("a", 1).await;
    run.pass(MINUTE).await;
    assert_eq!(run.escalated().await, told(&[("a", 1)]));
    assert_eq!(run.health.borrow().state, health::State::Misconfigured);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_misconfigured_sender_keeps_its_queue_for_days_and_goes_on_when_a_person_has_mended_it() {
    let (_folder, path) = file();
    let mended = Arc::new(AtomicU32::new(0));
    let is_mended = Arc::clone(&mended);
    let answer = move |_| match is_mended.load(Ordering::Relaxed) {
        0 => failed(FailureKind::Misconfigured),
        _ => Answer::Delivered,
    };
    let mut run = Setup::new(answer).at(&path).start();
    run.close("a", 1).await;
    let first = run.now().await.told;
    run.close("b", 2).await;
    let mut attempts = 1;
    let until = Instant::now() + 60 * 60 * 48 * Duration::from_secs(1);
    while let Some(call) = run.in_steps(5 * MINUTE, until.saturating_duration_since(Instant::now())).await {
        assert_eq!(call.told.id, first.id, "nothing else is asked of it");
        attempts += 1;
    }
    assert!((2 * 24 * 5..2 * 24 * 13).contains(&attempts), "{attempts} in two days");
    assert!(run.prepares() >= attempts, "signing in comes before each of them");
    mended.store(1, Ordering::Relaxed);
    let call = run.in_steps(MINUTE, 10 * MINUTE).await.expect("it is tried by itself");
    assert_eq!(call.told.id, first.id);
    assert_eq!(run.now().await.text(), "b");
    run.settle().await;
    assert_eq!(run.health.borrow().state, health::State::Ready);
    run.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_start_after_a_person_changed_something_tries_at_once() {
    let (_folder, path) = file();
    let setup = Setup::new(|_| failed(FailureKind::Misconfigured)).at(&path);
    let mut run = setup.start();
    run.close("a", 1).await;
    run.pass(20 * MINUTE).await;
    run.stop().await;
    let mended = Setup { send: Arc::new(|_| Answer::Delivered), ..setup };
    let mut run = mended.start();
    assert!(run.now().await.told.attempt > 4);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_goes_on_over_a_restart() {
    let (_folder, path) = file();
    let limited = || Failure { after: Some(30 * MINUTE), ..failure(FailureKind::RateLimited) };
    let setup = Setup::new(move |n| if n.attempt == 1 { Answer::Failed(limited()) } else { Answer::Delivered });
    let setup = setup.at(&path);
    let mut run = setup.start();
    run.close("a", 1).await;
    run.now().await;
    run.settle().await;
    tokio::time::advance(10 * MINUTE).await;
    run.stop().await;
    let mut run = setup.start();
    run.close("b", 1).await;
    let call = run.in_steps(Duration::from_secs(5), 19 * MINUTE).await;
    assert!(call.is_none(), "neither of them");
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(run.in_steps(Duration::from_secs(5), 2 * MINUTE).await.expect("after it").text().to_owned());
    }
    texts.sort();
    assert_eq!(texts, ["a", "b"]);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn running_time_counts_towards_giving_up_also_when_mag_was_stopped_in_between() {
    let (_folder, path) = file();
    let mut setup = Setup::new(|_| retry_after(600)).at(&path);
    setup.settings.give_up_after = 60 * MINUTE;
    let mut run = setup.start();
    run.close("a", 1).await;
    run.pass(31 * MINUTE).await;
    run.stop().await;
    // Mag was off for days: that is no trying.
    setup.clock = Clock::derived(NOON + 300_000_000);
    let mut run = setup.start();
    assert_eq!(run.unfinished.len(), 1);
    run.pass(45 * MINUTE).await;
    assert_eq!(run.health.borrow().counts.dead, 1);
    run.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn several_attempts_run_together_as_far_as_the_config_allows() {
    let mut setup = Setup::new(|_| Answer::Never);
    setup.settings.concurrency = 3;
    let mut run = setup.start();
    for text in ["a", "b", "c", "d"] {
        run.close(text, 1).await;
    }
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(run.now().await.text().to_owned());
    }
    assert_eq!(texts, ["a", "b", "c"]);
    assert!(run.within(MINUTE).await.is_none(), "not a fourth one");
    run.close("a", 1).await;
    assert!(run.within(MINUTE).await.is_none(), "and never two of one group");
    run.stop.cancel();
    run.settle().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_notification_that_always_fails_does_not_hold_back_a_sender_that_was_failing() {
    let up = Arc::new(AtomicU32::new(0));
    let is_up = Arc::clone(&up);
    let answer = move |n: Notification| match is_up.load(Ordering::Relaxed) {
        0 => failed(FailureKind::Retry),
        _ if n.title == "poison" => failed(FailureKind::Retry),
        _ => Answer::Delivered,
    };
    let mut run = Setup::new(answer).start();
    for text in ["poison", "b", "c"] {
        run.close(text, 1).await;
        run.now().await;
        tokio::time::advance(Duration::from_millis(5)).await;
    }
    run.settle().await;
    assert_eq!(run.health.borrow().state, health::State::Failing);
    up.store(1, Ordering::Relaxed);
    run.close("d", 1).await;
    let mut delivered = std::collections::BTreeSet::new();
    while delivered.len() < 3 {
        let (call, _) = run.next().await;
        if call.text() != "poison" {
            delivered.insert(call.text().to_owned());
        }
    }
    assert_eq!(run.health.borrow().state, health::State::Ready);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_may_have_arrived_before_are_counted() {
    let answer = |n: Notification| match n.attempt {
        1 => Answer::Failed(Failure { maybe_delivered: true, ..failure(FailureKind::Retry) }),
        2 => failed(FailureKind::Retry),
        _ => Answer::Delivered,
    };
    let mut run = Setup::new(answer).start();
    run.close("a", 1).await;
    run.now().await;
    run.next().await;
    run.next().await;
    run.settle().await;
    let counts = run.health.borrow().counts;
    // The first may have arrived, however clear the answer to the second is.
    assert_eq!((counts.attempts, counts.resent, counts.retry, counts.delivered), (3, 2, 2, 1));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_does_not_start_at_all_is_told_by_its_fallback() {
    let (_folder, path) = file();
    let setup = Setup::new(|_| Answer::Delivered).at(&path);
    let run = setup.start();
    run.stop.cancel();
    run.settle().await;
    run.close("a", 5).await;
    let (shown, health) = watch::channel(Health::default());
    let stop = CancellationToken::new();
    let (store, clock) = (run.store.clone(), setup.clock.clone());
    let surroundings = Surroundings {
        store,
        clock,
        stop: stop.clone(),
        ending: stop.clone(),
        settled: CancellationToken::new(),
        health: shown,
        look: Arc::default(),
    };
    let fallback = Fallback { sender: "mail".to_owned(), after: MINUTE };
    let stranded = tokio::spawn(async move { stranded("hook", Some(fallback), "no such file", surroundings).await });
    run.settle().await;
    assert_eq!(run.escalated().await, told(&[("a", 5)]));
    assert_eq!(health.borrow().state, health::State::Broken);
    stop.cancel();
    stranded.await.expect("it stops");
    run.stop().await;
    balanced(&path);
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_make_the_fallback_wait_anew() {
    let (_folder, path) = file();
    let setup = with_fallback(|_| retry_after(20)).at(&path);
    let mut run = setup.start();
    run.close("a", 3).await;
    run.pass(4 * MINUTE).await;
    assert_eq!(run.escalated().await, []);
    run.stop().await;
    let mut run = setup.start();
    run.pass(90 * Duration::from_secs(1)).await;
    assert_eq!(run.escalated().await, told(&[("a", 3)]));
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_who_mended_a_destination_makes_it_be_tried_at_once() {
    let mended = Arc::new(AtomicU32::new(0));
    let is_mended = Arc::clone(&mended);
    let answer = move |_| match is_mended.load(Ordering::Relaxed) {
        0 => failed(FailureKind::Misconfigured),
        _ => Answer::Delivered,
    };
    let mut run = Setup::new(answer).start();
    run.close("a", 1).await;
    run.pass(20 * MINUTE).await;
    mended.store(1, Ordering::Relaxed);
    run.look.notify_one();
    assert_eq!(run.now().await.text(), "a");
    run.settle().await;
    assert_eq!(run.health.borrow().state, health::State::Ready);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_destination_asked_for_is_kept_whoever_looks() {
    let limited = || Failure { after: Some(10 * MINUTE), ..failure(FailureKind::RateLimited) };
    let mut run =
        Setup::new(move |n| if n.attempt == 1 { Answer::Failed(limited()) } else { Answer::Delivered }).start();
    run.close("a", 1).await;
    run.now().await;
    run.settle().await;
    run.look.notify_one();
    assert!(run.in_steps(MINUTE, 9 * MINUTE).await.is_none());
    assert!(run.in_steps(MINUTE, 2 * MINUTE).await.is_some());
    run.stop().await;
}
