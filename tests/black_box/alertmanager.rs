//! Alerts of Prometheus, amtool and Alertmanager: each real client with the config of the README, and by hand.

use std::process::Command;

use serde_json::{Value, json};

use super::support::tool::{self, Running};
use super::support::{Mag, Receiver, Reply, Wire, free_port};

/// A sender `hook` that hears at once of every alert, grouped by its name.
fn config(receiver: &Receiver, further: &str) -> String {
    let url = receiver.url("/");
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n\
         [route]\ngroup_by = [\"labels.alertname\"]\nmax_messages = 1\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\nrate = \"100/s\"\n{further}"
    )
}

#[track_caller]
fn asks(wire: &mut Wire, method: &str, path: &str, body: &str) -> Reply {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: mag\r\nConnection: close\r\nContent-Type: application/json\r\n");
    wire.writes(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes());
    Reply::read(&wire.hears_to_the_end())
}

#[track_caller]
fn get(mag: &Mag, path: &str) -> Value {
    let reply = asks(&mut mag.wire(), "GET", path, "");
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

#[track_caller]
fn posts(mag: &Mag, alerts: &Value) {
    let reply = asks(&mut mag.wire(), "POST", "/api/v2/alerts", &alerts.to_string());
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
}

const RUNBOOK: &str = "https://runbooks.example.org/DiskFull";

fn alert(name: &str, host: &str, ends: Option<&str>) -> Value {
    json!({
        "labels": { "alertname": name, "host": host, "severity": "critical" },
        "annotations": { "summary": format!("{name} on {host}"), "runbook_url": RUNBOOK }, "endsAt": ends,
        "startsAt": "2024-05-01T12:00:00Z", "generatorURL": "http://prometheus:9090/graph",
    })
}

/// The first group of what the sender was told as the `number`-th.
#[track_caller]
fn told(receiver: &Receiver, number: usize) -> Value {
    receiver.request(number).json()["groups"][0].clone()
}

#[test]
fn an_alert_is_told_once_and_once_more_when_it_is_over_also_over_a_crash() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    for _ in 0..3 {
        posts(&mag, &json!([alert("DiskFull", "web-1", None)]));
    }
    let first = told(&receiver, 1);
    let known = json!({
        "kind": "alert", "severity": "critical", "text": "DiskFull on web-1", "count": 1, "total": 1, "state": "firing",
        "resolved": false, "source": "127.0.0.1", "first_seen": "2024-05-01T12:00:00.000Z",
        "labels": { "alertname": "DiskFull", "host": "web-1", "severity": "critical" },
        "annotations": { "summary": "DiskFull on web-1", "runbook_url": RUNBOOK },
        "links": [{ "rel": "runbook", "title": "Runbook", "url": RUNBOOK }],
    });
    for (name, value) in known.as_object().expect("an object") {
        assert_eq!(&first[name], value, "{name}");
    }
    // Else it would be told again after the crash, under the same id.
    let delivered = "mag_deliveries_total{sender=\"hook\",outcome=\"delivered\"} 1";
    mag.admin().gets("/metrics", |reply| reply.body.contains(delivered).then_some(()));
    let mag = mag.crashes().start();
    posts(&mag, &json!([alert("DiskFull", "web-1", None), alert("LinkDown", "web-1", None)]));
    assert_eq!(told(&receiver, 2)["text"], "LinkDown on web-1", "the first one was known");
    let shown = get(&mag, "/api/v2/alerts?filter=alertname=DiskFull");
    assert_eq!((&shown[0]["labels"]["host"], &shown[0]["status"]["state"]), (&json!("web-1"), &json!("active")));
    assert_eq!(shown[0]["receivers"], json!([{ "name": "hook" }]));
    posts(&mag, &json!([alert("DiskFull", "web-1", Some("2024-05-01T12:10:00Z"))]));
    let request = receiver.request(3).json();
    let over = &request["groups"][0];
    assert_eq!((&request["reason"], &request["title"]), (&json!("resolved"), &json!("resolved: DiskFull on web-1")));
    let found = (&over["state"], &over["resolved"], &over["count"], &over["total"]);
    assert_eq!(found, (&json!("resolved"), &json!(true), &json!(0), &json!(1)));
    assert_eq!(over["annotations"], first["annotations"]);
    assert_eq!(get(&mag, "/api/v2/alerts").as_array().map(Vec::len), Some(1));
    mag.stops();
    assert_eq!(receiver.requests().len(), 3);
}

#[test]
fn an_alert_that_nobody_posts_again_is_over_after_the_resolve_timeout() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, "[alerts]\nresolve_timeout = \"1s\"\n"));
    posts(&mag, &json!([alert("DiskFull", "web-1", None)]));
    assert_eq!(told(&receiver, 1)["state"], "firing");
    assert_eq!(told(&receiver, 2)["state"], "resolved");
    mag.stops();
}

