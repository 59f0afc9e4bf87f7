//! mag as a service: what it says to the service manager, and when.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::support::{Home, Wire, classic};

/// The socket of a service manager (`NOTIFY_SOCKET`).
struct Manager(UnixDatagram);

impl Manager {
    /// The lines of the next thing that it hears.
    #[track_caller]
    fn hears(&self) -> Vec<String> {
        let mut bytes = [0; 4_096];
        let count = self.0.recv(&mut bytes).expect("something in time");
        let text = std::str::from_utf8(&bytes[..count]).expect("text");
        text.lines().map(str::to_owned).collect()
    }
}

#[test]
fn the_service_manager_hears_of_readiness_reloads_and_the_stop() {
    let home = Home::with("[route]\nsenders = []\n");
    let path = home.path("notify");
    let manager = Manager(UnixDatagram::bind(&path).expect("a socket"));
    manager.0.set_read_timeout(Some(Duration::from_secs(120))).expect("an open socket");
    let mag = home.env("NOTIFY_SOCKET", path.to_str().expect("text")).start();
    assert_eq!(manager.hears(), ["READY=1", "STATUS=takes messages in"]);
    // Ready means that whoever connects now is served.
    mag.takes(&classic(&["a"]));

    let reloads = || {
        mag.gets_signal("HUP");
        let begun = manager.hears();
        let time = begun.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")?.parse::<u64>().ok());
        assert!(begun[0] == "RELOADING=1" && time > Some(0), "{begun:?}");
        (manager.hears(), time)
    };
    let (done, first) = reloads();
    assert_eq!(done, ["READY=1", "STATUS=takes messages in"]);
    mag.home().configure("[rout]\n");
    let (done, second) = reloads();
    assert_eq!(done[0], "READY=1", "refused, and as ready as before");
    let refused = "STATUS=a new config is refused, the one before goes on: mag.toml:3:2: error: ";
    assert!(done.len() == 2 && done[1].starts_with(refused), "{done:?}");
    assert!(second > first, "each has a time of its own");

    let mut wire = Wire::with_acks(mag.address());
    wire.writes(b"{\"text\":\"a\"}\n");
    wire.is_acked(1);
    mag.gets_signal("TERM");
    assert_eq!(manager.hears(), ["STOPPING=1", "STATUS=stops"]);
    mag.ends_well();
}

#[test]
fn a_manager_that_is_not_there_keeps_nobody_from_running() {
    let mag = Home::with("[route]\nsenders = []\n").env("NOTIFY_SOCKET", "/nowhere/notify").start();
    mag.says("the service manager cannot be told what mag is at");
    mag.takes(&classic(&["a"]));
    mag.stops();
}
