//! One call of one guest: a fresh store with all its limits, the clock that measures it, and what it left behind.
//!
//! **Invariant:** nothing of a call outlives it; when its time is up it is dropped, with its requests.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wasmtime::component::{ResourceTable, ResourceTableError};
use wasmtime::{Engine, ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{FieldMapError, WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::engine::InFlight;
use super::failure::Fault;
use super::hooks::{Hooks, Note, Reach};
use super::limit::{CallLimits, Limit};
use super::output::{Capture, Lines};
use super::used::Used;
use crate::clock::{self, Clock};
use crate::config::PluginLimits;
use crate::limits;

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
struct MemoryLimits {
    of: PluginLimits,
    memory_bytes: usize,
    table_elements: usize,
    /// What it wanted too much of, first.
    refused: Option<Limit>,
}

impl MemoryLimits {
    fn new(of: PluginLimits) -> Self {
        Self { of, memory_bytes: 0, table_elements: 0, refused: None }
    }
}

/// What a growing thing comes to together with the others of its kind; `None` when that is too much.
fn grown(used: usize, current: usize, desired: usize, most: usize) -> Option<usize> {
    Some(used.saturating_add(desired.saturating_sub(current))).filter(|total| *total <= most)
}

impl ResourceLimiter for MemoryLimits {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let total = grown(self.memory_bytes, current, desired, self.of.memory_bytes);
        self.memory_bytes = total.unwrap_or(self.memory_bytes);
        self.refused = self.refused.or(total.is_none().then_some(Limit::Memory));
        Ok(total.is_some())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        let total = grown(self.table_elements, current, desired, self.of.table_elements);
        self.table_elements = total.unwrap_or(self.table_elements);
        self.refused = self.refused.or(total.is_none().then_some(Limit::Tables));
        Ok(total.is_some())
    }

    fn instances(&self) -> usize {
        self.of.instances
    }
}

/// How much the guest computed: the time that its threads spent on it, so that neither waiting nor other programs
/// count.
struct Meter {
    max: Duration,
    used_nanos: AtomicU64,
    /// What the thread that runs it now had used when it began to.
    since_nanos: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
#[error("it computed for too long")]
struct CpuExceeded;

impl Meter {
    fn new(max: Duration) -> Self {
        Self { max, used_nanos: AtomicU64::new(0), since_nanos: AtomicU64::new(0) }
    }

    fn used(&self) -> Duration {
        Duration::from_nanos(self.used_nanos.load(Ordering::Relaxed))
    }

    /// What the thread used since the guest runs on it.
    fn now(&self) -> u64 {
        nanos(clock::of_this_thread()).saturating_sub(self.since_nanos.load(Ordering::Relaxed))
    }

    /// Whether the guest, computing now, is past its limit.
    fn is_exceeded(&self) -> bool {
        self.used() + Duration::from_nanos(self.now()) > self.max
    }

    /// Runs a future and counts only the time inside its polls.
    async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|context| {
            self.since_nanos.store(nanos(clock::of_this_thread()), Ordering::Relaxed);
            let polled = future.as_mut().poll(context);
            self.used_nanos.fetch_add(self.now(), Ordering::Relaxed);
            polled
        })
        .await
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time as guests see it: no more exactly than they need.
struct CoarseClock {
    wall: Clock,
    since: tokio::time::Instant,
}

impl CoarseClock {
    fn new() -> Self {
        Self { wall: Clock::system(), since: tokio::time::Instant::now() }
    }
}

impl HostWallClock for CoarseClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(limits::PLUGIN_CLOCK_MILLIS)
    }

    fn now(&self) -> Duration {
        // It has whole milliseconds.
        Duration::from_millis(self.wall.now())
    }
}

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        nanos(Duration::from_millis(limits::PLUGIN_CLOCK_MILLIS))
    }

    fn now(&self) -> u64 {
        nanos(Duration::from_millis(clock::as_millis(self.since.elapsed())))
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
    pub(super) result: Result<R, Broken>,
    /// The first thing that it tried and may not do.
    pub(super) note: Option<Note>,
    /// Whether a request of it may have reached its destination.
    pub(super) sent: bool,
    /// Clean lines of its standard error.
    pub(super) stderr: Lines,
    /// What it used.
    pub(super) used: Used,
}

/// Why a guest returned nothing: a limit that it ran into, or a fault in the engine's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Limit(Limit),
    Trap(String),
}

impl Broken {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Limit(limit) => Fault::Limit(*limit),
            Self::Trap(_) => Fault::Trap,
        }
    }

    /// For a person.
    pub(super) fn said(&self, limits: &CallLimits, sender: &str) -> String {
        match self {
            Self::Limit(limit) => limits.passed(*limit, sender),
            Self::Trap(said) => said.clone(),
        }
    }
}