#[test]
fn what_is_wrong_is_answered_as_alertmanager_does_and_the_rest_is_taken() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let asked = |method: &str, path: &str, body: &str| asks(&mut mag.wire(), method, path, body);
    let mixed = json!([{ "labels": {} }, alert("DiskFull", "web-1", None)]).to_string();
    let reply = asked("POST", "/api/v2/alerts", &mixed);
    assert_eq!((reply.status, reply.json()), (400, json!("at least one label pair required")));
    assert_eq!(told(&receiver, 1)["text"], "DiskFull on web-1");
    for (method, path, body, status) in [
        ("POST", "/api/v2/alerts", "x", 400),
        ("POST", "/api/v1/alertmanager", "{}", 400),
        ("POST", "/api/v2/silences", "{}", 400),
        ("GET", "/api/v2/alerts?active=x", "", 400),
        ("GET", "/api/v2/silence/none", "", 404),
        ("DELETE", "/api/v2/silence/none", "", 404),
        ("DELETE", "/api/v2/alerts", "", 405),
        ("DELETE", "/api/v2/status", "", 405),
        ("GET", "/api/v2/nothing", "", 404),
    ] {
        let reply = asked(method, path, body);
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        assert!(!reply.body.is_empty(), "{method} {path}");
    }
    let costly = "filter=v%3D~%22.%2Aa.%7B12%7D%22";
    let many = vec![costly; 17].join("&");
    for page in ["alerts", "alerts/groups", "silences"] {
        let reply = asked("GET", &format!("/api/v2/{page}?{many}"), "");
        assert_eq!((reply.status, reply.json()), (400, json!("there are more than 16 matchers")), "{page}");
        let reply = asked("GET", &format!("/api/v2/{page}?{costly}"), "");
        assert!(reply.status == 400 && reply.body.contains("takes too much"), "{page}: {reply:?}");
    }
    for path in ["/-/healthy", "/-/ready"] {
        let reply = asked("GET", path, "");
        assert_eq!((reply.status, reply.body.as_str()), (200, "OK\n"));
    }
    let status = get(&mag, "/api/v2/status");
    assert!(status["config"]["original"].as_str().is_some_and(|text| text.contains("receiver: \"hook\"")));
    assert_eq!(get(&mag, "/api/v2/receivers"), json!([{ "name": "hook" }]));
    mag.stops();
}

#[test]
fn a_web_page_changes_no_silence_under_a_name_of_its_own() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let asked = |method: &str, path: &str, host: &str, further: &str, body: &str| {
        let mut wire = mag.wire();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{further}");
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        wire.writes(format!("{head}{body}").as_bytes());
        Reply::read(&wire.hears_to_the_end())
    };
    let silence = json!({
        "matchers": [{ "name": "alertname", "value": ".+", "isRegex": true, "isEqual": true }],
        "startsAt": "2024-05-01T12:00:00Z", "endsAt": "9999-12-31T23:59:59Z", "createdBy": "a", "comment": "b",
    });
    let silence = silence.to_string();
    for (host, origin) in [("evil.example", "http://evil.example"), ("127.0.0.1", "http://evil.example")] {
        let further = format!("Origin: {origin}\r\n");
        for (method, path) in [("POST", "/api/v2/silences"), ("DELETE", "/api/v2/silence/any")] {
            let reply = asked(method, path, host, &further, &silence);
            assert_eq!(reply.status, 403, "{method} {host}: {reply:?}");
            assert!(reply.body.contains("web page"), "{reply:?}");
        }
    }
    assert_eq!(get(&mag, "/api/v2/silences"), json!([]));
    // A program that names the host, and a page of the host itself.
    let by_name = asked("POST", "/api/v2/silences", "mag.example:9093", "", &silence);
    assert_eq!(by_name.status, 200, "{by_name:?}");
    let own = asked("POST", "/api/v2/silences", "127.0.0.1:1", "Origin: http://127.0.0.1:1\r\n", &silence);
    assert_eq!(own.status, 200, "{own:?}");
    mag.stops();
}

/// What a browser says to Grafana with `method` and this body, as Grafana's server passes it on to a data source of kind
/// Alertmanager at `host`: it names the data source's own host, takes `Origin`, `Referer`, cookies and most of
/// `X-Forwarded-*` away, and adds some of its own (grafana/grafana `pkg/api/pluginproxy/ds_proxy.go`, `director`, and
/// `pkg/util/proxyutil/proxyutil.go`, `PrepareProxyRequest`); the paths are those of the implementation `prometheus` in
/// `pkg/services/ngalert/api/lotex_am.go`.
fn as_grafana_asks(mag: &Mag, host: &str, method: &str, path: &str, body: &str) -> Reply {
    let mut wire = mag.wire();
    let content = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Grafana/12.1.0\r\nContent-Length: {}\r\n\
         Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\n{content}\
         Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Grafana-Device-Id: 0123456789abcdef\r\nX-Grafana-Org-Id: 1\r\nX-Grafana-User: ann\r\n\
         X-Grafana-Referer: https://grafana.example.org/alerting/silences\r\nConnection: close\r\n\r\n",
        body.len()
    );
    wire.writes(format!("{head}{body}").as_bytes());
    Reply::read(&wire.hears_to_the_end())
}

