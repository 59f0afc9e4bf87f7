//! A storm of messages is never a storm of notifications, and every one of them is counted.

use mag_testkit::storm::{self, Plan};

use super::support::{binary, plugin_cache};

#[test]
fn a_storm_is_told_within_the_budget_with_exact_counts_also_across_a_restart() {
    let plan = Plan { binary: binary(), cache: Some(plugin_cache()), messages: 500_000, groups: 50 };
    let report = storm::run(&plan).unwrap_or_else(|error| panic!("{error:?}"));
    println!("{report}");
    assert_eq!(report.wrong, [""; 0], "{report}");
    assert!(report.notifications > 1, "one notification proves nothing about a budget: {report}");
}
