//! Whole senders: hostile guests made on the spot, and the bundled ones.

pub(super) mod guests;
mod kept;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Fault, Host, HostOptions, Limit, LoadError, Sender, StartError, Started};
use crate::config::{self, Plugin, PluginLimits, SecretSource, SecretValue, SenderSecret, Values};
use crate::message::{Group, GroupId, Labels, Notification, Reason};
use guests::{Guest, data, words};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn limits() -> PluginLimits {
    let short = Duration::from_millis(50);
    // What is compiled here is not optimised for tests; only computing time is measured, so waiting may be long.
    PluginLimits { send_cpu: short, offline_cpu: short, offline_timeout: Duration::from_secs(60), ..Default::default() }
}

fn host_printing(stdout: Shared) -> Host {
    static CACHE: LazyLock<PathBuf> = LazyLock::new(|| std::env::temp_dir().join("mag-test-plugins"));
    let cache_dir = Some(CACHE.clone());
    let stdout = Box::new(stdout);
    Host::new(HostOptions { cache_dir, stdout, stdout_is_terminal: false, double: None }).unwrap()
}

fn host() -> Host {
    host_printing(Shared::default())
}

fn sender(plugin: Plugin) -> config::Sender {
    config::Sender {
        name: "team".to_owned(),
        plugin,
        pin: None,
        locked: None,
        config: json!({}),
        secrets: BTreeMap::new(),
        timeout: Duration::from_secs(30),
        rate: None,
        burst: 5,
        concurrency: 1,
        give_up_after: Duration::from_secs(86_400),
        living: None,
        fallback: None,
        allow: Vec::new(),
        allow_private: false,
        smtp: None,
        limits: limits(),
        place: "mag.toml:1:1".to_owned(),
    }
}

fn load(host: &Host, sender: &config::Sender) -> Result<Sender, LoadError> {
    let value = |secret: &SenderSecret| secret.source.read(&|_| None).unwrap().into();
    let values: Values = sender.secrets.iter().map(|(name, secret)| (name.clone(), value(secret))).collect();
    host.load(sender, &values)
}

/// A file with these bytes, and a sender that uses it as its plugin.
fn from_bytes(bytes: &[u8]) -> (tempfile::TempDir, config::Sender) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.wasm");
    std::fs::write(&path, bytes).unwrap();
    (dir, sender(Plugin::Path(path)))
}

async fn try_start(host: &Host, guest: &Guest) -> Result<Started, StartError> {
    let (_dir, sender) = from_bytes(&guest.build());
    load(host, &sender).unwrap().start().await
}

async fn start(host: &Host, guest: &Guest) -> Started {
    try_start(host, guest).await.unwrap()
}

fn notification() -> Notification {
    Notification {
        id: "n1".to_owned(),
        attempt: 1,
        sender: "team".to_owned(),
        kind: "default".to_owned(),
        reason: Reason::Count,
        period_ms: 1_000,
        title: "disk full".to_owned(),
        groups: vec![Group {
            id: GroupId(1),
            route: "root".into(),
            kind: "default".to_owned(),
            source: None,
            text: "disk full".to_owned(),
            severity: None,
            labels: Labels::default(),
            annotations: Labels::default(),
            count: 30,
            total: 30,
            first_seen: 1,
            last_seen: 2,
            opened: 1,
            closed: 2,
            samples: Vec::new(),
            reason: Reason::Count,
        }],
        omitted_groups: 0,
        omitted_messages: 0,
        sent_at: 3,
        timeout_ms: 1_000,
        progress: None,
        previous: None,
        cause: None,
    }
}

/// Sends with a guest that must fail, and checks that the host still works afterwards.
#[track_caller]
fn fault(guest: &Guest) -> (Option<Fault>, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = host();
        let failure = start(&host, guest).await.send(&[], &notification()).await.unwrap_err();
        assert_eq!(failure.code, failure.fault.map(Fault::code).unwrap_or(&failure.code));
        start(&host, &Guest::default()).await.send(&[], &notification()).await.unwrap();
        (failure.fault, failure.message.replace(std::env::temp_dir().to_str().unwrap(), ""))
    })
}

#[tokio::test]
async fn a_guest_that_behaves_is_prepared_and_tells() {
    let host = host();
    let started = start(&host, &Guest::default()).await;
    assert_eq!(started.prepare().await.unwrap().state, b"");
    let delivered = started.send(&[], &notification()).await.unwrap();
    assert_eq!((delivered.receipt, delivered.updated_in_place), (None, false));
}

