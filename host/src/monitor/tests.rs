//! Monitors against an endpoint that answers by itself, with tokio's clock paused.

use std::sync::{Arc, Mutex};

use http::{HeaderValue, StatusCode};
use url::Url;

use super::*;

const MINUTES_5: Duration = Duration::from_secs(300);

/// Answers in order, the last one for ever, and remembers when it was asked and what.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<(u16, String)>>>,
    asked: Arc<Mutex<Vec<(Instant, Fetch)>>>,
}

impl Script {
    fn new(answers: &[(u16, &str)]) -> Self {
        let answers = answers.iter().rev().map(|(status, body)| (*status, (*body).to_owned())).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }

    fn asked(&self) -> Vec<(Instant, Fetch)> {
        self.asked.lock().expect("no test panics while it holds the lock").clone()
    }
}

impl Endpoint for Script {
    async fn fetch(&self, fetch: Fetch) -> Result<Answer, EgressError> {
        self.asked.lock().expect("no test panics while it holds the lock").push((Instant::now(), fetch));
        let mut answers = self.answers.lock().expect("no test panics while it holds the lock");
        let next = if answers.len() > 1 { answers.pop() } else { answers.last().cloned() };
        let (status, body) = next.expect("a script has an answer");
        let status = StatusCode::from_u16(status).expect("a status");
        Ok(Answer { status, headers: HeaderMap::new(), body: body.into() })
    }
}

fn campaigns() -> config::Monitor {
    config::Monitor {
        name: "campaigns".to_owned(),
        url: "https://api.example.org/campaigns".parse::<Url>().expect("a URL").into(),
        headers: BTreeMap::from([("Authorization".to_owned(), "Bearer ${secret:token}".to_owned())]),
        secrets: BTreeMap::new(),
        interval: MINUTES_5,
        keep: 3,
        items: "/campaigns".to_owned(),
        id: "/id".to_owned(),
        value: "/errors/FKP".to_owned(),
        alert_if: AlertIf { op: Comparison::Less, threshold: 1000.0 },
        text: "Number is {delta} for last *{seconds}* seconds.".to_owned(),
        token_refresh: None,
    }
}

fn body(values: &[(&str, u64)]) -> String {
    let items: Vec<Value> = values.iter().map(|(id, value)| json!({"id": id, "errors": {"FKP": value}})).collect();
    json!({ "campaigns": items }).to_string()
}

