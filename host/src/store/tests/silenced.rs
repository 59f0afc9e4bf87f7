//! Silences and a clock that somebody sets.

use super::*;
use crate::matcher::Matcher;
use crate::silence::Silence;

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;

fn wanted(matcher: &str, starts: Millis, ends: Millis) -> SilenceWish {
    SilenceWish::Set(Silence {
        id: String::new(),
        matchers: vec![Matcher::parse_bounded(matcher).expect("a good matcher")],
        starts,
        ends,
        created_by: "ann".to_owned(),
        comment: "work".to_owned(),
        updated: starts,
        messages: 0,
    })
}

async fn set(rig: &Rig, wish: SilenceWish) -> String {
    rig.store.silence(wish).await.expect("the store runs").expect("it is set")
}

#[tokio::test(start_paused = true)]
async fn a_silence_that_a_clock_ahead_thought_over_holds_when_the_clock_is_right_again() {
    let (_folder, path) = file();
    let clock = clock::Clock::derived(NOON);
    let open = || Rig::at(Some(&path), &[("root", &["console"])], &["console"], clock.clone());
    let rig = open();
    set(&rig, wanted("text=~sh.p", NOON, NOON + 2 * HOUR)).await;
    clock.set_by(i64::try_from(DAY).expect("a day is short"));
    set(&rig, wanted("text=other", NOON + DAY, NOON + DAY + HOUR)).await;
    clock.set_by(-i64::try_from(DAY).expect("a day is short"));
    rig.close(vec![group("root", "shop", 3)]).await;
    assert!(rig.next("console").await.is_none(), "held");
    // So it is for a mag that starts while the clock is ahead.
    rig.stop();
    clock.set_by(i64::try_from(DAY).expect("a day is short"));
    let rig = open();
    clock.set_by(-i64::try_from(DAY).expect("a day is short"));
    rig.close(vec![group("root", "shop", 3)]).await;
    assert!(rig.next("console").await.is_none(), "held");
    rig.stop();
}

#[tokio::test(start_paused = true)]
async fn silences_that_are_over_are_forgotten_but_for_the_last() {
    let clock = clock::Clock::derived(NOON);
    let rig = Rig::at(None, &[("root", &["console"])], &["console"], clock.clone());
    for n in 0..limits::SILENCES_OVER as u64 + 5 {
        set(&rig, wanted("text=x", NOON + n, NOON + HOUR + n)).await;
    }
    clock.set_by(i64::try_from(DAY).expect("a day is short"));
    let last = set(&rig, wanted("text=y", NOON + DAY, NOON + DAY + HOUR)).await;
    let there = rig.store.look(|reader| reader.silences()).await.expect("the store reads");
    assert_eq!(there.len(), limits::SILENCES_OVER + 1);
    let known = rig.store.silences();
    let all = known.all(&message("x"), NOON + HOUR - 1).count() + known.all(&message("y"), NOON + DAY + 1).count();
    assert_eq!(all, there.len(), "what is kept is what is known");
    assert!(there.iter().any(|silence| silence.id == last));
    rig.stop();
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "what a processor takes is no time of the tests' clock")]
async fn a_hundred_of_the_costliest_silences_hold_up_a_thousand_windows_for_a_moment_only() {
    let rig = Rig::simple(None);
    let costly = "text=~.*a.{6}b.*";
    for _ in 0..limits::SILENCE_REGEXES {
        set(&rig, wanted(costly, NOON, NOON + DAY)).await;
    }
    let text = |n: usize| format!("{n:06}{}", "ab".repeat(limits::SILENCE_SEEN_BYTES));
    let windows: Vec<Group> = (0..limits::SWEEP_WINDOWS).map(|n| group("root", &text(n), 1)).collect();
    let began = std::time::Instant::now();
    rig.close(windows).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}: unoptimized on a busy machine it takes a few seconds");
    rig.stop();
}
