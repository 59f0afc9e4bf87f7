//! Where mag's webhooks go: a receiver that misbehaves as it is told to and writes down what it was told.
//!
//! Each run of mag sends to a path of its own, so that a request always belongs to the run that sent it, however late it
//! is read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::http::{Answer, Request, Server};

/// What a destination does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// Takes it, and says so.
    Takes,
    /// Takes it, and the connection is reset before the answer: mag cannot know.
    BreaksOff,
    /// Answers with this status.
    Refuses(u16),
    /// Answers 429, with this `Retry-After`.
    Limits(Option<&'static str>),
    /// Answers nothing and keeps the connection.
    Hangs,
    /// Closes the connection.
    Closes,
    /// Resets the connection.
    Resets,
}

impl Conduct {
    fn answer(self) -> Answer {
        match self {
            Self::Takes => Answer::status(200),

            Self::Refuses(status) => Answer::status(status),
            Self::Limits(None) => Answer::status(429),
            Self::Limits(Some(after)) => Answer::status(429).header("retry-after", after),
            Self::Hangs => Answer::hang(),
            Self::Closes => Answer::close(),
            Self::Resets | Self::BreaksOff => Answer::reset(),
        }
    }
}

/// Decides what becomes of the next request.
pub type Mood = fn(&mut fastrand::Rng) -> Conduct;

/// One notification, as it arrived.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Of everything but the number of the attempt.
    digest: blake3::Hash,
    attempt: u64,
    /// Count of each group's text.
    pub groups: BTreeMap<String, u64>,
    /// Messages of the groups that were only summed up.
    pub omitted: u64,
    /// When it was taken last, in which run of mag, and whether that run heard it.
    taken: Option<Taken>,
}

impl Notification {
    /// Whether the destination took it at least once.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.taken.is_some()
    }
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    run: u32,
    at: Instant,
    clear: bool,
}

/// All that a destination knows.
#[derive(Debug, Default)]
pub struct Heard {
    /// By id.
    pub notifications: BTreeMap<String, Notification>,
    /// When each request came.
    pub arrivals: Vec<Instant>,
    /// Arrivals of notifications that had been taken before.
    pub resends: u64,
    /// Answers from which mag could not know whether the notification was taken.
    pub unclear: u64,
    /// What must not happen and did.
    pub wrong: Vec<String>,
}

impl Heard {
    /// Messages taken, each notification once.
    #[must_use]
    pub fn told(&self) -> u64 {
        let taken = self.notifications.values().filter(|notification| notification.is_taken());
        taken.map(|notification| notification.groups.values().sum::<u64>() + notification.omitted).sum()
    }

    /// Messages of one text taken, each notification once.
    #[must_use]
    pub fn told_of(&self, text: &str) -> u64 {
        let taken = self.notifications.values().filter(|notification| notification.is_taken());
        taken.filter_map(|notification| notification.groups.get(text)).sum()
    }

    #[cfg(test)]
    pub(crate) fn with_taken(id: &str, groups: &[(&str, u64)]) -> Self {
        let groups = groups.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect();
        let taken = Some(Taken { run: 1, at: crate::now(), clear: true });
        let notification = Notification { digest: blake3::hash(b""), attempt: 1, groups, omitted: 0, taken };
        Self { notifications: BTreeMap::from([(id.to_owned(), notification)]), ..Self::default() }
    }

    fn arrives(&mut self, request: &Request, conduct: Conduct, timeout: Duration) {
        self.arrivals.push(request.at);
        let run = request.target.rsplit('/').next().and_then(|run| run.parse().ok()).unwrap_or(0);
        if let Err(error) = self.note(request, run, conduct, timeout) {
            self.wrong.push(format!("run {run}: {error:#}"));
        }
    }

    fn note(&mut self, request: &Request, run: u32, conduct: Conduct, timeout: Duration) -> anyhow::Result<()> {
        let id = request.header("webhook-id").context("no webhook-id")?.to_owned();
        let (fresh, attempt) = read(&request.body, &id)?;
        let known = self.notifications.entry(id.clone()).or_insert(fresh.clone());
        if known.digest != fresh.digest {
            self.wrong.push(format!("run {run}: {id} came with another content than before"));
        }
        if attempt <= known.attempt {
            self.wrong.push(format!("run {run}: attempt {attempt} of {id} came after attempt {}", known.attempt));
        }
        known.attempt = attempt;
        if let Some(taken) = known.taken {
            self.resends += 1;
            // Half of the timeout: a loaded machine reads a request long after its attempt began.
            let timed_out = request.at.saturating_duration_since(taken.at) >= timeout / 2;
            if taken.run == run && taken.clear && !timed_out {
                self.wrong.push(format!("run {run}: {id} was sent again after a clear answer"));
            }
        }
        if matches!(conduct, Conduct::Takes | Conduct::BreaksOff) {
            known.taken = Some(Taken { run, at: request.at, clear: conduct == Conduct::Takes });
        }
        self.unclear += u64::from(matches!(conduct, Conduct::BreaksOff | Conduct::Hangs));
        Ok(())
    }
}

