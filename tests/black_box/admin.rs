//! The admin listener: what it says of a running mag, what it refuses, and that it gives no secret away.

use serde_json::{Value, json};

use super::support::{Answer, Home, Mag, Receiver, Reply, ndjson};

const SECRET: &str = "canary-4f1d9c";

/// A sender `hook` that tells two messages of a group together, with a secret in a header.
fn config(receiver: &Receiver) -> String {
    let url = receiver.url("/");
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[route]\nmax_messages = 2\ntime_limit = \"1h\"\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nsecrets.key = {{ env = \"KEY\" }}\n\
         config = {{ url = \"{url}\", headers = {{ x-key = \"${{secret:key}}\" }} }}\n"
    )
}

fn start(receiver: &Receiver) -> Mag {
    Home::with(&config(receiver)).env("KEY", SECRET).start()
}

fn sender(status: &Reply) -> Value {
    status.json()["senders"][0].clone()
}

#[test]
fn a_mag_that_runs_is_alive_and_ready_and_says_what_it_counts() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    assert_eq!((admin.get("/healthz").status, admin.get("/healthz").body.as_str()), (200, "ok\n"));
    assert_eq!((admin.get("/readyz").status, admin.get("/readyz").body.as_str()), (200, "ready\n"));
    mag.takes(&ndjson(&["told", "told", "open"]));
    receiver.request(1);
    let status = admin.gets("/api/v1/status", |status| (sender(status)["delivered"] == 1).then(|| status.json()));
    assert_eq!((&status["version"], &status["running"]), (&json!(env!("CARGO_PKG_VERSION")), &json!(true)));
    assert_eq!(status["open"], json!([{ "route": "root", "groups": 1, "messages": 1 }]));
    let account = &status["ledger"][0];
    assert_eq!((&account["accepted"], &account["told"], &account["open"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!((&status["senders"][0]["name"], &status["senders"][0]["health"]), (&json!("hook"), &json!("ready")));
    assert_eq!((&status["recent"][0]["state"], &status["recent"][0]["text"]), (&json!("delivered"), &json!("told")));
    assert_eq!(status["intake"]["messages"], 3);
    mag.stops();
}

#[test]
fn metrics_are_what_happened() {
    let receiver = Receiver::start().answers_next(Answer::status(400));
    let mag = start(&receiver);
    mag.takes(&ndjson(&["dead", "dead"]));
    receiver.request(1);
    mag.takes(&ndjson(&["told", "told", "open"]));
    mag.takes(b"STRING\ncut off");
    receiver.request(2);
    let admin = mag.admin();
    let text = admin.gets("/metrics", |reply| {
        let whole = |line: &str| reply.body.lines().any(|found| found == line);
        (whole("mag_deliveries_total{sender=\"hook\",outcome=\"delivered\"} 1")
            && whole("mag_deliveries_total{sender=\"hook\",outcome=\"dead\"} 1")
            // Rows are read before the counters.
            && whole("mag_ledger_messages{route=\"root\",sender=\"hook\",term=\"told\"} 2"))
        .then(|| reply.clone())
    });
    assert!(
        text.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")),
        "{text:?}"
    );
    for line in [
        "mag_messages_accepted_total 5",
        "mag_messages_partial_total 1",
        "mag_open_groups{route=\"root\"} 1",
        "mag_ledger_messages{route=\"root\",sender=\"hook\",term=\"accepted\"} 5",
        "mag_ledger_messages{route=\"root\",sender=\"hook\",term=\"dead\"} 2",
        "mag_ledger_messages{route=\"root\",sender=\"hook\",term=\"told\"} 2",
        "mag_dead_letters{sender=\"hook\"} 1",
        "mag_queue_groups{sender=\"hook\"} 0",
        "mag_attempts_total{sender=\"hook\"} 2",
        "mag_attempt_failures_total{sender=\"hook\",kind=\"permanent\"} 1",
        "mag_resends_total{sender=\"hook\"} 0",
        "# TYPE mag_commit_duration_seconds histogram",
        "# EOF",
    ] {
        assert!(text.body.lines().any(|found| found == line), "no {line:?} in\n{}", text.body);
    }
    assert!(!text.body.contains("mag_commit_duration_seconds_count 0"), "{}", text.body);
    mag.stops();
}

#[test]
fn a_call_after_one_that_may_have_arrived_is_counted_as_a_resend() {
    let receiver = Receiver::start().answers_next(Answer::hang());
    let mag = start(&receiver);
    mag.takes(&ndjson(&["a", "a"]));
    receiver.request(1);
    let mag = mag.crashes().start();
    receiver.request(2);
    mag.admin().gets("/metrics", |reply| reply.body.contains("mag_resends_total{sender=\"hook\"} 1\n").then_some(()));
    mag.stops();
}

#[test]
fn an_unclear_answer_is_remembered_over_a_restart() {
    let receiver = Receiver::start().answers_next(Answer::reset());
    let mag = start(&receiver);
    mag.takes(&ndjson(&["a", "a"]));
    mag.says("will try again");
    let mag = mag.stops().start();
    let (first, second) = (receiver.request(1), receiver.request(2));
    assert_eq!(second.header("webhook-id"), first.header("webhook-id"));
    mag.admin().gets("/metrics", |reply| reply.body.contains("mag_resends_total{sender=\"hook\"} 1\n").then_some(()));
    mag.stops();
}

#[test]
fn a_store_that_cannot_be_written_is_alive_but_not_ready_until_it_can() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    let held = mag.home().store().held_by_somebody_else();
    let alive = admin.get("/healthz");
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok, but the store is locked by another program\n"));
    let ready = admin.get("/readyz");
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: the store is locked by another program\n"));
    drop(held);
    admin.gets("/readyz", |reply| (reply.status == 200).then_some(()));
    mag.stops();
}

#[test]
fn a_store_without_room_is_alive_but_not_ready_and_can_be_looked_at() {
    let receiver = Receiver::start();
    let mag = Home::with(&format!("[limits]\nstore = \"1MiB\"\n{}", config(&receiver))).env("KEY", SECRET).start();
    let admin = mag.admin();
    let mut wire = mag.wire();
    for n in 0..1_500 {
        wire.writes(&ndjson(&[&format!("{n} {}", "x".repeat(1_000))]));
    }
    let why = "the store has no room";
    admin.gets("/readyz", |ready| {
        (ready.status == 503 && ready.body.starts_with(&format!("not ready: {why}"))).then_some(())
    });
    let health = admin.get("/healthz");
    assert!(health.status == 200 && health.body.starts_with(&format!("ok, but {why}")), "{health:?}");
    for path in ["/", "/metrics", "/api/v1/status", "/api/v1/store", "/api/v1/dlq"] {
        assert_eq!(admin.get(path).status, 200, "{path}");
    }
    let status = admin.get("/api/v1/status").json();
    assert!(status["ready"].as_str().is_some_and(|ready| ready.starts_with(why)), "{status}");
    mag.crashes();
}

#[test]
fn names_that_are_not_the_loopback_and_other_pages_are_refused() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    let asks = |path: &str, headers: &str| admin.asks(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n"));
    for path in ["/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/dlq", "/nothing"] {
        asks(path, "Host: evil.example\r\n").must_refuse(403, "localhost");
        asks(path, &format!("Host: evil.example:{}\r\n", admin.address().rsplit(':').next().expect("a port")))
            .must_refuse(403, "localhost");
        asks(path, "Host: localhost\r\nOrigin: http://evil.example\r\n").must_refuse(403, "web page");
        asks(path, "Host: localhost\r\nHost: evil.example\r\n").must_refuse(403, "localhost");
    }
    assert_eq!(asks("/healthz", "Host: localhost\r\n").status, 200);
    let allowed = asks("/healthz", "Host: localhost\r\nOrigin: http://localhost\r\n");
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, None));
    let other = "POST /api/v1/dlq/drop HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\
                 Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"all\":true}";
    admin.asks(other).must_refuse(403, "web page");
    mag.stops();
}

