//! A client that gives its messages ids and sends again what was not acknowledged: at the end each of them is counted
//! once, however often mag was killed between a commit and its ack.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::clients::connect;
use crate::oracle::Sent;

/// Messages written at once.
const BURST: u64 = 50;
/// Different texts.
const TEXTS: u64 = 5;

/// What it still has to send, across all runs.
#[derive(Debug, Default)]
pub(super) struct Resender {
    unacknowledged: VecDeque<u64>,
    next: u64,
    /// Messages sent again.
    pub(super) again: u64,
}

fn text(id: u64) -> String {
    format!("with an id, {}", id % TEXTS)
}

/// A connection, and what was sent over it and is not acknowledged.
struct Talk {
    stream: BufReader<TcpStream>,
    under_way: VecDeque<u64>,
    acknowledged: u64,
    sent: Sent,
}

impl Resender {
    /// Sends until mag is gone; first what is not acknowledged yet.
    pub(super) fn run(&mut self, address: SocketAddr) -> Sent {
        let Ok(stream) = connect(address) else { return Sent::default() };
        let mut talk = Talk::over(stream);
        self.again += self.unacknowledged.len() as u64;
        let old = std::mem::take(&mut self.unacknowledged);
        let mut open = talk.asks() && talk.sends(old);
        while open {
            let fresh = self.next..self.next + BURST;
            self.next = fresh.end;
            open = talk.sends(fresh) && talk.hears();
        }
        // What mag said before it went away.
        while talk.hears() {}
        self.unacknowledged = talk.under_way;
        talk.sent
    }

    /// Sends what is left, and waits until all of it is acknowledged.
    pub(super) fn finish(&mut self, address: SocketAddr) -> anyhow::Result<Sent> {
        let mut talk = Talk::over(connect(address).context("mag does not accept")?);
        self.again += self.unacknowledged.len() as u64;
        ensure!(talk.asks() && talk.sends(std::mem::take(&mut self.unacknowledged)), "mag closes a connection");
        while !talk.under_way.is_empty() {
            ensure!(talk.hears(), "messages with ids are not acknowledged: {:?}", talk.sent.wrong);
        }
        Ok(talk.sent)
    }

    /// How often each text was sent, repeats left out.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        (0..self.next).for_each(|id| *counts.entry(text(id)).or_insert(0) += 1);
        counts
    }
}

impl Talk {
    fn over(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream), under_way: VecDeque::new(), acknowledged: 0, sent: Sent::default() }
    }

    fn asks(&mut self) -> bool {
        self.stream.get_mut().write_all(b"{\"ack\":true}\n").is_ok()
    }

    fn sends(&mut self, ids: impl IntoIterator<Item = u64>) -> bool {
        let mut lines = String::new();
        for id in ids {
            let text = text(id);
            lines.push_str(&json!({ "text": text, "id": format!("message {id}") }).to_string());
            lines.push('\n');
            // One that is sent again may have been counted before: at least nothing, at most all of it is new.
            self.sent.sends(&text, 1);
            self.under_way.push_back(id);
        }
        self.stream.get_mut().write_all(lines.as_bytes()).is_ok()
    }

    /// Reads one ack; whether there was one.
    fn hears(&mut self) -> bool {
        let mut line = String::new();
        if self.stream.read_line(&mut line).is_err() || !line.ends_with('\n') {
            return false;
        }
        let upto = serde_json::from_str::<Value>(&line).ok().and_then(|answer| answer.get("acked")?.as_u64());
        let fresh = upto.and_then(|upto| upto.checked_sub(self.acknowledged)).and_then(|n| usize::try_from(n).ok());
        match fresh {
            Some(fresh @ 1..) if fresh <= self.under_way.len() => {
                self.under_way.drain(..fresh);
                self.acknowledged = upto.unwrap_or_default();
                true
            }
            _ => {
                self.sent.wrong.push(format!("{line:?} is no ack that may follow {}", self.acknowledged));
                false
            }
        }
    }
}
