//! What stands between the date and the text of a message, taken apart: in the form of either RFC, and as real senders
//! write it, with parts missing or added.

use std::borrow::Cow;

use memchr::memchr;

use super::super::Extra;
use super::super::text::cut;
use super::data;
use crate::limits;
use crate::message::Severity;

/// A word longer than this is no host, name or id.
const WORD_BYTES: usize = 255;
/// rsyslog cuts tags here when it forwards them, with the colon that would end them.
const CUT_TAG_BYTES: usize = 32;
/// What may stand before a text that is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Facilities by number.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

// So that words become labels and sources without being cut, also where bad bytes are replaced.
const _: () = assert!(WORD_BYTES * 3 <= limits::LABEL_VALUE_BYTES && WORD_BYTES * 3 <= limits::WORD_BYTES);

/// How the bytes of a message, which begin behind its date, are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    pub(super) shape: Shape,
    pub(super) priority: Option<u8>,
}

/// What stood before those bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// RFC 5424's version and time.
    Ietf,
    /// A date as RFC 3164 has it.
    Dated,
    /// No date.
    Undated,
}

/// A message that is taken apart.
#[derive(Debug, Default, PartialEq)]
pub struct Opened<'a> {
    /// What happened.
    pub text: &'a [u8],
    /// The source, and labels `facility`, `host`, `app`, `pid`, `msgid` and `ID.NAME` for structured data.
    pub extra: Extra<'a>,
    /// Whether the text is cut, or labels are cut or left out.
    pub truncated: bool,
}

impl Envelope {
    /// How bad the priority says it is.
    #[must_use]
    pub fn severity(self) -> Option<Severity> {
        Some(match self.priority? & 7 {
            0..=2 => Severity::Critical,
            3 => Severity::Error,
            4 => Severity::Warning,
            5 => Severity::Notice,
            6 => Severity::Info,
            _ => Severity::Debug,
        })
    }

    /// A number for all that it says: another for each that is not equal.
    #[must_use]
    pub fn number(self) -> u16 {
        u16::from(self.priority.map_or(0, |priority| priority + 1)) << 2 | self.shape as u16
    }

    /// Takes `bytes` apart; the text is cut at `text_bytes`.
    #[must_use]
    pub fn open(self, bytes: &[u8], text_bytes: usize) -> Opened<'_> {
        let mut opened = match self.shape {
            Shape::Ietf => ietf(bytes).unwrap_or_else(|| Opened { text: bytes, ..Opened::default() }),
            Shape::Dated => dated(bytes),
            // Only a tag with a process number is surely one: `Error: no space` is a text.
            Shape::Undated => match tag(bytes).filter(|_| word(bytes).0.ends_with(b"]:")) {
                Some(tag) => opened(b"", &tag),
                None => Opened { text: bytes, ..Opened::default() },
            },
        };
        if let Some(facility) = self.priority.and_then(|priority| FACILITIES.get(usize::from(priority >> 3))) {
            opened.say("facility", facility.as_bytes());
        }
        let labels = &mut opened.extra.labels;
        labels.sort_by(|a, b| a.0.cmp(&b.0));
        labels.dedup_by(|b, a| a.0 == b.0);
        let text = trim_start(opened.text);
        let (text, truncated) = cut(text.strip_prefix(BYTE_ORDER_MARK).map_or(text, trim_start), text_bytes);
        Opened { text, truncated: truncated || opened.truncated, ..opened }
    }
}

impl<'a> Opened<'a> {
    fn say(&mut self, name: &'static str, value: &'a [u8]) {
        if !matches!(value, b"" | b"-") {
            self.extra.labels.push((Cow::Borrowed(name), String::from_utf8_lossy(value)));
        }
    }

    fn say_host(&mut self, host: &'a [u8]) {
        self.say("host", host);
        self.extra.source = self.extra.labels.last().map(|(_, host)| host.clone());
    }
}

