//! A real SMTP server on the loopback: takes mails apart, and goes wrong when it is told to.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::record::Record;
use super::tls::Certificate;

/// A mail that was handed over whole, whatever was answered then.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// The envelope's sender.
    pub(crate) from: String,
    /// The envelope's recipients.
    pub(crate) to: Vec<String>,
    /// User and password of the login.
    pub(crate) login: Option<(String, String)>,
    /// Whether the connection was encrypted.
    pub(crate) encrypted: bool,
    content: String,
}

impl Mail {
    /// Name and value of each header, continuation lines joined.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let head = self.content.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        unfolded.split("\r\n").filter_map(pair).collect()
    }

    /// The value of a header that must be there once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> String {
        let mut values: Vec<_> = self.headers().into_iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).collect();
        assert_eq!(values.len(), 1, "header {name} of {self:#?}");
        values.remove(0).1
    }

    /// The text, decoded, with plain line ends.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        assert_eq!(self.header("content-transfer-encoding"), "quoted-printable");
        let (_, body) = self.content.split_once("\r\n\r\n").expect("an empty line behind the headers");
        let mut bytes = Vec::new();
        for (n, part) in body.replace("=\r\n", "").split('=').enumerate() {
            let (escape, rest) = if n == 0 { ("", part) } else { part.split_at(2) };
            bytes.extend(u8::from_str_radix(escape, 16));
            bytes.extend(rest.bytes());
        }
        String::from_utf8(bytes).expect("a text in UTF-8").replace("\r\n", "\n")
    }
}

/// How one connection goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    /// MAIL is answered with this line.
    AtMail(&'static str),
    /// RCPT is answered with this line.
    AtRecipient(&'static str),
    /// The content is answered with this line.
    AtContent(&'static str),
    /// The connection ends after the content, before its answer.
    GoneAfterContent,
}

#[derive(Clone, Default)]
struct Manner {
    certificate: Option<Certificate>,
    /// Encrypted from the first byte, instead of by STARTTLS.
    implicit: bool,
    login: Option<(&'static str, &'static str)>,
}

/// The server.
pub(crate) struct MailServer {
    address: SocketAddr,
    mails: Arc<Record<Mail>>,
    twists: Arc<Mutex<VecDeque<Twist>>>,
    over: Arc<AtomicBool>,
}

impl MailServer {
    /// A server that wants no login and has no TLS.
    pub(crate) fn start() -> Self {
        Self::with(Manner::default())
    }

    /// A server that offers STARTTLS and wants a login.
    pub(crate) fn with_starttls(certificate: &Certificate, user: &'static str, password: &'static str) -> Self {
        Self::with(Manner { certificate: Some(certificate.clone()), implicit: false, login: Some((user, password)) })
    }

    /// A server that is encrypted from the first byte and wants a login.
    pub(crate) fn with_tls(certificate: &Certificate, user: &'static str, password: &'static str) -> Self {
        Self::with(Manner { certificate: Some(certificate.clone()), implicit: true, login: Some((user, password)) })
    }

    fn with(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let server = Self { address, mails: Arc::default(), twists: Arc::default(), over: Arc::default() };
        let (mails, twists, over) = (Arc::clone(&server.mails), Arc::clone(&server.twists), Arc::clone(&server.over));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let twist = twists.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let session = Session { mails: Arc::clone(&mails), manner: manner.clone(), twist };
                // A client that goes away in the middle ends its session, nothing else.
                thread::spawn(move || drop(session.serve(stream)));
            }
        });
        server
    }

    /// The next connection goes wrong like this; called again, the one after it.
    pub(crate) fn twists_next(self, twist: Twist) -> Self {
        self.twists.lock().unwrap_or_else(PoisonError::into_inner).push_back(twist);
        self
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The `number`-th mail, counted from 1, as soon as it came.
    #[track_caller]
    pub(crate) fn mail(&self, number: usize) -> Mail {
        self.mails.wait_for(&format!("mail {number}"), |all| all.get(number.checked_sub(1)?).cloned())
    }

    /// All mails so far.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.all()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the loop that accepts, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

/// Whether the session goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoesOn,
    StartTls,
    Over,
}

struct Session {
    mails: Arc<Record<Mail>>,
    manner: Manner,
    twist: Option<Twist>,
}

impl Session {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        match &self.manner.certificate {
            Some(certificate) if self.manner.implicit => Talk::new(self, certificate.wrap(stream), true).run(true)?,
            Some(certificate) => {
                if Talk::new(self, &mut stream, false).run(true)? == Next::StartTls {
                    Talk::new(self, certificate.wrap(stream), true).run(false)?;
                }
                Next::Over
            }
            None => Talk::new(self, stream, false).run(true)?,
        };
        Ok(())
    }
}