#[test]
fn a_trap_is_a_fault_of_the_plugin() {
    let (found, message) = fault(&Guest::sending("unreachable"));
    assert_eq!(found, Some(Fault::Trap));
    assert!(message.starts_with("sender team (plugin "), "{message}");
    assert!(message.ends_with("trap: wasm trap: wasm `unreachable` instruction executed"), "{message}");
}

#[test]
fn an_endless_loop_ends_by_its_computing_time() {
    let (found, message) = fault(&Guest::sending("(loop (br 0)) unreachable"));
    assert_eq!(found, Some(Fault::Limit(Limit::Cpu)), "{message}");
    let said = "cpu: it computed for more than 50ms; `limits.cpu` of [senders.team] raises that";
    assert!(message.ends_with(said), "{message}");
}

#[test]
fn endless_recursion_ends_at_its_stack() {
    let rest = "(func $f (call $f))".to_owned();
    let guest = Guest { rest, ..Guest::sending("call $f unreachable") };
    assert_eq!(fault(&guest).0, Some(Fault::Limit(Limit::Stack)));
}

#[test]
fn a_guest_that_eats_memory_is_stopped_at_its_bound() {
    let eat = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) unreachable";
    let (found, message) = fault(&Guest::sending(eat));
    assert_eq!(found, Some(Fault::Limit(Limit::Memory)), "{message}");
    let said = "memory: it wanted more than 128 MiB of memory; `limits.memory` of [senders.team] raises that";
    assert!(message.ends_with(said), "{message}");
}

#[test]
fn a_guest_that_eats_tables_is_stopped_at_its_bound() {
    let rest = "(table $t 1 funcref)".to_owned();
    let eat = "(loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1)))) unreachable";
    assert_eq!(fault(&Guest { rest, ..Guest::sending(eat) }).0, Some(Fault::Limit(Limit::Tables)));
}

#[test]
fn a_result_that_points_outside_its_memory_is_a_trap() {
    assert_eq!(fault(&Guest::sending("i32.const -8")).0, Some(Fault::Trap));
}

#[tokio::test]
async fn a_call_ends_at_its_timeout() {
    let host = Host::new(HostOptions::new(None)).unwrap();
    let (_dir, mut sender) = from_bytes(&Guest::sending("(loop (br 0)) unreachable").build());
    sender.timeout = Duration::from_millis(100);
    sender.limits.send_cpu = Duration::from_secs(3600);
    let started = load(&host, &sender).unwrap().start().await.unwrap();
    let failure = started.send(&[], &notification()).await.unwrap_err();
    assert_eq!((failure.fault, failure.maybe_delivered), (Some(Fault::Limit(Limit::Time)), false));
}

#[tokio::test]
async fn a_start_function_that_hangs_is_stopped_before_anything_runs() {
    let rest = "(func $s (loop (br 0))) (start $s)".to_owned();
    let error = try_start(&host(), &Guest { rest, ..Guest::default() }).await.unwrap_err();
    let said = "cpu: it computed for more than 50ms; `limits.offline_cpu` of [senders.team] raises that";
    assert!(error.to_string().ends_with(said), "{error}");
}

#[tokio::test]
async fn a_state_that_is_too_long_is_a_fault() {
    // Result ok, state at address 8192 with 65,537 bytes.
    let rest =
        format!("{} (func $s (drop (memory.grow (i32.const 2)))) (start $s)", data(2056, &words(&[8192, 65_537])));
    let guest = Guest { prepare: "i32.const 2048".to_owned(), rest, ..Guest::default() };
    let failure = start(&host(), &guest).await.prepare().await.unwrap_err();
    assert_eq!(failure.fault, Some(Fault::Limit(Limit::State)));
    let said = "state: its state has more than 64 KiB; `limits.state` of [senders.team] raises that";
    assert!(failure.message.ends_with(said), "{failure}");
}

#[tokio::test]
async fn a_receipt_that_is_too_long_is_dropped_and_the_delivery_counts() {
    let rest = data(2056, &words(&[1, 8192, 4097]));
    let guest = Guest { rest, ..Guest::sending("i32.const 2048") };
    assert_eq!(start(&host(), &guest).await.send(&[], &notification()).await.unwrap().receipt, None);
}

