//! One call of one guest: a fresh store with all its limits, the clock that measures it, and what it left behind.
//!
//! **Invariant:** nothing of a call outlives it; when its time is up it is dropped, with its requests.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime::{Engine, ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::engine::InFlight;
use super::failure::Fault;
use super::hooks::{Hooks, Note, Reach};
use super::output::{Capture, log_lines};
use crate::limits;

/// How far one call may go.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// In all, waiting included.
    pub timeout: Duration,
    /// Of computing.
    pub cpu: Duration,
    /// HTTP requests and mails together.
    pub requests: u32,
    /// Bytes of one answer.
    pub answer_bytes: usize,
}

impl CallLimits {
    /// For `describe` and `validate`: no network.
    #[must_use]
    pub fn offline() -> Self {
        let time = Duration::from_secs(limits::PLUGIN_OFFLINE_SECONDS);
        Self { timeout: time, cpu: time, requests: 0, answer_bytes: 0 }
    }

    /// For `prepare`.
    #[must_use]
    pub fn prepare() -> Self {
        Self {
            timeout: Duration::from_secs(limits::PLUGIN_PREPARE_SECONDS),
            cpu: Duration::from_millis(limits::PLUGIN_PREPARE_CPU_MILLIS),
            requests: limits::PLUGIN_PREPARE_REQUESTS,
            answer_bytes: limits::PLUGIN_PREPARE_ANSWER_BYTES,
        }
    }

    /// For `send`.
    #[must_use]
    pub fn send(timeout: Duration) -> Self {
        Self {
            timeout,
            cpu: Duration::from_millis(limits::PLUGIN_SEND_CPU_MILLIS),
            requests: limits::PLUGIN_SEND_REQUESTS,
            answer_bytes: limits::PLUGIN_SEND_ANSWER_BYTES,
        }
    }
}

/// Everything the host keeps for one call.
pub(super) struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    memory: MemoryLimits,
    meter: Arc<Meter>,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Counts what all memories and tables of a call have together.
#[derive(Default)]
struct MemoryLimits {
    memory_bytes: usize,
    table_elements: usize,
    refused: bool,
}

impl MemoryLimits {
    fn grow(used: &mut usize, current: usize, desired: usize, max: usize, refused: &mut bool) -> bool {
        let total = used.saturating_add(desired.saturating_sub(current));
        if total > max {
            *refused = true;
            return false;
        }
        *used = total;
        true
    }
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let (used, max) = (&mut self.memory_bytes, limits::PLUGIN_MEMORY_BYTES);
        Ok(Self::grow(used, current, desired, max, &mut self.refused))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let (used, max) = (&mut self.table_elements, limits::PLUGIN_TABLE_ELEMENTS);
        Ok(Self::grow(used, current, desired, max, &mut self.refused))
    }
}

/// Ticks that passed while the guest was computing; waiting costs nothing.
struct Meter {
    clock: InFlight,
    max: u64,
    used: AtomicU64,
    since: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
#[error("it computed for too long")]
struct CpuExceeded;

impl Meter {
    fn new(clock: InFlight, cpu: Duration) -> Self {
        let millis = u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX);
        let max = (millis / limits::PLUGIN_TICK_MILLIS).max(1);
        Self { clock, max, used: AtomicU64::new(0), since: AtomicU64::new(0) }
    }

    /// Whether the guest, computing now, is past its limit.
    fn is_exceeded(&self) -> bool {
        let now = self.clock.ticks().saturating_sub(self.since.load(Ordering::Relaxed));
        self.used.load(Ordering::Relaxed).saturating_add(now) > self.max
    }

    /// Runs a future and counts only the time inside its polls.
    async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            let before = self.clock.ticks();
            self.since.store(before, Ordering::Relaxed);
            let polled = future.as_mut().poll(context);
            self.used.fetch_add(self.clock.ticks().saturating_sub(before), Ordering::Relaxed);
            polled
        })
        .await
    }
}

/// A call in the making.
pub(super) struct Call {
    pub(super) limits: CallLimits,
    /// `None` for the calls that have no network.
    pub(super) reach: Option<Arc<Reach>>,
    /// Of the notification that it tells.
    pub(super) id: Option<Arc<str>>,
    /// Where standard output is kept until the call is over.
    pub(super) stdout: Capture,
}

/// How a call went and what it left.
pub(super) struct Ended<R> {
    /// What the guest returned.
    pub(super) result: Result<R, (Fault, String)>,
    /// The first thing that it tried and may not do.
    pub(super) note: Option<Note>,
    /// Whether a request of it may have reached its destination.
    pub(super) sent: bool,
    /// Clean lines of its standard error.
    pub(super) stderr: Vec<String>,
}

/// The guest's work inside its store.
pub(super) type Work<'s, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 's>>;

impl Call {
    /// Runs `work` in a fresh store, to its end or to one of the limits.
    pub(super) async fn run<R>(
        self,
        engine: &Engine,
        clock: InFlight,
        work: impl for<'s> FnOnce(&'s mut Store<State>) -> Work<'s, R>,
    ) -> Ended<R> {
        let stderr = Capture::new(limits::PLUGIN_LOG_BYTES, false);
        let meter = Arc::new(Meter::new(clock, self.limits.cpu));
        let mut store = self.store(engine, &meter, &stderr);
        let record = Arc::clone(store.data().hooks.record());
        let finished = tokio::time::timeout(self.limits.timeout, meter.measure(work(&mut store))).await;
        let refused = store.data().memory.refused;
        let note = record.note();
        let result = match finished {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(fault_of(&error, refused)),
            Err(_elapsed) => Err((Fault::Timeout, format!("no result within {:?}", self.limits.timeout))),
        };
        Ended { result, note, sent: record.sent(), stderr: log_lines(&stderr.take()) }
    }

    fn store(&self, engine: &Engine, meter: &Arc<Meter>, stderr: &Capture) -> Store<State> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::PLUGIN_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::PLUGIN_HEADER_BYTES);
        // No environment, no arguments, no folders, and sockets that refuse.
        let wasi = WasiCtx::builder()
            .stdout(self.stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(limits::PLUGIN_STATE_BYTES as u64)
            .build();
        let hooks = Hooks::new(self.reach.clone(), self.limits, self.id.clone());
        let memory = MemoryLimits::default();
        let mut store = Store::new(engine, State { table, wasi, http, hooks, memory, meter: Arc::clone(meter) });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits::PLUGIN_HOSTCALL_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            if store.data().meter.is_exceeded() {
                return Err(CpuExceeded.into());
            }
            // Others on this thread go first, then the guest goes on.
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }
}

/// Which fault an error of the engine is, and its words.
fn fault_of(error: &wasmtime::Error, memory_refused: bool) -> (Fault, String) {
    if error.is::<CpuExceeded>() {
        return (Fault::Cpu, CpuExceeded.to_string());
    }
    if memory_refused {
        let mib = limits::PLUGIN_MEMORY_BYTES / (1024 * 1024);
        return (Fault::Memory, format!("it wanted more than {mib} MiB of memory"));
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return (Fault::Trap, format!("it exited with status {}", exit.0));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return (Fault::Trap, trap.to_string());
    }
    (Fault::Trap, error.root_cause().to_string())
}
