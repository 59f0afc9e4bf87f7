//! Secrets from the outside: each gets where it belongs, and stands in nothing else, whatever a destination repeats.

mod canaries;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use mag_testkit::wait_for;
use sha2::Sha256;

use super::support::{Answer, Certificate, Home, Mag, MailServer, Receiver, Request, classic};

/// The signing key's bytes; the secret is `whsec_` and their base64.
const KEY: &str = "signing-canary-5e8d-0123456789";
/// The value of every other secret, by the variable that holds it.
const CANARIES: [(&str, &str); 7] = [
    ("IN_PATH", "path-canary-11/aa"),
    ("IN_QUERY", "query-canary-22&bb"),
    ("IN_HEADER", "header-canary-33cc"),
    ("FOR_HMAC", "hmac-canary-44dd"),
    ("FOR_BASIC", "basic-canary-55ee"),
    ("FOR_SLACK", "xoxb-canary-66ff"),
    ("FOR_HTTP", "listen-canary-77aa"),
];
const WHOLE: &str = "whole-canary-88bb-0123";
const MAIL: &str = "smtp-canary-99cc";

/// Everything that must not be seen: values, and how they are written in URLs and for logins.
fn hidden() -> Vec<String> {
    let mut hidden: Vec<String> = CANARIES.iter().map(|(_, value)| (*value).to_owned()).collect();
    hidden.extend([WHOLE, MAIL, KEY, "path-canary-11%2Faa", "query-canary-22%26bb", "canary"].map(str::to_owned));
    hidden.push(STANDARD.encode(KEY));
    // What no ordinary word is part of, wherever it begins in a longer text.
    hidden.extend(["ann:basic-canary-55ee", "\0mag\0smtp-canary-99cc"].map(|login| STANDARD.encode(login)));
    hidden
}

/// Repeats everything that it was sent, in its head and in its body.
fn repeats(request: &Request, status: u16) -> Answer {
    let names = ["authorization", "x-key", "webhook-signature", "x-hub-signature-256"];
    let sent: Vec<&str> = names.iter().filter_map(|name| request.header(name)).collect();
    let said = format!("no: {} {} {}", request.target, sent.join(" "), request.text());
    if request.target.starts_with("/slack/") {
        let body = serde_json::json!({ "ok": false, "error": said });
        return Answer::json(&body).header("x-saw", &sent.join(" "));
    }
    Answer::text(&said).with_status(status).header("x-saw", &sent.join(" ")).header("location", &request.target)
}

fn config(receiver: &Receiver, mail: u16) -> String {
    let url = |path: &str| receiver.url(path);
    format!(
        r##"
[[listen]]
address = "127.0.0.1:0"
[[listen]]
address = "unix:http.sock"
protocol = "http"
token = {{ env = "FOR_HTTP" }}
[admin]
address = "127.0.0.1:0"
[route]
max_messages = 1
senders = ["hook", "login", "whole", "chat", "mail"]
[senders.hook]
plugin = "webhook"
config = {{ url = "{}/${{secret:in_path}}?q=${{secret:in_query}}", headers = {{ x-key = "${{secret:in_header}}", mag-sign = "hmac-sha256; secret=for_hmac; header=x-hub-signature-256; prefix=sha256=" }} }}
secrets.in_path = {{ env = "IN_PATH" }}
secrets.in_query = {{ env = "IN_QUERY" }}
secrets.in_header = {{ env = "IN_HEADER", in = ["header"], origins = ["{}"] }}
secrets.for_hmac = {{ env = "FOR_HMAC", in = ["sign"] }}
secrets.signing = {{ env = "SIGNING" }}
[senders.login]
plugin = "webhook"
config = {{ url = "{}", headers = {{ mag-basic = "ann; secret=for_basic" }} }}
secrets.for_basic = {{ env = "FOR_BASIC" }}
[senders.whole]
plugin = "webhook"
config = {{ url = "${{secret:url}}" }}
secrets.url = {{ env = "WHOLE" }}
[senders.chat]
plugin = "slack"
config = {{ channel = "#ops", api_url = "{}" }}
secrets.token = {{ env = "FOR_SLACK" }}
[senders.mail]
plugin = "email"
config = {{ from = "mag@example.org", to = ["ops@example.org"] }}
smtp = {{ url = "smtp://localhost:{mail}", username = "mag" }}
secrets.smtp_password = {{ env = "MAIL" }}
"##,
        url("/hook"),
        url("").trim_end_matches('/'),
        url("/login"),
        url("/slack/"),
    )
}

