//! A full disk: acks stop, deliveries go on, and mag takes in again by itself when there is room.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::Shutdown;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use mag_testkit::http::{Answer, Server};
use mag_testkit::wait_for;
use serde_json::{Value, json};

use super::support::{Disk, Home, Mag};

/// As small as a disk can be for mag to start on it.
const DISK: u64 = 8 * 1024 * 1024;
/// Between two disks: what is told stays in the history, so a disk is full for good at some time.
const CYCLES_OF_A_DISK: u32 = 10;
/// Far longer than anything takes.
const LIMIT: Duration = Duration::from_secs(360);

/// A client that wants acks and never waits for them.
struct Client {
    stream: std::net::TcpStream,
    sent: u64,
    acked: Arc<AtomicU64>,
}

impl Client {
    fn to(mag: &Mag) -> Self {
        let stream = std::net::TcpStream::connect(mag.address()).expect("mag accepts");
        let reader = BufReader::new(stream.try_clone().expect("an open socket"));
        let acked = Arc::new(AtomicU64::new(0));
        let known = Arc::clone(&acked);
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let answer: Value = serde_json::from_str(&line).expect("mag answers in JSON");
                known.store(answer["acked"].as_u64().expect("an ack, and no error"), Ordering::SeqCst);
            }
        });
        let mut client = Self { stream, sent: 0, acked };
        client.write("{\"ack\":true}\n");
        client
    }

    fn write(&mut self, text: &str) {
        std::io::Write::write_all(&mut self.stream, text.as_bytes()).expect("mag reads");
    }

    fn sends(&mut self, kind: &str, text: &str) {
        self.write(&format!("{}\n", json!({ "kind": kind, "text": text })));
        self.sent += 1;
    }

    fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }

    fn all_acked(&self) -> bool {
        self.acked() == self.sent
    }

    #[track_caller]
    fn waits_for_all_acks(&self) {
        until("all acks", || self.all_acked());
    }
}

/// A receiver that holds back its answer to what is called `hold`, as long as the door is shut.
struct Door {
    server: Server,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    open: bool,
    told: Vec<String>,
}

impl Door {
    fn start() -> Self {
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let body: Value = serde_json::from_slice(&request.body).expect("a notification");
            let text = body["groups"][0]["text"].as_str().expect("a text").to_owned();
            let held = text.starts_with("hold");
            let (state, changed) = &*shared;
            let mut now = state.lock().unwrap_or_else(PoisonError::into_inner);
            now.told.push(text);
            while held && !now.open {
                now = changed.wait(now).unwrap_or_else(PoisonError::into_inner);
            }
            Answer::status(200)
        });
        Self { server: server.expect("a free port"), state }
    }

    fn set_open(&self, open: bool) {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner).open = open;
        self.state.1.notify_all();
    }

    #[track_caller]
    fn waits_for(&self, text: &str) {
        let told = || self.state.0.lock().unwrap_or_else(PoisonError::into_inner).told.iter().any(|told| told == text);
        until(text, told);
    }
}

#[track_caller]
fn until(what: &str, found: impl Fn() -> bool) {
    let waited = wait_for(what, LIMIT, || Ok(found().then_some(())));
    waited.unwrap_or_else(|error| panic!("{error}"));
}

fn config(door: &Door) -> String {
    let url = door.server.url("/");
    format!(
        "[store]\npath = \"disk/mag.db\"\n[route]\nmax_messages = 1\nsenders = [\"hook\"]\n\
         [[route.routes]]\nmatch = ['kind=\"bulk\"']\nsenders = []\n\
         [senders.hook]\nplugin = \"webhook\"\nrate = \"1000/s\"\nburst = 1000\ntimeout = \"60s\"\n\
         config = {{ url = \"{url}\" }}\n"
    )
}

fn times(mag: &Mag, part: &str) -> u32 {
    u32::try_from(mag.said().iter().filter(|line| line.contains(part)).count()).expect("few")
}

const FULL: &str = "there is no room for the store (the disk is full)";
const ROOM: &str = "there is room for the store again";

/// One cycle: full, deliveries go on, free, everything is taken in.
fn cycle(mag: &Mag, disk: &Disk, door: &Door, client: &mut Client, number: u32) {
    door.set_open(false);
    let (hold, next) = (format!("hold {number}"), format!("next {number}"));
    client.sends("default", &hold);
    door.waits_for(&hold);
    client.sends("default", &next);
    client.waits_for_all_acks();
    disk.fill();
    while times(mag, FULL) == number {
        for n in 0..5 {
            client.sends("bulk", &format!("{number}.{}.{n} {}", client.sent, "x".repeat(16_000)));
        }
        until("all acks, or a full disk", || client.all_acked() || times(mag, FULL) > number);
    }
    client.sends("default", &format!("after {number}"));
    let sent = client.sent;
    door.set_open(true);
    door.waits_for(&next);
    assert_eq!(times(mag, ROOM), number, "it was told while the disk was full");
    assert!(client.acked() < sent, "the disk was full while a message waited for its ack");
    disk.free();
    client.waits_for_all_acks();
    until("the word that there is room again", || times(mag, ROOM) == number + 1);
    door.waits_for(&format!("after {number}"));
}

