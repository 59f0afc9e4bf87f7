//! `mag run`: the daemon, until a signal ends it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{EXIT_USAGE, cache_dir, complain, env, load_config};
use crate::admin::Reload;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, Phase, Ready, Source};
use crate::limits;
use crate::sender::HostOptions;
use crate::telemetry::{self, Logging};

/// What `mag run` may be told.
#[derive(Debug, Default, clap::Args)]
pub(super) struct RunArgs {
    /// If the store is damaged, moves it aside and begins a new one, this time
    #[arg(long)]
    repair: bool,
}

/// Runs mag; exit status 0 after a signal, 1 failed, 2 configuration.
pub(super) fn run(args: &RunArgs, flag: Option<&Path>, verbose: u8) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("mag: cannot start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // Before anything that takes long: a SIGHUP that comes during the start is obeyed after it, and ends nothing.
    let hang_up = match runtime.block_on(async { signal(SignalKind::hangup()) }) {
        Ok(hang_up) => hang_up,
        Err(error) => {
            complain(&format!("mag: cannot listen for signals: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut config = match load_config(flag) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    config.store.replace_damaged |= args.repair;
    let had_file = config.file.is_some();
    let logging = match telemetry::init(config.log.json, config.log.level, verbose) {
        Ok(logging) => logging,
        Err(error) => {
            complain(&format!("mag: {error}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // Host and clients belong to the runtime's context, so they are made inside it.
    let ready = runtime.block_on(async { daemon::ready(config, HostOptions::new(cache_dir()), &env) });
    let ready = match ready {
        Ok(ready) => ready,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let done = runtime.block_on(until_stopped(ready, source(flag, had_file, logging), hang_up));
    // Whatever still computes in a plugin or waits for a broken store does not hold up the end.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("mag: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Reads the file again that was read at the start. Once there was one, its absence is a mistake: nobody who removes it
/// asks for a port that is open to all.
fn source(flag: Option<&Path>, had_file: bool, logging: Logging) -> Source {
    let flag = flag.map(Path::to_owned);
    let had_file = AtomicBool::new(had_file);
    let read = move || -> Result<Config, String> {
        let source = Config::find(flag.as_deref(), &env).map_err(|error| error.to_string())?;
        let has_file = source.file.is_some();
        if had_file.fetch_or(has_file, Ordering::Relaxed) && !has_file {
            return Err("error: mag.toml is gone; to run with the shipped defaults, start mag anew".to_owned());
        }
        Config::load(&source, &env).map_err(|error| error.to_string())
    };
    let read = Box::new(read);
    Source { read, env: Box::new(env), logging, manager: Box::new(tell_the_manager) }
}

/// Says it as `sd_notify(3)` does, where a service manager listens; `Type=notify-reload` wants all of it.
fn tell_the_manager(phase: Phase<'_>) {
    let told = match phase {
        Phase::Ready(said) => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(said)]),
        Phase::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now, NotifyState::Status("reads its config")])),
        Phase::Stopping => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("stops")]),
    };
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager cannot be told what mag is at, NOTIFY_SOCKET is not its socket");
    }
}

async fn until_stopped(ready: Ready, source: Source, mut hang_up: Signal) -> anyhow::Result<()> {
    let mut signals = listen()?;
    let stop = CancellationToken::new();
    let (reload, reloads) = mpsc::channel(limits::RELOADS);
    let mut daemon = Box::pin(daemon::run(ready, source, (reload.clone(), reloads), Clock::system(), stop.clone()));
    loop {
        tokio::select! {
            done = &mut daemon => return done,
            () = any(&mut signals) => break stop.cancel(),
            _ = hang_up.recv() => {
                tracing::info!("SIGHUP: reading the config again");
                if reload.try_send(Reload::default()).is_err() {
                    tracing::debug!("the config is going to be read again anyway");
                }
            }
        }
    }
    // Some tools signal a process and then its group: what comes so soon was meant as one.
    if let Ok(done) = tokio::time::timeout(SAME_SIGNAL, &mut daemon).await {
        return done;
    }
    let mut signals = listen()?;
    tracing::info!("still stopping; another signal ends mag at once");
    loop {
        tokio::select! {
            done = &mut daemon => return done,
            () = any(&mut signals) => {
                complain("mag: ended at once by a second signal; what was acknowledged is in the store");
                return Ok(());
            }
            _ = hang_up.recv() => tracing::info!("SIGHUP: mag is stopping, the next start reads the config anew"),
        }
    }
}

/// Signals that come within this time are one.
const SAME_SIGNAL: std::time::Duration = std::time::Duration::from_millis(200);

fn listen() -> std::io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

async fn any([terminate, interrupt]: &mut [Signal; 2]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
