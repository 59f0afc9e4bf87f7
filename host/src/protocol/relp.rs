//! RELP: syslog messages in numbered frames, each answered once it is committed.
//!
//! A frame is `TXNR COMMAND LENGTH[ DATA]` and a line end. Whoever sends something else is answered and the connection
//! ends, as the protocol asks for; messages before it keep their answers.

use super::syslog::message;
use super::{Last, Parsed, Step};
use crate::limits;

/// Digits of a number.
const NUMBER_DIGITS: usize = 9;
/// Letters of a command.
const COMMAND_BYTES: usize = 32;
/// A header without its data is never longer: two numbers, a command and three spaces.
const HEADER_BYTES: usize = 2 * NUMBER_DIGITS + COMMAND_BYTES + 3;
/// What the client may offer when it opens.
const OFFER_BYTES: usize = 4 * 1024;
/// Told before mag closes.
const SERVER_CLOSE: &str = "0 serverclose 0\n";

/// State between two reads of one connection.
#[derive(Debug, Default)]
pub struct Decoder {
    open: bool,
    expects: Expects,
}

#[derive(Clone, Copy, Debug, Default)]
enum Expects {
    #[default]
    Frame,
    /// What goes by of a message that is too long, and then its line end.
    Rest { number: u32, left: usize },
    /// Nothing more: the client said that it is done.
    End,
    /// Nothing more: the client was told what is wrong.
    Close,
}

/// The front of a frame.
struct Header<'a> {
    number: u32,
    command: &'a [u8],
    /// Where the data begins, and how long it is.
    start: usize,
    length: usize,
}

/// Why there is no header.
enum NoHeader {
    Short,
    Broken,
}

impl Decoder {
    /// A decoder before the session is open.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes of `input` are used up, and what they came to.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> (usize, Step<'a>) {
        match self.expects {
            Expects::Frame => match header(input) {
                Ok(header) => self.frame(input, &header),
                Err(NoHeader::Short) => (0, Step::NeedMore),
                Err(NoHeader::Broken) => self.fail(None, "this is no RELP frame"),
            },
            Expects::Rest { number, left } => self.rest(input, number, left),
            Expects::End => (0, Step::End),
            Expects::Close => (0, Step::Close(String::new())),
        }
    }

    /// A frame that is not whole counts for nothing: its client was told nothing.
    pub fn finish(&self, rest: &[u8]) -> Last<'static> {
        if rest.is_empty() { Last::Nothing } else { Last::Partial }
    }

    fn frame<'a>(&mut self, input: &'a [u8], header: &Header<'_>) -> (usize, Step<'a>) {
        let number = header.number;
        match header.command {
            b"syslog" if self.open => return self.syslog(input, header),
            b"open" if self.open => return self.fail(Some(number), "the session is open already"),
            b"open" if header.length > OFFER_BYTES => return self.fail(Some(number), "too many offers"),
            b"close" if header.length > OFFER_BYTES => return self.fail(Some(number), "too much data"),
            b"open" | b"close" => {}
            _ if !self.open => return self.fail(Some(number), "open a session first"),
            _ => return self.fail(Some(number), "mag knows the commands open, syslog and close"),
        }
        let end = header.start + header.length;
        let Some(data) = input.get(header.start..end) else { return (0, Step::NeedMore) };
        match input.get(end) {
            None => return (0, Step::NeedMore),
            Some(b'\n') => {}
            Some(_) => return self.fail(Some(number), "a frame must end with a line end"),
        }
        if header.command == b"close" {
            self.expects = Expects::End;
            return (end + 1, Step::Promise(format!("{number} rsp 0\n{SERVER_CLOSE}").into_bytes()));
        }
        match version(data) {
            Some(version) => {
                self.open = true;
                (end + 1, Step::Promise(response(number, &offers(version))))
            }
            None => self.fail(Some(number), "mag speaks relp_version 0 and 1"),
        }
    }

    fn syslog<'a>(&mut self, input: &'a [u8], header: &Header<'_>) -> (usize, Step<'a>) {
        let taken = header.length.min(limits::SYSLOG_FRAME_BYTES);
        let end = header.start + taken;
        let Some(data) = input.get(header.start..end) else { return (0, Step::NeedMore) };
        let cut = taken < header.length;
        // Half a frame must not count: its client sends it again.
        match input.get(end) {
            _ if cut => {}
            None => return (0, Step::NeedMore),
            Some(b'\n') => {}
            Some(_) => return self.fail(Some(header.number), "a frame must end with a line end"),
        }
        self.expects = Expects::Rest { number: header.number, left: header.length - taken };
        (end, Step::Message(Parsed { truncated: cut, ..message(data) }))
    }

    fn rest<'a>(&mut self, input: &[u8], number: u32, left: usize) -> (usize, Step<'a>) {
        match input.get(left) {
            None => {
                self.expects = Expects::Rest { number, left: left - input.len() };
                (input.len(), Step::NeedMore)
            }
            Some(b'\n') => {
                self.expects = Expects::Frame;
                (left + 1, Step::Promise(response(number, "200 OK")))
            }
            Some(_) => self.fail(Some(number), "a frame must end with a line end"),
        }
    }

    /// Answers after the messages before it, and ends.
    fn fail<'a>(&mut self, number: Option<u32>, why: &str) -> (usize, Step<'a>) {
        self.expects = Expects::Close;
        let mut answer = number.map(|number| response(number, &format!("500 {why}"))).unwrap_or_default();
        answer.extend_from_slice(SERVER_CLOSE.as_bytes());
        (0, Step::Promise(answer))
    }
}

