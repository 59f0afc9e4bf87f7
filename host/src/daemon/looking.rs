//! Who may look in: `[admin]` at one address, and at another one when a new config says so.
//!
//! It decides nothing: what was bound is served, and whoever was let in at the former address is answered there.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::config::Config;

/// Where mag can be looked at, if anywhere.
pub(super) struct Looking {
    admin: Arc<Admin>,
    /// Cancelled when mag stops telling.
    stop: CancellationToken,
    /// Of the address that is served.
    closing: CancellationToken,
    tasks: JoinSet<()>,
}

impl Looking {
    /// Nowhere yet.
    pub(super) fn new(admin: Admin, stop: &CancellationToken) -> Self {
        Self { admin: Arc::new(admin), stop: stop.clone(), closing: CancellationToken::new(), tasks: JoinSet::new() }
    }

    /// From now on only here.
    pub(super) fn at(&mut self, listener: Option<TcpListener>) {
        std::mem::take(&mut self.closing).cancel();
        let Some(listener) = listener else { return };
        if let Ok(address) = listener.local_addr() {
            tracing::info!("[admin] on http://{address}");
        }
        let (admin, closing, stop) = (Arc::clone(&self.admin), self.closing.clone(), self.stop.clone());
        self.tasks.spawn(admin::serve(listener, admin, closing, stop));
    }

    /// All of them end, once telling is stopped.
    pub(super) fn into_tasks(self) -> JoinSet<()> {
        self.tasks
    }
}

/// Binds the address of `[admin]`, where there is one.
///
/// # Errors
///
/// It cannot be bound.
pub(super) async fn bind(config: &Config) -> anyhow::Result<Option<TcpListener>> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let bound = TcpListener::bind(&admin.address).await;
    bound.map(Some).with_context(|| {
        format!("cannot listen on {}: free the port, or give another `address` in [admin]", admin.address)
    })
}
