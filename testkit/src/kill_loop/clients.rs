//! Those who send during a run: with acks, and without, where only the end of the connection says that all was taken.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::resender::Resender;
use super::{Arc, AtomicBool, Duration, Ordering, thread};
use crate::oracle::Sent;

/// mag answers far sooner; only a mistake waits this long.
const LIMIT: Duration = Duration::from_secs(30);
/// Connections that ask for acks, all at a time.
const WITH_ACKS: u64 = 3;
/// Clients that open one connection after the other and ask for nothing.
const WITHOUT: u64 = 3;
/// Messages written at once, at most.
const BURST: usize = 200;

/// All of them; they end when mag is gone.
pub(super) struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Sent>>,
    resender: JoinHandle<(Resender, Sent)>,
}

impl Clients {
    pub(super) fn start(address: SocketAddr, run: u32, seed: u64, mut resender: Resender) -> Self {
        let over = Arc::<AtomicBool>::default();
        let threads = (0..WITH_ACKS + WITHOUT).map(|n| {
            let client = Client { address, run, chance: fastrand::Rng::with_seed(seed ^ n), over: Arc::clone(&over) };
            match n {
                0..WITH_ACKS => thread::spawn(move || client.with_acks()),
                WITH_ACKS => thread::spawn(move || client.without(ndjson)),
                _ => thread::spawn(move || client.without(classic)),
            }
        });
        let resender = thread::spawn(move || {
            let sent = resender.run(address);
            (resender, sent)
        });
        Self { threads: threads.collect(), over, resender }
    }

    /// What they sent, once mag is gone, and what one of them will send again.
    pub(super) fn end(self) -> anyhow::Result<(Sent, Resender)> {
        // Another process may be given the port that mag had.
        self.over.store(true, Ordering::SeqCst);
        let mut all = Sent::default();
        for client in self.threads {
            all.add(client.join().ok().context("a client panicked")?);
        }
        let (resender, sent) = self.resender.join().ok().context("a client panicked")?;
        all.add(sent);
        Ok((all, resender))
    }
}

/// A message: its text, and how often it says that it happened.
struct Message {
    text: String,
    count: u64,
}

/// Writes a message; the text of one that only NDJSON can say begins with its kind.
type Write1 = fn(&mut Vec<u8>, &Message);

fn classic(bytes: &mut Vec<u8>, message: &Message) {
    for _ in 0..message.count {
        bytes.extend_from_slice(b"STRING\n");
        bytes.extend_from_slice(message.text.as_bytes());
        bytes.push(b'\n');
    }
}

fn ndjson(bytes: &mut Vec<u8>, message: &Message) {
    let kind = if message.text.starts_with("long") { "long" } else { "default" };
    let line = json!({ "text": message.text, "kind": kind, "count": message.count });
    bytes.extend_from_slice(line.to_string().as_bytes());
    bytes.push(b'\n');
}

struct Client {
    address: SocketAddr,
    run: u32,
    chance: fastrand::Rng,
    over: Arc<AtomicBool>,
}

impl Client {
    fn burst(&mut self, long: bool) -> Vec<Message> {
        let mut messages = Vec::new();
        for _ in 0..self.chance.usize(1..=BURST) {
            let text = match self.chance.u32(0..10) {
                0 => format!("only in run {}, {}", self.run, self.chance.u32(0..5)),
                1 if long => format!("long {}", self.chance.u32(0..10)),
                _ => format!("worker {} cannot reach the database", self.chance.u32(0..30)),
            };
            messages.push(Message { text, count: self.chance.u64(1..=3) });
        }
        messages
    }

    /// One connection, bursts of messages, acks read now and then.
    fn with_acks(mut self) -> Sent {
        let mut sent = Sent::default();
        if let Ok(stream) = connect(self.address) {
            self.talk(stream, &mut sent);
        }
        sent
    }

    fn talk(&mut self, stream: TcpStream, sent: &mut Sent) {
        let mut acked = Acked { stream: BufReader::new(stream), messages: Vec::new(), upto: 0 };
        let mut open = acked.write(b"{\"ack\":true}\n");
        while open && !self.over.load(Ordering::SeqCst) {
            let messages = self.burst(true);
            let mut bytes = Vec::new();
            for message in &messages {
                ndjson(&mut bytes, message);
                sent.sends(&message.text, message.count);
            }
            acked.messages.extend(messages);
            open = acked.write(&bytes);
            if open && self.chance.bool() {
                let until = acked.messages.len();
                while open && acked.upto < until {
                    open = acked.hear(sent);
                }
            }
        }
        // What mag said before it went away.
        while acked.hear(sent) {}
    }

    /// Connections one after the other: whoever sees an orderly end knows that all is committed.
    fn without(mut self, write: Write1) -> Sent {
        let mut sent = Sent::default();
        while !self.over.load(Ordering::SeqCst) {
            let Ok(mut stream) = connect(self.address) else { break };
            let messages = self.burst(false);
            let mut bytes = Vec::new();
            for message in &messages {
                write(&mut bytes, message);
                sent.sends(&message.text, message.count);
            }
            let mut said = String::new();
            let written = stream.write_all(&bytes).is_ok() && stream.shutdown(Shutdown::Write).is_ok();
            if !written || stream.read_to_string(&mut said).is_err() {
                continue;
            }
            if said.is_empty() {
                messages.iter().for_each(|message| sent.acknowledged(&message.text, message.count));
            } else {
                sent.wrong.push(format!("mag said {said:?} where it has nothing to say"));
            }
        }
        sent
    }
}

/// A connection with acks, and what was sent over it, in order.
struct Acked {
    stream: BufReader<TcpStream>,
    messages: Vec<Message>,
    upto: usize,
}

impl Acked {
    fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Reads one line; whether there was one.
    fn hear(&mut self, sent: &mut Sent) -> bool {
        let mut line = String::new();
        // A line that broke off says nothing.
        if self.stream.read_line(&mut line).is_err() || !line.ends_with('\n') {
            return false;
        }
        let upto = serde_json::from_str::<Value>(&line).ok().and_then(|answer| answer.get("acked")?.as_u64());
        let upto = upto.and_then(|upto| usize::try_from(upto).ok());
        match upto.and_then(|upto| self.messages.get(self.upto..upto)) {
            Some(fresh) if !fresh.is_empty() => {
                fresh.iter().for_each(|message| sent.acknowledged(&message.text, message.count));
                self.upto += fresh.len();
            }
            _ => sent.wrong.push(format!("{line:?} is no ack that may follow {}", self.upto)),
        }
        true
    }
}

pub(super) fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends one message and waits for its ack.
pub(super) fn send_acknowledged(address: SocketAddr, text: &str, sent: &mut Sent) -> anyhow::Result<()> {
    let stream = connect(address).context("mag does not accept")?;
    let mut acked = Acked { stream: BufReader::new(stream), messages: Vec::new(), upto: 0 };
    let message = Message { text: text.to_owned(), count: 1 };
    let mut bytes = b"{\"ack\":true}\n".to_vec();
    ndjson(&mut bytes, &message);
    sent.sends(text, 1);
    acked.messages.push(message);
    anyhow::ensure!(acked.write(&bytes) && acked.hear(sent) && acked.upto == 1, "no ack for a fresh message");
    Ok(())
}
