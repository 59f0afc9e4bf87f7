//! A new config in a running mag: what changes counts from then on, what stays goes on, what is wrong changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mag_testkit::wait_for;

use super::support::{Answer, Home, Mag, Receiver, Wire, binary, classic, free_port, ndjson};

/// mag is ready far sooner; only a mistake waits this long.
const LIMIT: Duration = Duration::from_secs(120);
const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

/// A sender `hook` that tells every message to `url`.
fn hook(url: &str) -> String {
    format!(
        "{ADMIN}[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nrate = \"1000/s\"\n\
         burst = 1000\nconfig = {{ url = \"{url}\" }}\n"
    )
}

/// Has mag read its config again, which it must take; what it prints.
#[track_caller]
fn reload(mag: &Mag) -> String {
    let ended = mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.stdout
}

/// Has mag read its config again, which it must refuse for this reason.
#[track_caller]
fn reload_is_refused(mag: &Mag, said: &[&str]) {
    let ended = mag.home().runs(&["reload", "--admin", &mag.admin().address()]);
    ended.must_fail_with(1, said);
    ended.must_fail_with(1, &["mag: the new config is refused, the one before goes on"]);
}

/// The value of a metric without labels.
#[track_caller]
fn metric(mag: &Mag, name: &str) -> i64 {
    let text = mag.admin().get("/metrics").body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// A component that the build made.
#[track_caller]
fn component(name: &str) -> Vec<u8> {
    let target = binary().ancestors().nth(2).expect("a target folder").to_owned();
    let path = target.join("guests/wasm32-wasip2/guest").join(format!("mag_plugin_{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

#[test]
fn a_changed_sender_tells_in_its_new_way() {
    let receiver = Receiver::start();
    let mag = Mag::with(&hook(&receiver.url("/old")));
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).target, "/old");
    assert_eq!(reload(&mag), "nothing is different");
    mag.home().configure(&hook(&receiver.url("/new")));
    assert_eq!(reload(&mag), "sender hook: changed (webhook 0.1.0)");
    mag.takes(&classic(&["b"]));
    assert_eq!(receiver.request(2).target, "/new");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, 2);
}

#[test]
fn sighup_does_the_same_and_the_log_says_what_changed() {
    let receiver = Receiver::start();
    let mag = Mag::with(&hook(&receiver.url("/old")));
    mag.home().configure(&hook(&receiver.url("/new")));
    mag.gets_signal("HUP");
    mag.says("the config is read again, it counts from now on");
    mag.says("sender hook: changed (webhook 0.1.0)");
    mag.takes(&classic(&["b"]));
    assert_eq!(receiver.request(1).target, "/new");
    mag.stops();
}

#[test]
fn a_call_under_way_ends_with_the_old_config_before_anything_is_told_with_the_new_one() {
    let held = Arc::new(Mutex::new(()));
    let (came, comes) = std::sync::mpsc::sync_channel(2);
    let gate = Arc::clone(&held);
    let receiver = Receiver::answering(move |_| {
        came.send(()).expect("the test waits");
        drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
        Answer::status(200)
    });
    let holding = held.lock().expect("nobody has it");
    let mag = Mag::with(&hook(&receiver.url("/old")).replace("rate", "timeout = \"60s\"\nrate"));
    mag.takes(&classic(&["a"]));
    comes.recv().expect("the first call");
    mag.home().configure(&hook(&receiver.url("/new")));
    reload(&mag);
    mag.takes(&classic(&["b"]));
    assert!(comes.try_recv().is_err(), "the queue waits for the call that is under way");
    drop(holding);
    let second = receiver.request(2);
    assert_eq!((second.target.as_str(), &second.json()["groups"][0]["text"]), ("/new", &"b".into()));
    let home = mag.stops();
    assert_eq!((home.store().account("root", "hook").told, receiver.requests().len()), (2, 2));
}

#[test]
fn what_failed_before_goes_on_with_the_new_config_under_the_same_id() {
    let receiver = Receiver::answering(|request| Answer::status(if request.target == "/old" { 401 } else { 200 }));
    let mag = Mag::with(&hook(&receiver.url("/old")));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.says("misconfigured, its queue waits until a person changes something");
    mag.home().configure(&hook(&receiver.url("/new")));
    reload(&mag);
    let told = receiver.gets("the repeated call", |all| all.iter().find(|one| one.target == "/new").cloned());
    assert_eq!(told.header("webhook-id"), receiver.request(1).header("webhook-id"));
    let home = mag.stops();
    assert_eq!(home.store().only_delivery().state, "delivered");
}

#[test]
fn under_load_with_acks_nothing_is_lost_or_told_twice_whatever_the_sender_becomes() {
    let receiver = Receiver::start();
    let mag = Mag::with(&hook(&receiver.url("/0")));
    let (address, enough) = (mag.address(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&enough);
    let client = thread::spawn(move || {
        let mut wire = Wire::with_acks(address);
        let mut sent = 0;
        while !ended.load(Ordering::SeqCst) {
            sent += 1;
            wire.writes(&ndjson(&[&format!("number {sent}")]));
            wire.is_acked(sent);
        }
        sent
    });
    for round in 1..=8 {
        receiver.gets("calls of this config", |all| {
            all.iter().any(|one| one.target == format!("/{}", round - 1)).then_some(())
        });
        mag.home().configure(&hook(&receiver.url(&format!("/{round}"))));
        reload(&mag);
    }
    enough.store(true, Ordering::SeqCst);
    let sent = client.join().expect("every message is acknowledged");
    let told = |all: &[super::support::Request]| {
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for request in all {
            for group in request.json()["groups"].as_array().expect("groups") {
                *told.entry(group["text"].as_str().expect("a text").to_owned()).or_default() += 1;
            }
        }
        (told.len() as u64 == sent).then_some(told)
    };
    let told = receiver.gets("all that was acknowledged", told);
    assert!(told.values().all(|times| *times == 1), "told more than once: {told:?}");
    let ids: Vec<_> = receiver.requests().iter().map(|one| one.header("webhook-id").map(str::to_owned)).collect();
    let mut different = ids.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), ids.len(), "an id came twice without any fault");
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").told, i64::try_from(sent).expect("a count"));
}

