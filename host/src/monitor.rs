//! Polls an HTTP endpoint and makes a message when the numbers it shows change too much or too little.
//!
//! The message goes the normal way: routes decide who is told. A failed fetch checks nothing and is said once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, sleep_until};
use crate::config::{self, AlertIf, Comparison, Config, MonitorUrl, Values};
use crate::egress::{Answer, Client, EgressError, Fetch, sensitive};
use crate::limits;
use crate::message::{Batch, Entry, Labels, MONITOR_KIND, Message};

mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{Snapshot, SnapshotError};

/// What of a secret is written in a URL in another way: all but letters, digits and `-._~`.
const IN_A_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The secret that `token_refresh` renews.
const TOKEN: &str = "token";

/// How a monitor reaches its endpoint; tests answer by themselves.
pub trait Endpoint: Send + 'static {
    /// One exchange.
    fn fetch(&self, fetch: Fetch) -> impl Future<Output = Result<Answer, EgressError>> + Send;
}

impl Endpoint for Client {
    async fn fetch(&self, fetch: Fetch) -> Result<Answer, EgressError> {
        Self::fetch(self, fetch).await
    }
}

/// Why a poll checked nothing.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error("the endpoint answered {0}, expected 200")]
    Status(u16),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("at \"/token\": expected a string that can stand in a header")]
    Token,
}

/// A monitor that is ready to run.
pub struct Monitor<E = Client> {
    config: config::Monitor,
    /// As they are read.
    sources: Values,
    /// As they are sent: a token may have been renewed since.
    secrets: BTreeMap<String, String>,
    endpoint: E,
    snapshots: VecDeque<(Instant, Snapshot)>,
    /// The last error that was said, of polling and of renewing the token.
    last_errors: BTreeMap<&'static str, String>,
}

/// Every monitor of the config, with the values of its secrets.
///
/// # Errors
///
/// A URL cannot be used.
pub fn all(config: &Config, mut secrets: BTreeMap<String, Values>) -> anyhow::Result<Vec<Monitor>> {
    let mut monitors = Vec::new();
    for monitor in &config.monitors {
        let urls = [Some(&monitor.url), monitor.token_refresh.as_ref().map(|refresh| &refresh.url)];
        let client = Client::for_typed(urls.into_iter().flatten().map(MonitorUrl::marked))?;
        monitors.push(Monitor::new(monitor.clone(), secrets.remove(&monitor.name).unwrap_or_default(), client));
    }
    Ok(monitors)
}

impl<E: Endpoint> Monitor<E> {
    fn new(config: config::Monitor, sources: Values, endpoint: E) -> Self {
        let secrets = sources.iter().map(|(name, source)| (name.clone(), source.value().0)).collect();
        Self { config, sources, secrets, endpoint, snapshots: VecDeque::new(), last_errors: BTreeMap::new() }
    }

