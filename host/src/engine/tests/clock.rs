//! A wall clock that somebody sets, while mag runs and between runs: no window is lost, early or stalled.

use super::*;
use crate::clock::JUMPS;

#[tokio::test(start_paused = true)]
async fn a_window_closes_after_its_time_however_the_wall_clock_is_set_meanwhile() {
    for jump in JUMPS {
        let (_folder, path) = file();
        let rig = Rig::start(&root(30), &path);
        rig.acknowledged(vec![entry("a", 3)]).await;
        rig.clock.set_by(jump);
        rig.acknowledged(vec![entry("a", 4)]).await;
        rig.pass(Duration::from_secs(29)).await;
        assert_eq!(rig.ready("console").await, None, "not early, after {jump} ms");
        rig.pass(Duration::from_secs(2)).await;
        assert_eq!(rig.told("console").await.groups[0].count, 7, "after {jump} ms");
        rig.acknowledged(vec![entry("b", 30)]).await;
        assert_eq!(rig.told("console").await.groups[0].count, 30, "and it goes on");
        rig.stop().await;
        balanced(&path);
    }
}

#[tokio::test(start_paused = true)]
async fn windows_go_on_after_a_stop_during_which_the_wall_clock_was_set() {
    for jump in JUMPS {
        let (_folder, path) = file();
        let rig = Rig::start(&root(30), &path);
        rig.acknowledged(vec![entry("a", 3)]).await;
        rig.pass(Duration::from_secs(10)).await;
        let clock = rig.clock.clone();
        rig.stop().await;
        clock.set_by(jump);
        let rig = Rig::by(clock, &root(30), &store::Settings::new(Some(&path)), 100_000);
        assert_eq!(rig.restored, Restored { groups: 1, messages: 3 }, "after {jump} ms");
        rig.acknowledged(vec![entry("b", 1)]).await;
        rig.pass(Duration::from_secs(31)).await;
        let mut told = BTreeMap::new();
        while let Some(delivery) = rig.ready("console").await {
            told.extend(delivery.groups.iter().map(|group| (group.text.clone(), group.count)));
        }
        let expect = [("a".to_owned(), 3), ("b".to_owned(), 1)];
        assert_eq!(told, BTreeMap::from(expect), "within one more time limit, after {jump} ms");
        rig.stop().await;
        balanced(&path);
    }
}
