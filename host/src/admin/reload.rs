//! What goes between whoever wants the config read again and the daemon, which does it; and what others see of it.

use hyper::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Admin;
use super::answer::{Answer, Refusal, json};
use super::report::At;
use crate::message::Millis;

/// Somebody wants the config read again.
#[derive(Debug, Default)]
pub struct Reload {
    /// Who waits for what comes of it: what changed, or why nothing did.
    pub answer: Option<oneshot::Sender<Result<Reloaded, Unchanged>>>,
    /// Whether nobody asked, so that there is nothing to say when nothing is different.
    pub quiet: bool,
}

/// Answer of `POST /api/v1/reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What is different now, a line each; nothing when the config says what it said before.
    pub changes: Vec<String>,
    /// Mistakes that harm nothing.
    pub warnings: Vec<String>,
}

/// Why a wish to have the config read again changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// The new config is wrong; in lines for a person.
    #[error("{0}")]
    Refused(String),
    /// Somebody wanted the same before this was done, and what is read for them is newer.
    #[error("a newer reload took the place of this one, before anything of it counted; `mag status` says what counts")]
    Overtaken,
    /// There is nothing to change any more.
    #[error("mag is stopping, the next start reads the config anew")]
    Stopping,
}

/// The config that mag runs with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Its file; `None` for the shipped defaults.
    pub file: Option<String>,
    /// Since when.
    pub at: Millis,
    /// When another one was refused since, and why.
    pub refused: Option<(Millis, String)>,
}

/// The same in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedReport {
    /// `null` for the shipped defaults.
    pub file: Option<String>,
    /// Since when mag runs with it.
    pub loaded: At,
    /// When a newer one was refused; the one that mag runs with goes on.
    pub refused: Option<At>,
    /// Why.
    pub error: Option<String>,
}

impl From<Loaded> for LoadedReport {
    fn from(loaded: Loaded) -> Self {
        let (refused, error) = loaded.refused.map(|(at, error)| (At(at), error)).unzip();
        Self { file: loaded.file, loaded: At(loaded.at), refused, error }
    }
}

/// Has the config read again, and says what came of it.
pub(super) async fn reload(admin: &Admin) -> Result<Answer, Refusal> {
    let (answer, answered) = oneshot::channel();
    let sent = admin.reload.send(Reload { answer: Some(answer), quiet: false }).await;
    // Whoever would answer is gone only when mag stops.
    let answered =
        if sent.is_ok() { answered.await.unwrap_or(Err(Unchanged::Stopping)) } else { Err(Unchanged::Stopping) };
    answered.map(|reloaded| json(StatusCode::OK, &reloaded)).map_err(|unchanged| {
        let status = match unchanged {
            Unchanged::Refused(_) => StatusCode::CONFLICT,
            Unchanged::Overtaken | Unchanged::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Refusal::new(status, unchanged.to_string())
    })
}