#[test]
fn what_is_not_there_or_not_meant_is_refused_in_words() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    admin.get("/nothing").must_refuse(404, "/nothing");
    admin.get("/api/v1/dlq/0190").must_refuse(404, "no dead letter 0190");
    admin.get("/api/v1/deliveries/0190").must_refuse(404, "no delivery 0190");
    admin.get("/api/v1/dlq?limit=x").must_refuse(400, "limit");
    let wrong = admin.get("/api/v1/dlq/drop");
    wrong.must_refuse(405, "POST");
    assert_eq!(wrong.header("allow"), Some("post"));
    admin.post("/metrics", "").must_refuse(405, "GET");
    admin.post("/api/v1/dlq/replay", "{").must_refuse(400, "not what is expected");
    admin.post("/api/v1/dlq/replay", "{}").must_refuse(400, "exactly one");
    admin.post("/api/v1/dlq/replay", r#"{"all":true,"sender":"hook"}"#).must_refuse(400, "exactly one");
    admin.post("/api/v1/dlq/replay", r#"{"everything":true}"#).must_refuse(400, "everything");
    admin.post("/api/v1/dlq/replay", r#"{"ids":["nothing"]}"#).must_refuse(404, "no dead letter nothing");
    admin.post("/api/v1/senders/nobody/test", "").must_refuse(404, "there is no sender nobody, only hook");
    let form = "POST /api/v1/dlq/drop HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n{\"all\":true}";
    admin.asks(form).must_refuse(415, "application/json");
    mag.stops();
}

#[test]
fn what_is_too_large_or_too_slow_is_ended_and_hurts_nobody() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    // More than may be open at a time.
    let mut slow: Vec<_> = (0..80).map(|_| admin.wire()).collect();
    for wire in &mut slow {
        wire.writes_while_open(b"GET /healthz HTTP/1.1\r\nHost: local");
    }
    drop(slow.drain(..30));
    let body = format!(r#"{{"ids":["{}"]}}"#, "x".repeat(100_000));
    let (kind, length) = ("Content-Type: application/json", body.len());
    let head =
        format!("POST /api/v1/dlq/drop HTTP/1.1\r\nHost: localhost\r\n{kind}\r\nContent-Length: {length}\r\n\r\n");
    admin.asks_until_answered(&format!("{head}{body}")).must_refuse(413, "65536 bytes");
    let (many, long) = ("x: y\r\n".repeat(100), format!("x: {}\r\n", "x".repeat(20_000)));
    for fields in [many, long] {
        let reply = admin.asks_until_answered(&format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
        assert_eq!(reply.status, 431);
    }
    // A slow one is closed after 10 s, whatever it does.
    for wire in &mut slow {
        assert!(wire.hears_all_while_open().is_some(), "it is ended, answered or not");
    }
    mag.takes(&ndjson(&["a", "a"]));
    receiver.request(1);
    assert_eq!(admin.get("/healthz").status, 200);
    mag.stops();
}

#[test]
fn connections_that_say_nothing_make_room_for_one_that_does() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    let mut silent: Vec<_> = (0..64).map(|_| admin.wire()).collect();
    for _ in 0..3 {
        assert_eq!(admin.get("/healthz").status, 200, "at once, at the first try");
    }
    assert_eq!(silent[0].hears_to_the_end(), "", "the one that was silent for longest is closed");
    mag.stops();
}

#[test]
fn what_is_no_request_or_never_ends_is_refused() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let admin = mag.admin();
    let post = "POST /api/v1/dlq/drop HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4_096));
    // Without a status it is closed unanswered.
    for (what, request, statuses) in [
        ("TLS", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_owned(), &[400][..]),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), &[]),
        ("zeros", "\0".repeat(100) + "\r\n\r\n", &[400]),
        ("no name", "GET /healthz HTTP/1.0\r\n\r\n".to_owned(), &[403]),
        ("a name with a line end", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n evil\r\n\r\n".to_owned(), &[400, 403]),
        ("two lengths", format!("{post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}x"), &[400]),
        ("less than nothing", format!("{post}Content-Length: -1\r\n\r\n"), &[400]),
        ("chunks without end", format!("{post}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(20)), &[413]),
        ("a body that does not come", format!("{post}Content-Length: 10\r\n\r\n{{}}"), &[408]),
    ] {
        let reply = admin.asks_while_open(&request);
        assert!(
            reply.as_ref().map_or(statuses.is_empty(), |reply| statuses.contains(&reply.status)),
            "{what}: {reply:?}"
        );
    }
    assert_eq!(admin.get("/healthz").status, 200);
    mag.takes(&ndjson(&["a", "a"]));
    receiver.request(1);
    mag.stops();
}

#[test]
fn texts_of_messages_cannot_act_on_the_page() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    let text = "<script>alert(1)</script><img src=x onerror=alert(1)>";
    mag.takes(&ndjson(&[text, text]));
    let page = mag.admin().gets("/", |page| page.body.contains("alert(1)").then(|| page.clone()));
    assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    mag.stops();
}

#[test]
fn no_answer_gives_a_secret_away() {
    let receiver = Receiver::start().answers_next(Answer::status(400));
    let mag = start(&receiver);
    mag.takes(&ndjson(&["a", "a"]));
    assert_eq!(receiver.request(1).header("x-key"), Some(SECRET), "the canary is really used");
    let admin = mag.admin();
    let dead = admin.gets("/api/v1/dlq", |list| list.json()["letters"][0]["id"].as_str().map(str::to_owned));
    let letter = format!("/api/v1/dlq/{dead}");
    for path in ["/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/store", "/api/v1/dlq", &letter] {
        let reply = admin.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(!reply.body.contains(SECRET), "{path} shows the secret: {}", reply.body);
    }
    mag.stops().must_show_nowhere(SECRET);
}

#[test]
fn the_store_is_described_by_its_tables_and_sizes() {
    let receiver = Receiver::start();
    let mag = start(&receiver);
    mag.takes(&ndjson(&["open"]));
    let store = mag.admin().get("/api/v1/store").json();
    assert!(store["path"].as_str().is_some_and(|path| path.ends_with("mag.db")), "{store}");
    assert_eq!((&store["rows"]["windows"], &store["rows"]["deliveries"]), (&json!(1), &json!(0)));
    assert!(store["bytes"].as_u64() > Some(0) && store["commit"].as_u64() > Some(0), "{store}");
    mag.stops();
}

#[test]
fn a_store_in_memory_is_looked_at_too() {
    let receiver = Receiver::start().answers_next(Answer::status(400));
    let mag = Home::with(&format!("[store]\npath = \":memory:\"\n{}", config(&receiver))).env("KEY", SECRET).start();
    mag.takes(&ndjson(&["a", "a"]));
    let admin = mag.admin();
    admin.gets("/api/v1/dlq", |list| (list.json()["total"] == 1).then_some(()));
    assert_eq!(admin.post("/api/v1/dlq/drop", r#"{"all":true}"#).json()["messages"], 2);
    assert_eq!(admin.get("/api/v1/store").json()["path"], json!(null));
    mag.stops();
}

#[test]
fn an_address_that_others_can_reach_is_a_mistake_in_the_config() {
    for address in ["0.0.0.0:3051", "[::]:3051", "10.0.0.1:3051", "example.org:3051"] {
        let home = Home::with_exactly(&format!("[admin]\naddress = \"{address}\"\n"));
        home.runs(&["check"])
            .must_fail_with(2, &["mag.toml:2:11: error: `address`: ", "nobody has to log in", "127.0.0.1:3051"]);
    }
    for address in ["localhost:3051", "127.1.2.3:1", "[::1]:3051"] {
        let home = Home::with_exactly(&format!("[admin]\naddress = \"{address}\"\n"));
        home.runs(&["check"]).must_be(0, "1 sender, 1 route: ok", "");
    }
}
