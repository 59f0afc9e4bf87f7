//! Fluent Forward: messages of Fluentd and Fluent Bit, in all four modes of protocol v1, chunk by chunk.
//!
//! Entries are read one at a time, compressed ones too: a chunk may be larger than anything mag keeps. A client that
//! names its chunk is answered once all of it is committed. What is no Forward ends the connection: the protocol has no
//! word for a mistake.

use super::{Last, Step};
use crate::limits;

mod entry;
pub mod greeting;
mod inflate;
mod json;
mod msgpack;

use entry::Time;
use inflate::Inflate;
use msgpack::{Broken, Head, Scan, head};

/// How long the value at the front is, when it is whole.
#[cfg(test)]
pub(super) fn scan_all(bytes: &[u8]) -> Option<usize> {
    Scan::default().find(bytes).ok()?
}

/// State between two reads of one connection.
#[derive(Debug)]
pub struct Decoder {
    text_bytes: usize,
    expects: Expects,
    /// The tag of the chunk at hand.
    tag: String,
    /// Parts that the chunk at hand still has, its options among them.
    parts: usize,
    /// How far the value at the front of the next input is known.
    scan: Scan,
    inflate: Option<Box<Inflate>>,
    /// Entries of the chunk at hand that are none.
    refused: u32,
    /// The text of a record that has none, while it is used.
    kept: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expects {
    /// An array of two to four parts.
    Chunk,
    Tag,
    /// Entries in an array, entries packed into bytes, or a time.
    Body,
    /// The record of a chunk that is one message.
    Record(Option<Time>),
    /// So many entries of an array.
    Entries(usize),
    /// So many bytes of packed entries.
    Packed(usize),
    /// So many bytes of compressed entries that are not inflated yet.
    Compressed(usize),
    Options,
    /// The client sends something else.
    Close,
}

/// What stands at the front of the input.
enum Front<'a> {
    /// A whole value.
    Value(&'a [u8]),
    Short,
    Broken,
}

impl Decoder {
    /// A decoder that cuts texts at `text_bytes`.
    #[must_use]
    pub fn new(text_bytes: usize) -> Self {
        Self {
            text_bytes,
            expects: Expects::Chunk,
            tag: String::new(),
            parts: 0,
            scan: Scan::default(),
            inflate: None,
            refused: 0,
            kept: String::new(),
        }
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        if self.refused > limits::FORWARD_REFUSED {
            return self.close();
        }
        match self.expects {
            Expects::Chunk => self.chunk(input),
            Expects::Tag => self.tag(input),
            Expects::Body => self.body(input),
            Expects::Record(time) => self.record(input, time),
            Expects::Entries(left) => self.entries(input, left),
            Expects::Packed(left) => self.packed(input, left),
            Expects::Compressed(left) => self.compressed(input, left),
            Expects::Options => self.options(input),
            Expects::Close => (0, Step::Close(String::new())),
        }
    }

    /// A chunk that is not whole: what of it was counted stays counted, and its client was told nothing.
    pub fn finish(&self, rest: &[u8]) -> Last<'static> {
        let between = self.expects == Expects::Chunk && rest.is_empty();
        if between || self.expects == Expects::Close { Last::Nothing } else { Last::Partial }
    }