#[test]
fn a_config_with_a_mistake_is_refused_with_its_place_and_the_old_one_goes_on() {
    let receiver = Receiver::start();
    let mag = Mag::with(&hook(&receiver.url("/old")));
    assert_eq!(metric(&mag, "mag_config_last_reload_successful"), 1);
    mag.home().configure(&hook(&receiver.url("/new")).replace("plugin =", "plugim ="));
    reload_is_refused(
        &mag,
        &["mag.toml:9:1: error: unknown key `plugim` in [senders.hook]", "plugim = \"webhook\"\n^"],
    );
    mag.says("the new config is refused, the one before goes on");
    mag.says("mag.toml:9:1: error: unknown key `plugim` in [senders.hook]");
    assert_eq!(metric(&mag, "mag_config_last_reload_successful"), 0);
    let status = mag.admin().get("/api/v1/status").json();
    assert!(status["config"]["error"].as_str().expect("a reason").starts_with("mag.toml:9:1"), "{status}");
    let screen = mag.home().runs(&["status", "--admin", &mag.admin().address()]).stdout;
    assert!(screen.contains("\nconfig    mag.toml, loaded ") && screen.contains("refused"), "{screen}");
    // Without --admin the command itself cannot read where to ask.
    mag.home().runs(&["reload"]).must_fail_with(2, &["mag.toml:9:1", "mag: nothing is reloaded"]);
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).target, "/old");
    mag.home().configure(&hook(&receiver.url("/old")));
    assert_eq!(reload(&mag), "nothing is different");
    assert_eq!(metric(&mag, "mag_config_last_reload_successful"), 1);
    mag.stops();
}