#[test]
fn grafana_makes_lists_and_ends_silences_whatever_name_it_has_for_mag() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let silence = json!({
        "matchers": [{ "name": "alertname", "value": "DiskFull", "isRegex": false, "isEqual": true }],
        "startsAt": "2024-05-01T12:00:00.000Z", "endsAt": "2099-05-01T12:00:00.000Z", "createdBy": "ann",
        "comment": "from Grafana", "id": "",
    });
    for host in ["mag.example.org:3050", "mag", "127.0.0.1:3050"] {
        let asks = |method: &str, path: &str, body: &str| as_grafana_asks(&mag, host, method, path, body);
        let made = asks("POST", "/api/v2/silences", &silence.to_string());
        assert_eq!(made.status, 200, "{host}: {made:?}");
        let id = made.json()["silenceID"].as_str().expect("an id").to_owned();
        let listed = asks("GET", "/api/v2/silences", "").json();
        let found = listed.as_array().expect("a list").iter().find(|one| one["id"] == *id);
        assert_eq!(found.map(|one| &one["status"]["state"]), Some(&json!("active")), "{host}: {listed}");
        assert_eq!(asks("GET", &format!("/api/v2/silence/{id}"), "").json()["comment"], "from Grafana");
        let ended = asks("DELETE", &format!("/api/v2/silence/{id}"), "");
        assert_eq!(ended.status, 200, "{host}: {ended:?}");
        assert_eq!(asks("GET", &format!("/api/v2/silence/{id}"), "").json()["status"]["state"], "expired");
    }
    mag.stops();
}

fn amtool(mag: &Mag, arguments: &[&str]) -> Option<String> {
    let amtool = tool::find("amtool", "prometheus-alertmanager")?;
    let url = format!("--alertmanager.url=http://{}", mag.address());
    Some(tool::runs(Command::new(amtool).arg(url).args(arguments)))
}

#[test]
fn amtool_adds_alerts_and_silences_what_is_told() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let add = ["alert", "add", "DiskFull", "host=web-1", "--annotation=summary=disk full"];
    let Some(_) = amtool(&mag, &add) else { return };
    assert_eq!(told(&receiver, 1)["text"], "disk full");
    let amtool = |arguments: &[&str]| amtool(&mag, arguments).expect("it was there");
    assert!(amtool(&["alert", "query", "host=web-1"]).contains("DiskFull"));
    assert!(amtool(&["alert", "query", "host=other"]).lines().count() <= 1);
    let id = amtool(&["silence", "add", "--comment=work", "--author=ann", "alertname=~Link.*"]).trim().to_owned();
    assert_eq!(id.len(), 36, "{id:?}");
    assert!(amtool(&["silence", "query"]).contains(&id));
    amtool(&["alert", "add", "LinkDown", "host=web-1"]);
    assert!(!amtool(&["alert", "query"]).contains("LinkDown"), "what is silenced is not shown unless asked for");
    assert!(amtool(&["alert", "query", "--silenced"]).contains("LinkDown"));
    amtool(&["silence", "expire", &id]);
    assert!(!amtool(&["silence", "query"]).contains(&id));
    amtool(&["alert", "add", "LinkUp", "host=web-1"]);
    assert_eq!(told(&receiver, 2)["text"], "LinkUp", "nothing was told of what was silenced");
    assert!(amtool(&["config", "show"]).contains("receiver: \"hook\""));
    let home = mag.stops();
    home.runs(&["verify"]).must_be(
        0,
        "root for hook: 3 accepted = 0 open + 1 held + 0 waiting + 0 frozen + 2 told + 0 dead + 0 dropped\nmag.db: ok",
        "",
    );
}