fn response(number: u32, data: &str) -> Vec<u8> {
    format!("{number} rsp {} {data}\n", data.len()).into_bytes()
}

fn offers(version: &str) -> String {
    format!("200 OK\nrelp_version={version}\nrelp_software=mag,{}\ncommands=syslog", env!("CARGO_PKG_VERSION"))
}

/// The version that the client offers, if mag speaks it.
fn version(offers: &[u8]) -> Option<&'static str> {
    let mut lines = offers.split(|byte| *byte == b'\n');
    let offered = lines.find_map(|line| line.trim_ascii().strip_prefix(b"relp_version="))?;
    ["0", "1"].into_iter().find(|version| offered == version.as_bytes())
}

fn header(input: &[u8]) -> Result<Header<'_>, NoHeader> {
    let front = input.get(..HEADER_BYTES).unwrap_or(input);
    let (number, at) = number(front, 0)?;
    let at = expect(front, at, b' ')?;
    let letters = front.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let command = front.get(at..at + letters).unwrap_or_default();
    if command.len() > COMMAND_BYTES {
        return Err(NoHeader::Broken);
    }
    let at = expect(front, at + letters, b' ')?;
    let (length, at) = self::number(front, at)?;
    let start = match (input.get(at), length) {
        (None, _) => return Err(NoHeader::Short),
        (Some(b'\n'), 0) => at,
        (Some(b' '), _) => at + 1,
        _ => return Err(NoHeader::Broken),
    };
    // Without a command or a number of its own there is nothing to answer.
    if command.is_empty() || number == 0 {
        return Err(NoHeader::Broken);
    }
    usize::try_from(length).map_or(Err(NoHeader::Broken), |length| Ok(Header { number, command, start, length }))
}

/// The number at `at`, and where it ends; its end must show.
fn number(front: &[u8], at: usize) -> Result<(u32, usize), NoHeader> {
    let digits = front.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit());
    let (mut number, mut count) = (0_u32, 0);
    for digit in digits {
        count += 1;
        if count > NUMBER_DIGITS {
            return Err(NoHeader::Broken);
        }
        number = number * 10 + u32::from(digit - b'0');
    }
    match front.get(at + count) {
        None => Err(NoHeader::Short),
        Some(_) if count == 0 => Err(NoHeader::Broken),
        Some(_) => Ok((number, at + count)),
    }
}

fn expect(front: &[u8], at: usize, byte: u8) -> Result<usize, NoHeader> {
    match front.get(at) {
        None => Err(NoHeader::Short),
        Some(found) if *found == byte => Ok(at + 1),
        Some(_) => Err(NoHeader::Broken),
    }
}