#[tokio::test]
async fn what_a_plugin_reports_is_wrapped_and_clean() {
    // Result err; kind rate-limited; code and message; wait 7,200,000 ms; maybe delivered.
    let mut failure = words(&[1, 0, 1, 3000, 4, 3100, 9, 0, 1, 0, 7_200_000, 0, 1]);
    failure.resize(80, 0);
    let rest = [data(2048, &failure), data(3000, b"slow"), data(3100, b"slow\x1b[2J\n")].concat();
    let guest = Guest { rest, ..Guest::sending("i32.const 2048") };
    let told = start(&host(), &guest).await.send(&[], &notification()).await.unwrap_err();
    assert_eq!((told.kind, told.fault, told.code.as_str()), (super::FailureKind::RateLimited, None, "slow"));
    assert_eq!(told.after, Some(Duration::from_secs(3600)));
    assert!(told.maybe_delivered && told.message.ends_with("): slow\u{fffd}[2J"), "{told:?}");
}

fn wanting(origin: &str) -> Guest {
    let len = u32::try_from(origin.len()).unwrap();
    let rest = [data(2048, &words(&[0, 2100, 1])), data(2100, &words(&[3000, len])), data(3000, origin.as_bytes())];
    Guest { validate: "i32.const 2048".to_owned(), rest: rest.concat(), ..Guest::default() }
}

#[tokio::test]
async fn an_origin_that_nobody_granted_is_refused_with_the_line_to_add() {
    let error = try_start(&host(), &wanting("https://evil.example:443/x")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "sender team: its plugin wants https://evil.example, which nobody allowed: \
         add allow = [\"https://evil.example\"] to [senders.team]"
    );
}

#[tokio::test]
async fn of_a_long_list_of_wishes_a_person_reads_the_first_and_how_many_more_there_are() {
    let origin = b"https://evil.example";
    let wish = words(&[3000, u32::try_from(origin.len()).unwrap(), 0, 0, 0, 0]);
    let rest = [data(2048, &words(&[0, 16_384, 100])), data(16_384, &wish.repeat(100)), data(3000, origin)];
    let guest = Guest { validate: "i32.const 2048".to_owned(), rest: rest.concat(), ..Guest::default() };
    let said = try_start(&host(), &guest).await.unwrap_err().to_string();
    assert!(said.contains(" and 36 more, which nobody allowed"), "{said}");
    assert_eq!(said.matches("evil.example").count(), 2 * 64);
    let (_dir, sender) = from_bytes(&guest.build());
    let looked = load(&host(), &sender).unwrap().look().await.unwrap();
    assert_eq!((looked.asked.len(), looked.more), (64, 36));
    let long = format!("https://{}.example", "a".repeat(600));
    let said = try_start(&host(), &wanting(&long)).await.unwrap_err().to_string();
    assert!(said.ends_with("invalid-output: it wants to reach an origin of 616 bytes"), "{said}");
}

#[tokio::test]
async fn an_origin_in_allow_or_in_the_config_is_granted() {
    let host = host();
    let (_dir, mut sender) = from_bytes(&wanting("https://good.example").build());
    sender.allow = vec!["https://GOOD.example./".to_owned()];
    assert_eq!(load(&host, &sender).unwrap().start().await.unwrap().origins(), ["https://good.example"]);
    sender.allow = Vec::new();
    sender.config = json!({ "deep": [{ "url": "https://good.example/${secret:token}" }] });
    sender.secrets = secret("token", "x");
    assert_eq!(load(&host, &sender).unwrap().start().await.unwrap().origins(), ["https://good.example"]);
}

fn secret(name: &str, value: &str) -> BTreeMap<String, SenderSecret> {
    [(name.to_owned(), SecretSource::Value(SecretValue(value.to_owned())).into())].into()
}

#[track_caller]
fn cannot_load(sender: &config::Sender, expect: &str) {
    let error = load(&host(), sender).unwrap_err();
    assert_eq!(error.to_string(), expect);
    assert_eq!(error.place, "mag.toml:1:1");
}