    fn chunk<'a>(&mut self, input: &[u8]) -> (usize, Step<'a>) {
        match head(input) {
            Ok(None) => (0, Step::NeedMore),
            Ok(Some((Head::Array(parts @ 2..=4), used))) => {
                self.parts = parts;
                self.refused = 0;
                self.go_on(used, Expects::Tag)
            }
            // What a sender may say to find out whether mag is there.
            Ok(Some((Head::Nil, used))) => (used, Step::Nothing),
            Ok(Some(_)) | Err(Broken) => self.close(),
        }
    }

    fn tag<'a>(&mut self, input: &[u8]) -> (usize, Step<'a>) {
        match self.front(input, limits::LABEL_VALUE_BYTES) {
            Front::Short => (0, Step::NeedMore),
            Front::Broken => self.close(),
            Front::Value(value) => match head(value) {
                Ok(Some((Head::Text(_) | Head::Bytes(_), start))) => {
                    self.tag = String::from_utf8_lossy(value.get(start..).unwrap_or_default()).into_owned();
                    self.go_on(value.len(), Expects::Body)
                }
                _ => self.close(),
            },
        }
    }

    fn body<'a>(&mut self, input: &[u8]) -> (usize, Step<'a>) {
        match head(input) {
            Ok(None) => return (0, Step::NeedMore),
            Ok(Some((Head::Array(entries), used))) => return self.go_on(used, Expects::Entries(entries)),
            Ok(Some((Head::Text(0) | Head::Bytes(0), used))) => return self.go_on(used, Expects::Packed(0)),
            Ok(Some((Head::Text(length) | Head::Bytes(length), used))) => {
                // Packed entries begin with an array, which no gzip does: the option that tells comes too late.
                return match input.get(used) {
                    None => (0, Step::NeedMore),
                    Some(&inflate::MAGIC) => {
                        self.inflate = Some(Box::default());
                        self.go_on(used, Expects::Compressed(length))
                    }
                    Some(_) => self.go_on(used, Expects::Packed(length)),
                };
            }
            Ok(Some(_)) | Err(Broken) => {}
        }
        if self.parts < 3 {
            return self.close();
        }
        match self.front(input, limits::FORWARD_ENTRY_BYTES) {
            Front::Short => (0, Step::NeedMore),
            Front::Broken => self.close(),
            Front::Value(value) => self.go_on(value.len(), Expects::Record(Time::read(value))),
        }
    }

    fn record<'a>(&'a mut self, input: &'a [u8], time: Option<Time>) -> (usize, Step<'a>) {
        match self.front(input, limits::FORWARD_ENTRY_BYTES) {
            Front::Short => (0, Step::NeedMore),
            Front::Broken => self.close(),
            Front::Value(value) => {
                self.expects = if self.parts == 4 { Expects::Options } else { Expects::Chunk };
                (value.len(), entry::record(value, time, &self.tag, &mut self.kept, self.text_bytes))
            }
        }
    }

    fn entries<'a>(&'a mut self, input: &'a [u8], left: usize) -> (usize, Step<'a>) {
        if left == 0 {
            return self.end_of_body(0);
        }
        match self.front(input, limits::FORWARD_ENTRY_BYTES) {
            Front::Short => (0, Step::NeedMore),
            Front::Broken => self.close(),
            Front::Value(value) => {
                self.expects = Expects::Entries(left - 1);
                let step = entry::read(value, &self.tag, &mut self.kept, self.text_bytes);
                self.refused += u32::from(matches!(step, Step::Refused(_)));
                (value.len(), step)
            }
        }
    }

    fn packed<'a>(&'a mut self, input: &'a [u8], left: usize) -> (usize, Step<'a>) {
        if left == 0 {
            return self.end_of_body(0);
        }
        let inside = input.get(..left).unwrap_or(input);
        match self.front(inside, limits::FORWARD_ENTRY_BYTES) {
            // An entry that its chunk cuts off.
            Front::Short if inside.len() == left => self.close(),
            Front::Short => (0, Step::NeedMore),
            Front::Broken => self.close(),
            Front::Value(value) => {
                self.expects = Expects::Packed(left - value.len());
                let step = entry::read(value, &self.tag, &mut self.kept, self.text_bytes);
                self.refused += u32::from(matches!(step, Step::Refused(_)));
                (value.len(), step)
            }
        }
    }

    fn compressed<'a>(&'a mut self, input: &[u8], left: usize) -> (usize, Step<'a>) {
        let inflated = self.inflate.as_deref().map_or(&b""[..], Inflate::inflated);
        match self.scan.find(inflated) {
            Ok(Some(length)) if length <= limits::FORWARD_ENTRY_BYTES => {
                let value = self.inflate.as_deref_mut().map_or(&b""[..], |inflate| inflate.take(length));
                let step = entry::read(value, &self.tag, &mut self.kept, self.text_bytes);
                self.refused += u32::from(matches!(step, Step::Refused(_)));
                return (0, step);
            }
            Ok(None) if self.scan.needs().max(inflated.len()) <= limits::FORWARD_ENTRY_BYTES => {}
            Ok(_) | Err(Broken) => return self.close(),
        }
        let Some(inflate) = &mut self.inflate else { return self.close() };
        if left == 0 {
            if !inflate.end() {
                return self.close();
            }
            self.inflate = None;
            return self.end_of_body(0);
        }
        // Always the same pieces: what a broken one gives out must not depend on how its bytes came.
        let Some(some) = input.get(..left.min(inflate::STEP_BYTES)) else { return (0, Step::NeedMore) };
        if !inflate.feed(some) {
            return self.close();
        }
        self.go_on_at(some.len(), Expects::Compressed(left - some.len()))
    }

    fn end_of_body<'a>(&mut self, used: usize) -> (usize, Step<'a>) {
        match self.parts {
            2 => self.go_on(used, Expects::Chunk),
            3 => self.go_on(used, Expects::Options),
            _ => self.close(),
        }
    }

    fn options<'a>(&mut self, input: &[u8]) -> (usize, Step<'a>) {
        match self.front(input, limits::FORWARD_OPTION_BYTES) {
            Front::Short => (0, Step::NeedMore),
            Front::Broken => self.close(),
            Front::Value(value) => {
                self.expects = Expects::Chunk;
                let used = value.len();
                match entry::chunk(value) {
                    Some(chunk) => (used, Step::Promise(msgpack::map("ack", chunk))),
                    None => (used, Step::Nothing),
                }
            }
        }
    }

    /// The value at the front, which may have at most `most` bytes.
    fn front<'a>(&mut self, input: &'a [u8], most: usize) -> Front<'a> {
        match self.scan.find(input) {
            Ok(Some(length)) if length <= most => input.get(..length).map_or(Front::Broken, Front::Value),
            Ok(None) if self.scan.needs() <= most && input.len() <= most => Front::Short,
            Ok(_) | Err(Broken) => Front::Broken,
        }
    }

    fn go_on<'a>(&mut self, used: usize, expects: Expects) -> (usize, Step<'a>) {
        self.scan = Scan::default();
        self.go_on_at(used, expects)
    }

    fn go_on_at<'a>(&mut self, used: usize, expects: Expects) -> (usize, Step<'a>) {
        self.expects = expects;
        (used, Step::Nothing)
    }

    fn close<'a>(&mut self) -> (usize, Step<'a>) {
        self.expects = Expects::Close;
        self.inflate = None;
        (0, Step::Close(String::new()))
    }
}
