//! A new config's bounds, log and admin address, and senders that did not work: what a reload changes beside routes,
//! senders and ports, and what it says of the rest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mag_testkit::wait_for;

use super::support::{Answer, Home, Mag, Receiver, Wire, classic, free_port, ndjson};

/// Only a mistake waits this long.
const LIMIT: Duration = Duration::from_secs(120);

/// Counts, tells nothing, and can be looked at there.
fn config(admin: u16, more: &str) -> String {
    format!("[admin]\naddress = \"127.0.0.1:{admin}\"\n{more}\n[route]\ntime_limit = \"1h\"\nsenders = []\n")
}

/// Has mag read its config again, as a person does, which it must take; what the command says.
#[track_caller]
fn reload(mag: &Mag) -> super::support::Ended {
    let ended = mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended
}

#[test]
fn a_config_that_the_command_cannot_read_is_refused_by_mag_too_and_its_log_says_why() {
    let port = free_port();
    let mag = Mag::with(&config(port, ""));
    for (slip, said) in [("[rout]\n", "`rout`"), ("[log]\nlevel = \"debug\n", "mag.toml:")] {
        mag.home().configure(&config(port, slip));
        let ended = mag.home().runs(&["reload"]);
        ended.must_fail_with(1, &[said, "mag: the new config is refused, the one before goes on"]);
        let first = ended.stderr.lines().next().expect("a reason").to_owned();
        mag.says(&first);
    }
    let refused = mag.said().iter().filter(|line| line.contains("the new config is refused")).count();
    assert_eq!(refused, 2);
    mag.home().configure(&config(port, ""));
    mag.home().runs(&["reload"]).must_be(0, "nothing is different", "");
    mag.stops();
}

#[test]
fn more_connections_are_let_in_and_those_that_are_open_go_on() {
    let port = free_port();
    let mag = Mag::with(&format!("[limits]\nconnections = 1\n{}", config(port, "")));
    let mut first = Wire::with_acks(mag.address());
    first.writes(&ndjson(&["a"]));
    first.is_acked(1);
    assert!(!mag.wire().ends_orderly(), "one too many is closed at once");
    // The same port, named: without a name it would be another one.
    mag.home().configure(&format!("[limits]\nconnections = 2\n{}", config(port, "")));
    assert_eq!(reload(&mag).stdout, "[limits] connections: changed, for connections from now on");
    let mut second = Wire::with_acks(mag.address());
    for wire in [&mut second, &mut first] {
        wire.writes(&ndjson(&["a"]));
    }
    second.is_acked(1);
    first.is_acked(2);
    assert!(!mag.wire().ends_orderly(), "still one too many");
    assert_eq!(mag.stops().store().open_windows(), [("a".to_owned(), 3)]);
}

#[test]
fn a_single_port_that_nobody_uses_goes_on_however_often_it_is_changed() {
    let port = free_port();
    let mag = Mag::with(&config(port, ""));
    for minutes in 1..=20 {
        mag.home().configure(&format!("[limits]\nidle_timeout = \"{minutes}m\"\n{}", config(port, "")));
        assert_eq!(reload(&mag).stdout, "[limits] idle_timeout: changed, for connections from now on");
    }
    let mut wire = Wire::with_acks(mag.address());
    wire.writes(&ndjson(&["a"]));
    wire.is_acked(1);
    mag.stops();
}

#[test]
fn a_config_file_that_is_gone_is_refused_and_opens_no_port_to_all() {
    let port = free_port();
    let mag = Home::with(&config(port, "")).start_by(&["run"]);
    std::fs::remove_file(mag.home().path("mag.toml")).expect("it is there");
    let ended = mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    ended.must_fail_with(1, &["mag.toml is gone", "the new config is refused, the one before goes on"]);
    mag.home().configure(&config(port, ""));
    mag.home().runs(&["reload"]).must_be(0, "nothing is different", "");
    mag.stops();
}

#[test]
fn handles_that_a_new_sender_needs_are_kept_from_connections() {
    let sender = |name: &str| format!("[senders.{name}]\nplugin = \"console\"\n");
    let port = free_port();
    let base = format!("{}{}", config(port, "").replace("senders = []", "senders = [\"one\"]"), sender("one"));
    let mag = Home::with(&base).with_handles(300).start();
    let before = mag.says("connections at a time instead of 10000");
    mag.home().configure(&(base + &sender("two") + &sender("three")));
    reload(&mag);
    let at_most = |line: &str| {
        let number = line.split("at most ").nth(1).and_then(|rest| rest.split(' ').next());
        number.and_then(|number| number.parse::<u32>().ok()).unwrap_or_else(|| panic!("no number in {line}"))
    };
    let all = mag.said();
    let after = all.iter().rfind(|line| line.contains("connections at a time instead of 10000")).expect("said");
    assert!(at_most(after) < at_most(&before), "{before}\n{after}");
    mag.stops();
}

