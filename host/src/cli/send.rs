//! `mag send`: tells a running mag one message, or every line of standard input.
//!
//! Success means that mag has committed all of it. Memory stays bounded whatever comes in.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use mag_client::{Builder, Client, Error, Message};

use super::reach::{self, Papers, ReachError};
use super::{EXIT_DENIED, EXIT_TEMPORARY, EXIT_USAGE, complain};
use crate::limits;

/// mag cuts longer texts, so more of a line is not kept; what is kept beyond the limit makes mag say so.
const LINE_BYTES: usize = limits::TEXT_BYTES + 4;

/// Arguments of `mag send`.
#[derive(Args, Clone, Debug)]
pub(super) struct SendArgs {
    /// The message; `-` alone sends each line of standard input, empty ones left out
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    #[command(flatten)]
    to: To,
    /// How bad it is: trace, debug, info, notice, warning, error or critical
    #[arg(long, value_name = "WORD")]
    severity: Option<String>,
}

/// Which mag, and what every message has.
#[derive(Args, Clone, Debug)]
pub(super) struct To {
    /// Where mag listens: HOST:PORT, unix:PATH, tls:HOST:PORT, http://HOST:PORT or https://HOST:PORT; else the first fitting
    /// [[listen]] of the config, else 127.0.0.1:3050. The token of an HTTP port is that in `MAG_TOKEN`, else the config's
    #[arg(long = "to", value_name = "ADDRESS", env = "MAG_ADDRESS")]
    address: Option<String>,
    /// With tls: the PEM file of who signed mag's certificate, instead of the system's authorities
    #[arg(long, value_name = "FILE", env = "MAG_CA")]
    ca: Option<PathBuf>,
    /// With TLS: the PEM file of the certificate to show, for a port with `client_ca`; needs --key
    #[arg(long, value_name = "FILE", env = "MAG_CERT", requires = "key")]
    cert: Option<PathBuf>,
    /// The PEM file of its private key
    #[arg(long, value_name = "FILE", env = "MAG_KEY", requires = "cert")]
    key: Option<PathBuf>,
    /// What sort of message it is; routes decide by it
    #[arg(long)]
    kind: Option<String>,
    /// A label; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// How long to wait for mag
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub(super) timeout: Duration,
}

impl To {
    /// Begins a client of the mag that is meant; says also how that one is named.
    pub(super) fn client(&self, config: Option<&Path>) -> Result<(Builder, String), ReachError> {
        let filled = self.address.as_deref().filter(|address| !address.is_empty());
        let own = self.cert.as_deref().zip(self.key.as_deref());
        let (client, named) = reach::find(filled, Papers { ca: self.ca.as_deref(), own }, config)?;
        Ok((client.timeout(self.timeout), named))
    }

    /// A message with everything that was said about all of them.
    pub(super) fn message(&self, text: impl Into<String>) -> Message {
        let mut message = Message::new(text);
        if let Some(kind) = &self.kind {
            message = message.kind(kind);
        }
        for (name, value) in &self.label {
            message = message.label(name, value);
        }
        message
    }
}

/// Sends what `args` say; exit status 0 acknowledged, 1 refused, 2 arguments or config, 75 not reached or no
/// ack in time, 77 not allowed.
#[must_use]
pub(super) fn run(args: &SendArgs, config: Option<&Path>) -> ExitCode {
    let client = match args.to.client(config) {
        Ok((client, _)) => client,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match send(args, client, io::stdin().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Without a standard error there is nobody to tell; the exit status says it anyway.
            drop(writeln!(io::stderr(), "mag: {failure}"));
            ExitCode::from(failure.exit_status())
        }
    }
}

/// Why not everything is with mag.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    #[error("{0}; start it with `mag run`, or say where it is with --to")]
    Away(Error),
    /// A wrong token, or a socket that this user may not open.
    #[error("{0}")]
    Denied(Error),
    #[error("{0}")]
    Other(Error),
}

impl Failure {
    fn exit_status(&self) -> u8 {
        match self {
            Self::Away(_) | Self::Other(Error::NoAck { .. }) => EXIT_TEMPORARY,
            Self::Denied(_) => EXIT_DENIED,
            Self::Input(_) | Self::Other(_) => 1,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            error if error.is_denied() => Self::Denied(error),
            Error::NotReached { .. } => Self::Away(error),
            other => Self::Other(other),
        }
    }
}

fn send(args: &SendArgs, client: Builder, input: impl Read) -> Result<(), Failure> {
    // A message is never sent twice: with a broken connection the caller decides.
    let mut client = client.reconnect(false).connect()?;
    if args.words == ["-"] {
        send_lines(args, &mut client, input)?;
    } else {
        client.send(&message(args, args.words.join(" ")))?;
    }
    Ok(client.close()?)
}

fn send_lines(args: &SendArgs, client: &mut Client, input: impl Read) -> Result<(), Failure> {
    let mut input = BufReader::with_capacity(limits::READ_BUFFER_BYTES, input);
    let mut line = Vec::new();
    while read_line(&mut input, &mut line).map_err(Failure::Input)? {
        if !line.is_empty() {
            client.queue(&message(args, String::from_utf8_lossy(&line).into_owned()))?;
        }
        if input.buffer().is_empty() {
            // Whoever writes slowly, as `tail -f` does, is told at once.
            client.push()?;
        }
    }
    Ok(())
}