fn home(receiver: &Receiver, server: &MailServer, certificate: &Certificate) -> Home {
    let home = Home::with(&config(receiver, server.port()));
    let trusted = home.path("trusted.pem").display().to_string();
    let home = home.file("trusted.pem", certificate.pem().as_bytes()).env("SSL_CERT_FILE", &trusted);
    let home = CANARIES.iter().fold(home, |home, (name, value)| home.env(name, value));
    let whole = receiver.url(&format!("/whole/{WHOLE}?key={WHOLE}"));
    home.env("SIGNING", &format!("whsec_{}", STANDARD.encode(KEY))).env("WHOLE", &whole).env("MAIL", MAIL)
}

/// What mag answers and its commands print, all together.
fn all_answers(mag: &Mag) -> String {
    let admin = mag.admin();
    let letters = admin.get("/api/v1/dlq").json();
    let ids = letters["letters"].as_array().map_or(&[][..], Vec::as_slice).iter();
    let ids: Vec<String> = ids.filter_map(|letter| Some(letter["id"].as_str()?.to_owned())).collect();
    let mut all = String::new();
    for path in ["/", "/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/store", "/api/v1/dlq"] {
        all += &admin.get(path).body;
    }
    let address = admin.address();
    let mut commands = vec![
        vec!["status", "--admin", &address],
        vec!["dlq", "list", "--admin", &address],
        vec!["check"],
        vec!["sender", "list"],
        vec!["config", "schema"],
        vec!["verify"],
    ];
    for id in &ids {
        all += &admin.get(&format!("/api/v1/dlq/{id}")).body;
        commands.push(vec!["dlq", "show", id, "--admin", &address]);
    }
    for command in commands {
        let ended = mag.home().runs(&command);
        all += &format!("{command:?}: {}\n{}\n", ended.stdout, ended.stderr);
    }
    all
}

#[track_caller]
fn must_show_nothing(text: &str, hidden: &[String]) {
    for secret in hidden {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is shown: {line:?}");
    }
}

/// Runs mag with a secret in every place against destinations that repeat all they get, and answer with `status`.
fn run(status: u16) {
    let receiver = Receiver::answering(move |request| repeats(request, status));
    let certificate = Certificate::new();
    let server = MailServer::with_starttls(&certificate, "mag", MAIL);
    // Libraries say at this level what they do, too.
    let mag = home(&receiver, &server, &certificate).start_by(&["run", "-vvvv", "--config", "mag.toml"]);
    for (token, answer) in [(CANARIES[6].1, "HTTP/1.1 200 "), ("wrong", "HTTP/1.1 401 ")] {
        let mut http = UnixStream::connect(mag.home().path("http.sock")).expect("mag serves the socket");
        let ask = "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 1\r\n";
        write!(http, "{ask}Authorization: Bearer {token}\r\n\r\na").expect("mag reads");
        let mut said = String::new();
        http.read_to_string(&mut said).expect("mag answers");
        assert!(said.starts_with(answer), "{said}");
    }
    let find = |path: &'static str| {
        receiver.gets(path, move |all| all.iter().find(|request| request.target.starts_with(path)).cloned())
    };
    let hook = find("/hook/");
    assert_eq!(hook.target, "/hook/path-canary-11%2Faa?q=query-canary-22%26bb");
    assert_eq!(hook.header("x-key"), Some("header-canary-33cc"));
    assert_eq!((hook.header("mag-sign"), hook.header("mag-basic")), (None, None));
    assert!(hook.header("x-hub-signature-256").is_some_and(|value| value.len() == 7 + 64), "{hook:?}");
    let basic = format!("Basic {}", STANDARD.encode("ann:basic-canary-55ee"));
    assert_eq!(find("/login").header("authorization"), Some(basic.as_str()));
    assert_eq!(find("/whole").target, format!("/whole/{WHOLE}?key={WHOLE}"));
    assert_eq!(find("/slack/").header("authorization"), Some("Bearer xoxb-canary-66ff"));
    assert_eq!(server.mail(1).login, Some(("mag".to_owned(), MAIL.to_owned())));
    let dead = if status < 300 { 0 } else { 3 };
    mag.admin().gets("/api/v1/dlq", |list| (list.json()["total"] == dead).then_some(()));
    let said = mag.says("no: ");
    assert!(said.contains("***") || said.contains("(secret token)"), "what slack repeats is blanked: {said}");
    must_show_nothing(&all_answers(&mag), &hidden());
    must_show_nothing(&mag.said().join("\n"), &hidden());
    let home = mag.stops();
    for secret in hidden().iter().filter(|secret| secret.as_str() != "canary") {
        home.must_show_nowhere(secret);
    }
}

#[test]
fn secrets_stand_in_nothing_that_mag_shows_or_keeps_when_all_goes_well() {
    run(200);
}

#[test]
fn secrets_stand_in_nothing_that_mag_shows_or_keeps_when_destinations_refuse() {
    run(400);
}