#[test]
fn mag_silence_adds_lists_and_expires() {
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let admin = mag.admin().address();
    let runs = |arguments: &[&str]| mag.home().runs(&[&["silence"], arguments, &["--admin", &admin]].concat());
    let made = runs(&["add", "alertname=~\"Disk.*\"", "host=web-1", "--comment", "new disk", "--author", "ann"]);
    let id = made.stdout.clone();
    made.must_be(0, &id, "");
    posts(&mag, &json!([alert("DiskFull", "web-1", None), alert("LinkDown", "web-1", None)]));
    assert_eq!(told(&receiver, 1)["text"], "LinkDown on web-1");
    let listed = runs(&["list"]).stdout;
    assert!(listed.starts_with(&format!("{id}  active, ends in ")), "{listed}");
    let rest = "held 1 message\n  labels.alertname=~\"Disk.*\", labels.host=\"web-1\"\n  ann: new disk\n1 silence";
    assert!(listed.ends_with(rest), "{listed}");
    assert_eq!(get(&mag, "/api/v2/silences")[0]["matchers"][0]["name"], "alertname");
    runs(&["expire", &id]).must_be(0, "1 silence expired", "");
    runs(&["list"]).must_be(0, "0 silences", "");
    runs(&["expire", &id]).must_fail_with(1, &["is already expired"]);
    // No variable says who asks: the system does.
    runs(&["add", "host=web-2"]);
    let by = get(&mag, "/api/v2/silences")[0]["createdBy"].clone();
    assert!(by.as_str().is_some_and(|by| !by.is_empty()), "{by}");
    runs(&["expire", "none"]).must_fail_with(1, &["there is no silence none"]);
    runs(&["add", "host=~("]).must_fail_with(2, &["host=~(: not a regular expression"]);
    runs(&["add", "host=~.*"]).must_fail_with(1, &["at least one matcher must not match the empty string"]);
    runs(&["add", "a=b", "--end", "2024-05-01T12:00:00Z"]).must_fail_with(1, &["start time must be before end time"]);
    mag.stops().runs(&["silence", "list", "--expired", "--json"]).must_fail_with(0, &["no mag answers"]);
}

#[test]
fn prometheus_is_told_of_once_while_its_rule_fires_and_once_when_it_is_gone() {
    let Some(prometheus) = tool::find("prometheus", "prometheus") else { return };
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write(
        "prometheus.yml",
        &format!(
            "global:\n  evaluation_interval: 200ms\nrule_files: [rules.yml]\nalerting:\n  alertmanagers:\n  \
             - static_configs:\n    - targets: [\"{}\"]\n",
            mag.address()
        ),
    );
    write(
        "rules.yml",
        "groups:\n- name: mag\n  rules:\n  - alert: Always\n    expr: vector(1)\n    labels: {severity: warning}\n    \
         annotations: {summary: \"it is {{ $value }}\"}\n",
    );
    let listen = format!("--web.listen-address=127.0.0.1:{}", free_port());
    let running = Running::start(Command::new(prometheus).current_dir(folder.path()).args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--rules.alert.resend-delay=4s",
        &listen,
    ]));
    running.says("Server is ready");
    let fires = told(&receiver, 1);
    let found = (&fires["text"], &fires["severity"], &fires["count"], &fires["labels"]["alertname"]);
    assert_eq!(found, (&json!("it is 1"), &json!("warning"), &json!(1), &json!("Always")));
    // It posts the alert again and again, each time good for four times as long as until the next.
    mag.admin().gets("/metrics", |reply| {
        let line = reply.body.lines().find_map(|line| line.strip_prefix("mag_alerts_refreshed_total "))?;
        line.parse::<u64>().ok().filter(|posted| *posted >= 1)
    });
    assert_eq!(receiver.requests().len(), 1, "posted again, it is no news");
    drop(running);
    let over = told(&receiver, 2);
    assert_eq!((&over["state"], &over["total"]), (&json!("resolved"), &json!(1)));
    mag.stops();
}

#[test]
fn an_alertmanager_tells_mag_what_fires_and_what_is_over() {
    let Some(alertmanager) = tool::find("prometheus-alertmanager", "prometheus-alertmanager") else { return };
    let receiver = Receiver::start();
    let mag = Mag::with(&config(&receiver, ""));
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "global:\n  resolve_timeout: 10s\nroute:\n  receiver: mag\n  group_by: [alertname]\n  group_wait: 100ms\n  group_interval: 1s\nreceivers:\n\
         - name: mag\n  webhook_configs:\n  - url: http://{}/api/v1/alertmanager\n",
        mag.address()
    );
    std::fs::write(folder.path().join("alertmanager.yml"), config).expect("a file");
    let port = free_port();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let running = Running::start(Command::new(alertmanager).current_dir(folder.path()).args([
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        "--cluster.listen-address=",
        &listen,
    ]));
    running.says("Listening on");
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    let now = |alert: Value| asks(&mut Wire::to(address), "POST", "/api/v2/alerts", &json!([alert]).to_string()).status;
    assert_eq!(now(json!({ "labels": { "alertname": "DiskFull" }, "annotations": { "summary": "disk full" } })), 200);
    let fires = told(&receiver, 1);
    assert_eq!((&fires["text"], &fires["kind"], &fires["count"]), (&json!("disk full"), &json!("alert"), &json!(1)));
    // Nobody posts it again, so the Alertmanager takes it for over.
    assert_eq!(told(&receiver, 2)["state"], "resolved");
    drop(running);
    mag.stops();
}
