//! Values of secrets while mag runs: a file is read again when it changes, a command runs again when its answer is old.
//!
//! **Invariant:** what cannot be read again leaves the last value in use and is an error once, not at each look; whoever
//! wants the value waits for a look as long as they say, and at most one look of a secret is under way; no value stands in
//! an error, and none has a `Debug`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{SecretSource, SecretValue};
use crate::{file, limits};

/// The value of a secret, as it was read last. Clones share it.
#[derive(Clone)]
pub struct LiveSecret(Arc<Live>);

struct Live {
    /// Where it is read again; `None` for what cannot change while mag runs.
    source: Option<SecretSource>,
    state: Mutex<State>,
}

struct State {
    value: SecretValue,
    /// What it was before, newest last: the other side may still take them, so they are hidden like the value.
    former: Vec<SecretValue>,
    seen: Option<Stamp>,
    looked: Instant,
    looking: bool,
    /// What a look found, until somebody takes it.
    found: Option<(Option<Stamp>, Result<SecretValue, String>)>,
    /// Looks in a row that found no value, or not in time.
    failures: u32,
}

/// What tells two states of a file apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 3], [u64; 2]);

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self([found.mtime(), found.ctime(), found.ctime_nsec()], [found.ino(), found.len()])
    }
}

impl std::fmt::Debug for LiveSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LiveSecret(…)")
    }
}

/// Equal when the values are.
impl PartialEq for LiveSecret {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.value() == other.value()
    }
}

impl Eq for LiveSecret {}

impl From<SecretValue> for LiveSecret {
    /// A value that never changes.
    fn from(value: SecretValue) -> Self {
        Self::new(None, None, value)
    }
}

impl LiveSecret {
    /// Reads a secret for the first time.
    pub(super) fn read(source: &SecretSource, env: &super::Env<'_>) -> Result<Self, String> {
        // Before the value: a change in between is then found by the next look.
        let seen = stamp(source).unwrap_or_default();
        let value = source.read(env)?;
        let changes = match source {
            SecretSource::File(_) => true,
            SecretSource::Command(command) => command.refresh.is_some(),
            SecretSource::Env(_) | SecretSource::Credential(_) | SecretSource::Value(_) => false,
        };
        Ok(Self::new(changes.then(|| source.clone()), seen, value))
    }

    fn new(source: Option<SecretSource>, seen: Option<Stamp>, value: SecretValue) -> Self {
        let (looked, former) = (Instant::now(), Vec::new());
        let state = State { value, former, seen, looked, looking: false, found: None, failures: 0 };
        Self(Arc::new(Live { source, state: Mutex::new(state) }))
    }

    /// As it was read last.
    #[must_use]
    pub fn value(&self) -> SecretValue {
        self.state().value.clone()
    }

    /// As it was read last, and before that.
    #[must_use]
    pub fn values(&self) -> Vec<SecretValue> {
        let state = self.state();
        state.former.iter().chain([&state.value]).cloned().collect()
    }

    /// Begins to look whether it has changed, if the last look was long enough ago and has ended.
    pub fn look(&self) -> Look {
        let source = self.0.source.as_ref().filter(|source| self.begins(source)).cloned();
        let this = self.clone();
        let task = source.map(|source| tokio::task::spawn_blocking(move || this.find(&source)));
        Look { secret: self.clone(), task }
    }

