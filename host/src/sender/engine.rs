//! The wasmtime engine: what compiled code looks like, where it is cached, how much address space instances get, and
//! the ticking thread by which a computing guest is looked at.
//!
//! **Invariant:** the thread sleeps without waking while no call is in flight.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits;

/// The guest's stack and room for the host functions that it calls.
const ASYNC_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Tables that most components have: their own and the adapter's; Python guests have more, and then fewer run at once.
const TABLES_PER_CALL: u32 = 4;
/// Bookkeeping of one core module; large guests have 20,000 functions of 32 bytes each.
const CORE_INSTANCE_BYTES: usize = 4 * 1024 * 1024;
/// Bookkeeping of a whole component.
const COMPONENT_INSTANCE_BYTES: usize = 16 * 1024 * 1024;

/// What a guest's memory and its tables may keep of the system's pages from call to call, overwritten with what they begin
/// with: taking pages away and giving them back is half of what an empty call of a small guest costs. Slots that wait for
/// their next call have at most 100 times this (`max_unused_warm_slots`).
const MEMORY_KEPT_BYTES: usize = 256 * 1024;
const TABLES_KEPT_BYTES: usize = 64 * 1024;

/// Makes the engine. Where the system does not give enough address space for a pool, instances are made one by one:
/// slower, and nothing else changes.
pub(super) fn engine(cache_dir: Option<&Path>) -> wasmtime::Result<Engine> {
    let cache = cache_dir.and_then(|dir| match open_cache(dir) {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), %error, "compiled plugins cannot be kept, every start compiles them anew");
            None
        }
    });
    let mut config = config(cache);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    Engine::new(&config).or_else(|error| {
        tracing::warn!(%error, "no address space for a pool of instances");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

fn config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_memory64(false);
    config.max_wasm_stack(limits::PLUGIN_STACK_BYTES);
    config.async_stack_size(ASYNC_STACK_BYTES);
    // A seventh of the compiled code that only debuggers and profilers read, and every cached start would load.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.debug_symbols(false);
    config.cache(cache);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::PLUGIN_CALLS)
        .total_core_instances(limits::PLUGIN_CALLS * limits::PLUGIN_INSTANCES_MOST)
        .total_memories(limits::PLUGIN_CALLS)
        .total_tables(limits::PLUGIN_CALLS * TABLES_PER_CALL)
        .total_stacks(limits::PLUGIN_CALLS)
        .max_core_instances_per_component(limits::PLUGIN_INSTANCES_MOST)
        .max_memories_per_component(limits::PLUGIN_INSTANCES_MOST)
        .max_tables_per_component(limits::PLUGIN_INSTANCES_MOST)
        .max_tables_per_module(limits::PLUGIN_INSTANCES_MOST)
        .max_core_instance_size(CORE_INSTANCE_BYTES)
        .max_component_instance_size(COMPONENT_INSTANCE_BYTES)
        .max_memory_size(limits::PLUGIN_MEMORY_MOST_BYTES)
        .table_elements(limits::PLUGIN_TABLE_MOST_ELEMENTS);
    // Where the system cannot tell which pages were touched, all of them would be overwritten: that costs more.
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
            .table_keep_resident(TABLES_KEPT_BYTES);
    }
    pool
}

/// Opens the folder of compiled code for this user alone: who can write there can run code in mag.
fn open_cache(dir: &Path) -> wasmtime::Result<Cache> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let dir = fs::canonicalize(dir)?;
    let found = fs::metadata(&dir)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(wasmtime::Error::msg(format!("it belongs to user {}, not to mag's", found.uid())));
    }
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
    }
    let mut config = CacheConfig::new();
    config.with_directory(dir);
    // What is used often would be compressed once more, better: 21 s of CPU and 200 MB of memory for a large guest.
    config.with_optimized_compression_level(CacheConfig::new().baseline_compression_level());
    Cache::new(config)
}

#[derive(Default)]
struct Running {
    calls: usize,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    running: Mutex<Running>,
    changed: Condvar,
    ticks: AtomicU64,
}