fn read(body: &[u8], id: &str) -> anyhow::Result<(Notification, u64)> {
    let mut body: Value = serde_json::from_slice(body).context("a body that is no JSON")?;
    let object = body.as_object_mut().context("a body that is no object")?;
    let attempt = object.remove("attempt").and_then(|attempt| attempt.as_u64()).context("no attempt")?;
    anyhow::ensure!(object.get("id").and_then(Value::as_str) == Some(id), "header and body have different ids");
    let mut groups = BTreeMap::new();
    for group in object.get("groups").and_then(Value::as_array).context("no groups")? {
        let text = group.get("text").and_then(Value::as_str).context("a group without a text")?;
        let count = group.get("count").and_then(Value::as_u64).context("a group without a count")?;
        *groups.entry(text.to_owned()).or_insert(0) += count;
    }
    let omitted = object.get("omitted_messages").and_then(Value::as_u64).context("no omitted_messages")?;
    let digest = blake3::hash(body.to_string().as_bytes());
    Ok((Notification { digest, attempt: 0, groups, omitted, taken: None }, attempt))
}

/// A destination; it ends with this value.
pub struct Destination {
    server: Server,
    heard: Arc<Mutex<Heard>>,
    calm: Arc<AtomicBool>,
}

impl Destination {
    /// Starts one. `timeout` is the one of the sender that tells it.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(seed: u64, mood: Mood, timeout: Duration) -> anyhow::Result<Self> {
        let (heard, calm) = (Arc::<Mutex<Heard>>::default(), Arc::<AtomicBool>::default());
        let chance = Mutex::new(fastrand::Rng::with_seed(seed));
        let (record, is_calm) = (Arc::clone(&heard), Arc::clone(&calm));
        let server = Server::start(move |request| {
            let conduct = if is_calm.load(Ordering::SeqCst) { Conduct::Takes } else { mood(&mut lock(&chance)) };
            lock(&record).arrives(request, conduct, timeout);
            conduct.answer()
        });
        Ok(Self { server: server.context("cannot start a destination")?, heard, calm })
    }

    /// Where the webhook of this run of mag sends to.
    #[must_use]
    pub fn url(&self, run: u32) -> String {
        self.server.url(&format!("/{run}"))
    }

    /// From now on it takes everything.
    pub fn calms_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    /// What it was told so far.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::now;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn arrives(heard: &mut Heard, run: u32, attempt: u64, count: u64, conduct: Conduct) {
        let body = serde_json::json!({
            "id": "n1", "attempt": attempt, "groups": [{ "text": "a", "count": count }], "omitted_messages": 2,
        });
        let request = Request {
            method: "POST".to_owned(),
            target: format!("/{run}"),
            headers: vec![("webhook-id".to_owned(), "n1".to_owned())],
            body: body.to_string().into_bytes(),
            at: now(),
        };
        heard.arrives(&request, conduct, TIMEOUT);
    }

    #[test]
    fn a_notification_counts_once_however_often_it_comes() {
        let mut heard = Heard::default();
        arrives(&mut heard, 1, 1, 3, Conduct::Refuses(500));
        assert_eq!(heard.told(), 0);
        arrives(&mut heard, 1, 2, 3, Conduct::BreaksOff);
        arrives(&mut heard, 1, 3, 3, Conduct::Takes);
        arrives(&mut heard, 2, 4, 3, Conduct::Takes);
        assert_eq!((heard.told(), heard.told_of("a"), heard.resends, heard.unclear), (5, 3, 2, 1));
        assert_eq!(heard.wrong, Vec::<String>::new());
    }

    #[test]
    fn other_content_a_repeated_attempt_and_a_needless_resend_are_found() {
        let mut heard = Heard::default();
        arrives(&mut heard, 1, 1, 3, Conduct::Takes);
        arrives(&mut heard, 1, 1, 4, Conduct::Takes);
        assert_eq!(heard.wrong.len(), 3, "{:?}", heard.wrong);
    }
}
