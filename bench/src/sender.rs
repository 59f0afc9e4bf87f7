//! `sender`: what a call of a plugin costs, in Rust, JavaScript and Python, beside the same POST without one; how long a
//! start takes, and what one more sender costs.
//!
//! The guests are made as a person makes them: `mag sender new`, the language's tools, `mag sender build`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use mag::config::{Plugin, Sender, Values};
use mag::message::{DEFAULT_KIND, Group, GroupId, Labels, Notification, Reason};
use mag::sender::{Host, HostOptions, Started};
use mag_testkit::http::{Answer, Server};
use mag_testkit::now;
use serde_json::{Value, json};

use crate::process::named_or_built;
use crate::report::quantile;

mod guests;
mod many;

/// What a Rust guest may add to a POST, the median.
const RUST_ADDS_MICROS: f64 = 150.0;
/// What a JavaScript guest may.
const JS_ADDS_MICROS: f64 = 3_000.0;
/// What a Python guest may.
const PYTHON_ADDS_MICROS: f64 = 5_000.0;
/// A start with the compiled plugin in the cache.
const CACHED_START_MILLIS: f64 = 30.0;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Calls of each sort; guests of other languages than Rust make a tenth
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..))]
    calls: u32,
    /// Keeps the guests in this folder, and takes those that are there
    #[arg(long, value_name = "FOLDER")]
    guests: Option<PathBuf>,
    /// Use this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

