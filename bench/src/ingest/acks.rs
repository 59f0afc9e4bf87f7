//! How soon acks come: batches that are due at fixed times, each measured from when it was due, so that a batch that
//! waits for the one before counts its waiting too.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use mag_testkit::now;

use super::missed;
use crate::process::Measured;
use crate::report::quantile;

const CONNECTIONS: u32 = 8;
const BATCH: u32 = 100;
const PER_SECOND: u32 = 100_000;
const KEYS: u32 = 1_000;
const SECONDS: u32 = 10;
/// Of the first second nothing is measured.
const WARM_UP: u32 = PER_SECOND / BATCH / CONNECTIONS;
/// The 99th percentile.
const MOST_MILLIS: f64 = 10.0;

pub(super) fn run(binary: &Path) -> anyhow::Result<Vec<String>> {
    println!("NDJSON with acks, batches of {BATCH}, {CONNECTIONS} connections, {KEYS} keys, {SECONDS} s");
    println!("{:<36}{:>12}{:>12}{:>12}{:>12}{:>12}", "", "messages/s", "p50 ms", "p99 ms", "max ms", "CPU ns");
    let mag = Measured::start(binary)?;
    let (before, begin) = (mag.cpu_seconds()?, now());
    let times = all(mag.address())?;
    let seconds = begin.elapsed().as_secs_f64();
    let messages = f64::from(CONNECTIONS * BATCH) * f64::from(batches());
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| quantile(&times, part));
    let nanos = (mag.cpu_seconds()? - before) / messages * 1e9;
    let row = format!("{PER_SECOND} messages/s");
    println!("{row:<36}{:>12.0}{p50:>12.2}{p99:>12.2}{max:>12.2}{nanos:>12.0}", messages / seconds);
    Ok(missed("NDJSON with acks", "p99 in ms", p99, MOST_MILLIS).into_iter().collect())
}

/// Batches of one connection.
fn batches() -> u32 {
    SECONDS * PER_SECOND / BATCH / CONNECTIONS
}

fn all(address: SocketAddr) -> anyhow::Result<Vec<f64>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|at| scope.spawn(move || one(address, at))).collect();
        let mut times = Vec::new();
        for thread in threads {
            times.extend(thread.join().map_err(|_panic| anyhow::anyhow!("a sending thread panicked"))??);
        }
        Ok(times)
    })
}

/// The milliseconds from when each batch was due to its ack.
fn one(address: SocketAddr, at: u32) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_nodelay(true)?;
    stream.write_all(b"{\"ack\":true}\n").context("cannot send")?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let pause = Duration::from_secs(1) * (BATCH * CONNECTIONS) / PER_SECOND;
    // Not all at the same moment.
    let begin = now() + pause * at / CONNECTIONS;
    let (mut times, mut key) = (Vec::new(), at);
    for n in 0..batches() {
        let mut batch = String::new();
        for _ in 0..BATCH {
            key = (key + 7) % KEYS;
            writeln!(batch, "{{\"text\":\"worker {key:08} cannot reach the database: {:.<70}\"}}", "")?;
        }
        let due = begin + pause * n;
        thread::sleep(due.saturating_duration_since(now()));
        stream.write_all(batch.as_bytes()).context("cannot send")?;
        let wanted = format!("{{\"acked\":{}}}\n", (n + 1) * BATCH);
        let mut line = String::new();
        while line != wanted {
            line.clear();
            anyhow::ensure!(answers.read_line(&mut line).context("no ack")? > 0, "mag closed the connection");
        }
        if n >= WARM_UP {
            times.push(now().saturating_duration_since(due).as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}