#[test]
fn a_webhook_with_a_signing_secret_is_signed_as_standard_webhooks_are() {
    let receiver = Receiver::start().answers_next(Answer::status(500));
    let url = receiver.url("/hook");
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         config = {{ url = \"{url}\" }}\nsecrets.signing = {{ env = \"SIGNING\" }}\n"
    );
    let mag = Home::with(&config).env("SIGNING", &format!("whsec_{}", STANDARD.encode(KEY))).start();
    mag.takes(&classic(&["größer \"and\" louder"]));
    for number in [1, 2] {
        let request = receiver.request(number);
        let id = request.json()["id"].as_str().expect("an id").to_owned();
        assert_eq!(request.header("webhook-id"), Some(id.as_str()));
        let time = request.header("webhook-timestamp").expect("a time");
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).expect("a key");
        mac.update(format!("{id}.{time}.{}", request.text()).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        assert_eq!(request.header("webhook-signature"), Some(expected.as_str()));
    }
    mag.stops();
}

#[test]
fn a_key_that_is_none_stops_check_and_start_with_its_place_and_one_that_changes_stops_nothing() {
    let receiver = Receiver::start();
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("key");
    std::fs::write(&file, "canary: no base64").expect("written");
    let (url, path) = (receiver.url("/hook"), file.display());
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\", \"login\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         config = {{ url = \"{url}\" }}\nsecrets.signing = {{ file = \"{path}\" }}\n\
         [senders.login]\nplugin = \"webhook\"\nsecrets.key = {{ file = \"{path}\" }}\n\
         [senders.login.config]\nurl = \"{url}\"\nheaders = {{ mag-basic = \"ann:bob; secret=key\" }}\n"
    );
    let home = Home::with_exactly(&config);
    for command in ["check", "run"] {
        let ended = home.runs(&[command, "--config", "mag.toml"]);
        let said = [
            "mag.toml:7:19: error: secrets.signing is no key of Standard Webhooks: it must be `whsec_` and base64",
            "mag.toml:13:25: error: mag-basic: a user has no colon",
        ];
        ended.must_fail_with(2, &[said[0], said[1], "^"]);
        assert!(!ended.stderr.contains("canary"), "{ended:#?}");
    }
    let config = config.replace("ann:bob", "ann");
    std::fs::write(&file, format!("whsec_{}", STANDARD.encode(KEY))).expect("written");
    let mag = Home::with(&config).start();
    mag.takes(&classic(&["a"]));
    receiver.request(2);
    assert!(receiver.requests().iter().any(|request| request.header("webhook-signature").is_some()));
    mag.stops().must_show_nowhere("canary");
}

#[test]
fn a_key_that_turns_bad_while_mag_runs_is_said_and_nothing_leaves() {
    let receiver = Receiver::start();
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("key");
    std::fs::write(&file, format!("whsec_{}", STANDARD.encode(KEY))).expect("written");
    let (url, path) = (receiver.url("/hook"), file.display());
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         config = {{ url = \"{url}\" }}\nsecrets.signing = {{ file = \"{path}\" }}\n"
    );
    let mag = Home::with(&config).start();
    mag.takes(&classic(&["a"]));
    receiver.request(1);
    std::fs::write(&file, "canary: no base64").expect("written");
    // It is looked at once a second.
    let mut sent = 1;
    let said = wait_for("the refusal", Duration::from_secs(60), || {
        mag.takes(&classic(&["a"]));
        sent += 1;
        Ok(mag.said().into_iter().find(|line| line.contains("no key of Standard Webhooks")))
    });
    let said = said.expect("it is said");
    assert!(said.contains("secrets.signing") && said.contains("whsec_"), "{said}");
    assert!(receiver.requests().len() < sent, "what cannot be signed does not leave");
    mag.stops().must_show_nowhere("canary");
}

#[test]
fn a_secret_in_a_file_is_read_again_without_a_restart() {
    let receiver = Receiver::start();
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("token");
    std::fs::write(&file, "first-canary\n").expect("written");
    let (url, path) = (receiver.url("/"), file.display());
    let config = format!(
        "[route]\nmax_messages = 1\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\n\
         secrets.token = {{ file = \"{path}\" }}\n\
         config = {{ url = \"{url}\", headers = {{ Authorization = \"Bearer ${{secret:token}}\" }} }}\n"
    );
    let mag = Home::with(&config).start();
    mag.takes(&classic(&["a"]));
    assert_eq!(receiver.request(1).header("authorization"), Some("Bearer first-canary"));
    std::fs::write(&file, "second-canary\n").expect("written");
    // It is looked at once a second, and the budget of a webhook lets ten requests a second through.
    let until = |number: &mut usize, done: &dyn Fn(&Request) -> bool| {
        while *number < 300 {
            mag.takes(&classic(&["a"]));
            *number += 1;
            if done(&receiver.request(*number)) {
                return;
            }
        }
        panic!("nothing has changed after {number} requests");
    };
    let mut number = 1;
    until(&mut number, &|request| request.header("authorization") == Some("Bearer second-canary"));
    std::fs::remove_file(&file).expect("removed");
    let warned = || mag.said().into_iter().find(|line| line.contains("cannot be read again"));
    until(&mut number, &|request| {
        assert_eq!(request.header("authorization"), Some("Bearer second-canary"), "the last value goes on");
        warned().is_some()
    });
    let said = warned().expect("a warning");
    assert!(said.contains("sender hook: secrets.token") && said.contains("No such file"), "{said}");
    let home = mag.stops();
    home.must_show_nowhere("first-canary");
    home.must_show_nowhere("second-canary");
}

#[test]
fn a_listeners_token_in_a_file_is_read_again_without_a_restart() {
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("token");
    std::fs::write(&file, "first-canary").expect("written");
    let path = file.display();
    let config = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nprotocol = \"http\"\ntoken = {{ file = \"{path}\" }}\n\
         [senders.console]\nplugin = \"console\"\n"
    );
    let mag = Home::with(&config).start();
    let is_let_in = |token: &str| {
        let mut http = TcpStream::connect(mag.address()).expect("mag listens");
        let ask = "POST /api/v1/messages HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 1\r\n";
        write!(http, "{ask}Authorization: Bearer {token}\r\n\r\na").expect("mag reads");
        let mut said = String::new();
        http.read_to_string(&mut said).expect("mag answers");
        said.starts_with("HTTP/1.1 200 ")
    };
    assert!(is_let_in("first-canary") && !is_let_in("second-canary"));
    std::fs::write(&file, "second-canary").expect("written");
    let limit = Duration::from_secs(60);
    wait_for("the new token", limit, || Ok(is_let_in("second-canary").then_some(()))).expect("it is read");
    assert!(!is_let_in("first-canary"));
    mag.stops().must_show_nowhere("canary");
}