/// One guest and what is wanted of it.
struct Subject {
    name: &'static str,
    component: PathBuf,
    calls: u32,
    adds_micros: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mag = named_or_built(arguments.mag.as_deref())?;
    let temporary = tempfile::tempdir().context("cannot make a folder")?;
    let folder = arguments.guests.clone().unwrap_or_else(|| temporary.path().join("guests"));
    let tenth = arguments.calls / 10;
    let subject = |name, lang, calls, adds_micros| {
        anyhow::Ok(Subject { name, component: guests::built(&mag, &folder, lang)?, calls, adds_micros })
    };
    let subjects = [
        subject("Rust", "rust", arguments.calls, RUST_ADDS_MICROS)?,
        subject("JavaScript", "js", tenth, JS_ADDS_MICROS)?,
        subject("Python", "python", tenth, PYTHON_ADDS_MICROS)?,
    ];
    let cache = temporary.path().join("cache");
    // What sends over the network needs to know whose cryptography to use, even where it uses none.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    let mut missed = runtime.block_on(calls(&subjects, &cache))?;
    missed.extend(many::run(&mag, &subjects[0].component, &temporary.path().join("daemon-cache"))?);
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// Calls of each guest, and what was missed.
async fn calls(subjects: &[Subject], cache: &Path) -> anyhow::Result<Vec<String>> {
    let server = Server::start(|_| Answer::status(200)).context("cannot start a receiver")?;
    let url = server.url("/");
    let mut missed = Vec::new();
    println!("a call, one after the other, p50 and p99; added: the guest's POST over reqwest's, p50");
    println!("{:<12}{:>22}{:>22}{:>22}{:>10}", "guest", "empty send", "one POST", "reqwest alone", "added");
    let mut starts = Vec::new();
    for subject in subjects {
        starts.push((subject.name, start_times(subject, cache).await?));
        let host = host(cache)?;
        let empty = start(&host, &subject.component, "empty", json!({})).await?;
        let posting = start(&host, &subject.component, "posting", json!({ "url": url })).await?;
        let empty = repeated(subject.calls, || send(&empty)).await?;
        let client = reqwest::Client::builder().no_proxy().build().context("no client")?;
        let (mut with, mut alone) = (Vec::new(), Vec::new());
        // In turn, so that whatever else the machine does meets both.
        for round in 0..subject.calls + 20 {
            let (one, other) = (timed(send(&posting)).await?, timed(post(&client, &url)).await?);
            if round >= 20 {
                with.push(one);
                alone.push(other);
            }
        }
        let added = quantile(&with, 0.5) - quantile(&alone, 0.5);
        println!("{:<12}{:>22}{:>22}{:>22}{:>7.0} µs", subject.name, pair(&empty), pair(&with), pair(&alone), added);
        if added > subject.adds_micros {
            missed.push(format!("{} adds {added:.0} µs, the target is {:.0}", subject.name, subject.adds_micros));
        }
    }
    println!("\na start: load, compile, describe, validate");
    println!("{:<12}{:>14}{:>14}{:>18}{:>22}", "guest", "the first", "cached", "one more: time", "one more: memory");
    for (name, times) in starts {
        let more = format!("{:.1} MiB", times.more_mib);
        println!(
            "{name:<12}{:>11.0} ms{:>11.1} ms{:>15.1} ms{more:>22}",
            times.first_ms, times.cached_ms, times.more_ms
        );
        if times.cached_ms > CACHED_START_MILLIS {
            missed.push(format!("{name} starts in {:.1} ms, the target is {CACHED_START_MILLIS}", times.cached_ms));
        }
    }
    Ok(missed)
}

fn pair(values: &[f64]) -> String {
    format!("{:.0} / {:.0} µs", quantile(values, 0.5), quantile(values, 0.99))
}

/// What a start costs.
struct StartTimes {
    first_ms: f64,
    cached_ms: f64,
    more_ms: f64,
    more_mib: f64,
}

/// Further senders with the same plugin in the same process.
const MORE: u32 = 20;

async fn start_times(subject: &Subject, cache: &Path) -> anyhow::Result<StartTimes> {
    let millis = |micros: f64| micros / 1e3;
    let fresh = host(cache)?;
    let first_ms = millis(timed(started(&fresh, &subject.component)).await?);
    drop(fresh);
    let mut cached = Vec::new();
    for _ in 0..5 {
        let host = host(cache)?;
        cached.push(millis(timed(started(&host, &subject.component)).await?));
    }
    let host = host(cache)?;
    let mut kept = vec![start(&host, &subject.component, "s", json!({})).await?];
    let (before, begin) = (resident_mib()?, now());
    for _ in 0..MORE {
        kept.push(start(&host, &subject.component, "s", json!({})).await?);
    }
    let more_ms = begin.elapsed().as_secs_f64() * 1e3 / f64::from(MORE);
    let more_mib = (resident_mib()? - before) / f64::from(MORE);
    Ok(StartTimes { first_ms, cached_ms: quantile(&cached, 0.5), more_ms, more_mib })
}

fn host(cache: &Path) -> anyhow::Result<Host> {
    Host::new(HostOptions::new(Some(cache.to_owned()))).context("no plugin host")
}

async fn started(host: &Host, component: &Path) -> anyhow::Result<()> {
    start(host, component, "s", json!({})).await.map(|_started| ())
}

async fn start(host: &Host, component: &Path, name: &str, config: Value) -> anyhow::Result<Started> {
    let mut sender = Sender::new(name, Plugin::Path(component.to_owned()), "bench");
    sender.config = config;
    let loaded = host.load(&sender, &Values::default())?;
    Ok(Box::pin(loaded.start()).await?)
}

async fn send(started: &Started) -> anyhow::Result<()> {
    Box::pin(started.send(&[], &notification())).await?;
    Ok(())
}

/// What a guest posts, posted without one.
async fn post(client: &reqwest::Client, url: &str) -> anyhow::Result<()> {
    const BODY: &str = r#"{"text":"Message \"disk full\" was repeated 30 time(s)."}"#;
    let answer = client.post(url).header("content-type", "application/json").body(BODY).send().await?;
    ensure!(answer.status().is_success(), "the receiver answers {}", answer.status());
    answer.bytes().await?;
    Ok(())
}

async fn repeated<F: Future<Output = anyhow::Result<()>>>(
    times: u32,
    call: impl Fn() -> F,
) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::new();
    for round in 0..times + 20 {
        let micros = timed(call()).await?;
        // The first ones make connections and fill caches.
        if round >= 20 {
            all.push(micros);
        }
    }
    Ok(all)
}

/// Microseconds that something took.
async fn timed(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<f64> {
    let begin = now();
    work.await?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

fn resident_mib() -> anyhow::Result<f64> {
    many::resident_mib(std::process::id())
}

fn notification() -> Notification {
    let group = Group {
        id: GroupId(1),
        route: Arc::from("root"),
        kind: DEFAULT_KIND.to_owned(),
        source: None,
        text: "disk full".to_owned(),
        severity: None,
        labels: Labels::default(),
        annotations: Labels::default(),
        count: 30,
        total: 30,
        first_seen: 0,
        last_seen: 0,
        opened: 0,
        closed: 0,
        samples: Vec::new(),
        reason: Reason::Count,
    };
    Notification {
        id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        attempt: 1,
        sender: "bench".to_owned(),
        kind: DEFAULT_KIND.to_owned(),
        reason: Reason::Count,
        period_ms: 0,
        title: "disk full".to_owned(),
        groups: vec![group],
        omitted_groups: 0,
        omitted_messages: 0,
        sent_at: 0,
        timeout_ms: u32::try_from(Duration::from_secs(10).as_millis()).unwrap_or(u32::MAX),
        progress: None,
        previous: None,
        cause: None,
    }
}
