//! Very many connections that are silent: what each takes in memory, and whether one that is not silent notices.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::Context as _;
use mag_testkit::now;

use super::missed;
use crate::process::Measured;
use crate::report::quantile;

const CONNECTIONS: u32 = 9_900;
const ROUNDS: usize = 500;
/// Bytes for a connection that said a line and is silent since.
const MOST_BYTES: f64 = 4_096.0;

pub(super) fn run(binary: &Path) -> anyhow::Result<Vec<String>> {
    println!("{CONNECTIONS} idle connections, each of which sent one message; an active one: one message, one ack");
    println!("{:<36}{:>16}{:>14}{:>14}", "", "bytes each", "p50 before", "p50 beside");
    let mag = Measured::start(binary)?;
    let mut active = Active::connect(mag.address())?;
    active.rounds(ROUNDS)?;
    let alone = active.rounds(ROUNDS)?;
    mag.rests()?;
    let before = mag.usage()?.resident_bytes;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(mag.address()).context("cannot connect: are enough handles allowed?")?;
        stream.write_all(b"STRING\nidle\n").context("cannot send")?;
        idle.push(stream);
    }
    mag.rests()?;
    let each = (mag.usage()?.resident_bytes as f64 - before as f64) / f64::from(CONNECTIONS);
    let beside = active.rounds(ROUNDS)?;
    println!("{:<36}{each:>16.0}{alone:>11.0} µs{beside:>11.0} µs", "idle connections");
    drop(idle);
    Ok(missed("idle connections", "bytes each", each, MOST_BYTES).into_iter().collect())
}

/// A client that waits for each ack.
struct Active {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    sent: usize,
}

impl Active {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.write_all(b"{\"ack\":true}\n").context("cannot send")?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers, sent: 0 })
    }

    /// The median time of a round, in microseconds.
    fn rounds(&mut self, rounds: usize) -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let begin = now();
            self.stream.write_all(b"{\"text\":\"active\"}\n").context("cannot send")?;
            self.sent += 1;
            let mut line = String::new();
            self.answers.read_line(&mut line).context("no ack")?;
            anyhow::ensure!(line == format!("{{\"acked\":{}}}\n", self.sent), "not the ack: {line}");
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        Ok(quantile(&times, 0.5))
    }
}