/// RFC 5424: `HOST APP PROCID MSGID DATA TEXT`; a sender may leave out parts at the end.
fn ietf(bytes: &[u8]) -> Option<Opened<'_>> {
    let mut opened = Opened::default();
    let mut rest = bytes;
    for name in ["host", "app", "pid", "msgid"] {
        let (value, after) = word(rest);
        if value.len() > WORD_BYTES {
            return None;
        }
        if name == "host" {
            opened.say_host(value)
        } else {
            opened.say(name, value)
        }
        rest = after;
    }
    rest = trim_start(rest);
    opened.text = match rest {
        [b'-'] | [b'-', b' ', ..] => rest.get(1..).unwrap_or_default(),
        _ => {
            let (used, truncated) = data::labels(rest, &mut opened.extra.labels);
            opened.truncated = truncated;
            rest.get(used..).unwrap_or_default()
        }
    };
    Some(opened)
}

/// RFC 3164 and what stands for it: `HOST TAG: TEXT`, where every part may be missing.
fn dated(bytes: &[u8]) -> Opened<'_> {
    match tag(bytes) {
        // Cisco devices end their own name with a colon.
        Some(tag) if is_mnemonic(trim_start(tag.rest)) => opened(tag.name, &Tag { name: b"", rest: tag.rest }),
        Some(tag) => opened(b"", &tag),
        None => {
            let (host, after) = word(bytes);
            if host.is_empty() || host.len() > WORD_BYTES || !host.iter().all(|byte| is_of_host(*byte)) {
                return Opened { text: bytes, ..Opened::default() };
            }
            let after = trim_start(after);
            match tag(after) {
                Some(tag) => opened(host, &tag),
                // Cisco's firewalls: `host : %ASA-6-302013: …`.
                None => opened(host, &Tag { name: b"", rest: after.strip_prefix(b": ").unwrap_or(after) }),
            }
        }
    }
}

/// A message of which host and tag are known.
fn opened<'a>(host: &'a [u8], tag: &Tag<'a>) -> Opened<'a> {
    let mut opened = Opened { text: tag.rest, ..Opened::default() };
    opened.say_host(host);
    let (app, process) = split_tag(tag.name);
    opened.say("app", app);
    opened.say("pid", process);
    opened
}

struct Tag<'a> {
    /// Without its colon.
    name: &'a [u8],
    rest: &'a [u8],
}

/// The tag at the front: a word that ends with a colon or with a process number in brackets.
fn tag(bytes: &[u8]) -> Option<Tag<'_>> {
    let (word, rest) = word(bytes);
    let app = word.split(|byte| *byte == b'[').next().unwrap_or_default();
    let is_named = !app.is_empty() && !app.starts_with(b":");
    if word.len() > WORD_BYTES || !is_named || !app.iter().all(|byte| is_of_tag(*byte)) {
        return None;
    }
    let bracket = memchr(b'[', word).is_some();
    let name = match word {
        [name @ .., b':'] => name,
        [.., b']'] if bracket => word,
        _ if word.len() == CUT_TAG_BYTES && bracket => word,
        _ => return None,
    };
    Some(Tag { name, rest })
}

/// `su[123]` is `su` and `123`; rsyslog may have cut the closing bracket and what is before it.
fn split_tag(tag: &[u8]) -> (&[u8], &[u8]) {
    let (app, process) = tag.split_at_checked(memchr(b'[', tag).unwrap_or(tag.len())).unwrap_or((tag, b""));
    match process {
        [b'[', process @ .., b']'] => (app, process),
        _ => (app, b""),
    }
}

/// Cisco's name of what happened: `%SYS-5-CONFIG_I:`.
fn is_mnemonic(bytes: &[u8]) -> bool {
    let (word, _) = word(bytes);
    matches!(word, [b'%', b'A'..=b'Z', .., b':']) && memchr(b'-', word).is_some()
}

/// Letters of any language, digits, and what addresses are written with.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'/' | b'@')
}

/// What names of programs are written with: JSON and quotes are texts.
fn is_of_tag(byte: u8) -> bool {
    is_of_host(byte) || matches!(byte, b'(' | b')' | b'+' | b'~' | b'#')
}

/// The word at the front after its spaces, and what follows it.
pub(super) fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let bytes = trim_start(bytes);
    bytes.split_at_checked(memchr(b' ', bytes).unwrap_or(bytes.len())).unwrap_or((bytes, b""))
}

/// Without spaces at the front.
pub(super) fn trim_start(bytes: &[u8]) -> &[u8] {
    match bytes {
        [b' ', rest @ ..] => {
            let more = rest.iter().take_while(|byte| **byte == b' ').count();
            rest.get(more..).unwrap_or_default()
        }
        _ => bytes,
    }
}