#[test]
fn check_says_of_each_secret_where_it_comes_from_and_where_it_may_go() {
    let config = r#"
[route]
senders = ["hook", "mail"]
[senders.hook]
plugin = "webhook"
config = { url = "https://example.org/${secret:path}", headers = { x-key = "${secret:key}" } }
secrets.path = { command = ["/bin/sh", "-c", "echo from-the-canary"] }
secrets.key = { env = "KEY", in = ["header"] }
secrets.signing = { env = "SIGNING" }
[senders.mail]
plugin = "email"
config = { from = "mag@example.org", to = ["ops@example.org"] }
smtp = { url = "smtp://127.0.0.1", username = "mag", tls = "none" }
secrets.smtp_password = { credential = "mail" }
[[listen]]
address = "127.0.0.1:0"
protocol = "http"
token = { env = "KEY" }
[monitors.numbers]
url = "https://api.example.org/${secret:key}/numbers"
headers = { Authorization = "Bearer ${secret:token}" }
secrets.token = { env = "KEY" }
secrets.key = { env = "KEY" }
secrets.spare = { env = "KEY" }
token_refresh = { url = "https://login.example.org/?key=${secret:key}", every = "1h" }
items = "/items"
id = "/id"
value = "/n"
alert_if = "delta < 1"
text = "{delta}"
"#;
    let home = Home::with(config).file("mail", b"from-the-canary\n").env("KEY", "a-canary");
    let home = home.env("SIGNING", &format!("whsec_{}", STANDARD.encode(KEY)));
    let folder = home.path("").display().to_string();
    let home = home.env("CREDENTIALS_DIRECTORY", &folder);
    let ended = home.runs(&["check"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    for line in [
        "sender hook: secrets.key: from environment variable KEY; header, basic; to https://example.org",
        "sender hook: secrets.path: from command /bin/sh; path, query, header, basic, sign; to https://example.org",
        "sender hook: secrets.signing: from environment variable SIGNING; sign; to https://example.org",
        "sender mail: secrets.smtp_password: from credential mail; to the server of `smtp`",
        "monitor numbers: secrets.key: from environment variable KEY; path, query; to https://api.example.org, \
         https://login.example.org",
        "monitor numbers: secrets.token: from environment variable KEY; header, body; to https://api.example.org, \
         https://login.example.org",
        "monitor numbers: secrets.spare: from environment variable KEY; used nowhere",
        "listen 127.0.0.1:0: token: from environment variable KEY; wanted of each request",
        "2 senders, 1 route: ok",
    ] {
        assert!(ended.stdout.lines().any(|said| said == line), "no {line:?} in {ended:#?}");
    }
    assert!(!ended.stdout.contains("canary"), "{ended:#?}");
}
