//! `latency`: from the message that closes a group by count until its POST arrives, beside a program that only appends to
//! a file, flushes it and posts.
//!
//! Both go to the same kind of receiver, round by round in turn, so that whatever else the machine does meets both.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use mag_testkit::http::{Answer, Server};
use mag_testkit::now;
use mag_testkit::process::Home;

use crate::process::named_or_built;
use crate::report::quantile;

/// What is promised: the median, and its ratio to the bare program's.
const TARGET_MICROS: f64 = 2_000.0;
const TARGET_RATIO: f64 = 4.0;
/// A receiver that hears nothing for so long will not.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes that the bare program appends: about what a transaction of mag's writes for one group.
const APPENDED: [u8; 4_096] = [b'x'; 4_096];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Rounds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Use this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::new(&named_or_built(arguments.mag.as_deref())?, None)?;
    let (told, arrivals) = receiver()?;
    home.configure(&format!(
        "[store]\npath = \"mag.db\"\n[route]\nmax_messages = 2\ntime_limit = \"1h\"\nsenders = [\"hook\"]\n\
         [senders.hook]\nplugin = \"webhook\"\nrate = \"100000/s\"\nburst = 1000\nconfig = {{ url = {:?} }}\n",
        told.url("/")
    ))?;
    let mag = home.start()?;
    home.wait_until_said("sender hook: ready", 0)?;
    let mut client = Client::connect(mag.address())?;
    let mut bare = Bare::start(&home)?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    // The first rounds make connections and fill caches.
    for round in 0..arguments.rounds + 20 {
        client.sends(&format!("round {round}"))?;
        client.is_acknowledged()?;
        let begin = now();
        client.sends(&format!("round {round}"))?;
        let (at, size) = arrivals.recv_timeout(LIMIT).context("nothing was told")?;
        let micros = micros(at, begin);
        client.is_acknowledged()?;
        let alone = bare.round(size)?;
        if round >= 20 {
            ours.push(micros);
            reference.push(alone);
        }
    }
    mag.stop()?;
    println!("{} rounds: message that closes a group → POST arrived; append + fsync → POST arrived", arguments.rounds);
    println!("{:<12}{:>12}{:>12}", "", "p50", "p99");
    for (name, times) in [("mag", &ours), ("bare", &reference)] {
        println!("{name:<12}{:>9.0} µs{:>9.0} µs", quantile(times, 0.5), quantile(times, 0.99));
    }
    let ratio = quantile(&ours, 0.5) / quantile(&reference, 0.5);
    println!("{:<12}{ratio:>12.2}{:>12.2}", "ratio", quantile(&ours, 0.99) / quantile(&reference, 0.99));
    let median = quantile(&ours, 0.5);
    ensure!(median < TARGET_MICROS && ratio < TARGET_RATIO, "the target is {TARGET_MICROS} µs, {TARGET_RATIO} times");
    Ok(())
}

fn micros(at: Instant, begin: Instant) -> f64 {
    at.saturating_duration_since(begin).as_secs_f64() * 1e6
}

/// A server that says when a request was there, and how many bytes its body had.
fn receiver() -> anyhow::Result<(Server, Receiver<(Instant, usize)>)> {
    let (say, heard): (SyncSender<(Instant, usize)>, _) = sync_channel(16);
    let server = Server::start(move |request| {
        // Nobody listens at the end.
        say.send((request.at, request.body.len())).ok();
        Answer::status(200)
    });
    Ok((server.context("cannot start a receiver")?, heard))
}

/// A client that waits for each ack.
struct Client {
    stream: BufReader<TcpStream>,
    sent: u64,
    acknowledged: u64,
}

impl Client {
    fn connect(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect(address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"{\"ack\":true}\n").context("cannot send")?;
        Ok(Self { stream: BufReader::new(stream), sent: 0, acknowledged: 0 })
    }

    fn sends(&mut self, text: &str) -> anyhow::Result<()> {
        self.sent += 1;
        self.stream.get_mut().write_all(format!("{{\"text\":\"{text}\"}}\n").as_bytes()).context("cannot send")
    }

    fn is_acknowledged(&mut self) -> anyhow::Result<()> {
        while self.acknowledged < self.sent {
            let mut line = String::new();
            self.stream.read_line(&mut line).context("no ack")?;
            let number = line.trim_end().strip_prefix("{\"acked\":").and_then(|rest| rest.strip_suffix('}'));
            self.acknowledged = number.and_then(|n| n.parse().ok()).with_context(|| format!("no ack: {line:?}"))?;
        }
        Ok(())
    }
}

/// The program beside which mag stands: it appends, flushes, and posts over a connection that stays.
struct Bare {
    file: File,
    stream: TcpStream,
    arrivals: Receiver<(Instant, usize)>,
    _server: Server,
}

impl Bare {
    fn start(home: &Home) -> anyhow::Result<Self> {
        let (server, arrivals) = receiver()?;
        let url = server.url("");
        let stream = TcpStream::connect(url.trim_start_matches("http://")).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let file = File::create(home.path("bare")).context("cannot make a file")?;
        Ok(Self { file, stream, arrivals, _server: server })
    }

    /// Microseconds of one round with a body of this size.
    fn round(&mut self, size: usize) -> anyhow::Result<f64> {
        let head = format!("POST / HTTP/1.1\r\nhost: bare\r\ncontent-length: {size}\r\n\r\n");
        let request = [head.into_bytes(), vec![b'x'; size]].concat();
        let begin = now();
        self.file.write_all(&APPENDED).and_then(|()| self.file.sync_all()).context("cannot append")?;
        self.stream.write_all(&request).context("cannot post")?;
        let (at, _) = self.arrivals.recv_timeout(LIMIT).context("the POST did not arrive")?;
        let count = self.stream.read(&mut [0; 1024]).context("no answer")?;
        ensure!(count > 0, "the receiver closed the connection");
        Ok(micros(at, begin))
    }
}
