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
    pub answer: Option<oneshot::Sender<Result<Reloaded, String>>>,
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
    let stopping = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "mag is stopping");
    let (answer, answered) = oneshot::channel();
    admin.reload.send(Reload { answer: Some(answer), quiet: false }).await.map_err(|_closed| stopping())?;
    match answered.await.map_err(|_dropped| stopping())? {
        Ok(reloaded) => Ok(json(StatusCode::OK, &reloaded)),
        Err(why) => Err(Refusal::new(StatusCode::CONFLICT, why)),
    }
}