#[test]
fn a_sender_that_cannot_load_says_why() {
    cannot_load(
        &sender(Plugin::Bundled("slak".to_owned())),
        &format!(
            "sender team: there is no bundled plugin slak; there are {}, and paths like ./my.wasm",
            super::bundled::names()
        ),
    );
    cannot_load(
        &sender(Plugin::Path("/nowhere/my.wasm".into())),
        "sender team: cannot load plugin /nowhere/my.wasm: cannot read it: No such file or directory (os error 2)",
    );
    let (_dir, mut other) = from_bytes(&Guest::default().build());
    other.secrets = secret("url", "https://chat.example/hidden");
    other.secrets.values_mut().for_each(|secret| secret.origins = vec!["https://other.example".to_owned()]);
    cannot_load(&other, "sender team: secrets.url is a URL at https://chat.example, which is not among its `origins`");
    other.secrets = BTreeMap::new();
    other.config = json!({ "headers": { "Authorization": "Bearer ${secret:tokn}" } });
    cannot_load(
        &other,
        "sender team: config/headers/Authorization asks for ${secret:tokn}, but there is no secrets.tokn",
    );
    other.config = json!({});
    other.allow = vec!["ftp://example.org".to_owned()];
    cannot_load(&other, "sender team: allow: `ftp://example.org` cannot be granted: ftp is neither http nor https");
}

#[tokio::test]
async fn the_bundled_console_prints_on_standard_output() {
    let out = Shared::default();
    let host = host_printing(out.clone());
    let started = load(&host, &sender(Plugin::Bundled("console".to_owned()))).unwrap().start().await.unwrap();
    assert_eq!(started.manifest().name, "console");
    started.send(&[], &notification()).await.unwrap();
    let text = out.text();
    assert!(text.contains("disk full") && text.contains("30") && text.ends_with('\n'), "{text:?}");
}

/// Takes one request, answers 204 and returns what came.
async fn receive(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains("\r\n\r\n") {
        stream.read_buf(&mut request).await.unwrap();
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
    String::from_utf8_lossy(&request).into_owned()
}

#[tokio::test]
async fn the_bundled_webhook_reaches_the_url_that_the_operator_typed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/${{secret:token}}", listener.local_addr().unwrap());
    let received = tokio::spawn(receive(listener));
    let host = host();
    let mut webhook = sender(Plugin::Bundled("webhook".to_owned()));
    webhook.config = json!({ "url": url });
    webhook.secrets = secret("token", "pass/word");
    let started = load(&host, &webhook).unwrap().start().await.unwrap();
    let prepared = started.prepare().await.unwrap();
    started.send(&prepared.state, &notification()).await.unwrap();
    let request = received.await.unwrap();
    assert!(request.starts_with("POST /hook/pass%2Fword HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("\r\nidempotency-key: n1\r\n"), "{request}");
}

#[tokio::test]
async fn the_bundled_email_hands_its_mail_to_the_server() {
    let (port, log) = super::mail::tests::server(&[]).await;
    let host = host();
    let mut email = sender(Plugin::Bundled("email".to_owned()));
    email.config = json!({ "from": "mag@example.org", "to": ["ops@example.org"] });
    let started = load(&host, &email).unwrap().start().await.unwrap();
    let failure = started.send(&[], &notification()).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (super::FailureKind::Misconfigured, "no-smtp"));
    assert!(failure.message.contains("add smtp = { url = "), "{failure}");

    let (implicit_tls, host_name, tls) = (false, "127.0.0.1".to_owned(), config::Tls::Auto);
    email.smtp = Some(config::Smtp { implicit_tls, host: host_name, port, username: None, tls });
    let started = load(&host, &email).unwrap().start().await.unwrap();
    started.send(&[], &notification()).await.unwrap();
    let log = log.lock().unwrap().join(" ");
    assert!(log.contains("MAIL FROM:<mag@example.org> RCPT TO:<ops@example.org> DATA"), "{log}");
}

#[tokio::test]
async fn the_bundled_slack_may_reach_the_origin_that_it_declares() {
    let mut slack = sender(Plugin::Bundled("slack".to_owned()));
    slack.config = json!({ "channel": "#ops" });
    slack.secrets = secret("token", "xoxb-1");
    let started = load(&host(), &slack).unwrap().start().await.unwrap();
    assert_eq!(started.origins(), ["https://slack.com"]);
}

#[tokio::test]
async fn a_required_secret_that_is_missing_is_a_mistake_with_its_place() {
    let mut slack = sender(Plugin::Bundled("slack".to_owned()));
    slack.config = json!({ "channel": "#ops" });
    let error = load(&host(), &slack).unwrap().start().await.unwrap_err();
    let StartError::Config { mistakes, .. } = &error else { panic!("{error}") };
    assert!(mistakes.iter().any(|mistake| mistake.pointer == "/secrets/token"), "{mistakes:?}");
}
