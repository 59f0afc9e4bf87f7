//! The wire formats, told apart by the first bytes of a connection.
//!
//! A decoder is a pure function of bytes and its own state: no I/O, no clock, no logging, nothing that can fail. What
//! it gives out never depends on how the bytes were cut into reads.

use std::borrow::Cow;

use crate::limits;
use crate::message::{DEFAULT_KIND, Millis, Severity};

pub mod classic;
mod detect;
pub mod forward;
pub mod gelf;
pub mod go_quote;
pub mod http;
pub mod inflate;
mod json;
mod labels;
pub mod ndjson;
mod raws;
pub mod relp;
pub mod syslog;
mod text;
pub mod time;

pub use detect::{Spoken, detect, detect_beside};
pub use raws::Raws;

/// One message, borrowed from the bytes it came in.
#[derive(Debug, PartialEq)]
pub struct Parsed<'a> {
    /// What happened; not necessarily UTF-8, at most the decoder's limit.
    pub text: &'a [u8],
    /// How bad it is, when the client said so.
    pub severity: Option<Severity>,
    /// Whether the text was longer and is cut.
    pub truncated: bool,
    /// Whether bytes that are not UTF-8 are already replaced.
    pub replaced: bool,
    /// How many messages this one stands for.
    pub count: u64,
    /// When it happened, when the client said so.
    pub time: Option<Millis>,
    /// Keys that mean nothing to mag.
    pub ignored_keys: u64,
    /// What most messages do not have.
    pub extra: Option<Box<Extra<'a>>>,
    /// A syslog message says it instead: `text` holds more than the text then, and is to be opened.
    pub envelope: Option<syslog::Envelope>,
    /// By what it is known again when it comes a second time.
    pub identity: Option<Box<Identity<'a>>>,
}

/// A message's id, and where it stood, so that a refusal finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The client's word for it.
    pub id: Cow<'a, str>,
    /// The line of its connection, from 1.
    pub line: u64,
}

impl<'a> Parsed<'a> {
    /// A message that says nothing but a text and perhaps a severity.
    #[must_use]
    pub fn plain(text: &'a [u8], severity: Option<Severity>, truncated: bool) -> Self {
        Self {
            text,
            severity,
            truncated,
            replaced: false,
            count: 1,
            time: None,
            ignored_keys: 0,
            extra: None,
            envelope: None,
            identity: None,
        }
    }
}

impl Parsed<'_> {
    /// Whether an equal line is an equal message in everything that is counted of it, whenever it comes.
    #[must_use]
    pub fn is_all_in_its_line(&self) -> bool {
        let Self { truncated, replaced, count, time, ignored_keys, identity, .. } = self;
        !truncated && !replaced && *count == 1 && time.is_none() && *ignored_keys == 0 && identity.is_none()
    }
}

/// What only some messages say; kept apart so that the others stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extra<'a> {
    /// The kind, unless it is the default one.
    pub kind: Option<Cow<'a, str>>,
    /// Labels by name, each name once.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The source, unless it is the peer's address.
    pub source: Option<Cow<'a, str>>,
}

impl Extra<'_> {
    /// The kind in words.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or(DEFAULT_KIND)
    }

    /// The same, borrowing from nobody.
    #[must_use]
    pub fn into_owned(self) -> Extra<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Extra {
            kind: self.kind.map(own),
            labels: self.labels.into_iter().map(|(name, value)| (own(name), own(value))).collect(),
            source: self.source.map(own),
        }
    }
}

/// By what a message is known again when it comes a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its text: it says nothing else.
    Text,
    /// The whole line.
    Line,
    /// What stands behind the date of a syslog message, and what stood before it.
    Syslog(syslog::Envelope),
}

impl Form {
    /// A number for each.
    #[must_use]
    #[inline]
    pub fn number(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Line => 1,
            Self::Syslog(envelope) => 2 + envelope.number(),
        }
    }
}

/// The next message as it stands there, not looked into: equal ones mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// What is equal.
    pub bytes: &'a [u8],
    /// What that is.
    pub form: Form,
    /// When it happened, when the client said so: equal messages may differ in it.
    pub time: Option<Millis>,
    /// How many bytes of the input it takes.
    pub used: usize,
}

/// What the next bytes came to.
#[derive(Debug, PartialEq)]
pub enum Step<'a> {
    /// More bytes are needed; what was not consumed must come again at the front.
    NeedMore,
    /// The consumed bytes are no message of their own: ask again.
    Nothing,
    /// A message.
    Message(Parsed<'a>),
    /// The client asks for acks from here on.
    AckWanted,
    /// The client is told this as soon as all messages before it are committed; messages are committed for it at once.
    Promise(Vec<u8>),
    /// A line that is answered with this and counts for nothing.
    Refused(String),
    /// The connection ends with this reply.
    Close(String),
    /// The client said that it has sent everything: the connection ends once all of it is committed and told.
    End,
}

impl<'a> Step<'a> {
    /// What it is when nothing more will come.
    fn last(self) -> Last<'a> {
        match self {
            Self::Message(message) => Last::Message(message),
            Self::Refused(reply) => Last::Refused(reply),
            _ => Last::Nothing,
        }
    }
}