fn number(path: &Path, sql: &str) -> u64 {
    let conn = rusqlite::Connection::open(path).expect("a database");
    let number: i64 = conn.query_row(sql, [], |row| row.get(0)).expect("a number");
    u64::try_from(number).expect("at least 0")
}

/// Groups that are being counted when the disk fills up, and their texts: what the room that is kept is enough for.
const GROUPS: usize = 600;
const TEXT: usize = 900;

#[test]
fn on_a_full_disk_groups_that_were_being_counted_are_told_and_whoever_asks_hears_that_it_is_full() {
    // The disk must be full before the route's clock rings, on a slow machine too.
    let in_time = [10, 60, 300].into_iter().any(groups_are_told_on_a_full_disk);
    assert!(in_time, "the disk was not full before the route's clock rang");
}

/// Whether the disk was full before the clock of this many seconds rang; all else must hold then.
fn groups_are_told_on_a_full_disk(seconds: u32) -> bool {
    let told = Arc::<Mutex<BTreeSet<String>>>::default();
    let heard = Arc::clone(&told);
    let server = Server::start(move |request| {
        let body: Value = serde_json::from_slice(&request.body).expect("a notification");
        let groups = body["groups"].as_array().expect("groups");
        let texts = groups.iter().map(|group| group["text"].as_str().expect("a text").to_owned());
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend(texts);
        Answer::status(200)
    });
    let server = server.expect("a free port");
    let home = Home::with(&format!(
        "[store]\npath = \"disk/mag.db\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [route]\nmax_messages = 100\ntime_limit = \"{seconds}s\"\nsenders = [\"hook\"]\n\
         [[route.routes]]\nmatch = ['kind=\"bulk\"']\nmax_messages = 1\nsenders = []\n\
         [senders.hook]\nplugin = \"webhook\"\nrate = \"1000/s\"\nburst = 1000\nconfig = {{ url = \"{}\" }}\n",
        server.url("/")
    ));
    let Some(disk) = Disk::mount(&home.path("disk"), DISK) else { return true };
    let mag = home.start();
    let mut client = Client::to(&mag);
    (0..GROUPS).for_each(|n| client.sends("default", &format!("{n} {}", "x".repeat(TEXT))));
    client.waits_for_all_acks();
    let heard = (0..100).any(|n| {
        disk.fill();
        client.sends("bulk", &format!("{n} {}", "x".repeat(16_000)));
        let (ready, health) = (mag.admin().get("/readyz"), mag.admin().get("/healthz"));
        ready.status == 503
            && ready.body.contains("no room")
            && (health.status == 200 && health.body.contains("no room"))
            && mag.admin().get("/metrics").body.contains("\nmag_store_full 1\n")
    });
    let count = || told.lock().unwrap_or_else(PoisonError::into_inner).len();
    if count() > 0 {
        return false;
    }
    assert!(heard && times(&mag, FULL) > 0, "whoever asks hears that the disk is full");
    client.sends("default", "after");
    until("all groups, with nothing freed", || count() >= GROUPS);
    disk.free();
    client.waits_for_all_acks();
    until("what came after", || count() == GROUPS + 1);
    let home = mag.stops();
    assert_eq!(mag::store::verify(&home.path("disk/mag.db")).expect("the file reads"), [""; 0]);
    drop(disk);
    true
}

#[test]
fn on_a_full_disk_acks_stop_deliveries_go_on_and_mag_takes_in_again_by_itself() {
    let cycles = std::env::var("MAG_TEST_FULL_DISKS").ok().and_then(|n| n.parse().ok()).unwrap_or(50_u32);
    for first in (0..cycles).step_by(usize::try_from(CYCLES_OF_A_DISK).expect("few")) {
        let door = Door::start();
        let home = Home::with(&config(&door));
        let Some(disk) = Disk::mount(&home.path("disk"), DISK) else { return };
        let mag = home.start();
        let mut client = Client::to(&mag);
        let cycles = CYCLES_OF_A_DISK.min(cycles - first);
        for number in 0..cycles {
            cycle(&mag, &disk, &door, &mut client, number);
        }
        assert_eq!((times(&mag, FULL), times(&mag, ROOM)), (cycles, cycles), "each said once");
        client.stream.shutdown(Shutdown::Write).expect("an open socket");
        let home = mag.stops();
        let db = home.path("disk/mag.db");
        assert_eq!(mag::store::verify(&db).expect("the file reads"), [""; 0]);
        assert_eq!(number(&db, "SELECT sum(accepted) FROM ledger"), client.sent);
        assert_eq!(number(&db, "SELECT sum(total) FROM groups"), client.sent);
        assert_eq!(number(&db, "SELECT told FROM ledger WHERE sender = 'hook'"), u64::from(3 * cycles));
        // Before the folder that it is mounted in goes.
        drop(disk);
    }
}