    /// Looks, for at most so long; `true` for a new value.
    ///
    /// # Errors
    ///
    /// As [`Look::until`].
    pub async fn refresh(&self, limit: Duration) -> Result<bool, String> {
        self.look().until(Instant::now() + limit).await
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody has to look now; whoever is told so does it, the others go on with the last value.
    fn begins(&self, source: &SecretSource) -> bool {
        let shortest = Duration::from_millis(limits::SECRET_LOOK_MILLIS);
        let every = match source {
            SecretSource::Command(command) => command.refresh.unwrap_or(Duration::MAX),
            _ => shortest,
        };
        let mut state = self.state();
        // What fails is tried again soon, and then less and less often.
        let again = |before: u32| shortest.saturating_mul(1 << before.min(16)).min(every);
        let after = state.failures.checked_sub(1).map_or(every, again);
        let begins = !state.looking && state.looked.elapsed() >= after;
        if begins {
            (state.looked, state.looking) = (Instant::now(), true);
        }
        begins
    }

    /// Looks, however long that takes; what comes of it waits for whoever uses the secret next.
    fn find(&self, source: &SecretSource) {
        let seen = stamp(source);
        let is_same = seen.as_ref().is_ok_and(|seen| seen.is_some() && *seen == self.state().seen);
        // Nothing is locked meanwhile.
        let found = (!is_same).then(|| match seen {
            Ok(seen) => (seen, source.read(&|_| None)),
            Err(why) => (None, Err(why)),
        });
        let mut state = self.state();
        state.looking = false;
        if found.is_none() {
            // It was only late.
            state.failures = 0;
        }
        state.found = found;
    }

    /// Takes what a look found; `true` for a new value.
    fn take(&self, is_late: bool) -> Result<bool, String> {
        let mut state = self.state();
        let Some((seen, read)) = state.found.take() else {
            return if is_late { state.fails("it does not answer in time".to_owned()) } else { Ok(false) };
        };
        // What was no good is read again, also when it looks the same.
        state.seen = seen.filter(|_| read.is_ok());
        match read {
            Ok(value) => {
                state.failures = 0;
                let changed = value != state.value;
                if changed {
                    let former = std::mem::replace(&mut state.value, value);
                    state.former.push(former);
                    let many = state.former.len().saturating_sub(limits::SECRET_FORMER);
                    state.former.drain(..many);
                }
                Ok(changed)
            }
            Err(why) => state.fails(why),
        }
    }
}

impl State {
    /// The first failure of several is told.
    fn fails(&mut self, why: String) -> Result<bool, String> {
        self.looked = Instant::now();
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 { Err(why) } else { Ok(false) }
    }
}

/// A look that may be under way.
#[derive(Debug)]
#[must_use]
pub struct Look {
    secret: LiveSecret,
    task: Option<JoinHandle<()>>,
}

impl Look {
    /// Waits for it until then; for one after a failure only for a moment. `true` for a new value.
    ///
    /// # Errors
    ///
    /// It can no longer be read, or not in time, said once; the last value goes on. What is late is taken when it comes.
    pub async fn until(self, deadline: Instant) -> Result<bool, String> {
        let Self { secret, task } = self;
        let Some(task) = task else { return secret.take(false) };
        let moment = Instant::now() + Duration::from_millis(limits::SECRET_AGAIN_MILLIS);
        let has_failed = secret.state().failures > 0;
        let ended = timeout_at(if has_failed { deadline.min(moment) } else { deadline }, task).await;
        if let Ok(Err(broken)) = ended {
            let mut state = secret.state();
            state.looking = false;
            return state.fails(broken.to_string());
        }
        secret.take(ended.is_err())
    }
}

fn stamp(source: &SecretSource) -> Result<Option<Stamp>, String> {
    let SecretSource::File(path) = source else { return Ok(None) };
    let why = |error| format!("cannot read {}: {error}", path.display());
    file::look(path).map(|found| found.as_ref().map(Stamp::of)).map_err(why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::LiveSecret;
    use crate::config::{SecretCommand, SecretSource};
    use crate::file::tests::{Held, pipe};

    /// Some time later, when another look is worth it.
    async fn later(secret: &LiveSecret) -> Result<bool, String> {
        tokio::time::advance(Duration::from_secs(2)).await;
        secret.refresh(Duration::from_secs(600)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let secret = LiveSecret::read(&SecretSource::File(file.clone()), &|_| None).unwrap();
        assert_eq!(secret.value().0, "one");
        std::fs::write(&file, "another\n").unwrap();
        assert_eq!(secret.refresh(Duration::from_secs(600)).await, Ok(false));
        assert_eq!(secret.value().0, "one", "nobody looks at each use");
        assert_eq!(later(&secret).await, Ok(true));
        assert_eq!(secret.value().0, "another");
        assert_eq!(secret.values().iter().map(|value| value.0.as_str()).collect::<Vec<_>>(), ["one", "another"]);
        // As it is done where files must never be half written.
        let new = folder.path().join("new");
        std::fs::write(&new, "moved\n").unwrap();
        std::fs::rename(&new, &file).unwrap();
        assert_eq!(later(&secret).await, Ok(true));
        assert_eq!(secret.value().0, "moved");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_read_any_more_is_said_once_and_its_last_value_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let secret = LiveSecret::read(&SecretSource::File(file.clone()), &|_| None).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(later(&secret).await.unwrap_err().contains("No such file"));
        assert_eq!(later(&secret).await, Ok(false));
        assert_eq!(secret.value().0, "one");
        std::fs::write(&file, "two\n").unwrap();
        assert_eq!(later(&secret).await, Ok(true));
        assert_eq!(secret.value().0, "two");
        std::fs::write(&file, "").unwrap();
        assert!(later(&secret).await.unwrap_err().contains("empty"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipe_in_the_place_of_a_file_is_said_once_and_waited_for_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let secret = LiveSecret::read(&SecretSource::File(file.clone()), &|_| None).unwrap();
        std::fs::remove_file(&file).unwrap();
        pipe(&file);
        assert!(later(&secret).await.unwrap_err().ends_with("it is a pipe, not a regular file"));
        assert_eq!((later(&secret).await, secret.value().0.as_str()), (Ok(false), "one"));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "two\n").unwrap();
        assert_eq!((later(&secret).await, secret.value().0.as_str()), (Ok(true), "two"));
        let at_start = LiveSecret::read(&SecretSource::File(folder.path().to_owned()), &|_| None).unwrap_err();
        assert!(at_start.ends_with("it is a folder, not a regular file"), "{at_start}");
    }

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_waited_for_once_and_taken_when_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let secret = LiveSecret::read(&SecretSource::File(file.clone()), &|_| None).unwrap();
        let held = Held::new(&file);
        std::fs::write(&file, "another\n").unwrap();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(2)).await;
        tokio::time::resume();
        let late = secret.refresh(Duration::from_millis(20)).await;
        assert_eq!(late, Err("it does not answer in time".to_owned()));
        for _ in 0..100 {
            let look = secret.look();
            assert!(look.task.is_none(), "one look at a time");
            assert_eq!(look.until(Instant::now() + Duration::from_secs(600)).await, Ok(false));
        }
        assert_eq!(secret.value().0, "one");
        drop(held);
        while !secret.refresh(Duration::from_secs(600)).await.unwrap() {
            tokio::task::yield_now().await;
        }
        assert_eq!(secret.value().0, "another");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_runs_again_when_its_answer_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let command = |refresh: Option<u64>| {
            SecretSource::Command(SecretCommand {
                program: "/bin/sh".into(),
                arguments: vec!["-c".to_owned(), "echo x >> runs; wc -l < runs | tr -d ' '".to_owned()],
                folder: folder.path().to_owned(),
                refresh: refresh.map(Duration::from_secs),
            })
        };
        let kept = LiveSecret::read(&command(None), &|_| None).unwrap();
        let old = LiveSecret::read(&command(Some(60)), &|_| None).unwrap();
        assert_eq!((kept.value().0.as_str(), old.value().0.as_str()), ("1", "2"));
        later(&old).await.unwrap();
        assert_eq!(old.value().0, "2");
        tokio::time::advance(Duration::from_secs(60)).await;
        later(&old).await.unwrap();
        later(&kept).await.unwrap();
        assert_eq!((kept.value().0.as_str(), old.value().0.as_str()), ("1", "3"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_fails_is_tried_less_and_less_often() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo x >> runs; [ $(wc -l < runs) = 1 ] && echo value";
        let command = SecretCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            folder: folder.path().to_owned(),
            refresh: Some(Duration::from_secs(600)),
        };
        let secret = LiveSecret::read(&SecretSource::Command(command), &|_| None).unwrap();
        tokio::time::advance(Duration::from_secs(600)).await;
        assert!(later(&secret).await.is_err());
        for _ in 0..30 {
            assert_eq!((later(&secret).await, secret.value().0.as_str()), (Ok(false), "value"));
        }
        // 1, 2, 4, 8, 16 and 32 s after the one before.
        let runs = std::fs::read_to_string(folder.path().join("runs")).unwrap().lines().count();
        assert!((6..=8).contains(&runs), "{runs} runs");
    }
}