/// What was left when the stream ended.
#[derive(Debug, PartialEq)]
pub enum Last<'a> {
    /// Nothing.
    Nothing,
    /// The beginning of a message: counted, but not taken.
    Partial,
    /// A whole message without its line end.
    Message(Parsed<'a>),
    /// The beginning of a line, answered with this.
    Refused(String),
}

/// Takes one connection's bytes apart, whatever protocol it speaks.
#[derive(Debug)]
pub struct Decoder {
    text_bytes: usize,
    speaks: Speaks,
}

#[derive(Debug)]
enum Speaks {
    Unknown,
    Classic(classic::Decoder),
    /// NDJSON or GELF, with how many bytes at the front of the next input hold neither LF nor NUL.
    Json(usize),
    Ndjson(ndjson::Decoder),
    Gelf(gelf::Decoder),
    Syslog(syslog::Decoder),
    Relp(relp::Decoder),
    Forward(Box<forward::Decoder>),
}

impl Decoder {
    /// A decoder that finds out by itself what is spoken, and cuts texts at `text_bytes`, or at mag's own limit if that
    /// is less.
    #[must_use]
    pub fn new(text_bytes: usize) -> Self {
        Self { text_bytes: text_bytes.min(limits::TEXT_BYTES), speaks: Speaks::Unknown }
    }

    /// A decoder of this protocol.
    #[must_use]
    pub fn speaking(spoken: Spoken, text_bytes: usize) -> Self {
        let mut decoder = Self::new(text_bytes);
        decoder.speak(spoken);
        decoder
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        if matches!(self.speaks, Speaks::Unknown) {
            let Some(spoken) = detect(input) else { return (0, Step::NeedMore) };
            self.speak(spoken);
        }
        if let Speaks::Json(scanned) = self.speaks {
            match detect::json(input, scanned) {
                Some(spoken) => self.speak(spoken),
                None => self.speaks = Speaks::Json(input.len()),
            }
        }
        match &mut self.speaks {
            Speaks::Unknown | Speaks::Json(_) => (0, Step::NeedMore),
            Speaks::Gelf(decoder) => decoder.next(input),
            Speaks::Classic(decoder) => decoder.next(input),
            Speaks::Ndjson(decoder) => decoder.next(input),
            Speaks::Syslog(decoder) => decoder.next(input),
            Speaks::Relp(decoder) => decoder.next(input),
            Speaks::Forward(decoder) => decoder.next(input),
        }
    }

    /// The messages at the front of `input` that are there as a whole and stand for themselves. They are still to be
    /// taken, in their order: by [`Decoder::pass`] when it is known what they mean, else by [`Decoder::next`].
    #[inline]
    pub fn raws<'a>(&self, input: &'a [u8], raws: &mut Raws<'a>) {
        match &self.speaks {
            Speaks::Unknown | Speaks::Forward(_) | Speaks::Json(_) | Speaks::Gelf(_) | Speaks::Relp(_) => {}
            Speaks::Classic(decoder) => decoder.raws(input, raws),
            Speaks::Ndjson(decoder) => decoder.raws(input, raws),
            Speaks::Syslog(decoder) => decoder.raws(input, raws),
        }
    }

    /// So many of the messages that [`Decoder::raws`] showed are taken.
    #[inline]
    pub fn pass(&mut self, messages: usize) {
        if messages == 0 {
            return;
        }
        match &mut self.speaks {
            Speaks::Unknown | Speaks::Json(_) | Speaks::Gelf(_) | Speaks::Relp(_) | Speaks::Forward(_) => {}
            Speaks::Classic(decoder) => decoder.pass(),
            Speaks::Ndjson(decoder) => decoder.pass(messages),
            Speaks::Syslog(decoder) => decoder.pass(),
        }
    }

    /// What `rest`, the bytes not used up when the client stopped sending, comes to.
    pub fn finish<'a>(&'a mut self, rest: &'a [u8]) -> Last<'a> {
        if matches!(self.speaks, Speaks::Json(_)) {
            self.speak(Spoken::Ndjson);
        }
        match &mut self.speaks {
            Speaks::Unknown | Speaks::Json(_) => Last::Nothing,
            Speaks::Gelf(decoder) => decoder.finish(rest),
            Speaks::Classic(decoder) => decoder.finish(rest),
            Speaks::Ndjson(decoder) => decoder.finish(rest),
            Speaks::Syslog(decoder) => decoder.finish(rest),
            Speaks::Relp(decoder) => decoder.finish(rest),
            Speaks::Forward(decoder) => decoder.finish(rest),
        }
    }

    fn speak(&mut self, spoken: Spoken) {
        self.speaks = match spoken {
            // Whoever carries bytes here has given HTTP and TLS to somebody else; what is left answers like classic.
            Spoken::Classic | Spoken::Http | Spoken::Http2 | Spoken::Tls => {
                Speaks::Classic(classic::Decoder::new(self.text_bytes))
            }
            Spoken::Json => Speaks::Json(0),
            Spoken::Gelf => Speaks::Gelf(gelf::Decoder::new(self.text_bytes)),
            Spoken::Ndjson => Speaks::Ndjson(ndjson::Decoder::new(self.text_bytes)),
            Spoken::Syslog => Speaks::Syslog(syslog::Decoder::new()),
            Spoken::Relp => Speaks::Relp(relp::Decoder::new()),
            Spoken::Forward => Speaks::Forward(Box::new(forward::Decoder::new(self.text_bytes))),
        };
    }
}

#[cfg(test)]
mod tests;