#[test]
fn groups_and_ids_and_how_long_alerts_live_change_at_once() {
    let receiver = Receiver::start();
    let port = free_port();
    let config = |more: &str, close: u64| {
        format!(
            "[admin]\naddress = \"127.0.0.1:{port}\"\n{more}[route]\nmax_messages = {close}\ntime_limit = \"1h\"\n\
             senders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nrate = \"100/s\"\nconfig = {{ url = \"{}\" }}\n",
            receiver.url("/")
        )
    };
    let mag = Mag::with(&config("[limits]\ngroups = 1\n", 3));
    mag.takes(&classic(&["a", "b"]));
    mag.says("too many open groups");
    mag.home().configure(&config("[limits]\ngroups = 5\n[alerts]\nresolve_timeout = \"1s\"\n[store]\nids = 9\n", 3));
    let said = reload(&mag).stdout;
    assert_eq!(said, "[limits] groups: changed\n[alerts] resolve_timeout: changed\n[store] ids: changed");
    mag.takes(&classic(&["c", "c", "c"]));
    assert_eq!(receiver.request(1).json()["groups"][0]["text"], "c", "it had a group of its own");
    let alert = r#"[{"labels":{"alertname":"DiskFull"},"annotations":{"summary":"full"}}]"#;
    mag.home().configure(&config("[limits]\ngroups = 5\n[alerts]\nresolve_timeout = \"1s\"\n[store]\nids = 9\n", 1));
    assert_eq!(reload(&mag).stdout, "route root: changed");
    let mut wire = mag.wire();
    let head = "POST /api/v2/alerts HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Type: application/json\r\n";
    wire.writes(format!("{head}Content-Length: {}\r\n\r\n{alert}", alert.len()).as_bytes());
    assert!(wire.hears_to_the_end().starts_with("HTTP/1.1 200 "));
    // With the timeout that mag started with it would be minutes.
    receiver.gets("its end", |all| all.iter().find(|one| one.json()["reason"] == "resolved").cloned());
    mag.stops();
}

#[test]
fn a_full_store_takes_in_again_once_it_may_be_larger_and_connections_may_have_another_amount() {
    let port = free_port();
    let with =
        |store: &str, flight: &str| config(port, &format!("[limits]\nstore = \"{store}\"\nin_flight = \"{flight}\"\n"));
    let mag = Mag::with(&with("1MiB", "16MiB"));
    let mut wire = Wire::with_acks(mag.address());
    let text = "x".repeat(4_000);
    let full = (0..1_000).find(|n| !wire.writes_while_open(format!("{{\"text\":\"{n} {text}\"}}\n").as_bytes()));
    mag.says("`[limits] store` is reached");
    mag.home().configure(&with("64MiB", "64MiB"));
    assert_eq!(reload(&mag).stdout, "[limits] in_flight: changed\n[limits] store: changed", "written until {full:?}");
    mag.says("there is room for the store again, taking in goes on");
    let mut wire = Wire::with_acks(mag.address());
    wire.writes(&ndjson(&["there is room again"]));
    wire.is_acked(1);
    mag.stops();
}

