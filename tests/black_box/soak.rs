//! mag stays as large as it is, however long it runs; the long runs are `cargo run --release -p mag-bench -- soak`.

use std::time::Duration;

use mag_testkit::soak::{self, Plan};

use super::support::{binary, plugin_cache};

#[test]
fn memory_handles_and_the_log_stay_where_they_are_under_half_load() {
    let (time, round) = (Duration::from_secs(20), Duration::from_secs(1));
    let plan = Plan { binary: binary(), cache: Some(plugin_cache()), time, round };
    let report = soak::run(&plan, &mut |line| println!("{line}")).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.wrong, [""; 0], "{report}");
    // Beyond what the speed was measured with; how much it is, is the machine's.
    assert!(report.notifications > 1 && report.uses.len() >= 3, "there was no load: {report}");
}