/// One side of a conversation, over plain or encrypted bytes.
struct Talk<'s, S> {
    session: &'s Session,
    stream: S,
    encrypted: bool,
    from: String,
    to: Vec<String>,
    login: Option<(String, String)>,
}

impl<'s, S: Read + Write> Talk<'s, S> {
    fn new(session: &'s Session, stream: S, encrypted: bool) -> Self {
        Self { session, stream, encrypted, from: String::new(), to: Vec::new(), login: None }
    }

    fn run(&mut self, greet: bool) -> io::Result<Next> {
        if greet {
            self.say("220 mail.example.org ESMTP")?;
        }
        loop {
            let line = self.hear()?;
            let next = self.command(&line)?;
            if next != Next::GoesOn {
                return Ok(next);
            }
        }
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.stream.write_all(format!("{line}\r\n").as_bytes())?;
        self.stream.flush()
    }

    /// A line without its end, read byte by byte: nothing that comes after STARTTLS may be read before it.
    fn hear(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte)?;
            line.extend(byte);
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
        }
    }

    fn command(&mut self, line: &str) -> io::Result<Next> {
        let upper = line.to_ascii_uppercase();
        let twist = self.session.twist.clone();
        match upper.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => self.greet_back()?,
            "STARTTLS" if self.session.manner.certificate.is_some() && !self.encrypted => {
                self.say("220 go ahead")?;
                return Ok(Next::StartTls);
            }
            "AUTH" => self.auth(line)?,
            "MAIL" if self.session.manner.login.is_some() && self.login.is_none() => self.say("530 log in first")?,
            "MAIL" => match twist {
                Some(Twist::AtMail(answer)) => self.say(answer)?,
                _ => {
                    self.from = address(line);
                    self.say("250 ok")?;
                }
            },
            "RCPT" => match twist {
                Some(Twist::AtRecipient(answer)) => self.say(answer)?,
                _ => {
                    self.to.push(address(line));
                    self.say("250 ok")?;
                }
            },
            "DATA" => return self.content(),
            "QUIT" => {
                self.say("221 bye")?;
                return Ok(Next::Over);
            }
            "RSET" | "NOOP" => self.say("250 ok")?,
            _ => self.say("500 what?")?,
        }
        Ok(Next::GoesOn)
    }

    fn greet_back(&mut self) -> io::Result<()> {
        let offers_tls = self.session.manner.certificate.is_some() && !self.encrypted;
        if offers_tls {
            self.say("250-STARTTLS")?;
        } else if self.session.manner.login.is_some() {
            self.say("250-AUTH PLAIN LOGIN")?;
        }
        self.say("250 8BITMIME")
    }

    fn auth(&mut self, line: &str) -> io::Result<()> {
        let mut words = line.split(' ').skip(1);
        let (mechanism, first) = (words.next().unwrap_or_default(), words.next());
        let (user, password) = match (mechanism, first) {
            ("PLAIN", Some(both)) => {
                let both = base64(both);
                let mut parts = both.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            ("LOGIN", None) => {
                self.say("334 VXNlcm5hbWU6")?;
                let user = base64(&self.hear()?);
                self.say("334 UGFzc3dvcmQ6")?;
                (user, base64(&self.hear()?))
            }
            _ => return self.say("504 not this way"),
        };
        if self.session.manner.login == Some((&user, &password)) {
            self.login = Some((user, password));
            self.say("235 welcome")
        } else {
            self.say("535 5.7.8 who are you?")
        }
    }

    fn content(&mut self) -> io::Result<Next> {
        self.say("354 go ahead")?;
        let mut content = String::new();
        loop {
            let line = self.hear()?;
            if line == "." {
                break;
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
        let (from, to, login) = (self.from.clone(), std::mem::take(&mut self.to), self.login.clone());
        self.session.mails.push(Mail { from, to, login, encrypted: self.encrypted, content });
        match self.session.twist.clone() {
            Some(Twist::GoneAfterContent) => return Ok(Next::Over),
            Some(Twist::AtContent(answer)) => self.say(answer)?,
            _ => self.say("250 taken")?,
        }
        Ok(Next::GoesOn)
    }
}

/// What stands between `<` and `>`.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| ALPHABET.iter().position(|letter| *letter == byte));
    let (mut bits, mut held, mut bytes) = (0_usize, 0, Vec::new());
    for digit in digits {
        (bits, held) = ((bits << 6 | digit) & 0xffff, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.extend(u8::try_from(bits >> held & 0xff));
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