#[test]
fn the_log_changes_its_format_and_how_much_it_says() {
    let port = free_port();
    let mag = Mag::with(&config(port, ""));
    mag.home().configure(&config(port, "[log]\nformat = \"json\"\n"));
    assert_eq!(reload(&mag).stdout, "[log]: changed");
    mag.says(r#""message":"the config is read again, it counts from now on""#);
    mag.home().configure(&config(port, "[log]\nlevel = \"error\"\n"));
    reload(&mag);
    mag.home().configure(&config(port, "[log]\nlevel = \"error\"\n[store]\npath = \"other.db\"\n"));
    mag.home().runs(&["reload"]).must_fail_with(1, &["`path` of [store] cannot change while mag runs"]);
    mag.says("`path` of [store] cannot change while mag runs: set it back, or restart mag");
    let read = mag.said().iter().filter(|line| line.contains("the config is read again")).count();
    assert_eq!(read, 1, "at this level only what is wrong is said: {:#?}", mag.said());
    mag.stops();
}

#[test]
fn the_admin_address_moves_and_whoever_asked_at_the_former_one_is_answered_there() {
    let (old, new) = (free_port(), free_port());
    let mag = Mag::with(&config(old, ""));
    mag.home().configure(&config(new, ""));
    // The command reads the new address, where nobody is yet.
    mag.home().runs(&["reload"]).must_fail_with(75, &["no mag answers", "give the former one with --admin"]);
    assert_eq!(reload(&mag).stdout, "[admin] address: changed");
    mag.home().runs(&["reload"]).must_be(0, "nothing is different", "");
    let gone = || Ok(std::net::TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], old))).err());
    wait_for("the former address to be closed", LIMIT, gone).expect("it closes");
    // An address that somebody else has refuses the config, with its place.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    mag.home().configure(&config(taken.local_addr().expect("an address").port(), ""));
    let ended = mag.home().runs(&["reload", "--admin", &format!("127.0.0.1:{new}")]);
    ended.must_fail_with(1, &["mag.toml:4:1: error: cannot listen on 127.0.0.1:"]);
    mag.home().configure(&config(new, ""));
    mag.home().runs(&["reload"]).must_be(0, "nothing is different", "");
    mag.stops();
}

fn hook(admin: u16, url: &str, more: &str) -> String {
    format!(
        "[admin]\naddress = \"127.0.0.1:{admin}\"\n[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\n\
         plugin = \"webhook\"\nrate = \"1000/s\"\nconfig = {{ url = \"{url}\" }}\n{more}"
    )
}

#[test]
fn a_sender_that_waits_for_a_person_is_tried_again_though_nothing_of_it_changed() {
    let open = Arc::new(AtomicBool::new(false));
    let lets_in = Arc::clone(&open);
    let receiver = Receiver::answering(move |_| Answer::status(if lets_in.load(Ordering::SeqCst) { 200 } else { 401 }));
    let mag = Mag::with(&hook(free_port(), &receiver.url("/"), ""));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.admin()
        .gets("/api/v1/status", |status| (status.json()["senders"][0]["health"] == "misconfigured").then_some(()));
    // What was wrong was on the other side.
    open.store(true, Ordering::SeqCst);
    assert_eq!(reload(&mag).stdout, "sender hook: started again, what waits for it is tried now (webhook 0.1.0)");
    assert_eq!(receiver.request(2).header("webhook-id"), receiver.request(1).header("webhook-id"));
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, 1);
}

#[test]
fn a_sender_that_did_not_start_and_does_not_still_refuses_nothing_else() {
    let receiver = Receiver::start();
    let (port, broken) = (free_port(), "[senders.broken]\nplugin = \"webhook\"\nconfig = { url = \"nowhere\" }\n");
    let mag = Mag::with(&hook(port, &receiver.url("/old"), broken));
    mag.says("sender broken: not ready, its queue waits for a config that works");
    mag.home().configure(&hook(port, &receiver.url("/new"), broken));
    let ended = reload(&mag);
    assert_eq!(ended.stdout, "sender hook: changed (webhook 0.1.0)");
    assert!(ended.stderr.contains("sender broken: tried again, and not ready still: mag.toml:14:18: "), "{ended:#?}");
    mag.says("sender broken: tried again, and not ready still");
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).target, "/new");
    mag.stops();
}

#[test]
fn a_secret_url_that_leads_elsewhere_is_followed_after_a_reload_as_its_refusal_says() {
    let (old, new) = (Receiver::start(), Receiver::start());
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("url");
    std::fs::write(&file, old.url("/hook")).expect("written");
    let more = format!("secrets.url = {{ file = \"{}\" }}\n", file.display());
    let mag = Mag::with(&hook(free_port(), "${secret:url}", &more));
    mag.takes(&classic(&["a"]));
    assert_eq!(old.request(1).target, "/hook");
    std::fs::write(&file, new.url("/moved")).expect("written");
    let refused = "secrets.url leads elsewhere than to";
    wait_for("the refusal", LIMIT, || {
        mag.takes(&classic(&["b"]));
        Ok(mag.said().iter().any(|line| line.contains(refused) && line.contains("`mag reload` lets it")).then_some(()))
    })
    .expect("it is said");
    assert!(new.requests().is_empty(), "nothing goes there before a person wants it");
    assert!(reload(&mag).stdout.starts_with("sender hook: "));
    mag.takes(&classic(&["c"]));
    assert_eq!(new.request(1).target, "/moved");
    mag.stops();
}