#[test]
fn what_the_plugin_or_its_destination_finds_wrong_is_refused_too() {
    let receiver = Receiver::start();
    let mag = Mag::with(&hook(&receiver.url("/old")));
    mag.home().configure(&hook("ftp://example.org/"));
    reload_is_refused(&mag, &["mag.toml:", "config = { url = \"ftp://example.org/\" }"]);
    // Of two changes the good one is not taken either.
    mag.home().configure(&format!("{}[senders.more]\nplugin = \"./none.wasm\"\n", hook(&receiver.url("/new"))));
    reload_is_refused(&mag, &["error: no plugin at ./none.wasm"]);
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).target, "/old");
    mag.stops();
}

#[test]
fn keys_that_belong_to_the_start_are_refused_by_name() {
    let receiver = Receiver::start();
    let mag = Mag::with(&hook(&receiver.url("/")));
    mag.home().configure(&format!("{}[store]\npath = \"other.db\"\n", hook(&receiver.url("/"))));
    let said =
        "error: `path` of [store] cannot change while mag runs: set it back, or restart mag\npath = \"other.db\"";
    reload_is_refused(&mag, &[said]);
    mag.stops();
}

#[test]
fn a_plugin_file_that_is_replaced_in_place_counts_from_the_reload_on_and_a_bad_one_does_not() {
    let receiver = Receiver::start();
    let config = format!(
        "{ADMIN}[route]\nmax_messages = 1\nsenders = [\"own\"]\n[senders.own]\nplugin = \"./own.wasm\"\nallow_private = true\n\
         rate = \"1000/s\"\nallow = [\"{}\"]\n",
        receiver.url("")
    );
    let mag = Home::with(&config).file("own.wasm", &component("console")).start();
    mag.takes(&classic(&["a"]));
    mag.says(r#"Message \"a\" was repeated"#);
    replace(&mag.home().path("own.wasm"), b"hello");
    reload_is_refused(&mag, &["mag.toml:", "sender own", "it is not a WebAssembly component"]);
    mag.takes(&classic(&["b"]));
    mag.says(r#"Message \"b\" was repeated"#);
    // A good plugin that does not accept this config.
    replace(&mag.home().path("own.wasm"), &component("webhook"));
    reload_is_refused(&mag, &["url"]);
    mag.home().configure(&format!("{config}config = {{ url = \"{}\" }}\n", receiver.url("/own")));
    assert_eq!(reload(&mag), "sender own: changed (webhook 0.1.0)");
    mag.takes(&classic(&["c"]));
    assert_eq!(receiver.request(1).json()["groups"][0]["text"], "c");
    replace(&mag.home().path("own.wasm"), &component("console"));
    mag.home().configure(&config);
    reload(&mag);
    mag.takes(&classic(&["d"]));
    mag.says(r#"Message \"d\" was repeated"#);
    mag.stops();
}

/// As editors and package managers do it: the file is another one afterwards.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).expect("the file is written");
    std::fs::rename(&beside, path).expect("a file of the folder");
}

#[test]
fn what_waits_for_a_sender_that_is_removed_becomes_dead_letters_and_one_that_is_added_tells() {
    let receiver = Receiver::answering(|request| Answer::status(if request.target == "/gone" { 503 } else { 200 }));
    let (gone, new) = (receiver.url("/gone"), receiver.url("/new"));
    let mag = Mag::with(&hook(&gone));
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    mag.says("will try again");
    mag.home().configure(&hook(&new).replace("[\"hook\"]", "[\"fresh\"]").replace("senders.hook", "senders.fresh"));
    let said = reload(&mag);
    for part in [
        "route root: changed",
        "sender fresh: added (webhook 0.1.0)",
        "sender hook: removed, what waits for it becomes dead letters",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    mag.says("sender hook left the config: to the dead letters went 1 notification that waited for it");
    mag.takes(&classic(&["b"]));
    let told = receiver.gets("the new sender's call", |all| all.iter().find(|one| one.target == "/new").cloned());
    assert_eq!(told.json()["sender"], "fresh");
    let home = mag.stops();
    let store = home.store();
    assert_eq!((store.account("root", "hook").dead, store.account("root", "fresh").told), (1, 1));
    assert_eq!(store.deliveries()[0].code.as_deref(), Some("sender-gone"));
}

#[test]
fn open_groups_go_on_with_their_route_and_close_when_it_is_gone() {
    let receiver = Receiver::start();
    let config = |routes: &str| {
        hook(&receiver.url("/")).replace("max_messages = 1\n", "max_messages = 5\ntime_limit = \"1h\"\n")
            + "[[route.routes]]\nname = \"stays\"\nmatch = ['kind=\"stays\"']\n"
            + routes
    };
    let goes = "[[route.routes]]\nname = \"goes\"\nmatch = ['kind=\"goes\"']\n";
    let mag = Mag::with(&config(goes));
    let message = |kind: &str| format!("{{\"text\":\"a\",\"kind\":\"{kind}\",\"count\":2}}\n").into_bytes();
    // The same connection before and after: what it says by number goes where the new routes say.
    let mut wire = Wire::with_acks(mag.address());
    for kind in ["stays", "goes", "default"] {
        wire.writes(&message(kind));
    }
    wire.is_acked(3);
    mag.home().configure(&config("[[route.routes]]\nname = \"new\"\nmatch = ['kind=\"goes\"']\nmax_messages = 4\n"));
    let said = reload(&mag);
    assert_eq!(said, "route new: added\nroute goes: removed\nopen groups: 2 kept, 1 closed with their routes");
    let closed = receiver.request(1).json();
    assert_eq!((&closed["groups"][0]["route"], &closed["groups"][0]["count"]), (&"goes".into(), &2.into()));
    for kind in ["stays", "goes", "goes", "stays"] {
        wire.writes(&message(kind));
    }
    wire.is_acked(7);
    let told = receiver.gets("both routes' groups", |all| {
        let groups = all.iter().skip(1).flat_map(|one| one.json()["groups"].as_array().expect("groups").clone());
        let groups: Vec<_> = groups.collect();
        (groups.len() == 2).then_some(groups)
    });
    let mut told: Vec<_> = told.iter().map(|group| (group["route"].as_str(), group["count"].as_u64())).collect();
    told.sort_unstable();
    assert_eq!(told, [(Some("new"), Some(4)), (Some("stays"), Some(6))]);
    let home = mag.stops();
    assert_eq!(home.store().open_windows(), [("a".to_owned(), 2)]);
}

#[test]
fn an_address_that_stays_keeps_its_connections_one_that_is_removed_ends_them_and_one_that_is_new_is_served() {
    let (kept, gone, new) = (free_port(), free_port(), free_port());
    let config = |ports: &[(u16, &str)]| {
        let port = |(port, more): &(u16, &str)| format!("[[listen]]\naddress = \"127.0.0.1:{port}\"\n{more}");
        ports.iter().map(port).collect::<String>()
            + ADMIN
            + "[route]\nmax_messages = 100\ntime_limit = \"1h\"\nsenders = []\n"
    };
    let mag = Mag::with(&config(&[(kept, ""), (gone, "")]));
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let (mut staying, mut ending) = (Wire::with_acks(at(kept)), Wire::with_acks(at(gone)));
    for wire in [&mut staying, &mut ending] {
        wire.writes(&ndjson(&["a"]));
        wire.is_acked(1);
    }
    // A port that somebody else has: nothing at all is changed.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("its address").port();
    mag.home().configure(&config(&[(kept, ""), (port, "")]));
    reload_is_refused(&mag, &["mag.toml:4:11: error: cannot listen on 127.0.0.1:"]);
    ending.writes(&ndjson(&["a"]));
    ending.is_acked(2);
    mag.home().configure(&config(&[(kept, "labels = { site = \"eu\" }\n"), (new, "")]));
    let said = reload(&mag);
    assert_eq!(
        said,
        format!(
            "listen 127.0.0.1:{kept}: changed, for connections from now on\nlisten 127.0.0.1:{new}: added\n\
             listen 127.0.0.1:{gone}: removed"
        )
    );
    assert_eq!(ending.hears_to_the_end(), "", "what came in is answered, and the connection ends in order");
    staying.writes(&ndjson(&["a"]));
    staying.is_acked(2);
    for port in [kept, new] {
        let mut wire = Wire::with_acks(at(port));
        wire.writes(&ndjson(&["labelled"]));
        wire.is_acked(1);
    }
    let closed = || Ok(std::net::TcpStream::connect(at(gone)).err());
    wait_for("a removed address to be closed", LIMIT, closed).unwrap_or_else(|error| panic!("{error}"));
    mag.stops();
}

#[test]
fn monitors_come_and_go_with_the_config() {
    let receiver = Receiver::answering(|_| Answer::text("{\"items\":[{\"id\":1,\"value\":5}]}"));
    let monitor = |name: &str, path: &str| {
        format!(
            "[monitors.{name}]\nurl = \"{}\"\ninterval = \"1s\"\nitems = \"/items\"\nid = \"/id\"\nvalue = \"/value\"\n\
             alert_if = \"delta > 1000\"\ntext = \"x\"\n",
            receiver.url(path)
        )
    };
    let base = format!("{ADMIN}[route]\nsenders = []\n");
    let mag = Mag::with(&format!("{base}{}{}", monitor("one", "/one"), monitor("two", "/two")));
    let polled =
        |path: &'static str| receiver.gets(path, move |all| all.iter().any(|one| one.target == path).then_some(()));
    polled("/one");
    polled("/two");
    mag.home().configure(&format!("{base}{}{}", monitor("two", "/changed"), monitor("three", "/three")));
    assert_eq!(reload(&mag), "monitor three: added\nmonitor two: changed\nmonitor one: removed");
    let before = receiver.requests().len();
    polled("/changed");
    polled("/three");
    receiver.gets("further polls", |all| (all.len() >= before + 6).then_some(()));
    let late: Vec<_> = receiver.requests().into_iter().skip(before + 2).map(|one| one.target).collect();
    assert!(late.iter().all(|target| target != "/one" && target != "/two"), "{late:?}");
    mag.stops();
}

#[test]
fn a_watched_config_counts_once_it_is_written_whatever_an_editor_does() {
    let receiver = Receiver::start();
    let watching = "[reload]\nwatch = true\n";
    let mag = Mag::with(&format!("{}{watching}", hook(&receiver.url("/old"))));
    mag.home().configure(&format!("{}{watching}", hook(&receiver.url("/written"))));
    mag.says("sender hook: changed (webhook 0.1.0)");
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).target, "/written");
    let text = std::fs::read_to_string(mag.home().path("mag.toml")).expect("the config");
    replace(&mag.home().path("mag.toml"), text.replace("/written", "/\" oops").as_bytes());
    mag.says("the new config is refused, the one before goes on");
    replace(&mag.home().path("mag.toml"), text.replace("/written", "/replaced").as_bytes());
    receiver.gets("a call of the replaced config", |all| {
        mag.takes(&classic(&["b"]));
        all.iter().any(|one| one.target == "/replaced").then_some(())
    });
    let home = mag.stops();
    assert_eq!(home.store().account("root", "hook").dead, 0);
}

/// Open files, and memory in KiB.
fn size(mag: &Mag) -> (usize, u64) {
    let process = Path::new("/proc").join(mag.pid().to_string());
    let files = std::fs::read_dir(process.join("fd")).expect("a process of ours").count();
    let status = std::fs::read_to_string(process.join("status")).expect("a process of ours");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    (files, memory.expect("a size"))
}

#[test]
fn a_hundred_reloads_under_load_leave_nothing_behind() {
    let receiver = Receiver::start();
    let (port, more) = (free_port(), free_port());
    let config = |round: usize| {
        let extra = if round.is_multiple_of(2) {
            format!("[[listen]]\naddress = \"127.0.0.1:{more}\"\n")
        } else {
            String::new()
        };
        let route = "[[route.routes]]\nname = \"odd\"\nmatch = ['kind=\"odd\"']\n".repeat(round % 2);
        let base = hook(&receiver.url(&format!("/{}", round % 2)));
        let one = format!("[senders.extra{}]\nplugin = \"console\"\n", round % 2);
        format!("[[listen]]\naddress = \"127.0.0.1:{port}\"\n{extra}{base}{one}{route}")
    };
    let mag = Mag::with(&config(1));
    let reload_to = |round: usize| {
        mag.home().configure(&config(round));
        let reply = mag.admin().post("/api/v1/reload", "{}");
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let (address, enough) = (mag.address(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&enough);
    let client = thread::spawn(move || {
        let mut wire = Wire::with_acks(address);
        let mut sent = 0;
        while !ended.load(Ordering::SeqCst) {
            sent += 1;
            wire.writes(&ndjson(&["load"]));
            wire.is_acked(sent);
        }
        sent
    });
    (2..=21).for_each(reload_to);
    let (files, memory) = size(&mag);
    (22..=121).for_each(reload_to);
    let settled = || {
        let now = size(&mag);
        Ok((now.0 <= files + 2 && now.1 <= memory + memory / 10 + 8 * 1024).then_some(()))
    };
    wait_for("what former configs had to be let go", LIMIT, settled).unwrap_or_else(|error| {
        panic!("{error}: {files} files and {memory} KiB after 20 reloads, {:?} after 120", size(&mag))
    });
    enough.store(true, Ordering::SeqCst);
    let sent = client.join().expect("every message is acknowledged");
    let told = |all: &[super::support::Request]| {
        let groups = all.iter().flat_map(|one| one.json()["groups"].as_array().expect("groups").clone());
        (groups.map(|group| group["count"].as_u64().expect("a count")).sum::<u64>() == sent).then_some(())
    };
    receiver.gets("all that was acknowledged, and no more", told);
    mag.stops();
}

#[test]
fn a_kill_in_the_middle_of_a_reload_loses_nothing_and_the_next_start_goes_on() {
    let receiver = Receiver::start();
    let config = |round: u64| {
        let name = ["hook", "fresh"][usize::try_from(round % 2).expect("0 or 1")];
        hook(&receiver.url("/"))
            .replace("[\"hook\"]", &format!("[\"{name}\"]"))
            .replace("senders.hook", &format!("senders.{name}"))
    };
    let mut home = Home::with(&config(0));
    let mut acked = 0;
    for round in 0..8 {
        let mag = home.start();
        let mut wire = Wire::with_acks(mag.address());
        for n in 1..=20 {
            wire.writes(&ndjson(&[&format!("{round} {n}")]));
        }
        wire.is_acked(20);
        acked += 20;
        mag.home().configure(&config(round + 1));
        let mut admin = mag.admin().wire();
        let host = mag.admin().address();
        admin.writes(format!("POST /api/v1/reload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        // The moment varies on purpose, from before anything of it is done to after all of it; each must do.
        thread::sleep(Duration::from_millis(round * 7));
        home = mag.crashes();
    }
    let mag = home.start();
    let texts = |all: &[super::support::Request]| {
        let mut told: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
        for request in all {
            let id = request.header("webhook-id").map(str::to_owned);
            for group in request.json()["groups"].as_array().expect("groups") {
                told.entry(group["text"].as_str().expect("a text").to_owned()).or_default().push(id.clone());
            }
        }
        told
    };
    // What waited for the sender that was gone at a start is a dead letter; the other one tells the rest.
    let home = mag.stops();
    let ledger = home.store().ledger();
    let sum = |of: fn(&super::support::Account) -> i64| ledger.iter().map(of).sum::<i64>();
    assert_eq!(sum(|account| account.accepted), acked, "{ledger:#?}");
    for (text, ids) in texts(&receiver.requests()) {
        assert!(ids.iter().all(|id| id == &ids[0]), "{text} was told under several ids: {ids:?}");
    }
}