/// Runs a monitor for some of its intervals; returns what it told.
async fn told_within(monitor: config::Monitor, script: &Script, time: Duration) -> Vec<String> {
    let secrets = BTreeMap::from([(TOKEN.to_owned(), config::SecretValue("first".to_owned()).into())]);
    let (batches, mut receiver) = mpsc::channel(100);
    let stop = CancellationToken::new();
    let run = Monitor::new(monitor, secrets, script.clone()).run(batches, Clock::derived(0), stop.clone());
    let task = tokio::spawn(run);
    // A tick that falls on the very end still counts.
    tokio::time::sleep(time + Duration::from_secs(1)).await;
    stop.cancel();
    task.await.expect("the monitor does not panic");
    let mut told = Vec::new();
    while let Some(batch) = receiver.recv().await {
        for entry in batch.entries {
            assert_eq!((entry.message.kind.as_str(), entry.count), (MONITOR_KIND, 1));
            told.push(entry.message.text);
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn the_first_fetch_comes_after_one_interval_and_the_first_alert_after_two() {
    let script = Script::new(&[(200, &body(&[("a", 10)])), (200, &body(&[("a", 15)]))]);
    let begun = Instant::now();
    let told = told_within(campaigns(), &script, MINUTES_5 * 2).await;
    let times: Vec<_> = script.asked().iter().map(|(at, _)| *at - begun).collect();
    assert_eq!(times, [MINUTES_5, MINUTES_5 * 2]);
    assert_eq!(told, ["Number is 5 for last *300* seconds."]);
}

#[tokio::test(start_paused = true)]
async fn only_ids_of_both_snapshots_count() {
    let before = body(&[("a", 10), ("gone", 5_000)]);
    let after = body(&[("a", 12), ("new", 9_000)]);
    let told = told_within(campaigns(), &Script::new(&[(200, &before), (200, &after)]), MINUTES_5 * 2).await;
    assert_eq!(told, ["Number is 2 for last *300* seconds."]);
}

#[tokio::test(start_paused = true)]
async fn enough_growth_is_no_alert() {
    let script = Script::new(&[(200, &body(&[("a", 0)])), (200, &body(&[("a", 1_000)]))]);
    assert!(told_within(campaigns(), &script, MINUTES_5 * 2).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_fetch_checks_nothing_and_the_next_one_compares_with_the_last_good_one() {
    let script = Script::new(&[(200, &body(&[("a", 1)])), (500, ""), (200, "no json"), (307, &body(&[("a", 4)]))]);
    let told = told_within(campaigns(), &script, MINUTES_5 * 4).await;
    assert_eq!(told, ["Number is 3 for last *900* seconds."]);
}

#[tokio::test(start_paused = true)]
async fn a_renewed_token_is_sent_from_then_on() {
    let mut monitor = campaigns();
    let url: Url = "https://api.example.org/refresh".parse().expect("a URL");
    monitor.token_refresh = Some(config::TokenRefresh { url: url.clone().into(), every: Duration::from_secs(450) });
    let script = Script::new(&[(200, &body(&[])), (200, r#"{"token":"second"}"#), (200, &body(&[]))]);
    told_within(monitor, &script, MINUTES_5 * 2).await;
    let asked = script.asked();
    let sent = |n: usize| asked[n].1.headers.get("authorization").map(HeaderValue::as_bytes);
    assert_eq!(sent(0), Some(b"Bearer first".as_slice()));
    assert_eq!((&asked[1].1.method, &asked[1].1.url), (&Method::POST, &url));
    assert_eq!(&asked[1].1.body[..], br#"{"token":"first"}"#);
    assert_eq!(sent(2), Some(b"Bearer second".as_slice()));
}

#[tokio::test(start_paused = true)]
async fn a_secret_stands_in_the_url_in_one_piece_and_takes_no_step_out_of_it() {
    let text = r#"[monitors.m]
url = "https://api.example.org/of/${secret:token}/numbers?key=${secret:token}"
secrets.token = { env = "X" }
items = "/campaigns"
id = "/id"
value = "/errors/FKP"
alert_if = "delta < 1"
text = "x"
"#;
    let source = config::Source { file: None, text: text.to_owned() };
    let config = Config::load(&source, &|_| None).expect("a config");
    let script = Script::new(&[(200, &body(&[]))]);
    let request = |token: &str| {
        let secrets = BTreeMap::from([(TOKEN.to_owned(), config::SecretValue(token.to_owned()).into())]);
        let monitor = Monitor::new(config.monitors[0].clone(), secrets, script.clone());
        monitor.request(Method::GET, &monitor.config.url, Bytes::new()).map(|fetch| fetch.url.to_string())
    };
    let expect = "https://api.example.org/of/a%2F..%2F%3Fb/numbers?key=a%2F..%2F%3Fb";
    assert_eq!(request("a/../?b").as_deref(), Ok(expect));
    let refused = request("..").expect_err("a step").to_string();
    assert!(refused.contains("may be no step of a path"), "{refused}");
}

#[tokio::test]
async fn a_token_in_a_file_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "first").expect("written");
    let text = format!(
        "[monitors.m]\nurl = \"http://h/\"\nitems = \"\"\nid = \"/id\"\nvalue = \"/v\"\nalert_if = \"delta < 0\"\ntext = \"t\"\n\
         headers = {{ Authorization = \"Bearer ${{secret:token}}\" }}\nsecrets.token = {{ file = {file:?} }}\n"
    );
    let config = Config::load(&config::Source { file: None, text }, &|_| None).expect("a good file");
    let values = config.read_secrets(&|_| None).expect("it is there").monitors.remove("m").expect("its secrets");
    let script = Script::new(&[(200, "[]")]);
    let mut monitor = Monitor::new(config.monitors[0].clone(), values, script.clone());
    tokio::time::pause();
    for token in ["first", "second"] {
        std::fs::write(&file, token).expect("written");
        tokio::time::advance(MINUTES_5).await;
        monitor.poll(Instant::now()).await.expect("an answer");
    }
    let sent = |n: usize| script.asked()[n].1.headers["authorization"].clone();
    assert_eq!(
        (sent(0), sent(1)),
        (HeaderValue::from_static("Bearer first"), HeaderValue::from_static("Bearer second"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_stays_and_is_tried_again() {
    let mut monitor = campaigns();
    let url = "https://api.example.org/refresh".parse::<Url>().expect("a URL").into();
    monitor.token_refresh = Some(config::TokenRefresh { url, every: Duration::from_secs(100) });
    let script = Script::new(&[(500, "")]);
    told_within(monitor, &script, Duration::from_secs(450)).await;
    let posts = script.asked().iter().filter(|(_, fetch)| fetch.method == Method::POST).count();
    assert_eq!(posts, 2, "after 100 s and one interval later");
}

/// Takes every request and answers none.
struct Silent;

impl Endpoint for Silent {
    async fn fetch(&self, _fetch: Fetch) -> Result<Answer, EgressError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_an_endpoint_that_never_answers() {
    let (batches, _receiver) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let secrets = BTreeMap::from([(TOKEN.to_owned(), config::SecretValue("first".to_owned()).into())]);
    let monitor = Monitor::new(campaigns(), secrets, Silent);
    let task = tokio::spawn(monitor.run(batches, Clock::derived(0), stop.clone()));
    tokio::time::sleep(MINUTES_5 * 2).await;
    stop.cancel();
    let asked = Instant::now();
    task.await.expect("the monitor does not panic");
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[track_caller]
fn check_shape(answer: &str, expect: &str) {
    let error = Snapshot::read(answer.as_bytes(), &campaigns()).expect_err("this is no good answer");
    assert_eq!(error.to_string(), expect);
}

#[test]
fn an_answer_of_another_shape_is_told_with_its_pointer() {
    check_shape("{}", r#"at "/campaigns": expected an array, found nothing"#);
    check_shape(r#"{"campaigns":{}}"#, r#"at "/campaigns": expected an array, found an object"#);
    check_shape(
        r#"{"campaigns":[{"id":1},{}]}"#,
        r#"at "/campaigns/1/id": expected a string or a number, found nothing"#,
    );
    let text = r#"{"campaigns":[{"id":1,"errors":{"FKP":"many"}}]}"#;
    check_shape(text, r#"at "/campaigns/0/errors/FKP": expected a number, found a string"#);
    check_shape("[", "the answer is no JSON: EOF while parsing a list at line 1 column 1");
}

#[test]
fn a_missing_value_is_zero_and_an_id_may_be_a_number() {
    let read = |text: &str| Snapshot::read(text.as_bytes(), &campaigns()).expect("a good answer");
    let before = read(r#"{"campaigns":[{"id":7}]}"#);
    let after = read(r#"{"campaigns":[{"id":7,"errors":{"FKP":2.5}}]}"#);
    assert!((after.delta(&before) - 2.5).abs() < f64::EPSILON);
}
