//! The requests of one HTTP/2 connection: they are answered side by side, and none outlives it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of the requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    /// How many are not answered to their end.
    open: Arc<watch::Sender<usize>>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (stop, open) = (self.stop.clone(), Open::new(Arc::clone(&self.open)));
        self.tasks.spawn(async move {
            let ended = stop.run_until_cancelled(stream).await.is_some();
            drop(open);
            ended
        });
    }
}

impl Streams {
    /// Returns once nothing was asked for so long; a ping asks nothing.
    pub(super) async fn idle(&self, time: Duration) {
        let mut open = self.open.subscribe();
        loop {
            let is_quiet = *open.borrow_and_update() == 0;
            tokio::select! {
                () = sleep(time), if is_quiet => return,
                _same = open.changed() => {}
            }
        }
    }

    /// Whoever asked is gone, or has had its time.
    pub(super) async fn end(&self) {
        self.tasks.close();
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// Counts a request as long as it is there, however it ends.
struct Open(Arc<watch::Sender<usize>>);

impl Open {
    fn new(open: Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}
