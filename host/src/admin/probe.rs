//! What a supervisor asks: is it alive, may it be sent messages.

use std::sync::Arc;
use std::time::Duration;

use hyper::http::StatusCode;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Admin;
use super::answer::{Answer, text};
use crate::limits;
use crate::message::{Ack, Batch};

/// Whether starting mag again could help: alive when engine and store answer, each look is one small commit.
///
/// A store that waits for room or for another program is alive: a new start would wait too. Without room nothing is
/// taken in, so the engine is not asked, and whoever asks with a short limit still hears what is the matter.
pub(super) async fn health(admin: &Admin) -> Answer {
    let dead = |why: &str| text(StatusCode::SERVICE_UNAVAILABLE, why);
    if let Some(error) = admin.store.has_failed() {
        return dead(&format!("the store failed: {error}"));
    }
    if let Some(full) = admin.store.trouble().filter(|trouble| trouble.is_full()) {
        return text(StatusCode::OK, &format!("ok, but the store {full}"));
    }
    match timeout(Duration::from_secs(limits::ADMIN_ALIVE_SECONDS), sign_of_life(admin)).await {
        Ok(true) => text(StatusCode::OK, "ok"),
        Ok(false) => dead("the engine has stopped"),
        Err(_) => match admin.store.trouble() {
            Some(trouble) => text(StatusCode::OK, &format!("ok, but the store {trouble}")),
            None => dead("the engine or the store does not answer"),
        },
    }
}

/// An empty batch goes the way of every message, and its ack comes back when it is committed.
async fn sign_of_life(admin: &Admin) -> bool {
    let Some(batches) = admin.batches.upgrade() else { return false };
    let (progress, mut seen) = watch::channel(0);
    let ack = Ack { progress: Arc::new(progress), upto: 1 };
    let sent = batches.send(Batch { ack: Some(ack), ..Batch::default() }).await;
    drop(batches);
    sent.is_ok() && seen.wait_for(|confirmed| *confirmed >= 1).await.is_ok()
}

/// Whether a message that is sent now is taken in and committed.
pub(super) fn ready(admin: &Admin) -> Answer {
    match reason(admin) {
        None => text(StatusCode::OK, READY),
        Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}")),
    }
}

/// The word of a mag that is ready.
pub(super) const READY: &str = "ready";

/// Why mag is not ready.
pub(super) fn reason(admin: &Admin) -> Option<String> {
    if admin.stopping.is_cancelled() {
        return Some("mag is stopping".to_owned());
    }
    if let Some(error) = admin.store.has_failed() {
        return Some(format!("the store failed: {error}"));
    }
    admin.store.trouble().map(|trouble| format!("the store {trouble}"))
}
