//! Compiles plugins, each once however many senders run it, and says so where a person would wonder.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use wasmtime::component::Component;

use super::contract_v1::Plugin;
use super::load::Profile;
use super::start::StartError;
use super::{Host, Runtime};
use crate::limits;

impl Host {
    /// Frees the code of plugins that no sender runs any more.
    pub fn forget_unused(&self) {
        let mut compiled = self.0.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever compiles holds the cell, whoever runs the plugin holds what is in it.
        compiled.retain(|_, cell| {
            Arc::strong_count(cell) > 1 || cell.get().is_some_and(|plugin| Arc::strong_count(plugin) > 1)
        });
    }
}

impl Runtime {
    /// The compiled plugin; whoever asks first compiles, the others wait for it. Compiling goes on when nobody waits any
    /// more, since it cannot be broken off: a reload that takes the place of another one must not begin anew.
    pub(super) async fn compiled(self: &Arc<Self>, profile: &Arc<Profile>) -> Result<Arc<Plugin>, StartError> {
        let cell = {
            let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(compiled.entry(profile.hash).or_insert_with(|| Arc::new(OnceCell::new())))
        };
        let (runtime, theirs) = (Arc::clone(self), Arc::clone(profile));
        let making = tokio::spawn(async move {
            let plugin = theirs.plugin.clone();
            let made = cell.get_or_try_init(|| async {
                let compiling = tokio::task::spawn_blocking(move || runtime.compile(&theirs.bytes));
                let compiled = patiently(&plugin, compiling, |said| tracing::info!("{said}")).await;
                compiled.map_err(|error| error.to_string()).and_then(|made| made.map_err(|error| format!("{error:#}")))
            });
            made.await.cloned()
        });
        let made = making.await.unwrap_or_else(|broke_off| Err(broke_off.to_string()));
        made.map_err(|error| StartError::Plugin(profile.wrap(None, &format!("cannot compile it: {error}"))))
    }

    fn compile(&self, bytes: &[u8]) -> wasmtime::Result<Arc<Plugin>> {
        let component = Component::new(&self.engine, bytes)?;
        let linked = self.linker.instantiate_pre(&component)?;
        Plugin::new(linked).map(Arc::new)
    }
}

/// Waits for it, and says so where it takes long, and again when it is over.
async fn patiently<T>(plugin: &str, compiling: impl Future<Output = T>, say: impl Fn(String)) -> T {
    let began = Instant::now();
    let mut compiling = std::pin::pin!(compiling);
    let patience = Duration::from_millis(limits::PLUGIN_COMPILE_SILENT_MILLIS);
    if let Ok(done) = timeout(patience, &mut compiling).await {
        return done;
    }
    say(format!("compiling plugin {plugin}: this takes up to half a minute the first time"));
    let done = compiling.await;
    say(format!("plugin {plugin}: the compiler is done after {} s", began.elapsed().as_secs()));
    done
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn compiling_that_takes_long_is_said_and_so_is_its_end() {
        let said = RefCell::new(Vec::new());
        let taking =
            |millis| patiently("./own.wasm", sleep(Duration::from_millis(millis)), |line| said.borrow_mut().push(line));
        taking(900).await;
        assert!(said.borrow().is_empty(), "nobody wonders yet");
        taking(21_500).await;
        let expect = [
            "compiling plugin ./own.wasm: this takes up to half a minute the first time",
            "plugin ./own.wasm: the compiler is done after 21 s",
        ];
        assert_eq!(*said.borrow(), expect);
    }
}