/// The next line without its end, at most [`LINE_BYTES`] of it; `false` at the end of the input.
pub(super) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut began = false;
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(began);
        }
        began = true;
        let end = memchr::memchr(b'\n', bytes);
        let part = end.and_then(|at| bytes.get(..at)).unwrap_or(bytes);
        let room = LINE_BYTES.saturating_sub(line.len()).min(part.len());
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let used = end.map_or(bytes.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            line.pop_if(|last| *last == b'\r');
            return Ok(true);
        }
    }
}

fn message(args: &SendArgs, text: String) -> Message {
    let message = args.to.message(text);
    match &args.severity {
        Some(severity) => message.severity(severity),
        None => message,
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Cursor, Write as _};
    use std::net::TcpListener;
    use std::thread::{JoinHandle, spawn};

    use clap::Parser;

    use super::{Failure, LINE_BYTES, SendArgs, read_line};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SendArgs,
    }

    fn args(words: &[&str]) -> SendArgs {
        Command::try_parse_from(["send"].iter().chain(words)).unwrap().args
    }

    fn send(args: &SendArgs, input: impl std::io::Read) -> Result<(), Failure> {
        super::send(args, args.to.client(None).unwrap().0, input)
    }

    /// A mag that hears so many lines after the wish for acks, then answers; gives back the lines, without their ids.
    fn mag(lines: usize, answer: &'static str) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hearing = spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let mut heard = Vec::new();
            for _ in 0..=lines {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                heard.push(line);
            }
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            heard.split_off(1).iter().map(|line| without_id(line)).collect()
        });
        (address, hearing)
    }

    /// The line as it would be without the id that the client gives every message.
    fn without_id(line: &str) -> String {
        let mut message: serde_json::Value = serde_json::from_str(line).unwrap();
        let id = message.as_object_mut().unwrap().remove("id");
        assert!(id.is_some_and(|id| id.is_string()), "{line}");
        format!("{message}\n")
    }

    #[test]
    fn words_are_one_message_with_everything_that_was_said_about_it() {
        let (address, hearing) = mag(1, "{\"acked\":1}\n");
        let said = ["disk", "full", "--to", &address, "--kind", "k", "--severity", "error"];
        let args = args(&[&said[..], &["--label", "a=b=c", "--label", "d="]].concat());
        send(&args, io_nothing()).unwrap();
        let expect =
            "{\"kind\":\"k\",\"labels\":{\"a\":\"b=c\",\"d\":\"\"},\"severity\":\"error\",\"text\":\"disk full\"}\n";
        assert_eq!(hearing.join().unwrap(), [expect]);
    }

    #[test]
    fn each_line_of_standard_input_is_a_message() {
        let (address, hearing) = mag(3, "{\"acked\":3}\n");
        send(&args(&["-", "--to", &address]), Cursor::new("a\r\n\n\nb c\nlast")).unwrap();
        assert_eq!(hearing.join().unwrap(), ["{\"text\":\"a\"}\n", "{\"text\":\"b c\"}\n", "{\"text\":\"last\"}\n"]);
    }

    #[test]
    fn refused_is_1_and_not_reached_or_no_ack_is_75() {
        let (address, hearing) = mag(1, "{\"error\":\"`text` is too odd\",\"line\":2}\n");
        let failure = send(&args(&["a", "--to", &address]), io_nothing()).unwrap_err();
        assert_eq!(failure.to_string(), "mag refused message 1: `text` is too odd");
        assert_eq!(failure.exit_status(), 1);
        hearing.join().unwrap();

        let failure = send(&args(&["a", "--to", &address]), io_nothing()).unwrap_err();
        assert!(matches!(failure, Failure::Away(_)));
        assert!(failure.to_string().starts_with(&format!("cannot reach mag at {address}: ")), "{failure}");
        assert_eq!(failure.exit_status(), 75);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let failure = send(&args(&["a", "--to", &address, "--timeout", "50ms"]), io_nothing()).unwrap_err();
        let expect = format!("no ack from mag at {address} in 50ms; messages that may or may not be counted: 1");
        assert_eq!((failure.to_string(), failure.exit_status()), (expect, 75));
    }

    #[test]
    fn a_line_without_end_is_kept_only_in_part() {
        let mut input = Cursor::new([&vec![b'x'; LINE_BYTES * 9][..], b"\nnext\n"].concat());
        let mut line = Vec::new();
        assert!(read_line(&mut input, &mut line).unwrap());
        assert_eq!(line.len(), LINE_BYTES);
        assert!(read_line(&mut input, &mut line).unwrap());
        assert_eq!(line, b"next");
        assert!(!read_line(&mut input, &mut line).unwrap());
    }

    #[test]
    fn a_label_needs_a_name() {
        for bad in ["=x", "x"] {
            assert!(Command::try_parse_from(["send", "a", "--label", bad]).is_err());
        }
    }

    fn io_nothing() -> std::io::Empty {
        std::io::empty()
    }
}