    /// Its name in `mag.toml`.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Polls until `stop`; the first time after one interval.
    pub async fn run(mut self, batches: mpsc::Sender<Batch>, clock: Clock, stop: CancellationToken) {
        let mut polls = ticks(clock.instant(), self.config.interval);
        let refresh_every = self.config.token_refresh.as_ref().map(|refresh| refresh.every);
        let mut refresh_at = refresh_every.map(|every| clock.instant() + every);
        loop {
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep_until(refresh_at) => {
                    let Some(refreshed) = stop.run_until_cancelled(self.refresh()).await else { return };
                    // A token that could not be renewed is tried again as soon as the next poll is due.
                    let wait = if refreshed.is_ok() { refresh_every } else { Some(self.config.interval) };
                    refresh_at = wait.map(|wait| clock.instant() + wait);
                    self.note(refreshed, "its token could not be renewed");
                    continue;
                }
                _ = polls.tick() => {
                    let Some(polled) = stop.run_until_cancelled(self.poll(clock.instant())).await else { return };
                    polled
                }
            };
            let alert = self.note(polled, "nothing was checked").flatten();
            if let Some(text) = alert
                && batches.send(self.batch(text, &clock)).await.is_err()
            {
                return;
            }
        }
    }

    /// Takes secrets whose files have changed.
    async fn reread(&mut self) {
        for (name, source) in &self.sources {
            match source.refresh(Duration::from_secs(limits::SECRET_COMMAND_SECONDS)).await {
                Ok(true) => drop(self.secrets.insert(name.clone(), source.value().0)),
                Ok(false) => {}
                Err(why) => {
                    let monitor = &self.config.name;
                    tracing::warn!(
                        "monitor {monitor}: secrets.{name} cannot be read again, its last value goes on: {why}"
                    );
                }
            }
        }
    }

    /// Fetches and compares; a text when there is something to tell.
    async fn poll(&mut self, now: Instant) -> Result<Option<String>, PollError> {
        self.reread().await;
        let fetch = self.request(Method::GET, &self.config.url, Bytes::new())?;
        let answer = self.endpoint.fetch(fetch).await?;
        // 307 and 308 without a Location are answers, as the Go service took them.
        if !matches!(answer.status.as_u16(), 200 | 307 | 308) {
            return Err(PollError::Status(answer.status.as_u16()));
        }
        let snapshot = Snapshot::read(&answer.body, &self.config)?;
        let alert = self.snapshots.back().and_then(|(before, earlier)| {
            let delta = snapshot.delta(earlier);
            let seconds = (now - *before).as_secs_f64().round();
            holds(self.config.alert_if, delta).then(|| text(&self.config.text, delta, seconds))
        });
        self.snapshots.push_back((now, snapshot));
        while self.snapshots.len() > self.config.keep {
            self.snapshots.pop_front();
        }
        Ok(alert)
    }

    /// Renews the token: POST `{"token": old}`, answered `{"token": new}`.
    async fn refresh(&mut self) -> Result<(), PollError> {
        let Some(refresh) = &self.config.token_refresh else { return Ok(()) };
        let old = self.secrets.get(TOKEN).map(String::as_str).unwrap_or_default();
        let body = json!({ TOKEN: old }).to_string();
        let mut fetch = self.request(Method::POST, &refresh.url, body.into())?;
        fetch.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let answer = self.endpoint.fetch(fetch).await?;
        if !answer.status.is_success() && !matches!(answer.status.as_u16(), 307 | 308) {
            return Err(PollError::Status(answer.status.as_u16()));
        }
        let answer: Value =
            serde_json::from_slice(&answer.body).map_err(|error| SnapshotError::Json(error.to_string()))?;
        let new = answer.pointer("/token").and_then(Value::as_str).filter(|new| sensitive(new).is_ok());
        let new = new.ok_or(PollError::Token)?;
        self.secrets.insert(TOKEN.to_owned(), new.to_owned());
        Ok(())
    }

    fn request(&self, method: Method, url: &MonitorUrl, body: Bytes) -> Result<Fetch, EgressError> {
        let value = |name: &str| self.secrets.get(name).map(String::as_str).unwrap_or_default();
        let url = url.filled(|name| utf8_percent_encode(value(name), IN_A_URL).to_string()).ok_or_else(|| {
            let why = "a secret would change where its URL leads: it may be no step of a path";
            EgressError::Request(why.to_owned())
        })?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.config.headers {
            let name: HeaderName =
                name.parse().map_err(|_not_a_name| EgressError::Request(format!("{name:?} is no name of a header")))?;
            headers.insert(name, sensitive(&fill(value, &self.secrets))?);
        }
        Ok(Fetch {
            method,
            url,
            headers,
            body,
            max_bytes: limits::MONITOR_ANSWER_BYTES,
            timeout: Duration::from_secs(limits::MONITOR_SECONDS),
            same_origin_redirects: true,
        })
    }

    fn batch(&self, text: String, clock: &Clock) -> Batch {
        let now = clock.now();
        let message = Message {
            text,
            kind: MONITOR_KIND.into(),
            severity: None,
            labels: Labels::new(vec![("monitor".to_owned(), self.config.name.clone())]),
            source: self.config.name.as_str().into(),
        };
        Batch { entries: vec![Entry { message, count: 1, first_seen: now, last_seen: now }], ..Batch::default() }
    }

    /// Says an error, unless it is the one that was said last.
    fn note<T>(&mut self, result: Result<T, PollError>, what: &'static str) -> Option<T> {
        let name = &self.config.name;
        match result {
            Ok(value) => {
                if self.last_errors.remove(what).is_some() {
                    tracing::info!("monitor {name}: works again");
                }
                Some(value)
            }
            Err(error) => {
                let error = error.to_string();
                if self.last_errors.get(what) != Some(&error) {
                    tracing::warn!("monitor {name}: {what}: {error}");
                    self.last_errors.insert(what, error);
                }
                None
            }
        }
    }
}

fn ticks(now: Instant, interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval_at(now + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn holds(alert: AlertIf, delta: f64) -> bool {
    let ordering = delta.partial_cmp(&alert.threshold);
    ordering.is_some_and(|ordering| match alert.op {
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Equal => ordering.is_eq(),
        Comparison::NotEqual => ordering.is_ne(),
    })
}

/// The message: what stands in braces is replaced; a whole number is written without a fraction.
fn text(template: &str, delta: f64, seconds: f64) -> String {
    template.replace("{delta}", &delta.to_string()).replace("{seconds}", &seconds.to_string())
}

/// Puts the values of secrets in.
fn fill(template: &str, secrets: &BTreeMap<String, String>) -> String {
    let mut filled = template.to_owned();
    for (name, value) in secrets {
        filled = filled.replace(&format!("${{secret:{name}}}"), value);
    }
    filled
}
