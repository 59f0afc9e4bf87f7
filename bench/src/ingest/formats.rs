//! Formats that are dear to read: what a message costs in them, with all that their usual clients say of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::thread;

use anyhow::{Context as _, bail, ensure};

use super::missed;
use crate::process::Measured;
use crate::report::median;

mod made;

/// They send at the same time, so that commits are shared as they are when many send.
const CONNECTIONS: u32 = 8;
/// Different texts, or alerts.
const KEYS: u32 = 1_000;
const MESSAGES: u32 = 240_000;

/// A format with what its client sends together.
struct Row {
    name: &'static str,
    /// Messages in one request or chunk.
    together: u32,
    /// One request or chunk, as it goes over the wire, with as many messages from this one on.
    make: fn(from: u32) -> anyhow::Result<Vec<u8>>,
    /// Whether each is answered before the next one is sent; else all is committed when the connection closes.
    answered: bool,
    most_nanos: f64,
}

const ROWS: [Row; 3] = [
    Row { name: "OTLP protobuf, 500 records", together: 500, make: made::otlp, answered: true, most_nanos: 2_000.0 },
    Row { name: "Forward packed, 1,000", together: 1_000, make: made::forward, answered: false, most_nanos: 1_000.0 },
    Row { name: "Alertmanager API, 30 alerts", together: 30, make: made::alerts, answered: true, most_nanos: 4_000.0 },
];

pub(super) fn run(runs: u32, binary: &Path) -> anyhow::Result<Vec<String>> {
    println!("{MESSAGES} messages of {KEYS} keys, {CONNECTIONS} connections, median of {runs} runs");
    println!("{:<36}{:>12}{:>12}{:>12}", "", "messages/s", "CPU ns", "target");
    let mut wrong = Vec::new();
    for row in &ROWS {
        let shares = row.shares()?;
        let (mut per_second, mut nanos) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let mag = Measured::start(binary)?;
            let (before, start) = (mag.cpu_seconds()?, mag_testkit::now());
            row.send(&shares, mag.address())?;
            per_second.push(f64::from(MESSAGES) / start.elapsed().as_secs_f64());
            // What is committed after the last answer belongs to it.
            mag.rests()?;
            nanos.push((mag.cpu_seconds()? - before) / f64::from(MESSAGES) * 1e9);
        }
        let (per_second, nanos) = (median(per_second.into_iter()), median(nanos.into_iter()));
        println!("{:<36}{per_second:>12.0}{nanos:>12.0}{:>12}", row.name, row.most_nanos);
        wrong.extend(missed(row.name, "ns of CPU for a message", nanos, row.most_nanos));
    }
    Ok(wrong)
}

impl Row {
    /// What each connection sends, piece by piece.
    fn shares(&self) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
        let pieces = MESSAGES / self.together / CONNECTIONS;
        let share = |at: u32| {
            let first = at * pieces;
            (first..first + pieces).map(|piece| (self.make)(piece * self.together)).collect()
        };
        (0..CONNECTIONS).map(share).collect()
    }

    fn send(&self, shares: &[Vec<Vec<u8>>], to: SocketAddr) -> anyhow::Result<()> {
        thread::scope(|scope| {
            let threads: Vec<_> = shares.iter().map(|share| scope.spawn(|| self.send_share(share, to))).collect();
            for thread in threads {
                thread.join().map_err(|_panic| anyhow::anyhow!("a sending thread panicked"))??;
            }
            Ok(())
        })
    }

    fn send_share(&self, pieces: &[Vec<u8>], to: SocketAddr) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(to).context("cannot connect")?;
        stream.set_nodelay(true)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        for piece in pieces {
            stream.write_all(piece).context("cannot send")?;
            if self.answered {
                answer(&mut answers)?;
            }
        }
        stream.shutdown(Shutdown::Write).context("cannot end sending")?;
        ensure!(answers.read_to_end(&mut Vec::new()).context("no end")? == 0, "an answer where none belongs");
        Ok(())
    }
}

/// Reads one answer of HTTP, which must say that all is taken.
fn answer(answers: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let (mut status, mut length) = (String::new(), 0);
    answers.read_line(&mut status).context("no answer")?;
    loop {
        let mut line = String::new();
        ensure!(answers.read_line(&mut line).context("half an answer")? > 0, "mag closed the connection");
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body).context("half an answer")?;
    if !status.starts_with("HTTP/1.1 200 ") {
        bail!("not taken: {}{}", status, String::from_utf8_lossy(&body));
    }
    Ok(())
}
