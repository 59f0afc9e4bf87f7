//! Kills at random moments under load, with destinations that misbehave: nothing acknowledged is lost, nothing is
//! counted twice, and what is told again is the same notification.

use mag_testkit::kill_loop::{self, Plan};

use super::support::{binary, plugin_cache};

#[test]
fn kills_at_random_moments_lose_nothing_and_count_nothing_twice() {
    // Chance differs from run to run; a failure prints its seed.
    let seed = std::env::var("MAG_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand_seed);
    let plan = Plan { binary: binary(), cache: Some(plugin_cache()), cycles: 25, seed };
    let report = kill_loop::run(&plan, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error:?}"));
    println!("{report}");
    assert_eq!((report.lost, report.twice), (0, 0), "{report}");
    assert_eq!(report.wrong, [""; 0], "{report}");
    // The faults were there, and so was the load.
    assert!(report.sent_again > 0 && report.with_ids > report.sent_again, "{report}");
    assert!(report.kills >= 15 && report.acknowledged > 5_000 && report.resends + report.unclear > 0, "{report}");
}

fn rand_seed() -> u64 {
    fastrand::u64(..)
}
