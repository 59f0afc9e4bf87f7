//! Runs senders: WebAssembly components in a sandbox that reaches nothing but what its config grants.
//!
//! The only module that knows `wasmtime`. It decides nothing about when or how often something is told, and no version
//! of the contract shows in what it offers.

mod bundled;
mod call;
mod compile;
mod component;
mod contract_v1;
mod engine;
mod failure;
mod hooks;
mod limit;
mod load;
mod look;
mod mail;
mod output;
mod secrets;
mod start;
mod started;
mod text;
mod used;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::{config, egress, limits};
use call::{Call, Ended, State, Work};
use contract_v1::Plugin;
use engine::Ticker;
use load::Profile;
use output::{Capture, Printer};
use used::LastCalls;

pub use component::Unfit;
pub use failure::{
    ConfigMistake, Delivered, Failure, FailureKind, Fault, Manifest, Markup, Overflow, Prepared, SecretUse, Wanted,
};
pub use limit::{Amount, Calling, Limit};
pub use load::{LoadError, LoadReason};
pub use look::{Asked, Component, Looked};
pub use start::{NotAccepted, StartError};
pub use started::Started;
pub use used::{Allowed, Usage, Used};

/// The `conformance.toml` of a bundled plugin; `None` where there is no such plugin.
#[must_use]
pub fn bundled_conformance(name: &str) -> Option<&'static str> {
    bundled::conformance(name)
}

/// How the host is set up.
pub struct HostOptions {
    /// Where compiled plugins are kept between runs; `None` compiles at every start.
    pub cache_dir: Option<PathBuf>,
    /// Where the bundled `console` prints.
    pub stdout: Box<dyn Write + Send>,
    /// What `console` hears when it asks whether that is a terminal.
    pub stdout_is_terminal: bool,
    /// Who answers instead of everything that plugins may reach, mag's mail service too; `None`: the world.
    pub double: Option<egress::Double>,
}

impl HostOptions {
    /// Prints on this process's standard output.
    #[must_use]
    pub fn new(cache_dir: Option<PathBuf>) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        Self { cache_dir, stdout: Box::new(io::stdout()), stdout_is_terminal, double: None }
    }
}

impl fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostOptions").field("cache_dir", &self.cache_dir).finish_non_exhaustive()
    }
}

/// Why the host cannot work at all.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine does not run on this machine.
    #[error("cannot set up the plugin host: {0}")]
    Engine(String),
    /// A thread could not be started.
    #[error("cannot start a thread for the plugin host: {0}")]
    Thread(#[from] io::Error),
}

impl From<wasmtime::Error> for HostError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Engine(format!("{error:#}"))
    }
}

/// SHA-256 of a component.
type ComponentHash = [u8; 32];
/// Filled by whoever needs it first.
type Compiled = Arc<OnceCell<Arc<Plugin>>>;

/// What all senders share.
struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    ticker: Ticker,
    /// Guards memory only; each sender also waits for its own last call.
    permits: Semaphore,
    printer: Printer,
    double: Option<egress::Double>,
    /// By hash of the component, so that senders with the same plugin compile it once.
    compiled: Mutex<BTreeMap<ComponentHash, Compiled>>,
    /// By sender: what its last calls used, whichever config it has now.
    used: Mutex<BTreeMap<String, Arc<LastCalls>>>,
}

impl Runtime {
    /// Runs one call, when there is memory for it.
    async fn call<R>(
        &self,
        call: Call,
        work: impl for<'s> FnOnce(&'s mut wasmtime::Store<State>) -> Work<'s, R>,
    ) -> Ended<R> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        call.run(&self.engine, self.ticker.enter(), work).await
    }

    /// Where is written what the calls of a sender use.
    fn last_calls(&self, sender: &str) -> Arc<LastCalls> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(used.entry(sender.to_owned()).or_default())
    }

    fn stdout(&self, profile: &Profile) -> Capture {
        if profile.prints {
            Capture::new(limits::PLUGIN_PRINT_BYTES, self.printer.is_terminal())
        } else {
            Capture::new(profile.limits.log_bytes, false)
        }
    }
}

/// The plugin host. One for the whole process; dropping it stops its threads.
#[derive(Clone)]
pub struct Host(Arc<Runtime>);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl Host {
    /// Sets up the engine; compiles nothing.
    ///
    /// # Errors
    ///
    /// When this machine cannot run plugins at all.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        let engine = engine::engine(options.cache_dir.as_deref())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        Ok(Self(Arc::new(Runtime {
            ticker: Ticker::start(&engine)?,
            linker,
            engine,
            permits: Semaphore::new(usize::try_from(limits::PLUGIN_CALLS).unwrap_or(usize::MAX)),
            printer: Printer::start(options.stdout, options.stdout_is_terminal)?,
            double: options.double,
            compiled: Mutex::default(),
            used: Mutex::default(),
        })))
    }

    /// What the calls of a sender may use, and what the last ones did use; `None` when it made none.
    #[must_use]
    pub fn usage(&self, sender: &str) -> Option<Usage> {
        let used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(sender).map(|calls| calls.usage())
    }

    /// Reads a sender's plugin and looks into it, with the values of its secrets: everything that can be found wrong
    /// without compiling.
    ///
    /// # Errors
    ///
    /// When the plugin or a secret does not fit; the error names it.
    pub fn load(&self, sender: &config::Sender, secrets: &config::Values) -> Result<Sender, LoadError> {
        match Profile::load(sender, secrets) {
            Ok(profile) => Ok(Sender { runtime: Arc::clone(&self.0), profile: Arc::new(profile) }),
            Err(reason) => {
                let (name, place, reason) = (sender.name.clone(), sender.place.clone(), Box::new(reason));
                Err(LoadError { sender: name, place, reason })
            }
        }
    }
}

/// A sender whose plugin looks right and waits to be compiled.
#[derive(Clone)]
pub struct Sender {
    runtime: Arc<Runtime>,
    profile: Arc<Profile>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.profile.name).finish()
    }
}

impl Sender {
    /// Its name in `mag.toml`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.profile.name
    }

    /// Tells its plugin's component from any other.
    #[must_use]
    pub fn component(&self) -> [u8; 32] {
        self.profile.hash
    }

    /// Where its secrets lead that are whole URLs.
    #[must_use]
    pub fn leads_to(&self) -> Vec<String> {
        self.profile.secrets.origins().map(ToString::to_string).collect()
    }

    /// The origins beyond which its plugin may not reach, because it is another file than a person accepted.
    #[must_use]
    pub fn bound(&self) -> Option<&[String]> {
        self.profile.bound().map(|locked| locked.origins.as_slice())
    }

    /// Its plugin: a bundled one's name, or a path.
    #[must_use]
    pub fn plugin(&self) -> &str {
        &self.profile.plugin
    }
}

#[cfg(test)]
mod tests;
