//! A wall clock that somebody sets: nothing is tried early, given up early, or waits for ever.

use super::*;
use crate::clock::JUMPS;

#[tokio::test(start_paused = true)]
async fn a_backoff_takes_its_time_however_the_wall_clock_is_set_meanwhile() {
    for jump in JUMPS {
        let (_folder, path) = file();
        let setup = Setup::new(|n| if n.attempt == 1 { retry_after(60) } else { Answer::Delivered }).at(&path);
        let mut run = setup.start();
        run.close("a", 1).await;
        run.now().await;
        run.settle().await;
        setup.clock.set_by(jump);
        run.close("b", 1).await;
        assert_eq!(run.now().await.text(), "b", "others are told at once, after {jump} ms");
        let (call, waited) = run.next().await;
        assert_eq!((call.text(), call.told.attempt), ("a", 2));
        about(waited, 60, 60);
        run.settle().await;
        run.stop().await;
        balanced(&path);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backoff_ends_after_a_stop_during_which_the_wall_clock_was_set() {
    for jump in JUMPS {
        let (_folder, path) = file();
        let setup = Setup::new(|n| if n.attempt == 1 { retry_after(60) } else { Answer::Delivered }).at(&path);
        let mut run = setup.start();
        run.close("a", 1).await;
        run.now().await;
        run.settle().await;
        run.stop().await;
        setup.clock.set_by(jump);
        let mut run = setup.start();
        let call = run.in_steps(Duration::from_secs(20), Duration::from_secs(3_620)).await;
        assert_eq!(call.expect("within the hour").told.attempt, 2, "after {jump} ms");
        run.settle().await;
        run.stop().await;
        balanced(&path);
    }
}

#[tokio::test(start_paused = true)]
async fn only_running_time_counts_towards_giving_up() {
    for jump in JUMPS {
        let mut setup = Setup::new(|_| retry_after(300));
        setup.settings.give_up_after = Duration::from_secs(1_800);
        let mut run = setup.start();
        run.close("a", 1).await;
        run.pass(Duration::from_secs(600)).await;
        setup.clock.set_by(jump);
        run.pass(Duration::from_secs(1_000)).await;
        assert_eq!(run.health.borrow().counts.dead, 0, "not early, after {jump} ms");
        run.pass(Duration::from_secs(600)).await;
        assert_eq!(run.health.borrow().counts.dead, 1, "and not never, after {jump} ms");
        run.stop().await;
    }
}