/// The guest's work inside its store.
pub(super) type Work<'s, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 's>>;

impl Call {
    /// Runs `work` in a fresh store, to its end or to one of the limits.
    pub(super) async fn run<R>(
        self,
        engine: &Engine,
        _ticking: InFlight,
        work: impl for<'s> FnOnce(&'s mut Store<State>) -> Work<'s, R>,
    ) -> Ended<R> {
        let stderr = Capture::new(self.limits.of().log_bytes, false);
        let meter = Arc::new(Meter::new(self.limits.cpu()));
        let mut store = self.store(engine, &meter, &stderr);
        let record = Arc::clone(store.data().hooks.record());
        let (at, began) = (Clock::system().now(), tokio::time::Instant::now());
        let finished = tokio::time::timeout(self.limits.left(), meter.measure(work(&mut store))).await;
        let memory = &store.data().memory;
        let result = match finished {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(broken_by(&error, memory.refused)),
            Err(_elapsed) => Err(Broken::Limit(Limit::Time)),
        };
        let mut used = Used { at, call: self.limits.call, ended: "ok".to_owned(), amounts: BTreeMap::new() };
        used.note_time(Limit::Time, began.elapsed());
        used.note_time(Limit::Cpu, meter.used());
        used.note(Limit::Memory, memory.memory_bytes);
        used.note(Limit::Tables, memory.table_elements);
        record.tell(&mut used);
        let stderr = stderr.lines(self.limits.of().log_lines);
        used.note(Limit::LogSize, stderr.bytes);
        used.note(Limit::LogLines, stderr.count);
        used.note(Limit::Resources, most_at_a_time(&mut store.data_mut().table));
        Ended { result, note: record.note(), sent: record.sent(), stderr, used }
    }

    fn store(&self, engine: &Engine, meter: &Arc<Meter>, stderr: &Capture) -> Store<State> {
        let of = *self.limits.of();
        let mut table = ResourceTable::new();
        table.set_max_capacity(of.resources);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(of.header_bytes + of.header_fields * limits::PLUGIN_FIELD_BYTES);
        // No environment, no arguments, no folders, and sockets that refuse.
        let wasi = WasiCtx::builder()
            .stdout(self.stdout.clone())
            .stderr(stderr.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .wall_clock(CoarseClock::new())
            .monotonic_clock(CoarseClock::new())
            .max_random_size(limits::PLUGIN_RANDOM_BYTES)
            .build();
        let hooks = Hooks::new(self.reach.clone(), self.limits, self.id.clone());
        let memory = MemoryLimits::new(of);
        let mut store = Store::new(engine, State { table, wasi, http, hooks, memory, meter: Arc::clone(meter) });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(of.transfer_bytes);
        // Handles that the guest gives out itself count too; each may be lent to the host while it is held.
        store.set_max_component_handles(2 * of.resources);
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

/// The most handles that a table ever held: a place that was given up is taken again before there is a new one.
fn most_at_a_time(table: &mut ResourceTable) -> usize {
    table.set_max_capacity(0);
    while table.push(()).is_ok() {}
    table.set_max_capacity(usize::MAX);
    table.push(()).map_or(0, |next| next.rep() as usize)
}

/// What wasmtime says of the limits for which it has no type that can be asked for. Tests hold it to these words.
const SAYINGS: [(&str, Limit); 4] = [
    ("resource limit exceeded: instance count", Limit::Instances),
    ("too much data is being copied between the host and the guest", Limit::Transfer),
    ("cannot allocate another handle: store handle limit exceeded", Limit::Resources),
    ("cannot lend resource: store handle limit exceeded", Limit::Resources),
];

/// Why the engine gave up on a guest.
fn broken_by(error: &wasmtime::Error, refused: Option<Limit>) -> Broken {
    if error.is::<CpuExceeded>() {
        return Broken::Limit(Limit::Cpu);
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Broken::Limit(Limit::Resources);
    }
    if let Some(FieldMapError::TooManyFields | FieldMapError::TotalSizeTooBig) = error.downcast_ref() {
        return Broken::Limit(Limit::HeaderSize);
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::StackOverflow) {
        return Broken::Limit(Limit::Stack);
    }
    let root = error.root_cause().to_string();
    if let Some((_, limit)) = SAYINGS.iter().find(|(said, _)| root.starts_with(said)) {
        return Broken::Limit(*limit);
    }
    if let Some(refused) = refused {
        return Broken::Limit(refused);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return Broken::Trap(format!("it exited with status {}", exit.0));
    }
    Broken::Trap(trap.map_or(root, ToString::to_string))
}