/// Moves the engine's epoch on while calls are in flight.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (seen, engine) = (Arc::clone(&shared), engine.clone());
        let thread = thread::Builder::new().name("plugin-ticks".to_owned()).spawn(move || tick(&seen, &engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps the ticks coming until the guard is dropped.
    pub(super) fn enter(&self) -> InFlight {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).calls += 1;
        self.shared.changed.notify_all();
        InFlight(Arc::clone(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It cannot panic; if it did, there is nothing left to do with it.
            drop(thread.join());
        }
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    loop {
        let running = shared.running.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |running: &mut Running| running.calls == 0 && !running.stop;
        let running = shared.changed.wait_while(running, idle).unwrap_or_else(PoisonError::into_inner);
        if running.stop {
            return;
        }
        drop(running);
        thread::sleep(Duration::from_millis(limits::PLUGIN_TICK_MILLIS));
        shared.ticks.fetch_add(1, Ordering::Relaxed);
        engine.increment_epoch();
    }
}

/// One call in flight.
pub(super) struct InFlight(Arc<Shared>);

impl InFlight {
    /// Ticks so far; only differences mean something.
    #[cfg(test)]
    pub(super) fn ticks(&self) -> u64 {
        self.0.ticks.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).calls -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Ticker, engine, open_cache};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::thread;
    use std::time::Duration;

    use mag_testkit::wait_for;
    use wasmtime::Engine;
    use wasmtime::component::Component;

    #[test]
    fn ticks_come_while_a_call_is_in_flight() {
        let ticker = Ticker::start(&engine(None).unwrap()).unwrap();
        let call = ticker.enter();
        let before = call.ticks();
        while call.ticks() == before {
            thread::yield_now();
        }
    }

    #[test]
    fn a_ticker_without_calls_stops_at_once() {
        drop(Ticker::start(&engine(None).unwrap()).unwrap());
    }

    #[test]
    fn the_folder_of_compiled_code_is_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        open_cache(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);

        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        open_cache(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_of_another_user_is_not_used() {
        let parent = tempfile::tempdir().unwrap();
        // Only root may give it away; for everybody else one of root's is there already.
        let given = std::os::unix::fs::chown(parent.path(), Some(12_345), None);
        let (dir, owner) = if given.is_ok() { (parent.path(), 12_345) } else { (Path::new("/"), 0) };
        let said = open_cache(dir).map(|_cache| ()).unwrap_err().to_string();
        assert_eq!(said, format!("it belongs to user {owner}, not to mag's"));
    }
    /// A small component, compiled or from the cache of that engine.
    fn compile(engine: &Engine) {
        let bytes = wat::parse_str("(component (core module (func (export \"f\"))))").unwrap();
        Component::new(engine, bytes).unwrap();
    }

    /// The only compiled component of a cache.
    fn cached(dir: &Path) -> PathBuf {
        let version = fs::read_dir(dir.join("modules")).unwrap().next().unwrap().unwrap().path();
        let files = fs::read_dir(version).unwrap().map(|file| file.unwrap().path());
        let compiled: Vec<_> = files.filter(|file| file.extension().is_none()).collect();
        assert_eq!(compiled.len(), 1, "{compiled:?}");
        compiled.into_iter().next().unwrap()
    }

    #[test]
    fn compiled_code_has_nothing_that_only_debuggers_read() {
        let dir = tempfile::tempdir().unwrap();
        compile(&engine(Some(dir.path())).unwrap());
        let code = zstd::decode_all(fs::read(cached(dir.path())).unwrap().as_slice()).unwrap();
        let has = |section: &str| memchr::memmem::find(&code, section.as_bytes()).is_some();
        assert!(has(".text"));
        // The second is part of the name of each symbol.
        for section in [".eh_frame", "::function[", ".wasmtime.addrmap"] {
            assert!(!has(section), "{section}");
        }
    }

    #[test]
    fn compiled_code_that_is_used_often_is_not_compressed_anew() {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(Some(dir.path())).unwrap();
        compile(&engine);
        let file = cached(dir.path());
        let stats = file.with_added_extension("stats");
        // The thread that keeps them takes one use after the other: when it tells of one, the one before is over.
        let used = |times: u32| {
            wait_for("the uses to be counted", Duration::from_secs(30), || {
                let told = fs::read_to_string(&stats).unwrap_or_default();
                Ok(told.contains(&format!("usages = {times}\n")).then_some(told))
            })
            .unwrap()
        };
        let before = (fs::read(&file).unwrap(), used(1));
        fs::write(&stats, before.1.replace("usages = 1\n", "usages = 1000\n")).unwrap();
        for times in [1_001, 1_002] {
            compile(&engine);
            used(times);
        }
        assert_eq!(used(1_002).replace("1002", "1"), before.1);
        assert_eq!(fs::read(&file).unwrap(), before.0);
    }
}
