//! `recovery`: how long a start takes after a crash that left very much open and queued, until mag listens and until it
//! acknowledges.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use mag_testkit::books::Books;
use mag_testkit::now;
use mag_testkit::process::Home;

use crate::process::named_or_built;
use crate::report::median;

/// What is promised, in seconds.
const TARGET_SECONDS: f64 = 1.0;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Groups that are open when mag is killed
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    groups: u32,
    /// Groups that wait for a destination that is down
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    queued: u32,
    /// Routes in the config
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    routes: u32,
    /// Messages with an id that are remembered
    #[arg(long, default_value_t = 0)]
    ids: u32,
    /// Kills and starts
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Use this binary instead of building mag
    #[arg(long, value_name = "FILE")]
    mag: Option<PathBuf>,
}

/// The limits leave room for the group of the ack that is measured.
fn config(arguments: &Arguments) -> String {
    let route = |n| format!("[[route.routes]]\nmatch = ['kind=\"of route {n}\"']\n");
    let routes: String = (0..arguments.routes).map(route).collect();
    format!(
        "[store]\npath = \"mag.db\"\n[limits]\ngroups = {}\nqueue = {}\n\
         [route]\nmax_messages = 1000000000\ntime_limit = \"1h\"\nsenders = [\"hook\"]\n\
         [[route.routes]]\nmatch = ['kind=\"alarm\"']\nmax_messages = 1\n\
         {routes}[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"http://127.0.0.1:9/\" }}\n",
        2 * u64::from(arguments.groups) + 1_000,
        2 * u64::from(arguments.queued) + 1_000,
    )
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let home = Home::new(&named_or_built(arguments.mag.as_deref())?, None)?;
    home.configure(&config(arguments))?;
    let mag = home.start()?;
    home.wait_until_said("sender hook: ready", 0)?;
    let of_kind = |kind: &str, n| {
        format!("{{\"text\":\"worker {n:08} cannot reach the database on host db-{n}\",\"kind\":\"{kind}\"}}\n")
    };
    send_acknowledged(mag.address(), arguments.groups, |n| of_kind("default", n))?;
    send_acknowledged(mag.address(), arguments.queued, |n| of_kind("alarm", n))?;
    send_acknowledged(mag.address(), arguments.ids, |n| format!("{{\"text\":\"a\",\"id\":\"message {n}\"}}\n"))?;
    mag.kill()?;
    let (mut listening, mut acknowledged) = (Vec::new(), Vec::new());
    for n in 0..arguments.runs {
        let begin = now();
        let mag = home.start()?;
        listening.push(begin.elapsed().as_secs_f64());
        send_acknowledged(mag.address(), 1, |_| of_kind(&format!("run {n}"), n))?;
        acknowledged.push(begin.elapsed().as_secs_f64());
        mag.kill()?;
    }
    let books = Books::open(&home.path("mag.db"))?;
    let (open, waiting) = (books.rows("windows")?, books.waiting()?.len() + frozen(&books)?);
    ensure!(open >= u64::from(arguments.groups), "only {open} groups are open");
    ensure!(waiting >= arguments.queued as usize, "only {waiting} groups wait");
    ensure!(books.mistakes()?.is_empty(), "the file is not as it must be: {:?}", books.mistakes()?);
    let (routes, ids, runs) = (arguments.routes, arguments.ids, arguments.runs);
    println!(
        "{open} open groups, {waiting} queued, {routes} routes, {ids} ids, mag.db {} MiB, {runs} runs",
        home.size("mag.db") >> 20
    );
    println!("{:<24}{:>12}{:>12}", "from SIGKILL's restart", "median", "slowest");
    let mut slowest: f64 = 0.0;
    for (what, times) in [("to listening", &listening), ("to the first ack", &acknowledged)] {
        let most = times.iter().copied().fold(0.0, f64::max);
        println!("{what:<24}{:>9.0} ms{:>9.0} ms", median(times.iter().copied()) * 1e3, most * 1e3);
        slowest = slowest.max(median(times.iter().copied()));
    }
    ensure!(slowest < TARGET_SECONDS, "the target is {TARGET_SECONDS} s");
    Ok(())
}

/// Groups in deliveries that are under way.
fn frozen(books: &Books) -> anyhow::Result<usize> {
    let under_way = books.deliveries_since(i64::MAX)?;
    Ok(under_way.values().map(|delivery| delivery.told.len() + delivery.omitted.len()).sum())
}

/// Sends so many of these lines and waits until all are acknowledged.
fn send_acknowledged(address: SocketAddr, messages: u32, line: impl Fn(u32) -> String) -> anyhow::Result<()> {
    if messages == 0 {
        return Ok(());
    }
    let stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut text = "{\"ack\":true}\n".to_owned();
    text.extend((0..messages).map(line));
    let mut writing = stream.try_clone()?;
    let writer = std::thread::spawn(move || writing.write_all(text.as_bytes()));
    let mut lines = BufReader::new(stream).lines();
    let last = format!("{{\"acked\":{messages}}}");
    loop {
        let line = lines.next().context("mag closed the connection")??;
        ensure!(line.starts_with("{\"acked\":"), "no ack: {line}");
        if line == last {
            break;
        }
    }
    writer.join().ok().context("the sending thread panicked")?.context("cannot send")
}
