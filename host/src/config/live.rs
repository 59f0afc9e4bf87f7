//! Values of secrets while mag runs: a file is read again when it changes, a command runs again when its answer is old.
//!
//! **Invariant:** what cannot be read again leaves the last value in use and is an error once, not at each look; no
//! value stands in an error, and none has a `Debug`.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{SecretSource, SecretValue};
use crate::limits;

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
    broken: bool,
}

/// What tells two states of a file apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 3], [u64; 2]);

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok()?;
        Some(Self([found.mtime(), found.ctime(), found.ctime_nsec()], [found.ino(), found.len()]))
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
        let seen = stamp(source);
        let value = source.read(env)?;
        let changes = match source {
            SecretSource::File(_) => true,
            SecretSource::Command(command) => command.refresh.is_some(),
            SecretSource::Env(_) | SecretSource::Credential(_) | SecretSource::Value(_) => false,
        };
        Ok(Self::new(changes.then(|| source.clone()), seen, value))
    }

    fn new(source: Option<SecretSource>, seen: Option<Stamp>, value: SecretValue) -> Self {
        let state = State { value, former: Vec::new(), seen, looked: Instant::now(), broken: false };
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

    /// Looks whether it has changed, if the last look was long enough ago; `true` for a new value.
    ///
    /// # Errors
    ///
    /// It can no longer be read, said once; the last value goes on.
    pub async fn refresh(&self) -> Result<bool, String> {
        let Some(source) = &self.0.source else { return Ok(false) };
        if !self.is_due(source) {
            return Ok(false);
        }
        let (this, source) = (self.clone(), source.clone());
        let looked = tokio::task::spawn_blocking(move || this.look(&source)).await;
        looked.unwrap_or_else(|broken| Err(broken.to_string()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody has to look now; whoever is told so does it, the others go on with the last value.
    fn is_due(&self, source: &SecretSource) -> bool {
        let every = match source {
            SecretSource::Command(command) => command.refresh.unwrap_or(Duration::MAX),
            _ => Duration::from_millis(limits::SECRET_LOOK_MILLIS),
        };
        let mut state = self.state();
        let after = if state.broken { Duration::from_millis(limits::SECRET_LOOK_MILLIS) } else { every };
        let due = state.looked.elapsed() >= after;
        if due {
            state.looked = Instant::now();
        }
        due
    }

    fn look(&self, source: &SecretSource) -> Result<bool, String> {
        let seen = stamp(source);
        if seen.is_some() && seen == self.state().seen {
            return Ok(false);
        }
        // A command may take long, so nothing is locked meanwhile.
        let read = source.read(&|_| None);
        let mut state = self.state();
        state.seen = seen;
        match read {
            Ok(value) => {
                state.broken = false;
                let changed = value != state.value;
                if changed {
                    let former = std::mem::replace(&mut state.value, value);
                    state.former.push(former);
                    let many = state.former.len().saturating_sub(limits::SECRET_FORMER);
                    state.former.drain(..many);
                }
                Ok(changed)
            }
            Err(_) if state.broken => Ok(false),
            Err(why) => {
                state.broken = true;
                Err(why)
            }
        }
    }
}

fn stamp(source: &SecretSource) -> Option<Stamp> {
    match source {
        SecretSource::File(path) => Stamp::of(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::LiveSecret;
    use crate::config::{SecretCommand, SecretSource};

    /// Some time later, when another look is worth it.
    async fn later(secret: &LiveSecret) -> Result<bool, String> {
        tokio::time::advance(Duration::from_secs(2)).await;
        secret.refresh().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let secret = LiveSecret::read(&SecretSource::File(file.clone()), &|_| None).unwrap();
        assert_eq!(secret.value().0, "one");
        std::fs::write(&file, "another\n").unwrap();
        assert_eq!(secret.refresh().await, Ok(false));
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
}
