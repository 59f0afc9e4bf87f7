//! Kills at random moments under load, with destinations that misbehave: nothing acknowledged is lost, nothing is
//! counted twice, and what is told again is the same notification.

use mag_testkit::kill_loop::{self, Plan, Report};

use super::support::{binary, plugin_cache};

/// Runs the loop. Chance differs from run to run; a failure prints its seed, and `MAG_TEST_SEED` sets it.
#[track_caller]
fn check(cycles: u32, tight: bool) -> Report {
    let given = std::env::var("MAG_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    let plan = Plan { binary: binary(), cache: Some(plugin_cache()), cycles, tight, seed };
    let report = kill_loop::run(&plan, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error:?}"));
    println!("{report}");
    assert_eq!((report.lost, report.twice), (0, 0), "{report}");
    assert_eq!(report.wrong, [""; 0], "{report}");
    report
}

#[test]
fn kills_at_random_moments_lose_nothing_and_count_nothing_twice() {
    let report = check(25, false);
    // The faults were there, and so was the load.
    assert!(report.kills >= 15 && report.acknowledged > 500 && report.resends + report.unclear > 0, "{report}");
    assert!(report.sent_again > 0 && report.with_ids > report.sent_again, "{report}");
}

#[test]
fn kills_while_groups_find_no_room_lose_nothing_and_count_nothing_twice() {
    let report = check(10, true);
    assert!(report.overflowed > 0, "there was room for everything: {report}");
}
