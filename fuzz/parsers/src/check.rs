//! Every parser by its name, and what is checked of all: it returns, soon, and takes no more memory than it may.

use std::time::Duration;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

mod datagram;
mod http;
mod stream;
mod text;

/// Computing time of one input, whatever else the machine does.
const MOST_TIME: Duration = Duration::from_secs(1);
/// What the parsing of one input may take of memory, all allocations together.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// The same where an input is inflated: to at most 16 MiB, which are there twice while they grow.
const MOST_INFLATED_BYTES: usize = 3 * MOST_BYTES;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a parser made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong with it.
    Read,
    /// Something is: it was refused, in part or as a whole, or is not all there.
    Malformed,
}

impl Verdict {
    fn malformed_if(is_wrong: bool) -> Self {
        if is_wrong { Self::Malformed } else { Self::Read }
    }
}

/// One of mag's parsers.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// Its name; also that of its fuzz target and its corpus.
    pub name: &'static str,
    check: fn(&[u8]) -> Verdict,
    most_bytes: usize,
}

/// All of them.
pub const PARSERS: &[Parser] = &[
    Parser::of("alert_webhook", http::alert_webhook),
    Parser::of("alerts", http::alerts),
    Parser::of("auto", stream::auto),
    Parser::of("classic", stream::classic),
    Parser::of("cloudevents", http::cloudevents),
    Parser::of("config", text::config),
    Parser::of("config_value", text::config_value),
    Parser::of("detect", stream::detection),
    Parser::of("forward", stream::forward),
    Parser::of("gelf", stream::gelf),
    Parser::of("gelf_datagram", datagram::gelf),
    Parser::of("gelf_http", http::gelf),
    Parser::of("greeting", stream::greeting),
    Parser { most_bytes: MOST_INFLATED_BYTES, ..Parser::of("inflate", datagram::inflated) },
    Parser::of("matcher", text::matcher),
    Parser::of("messages", http::messages),
    Parser::of("ndjson", stream::ndjson),
    Parser { most_bytes: MOST_INFLATED_BYTES, ..Parser::of("otlp", http::otlp) },
    Parser::of("proxy", datagram::proxy),
    Parser::of("relp", stream::relp),
    Parser::of("sentry", http::sentry),
    Parser::of("silence", text::silence),
    Parser::of("syslog", stream::syslog),
    Parser::of("syslog_datagram", datagram::syslog),
];

impl Parser {
    /// A parser with the usual bounds.
    #[must_use]
    pub const fn of(name: &'static str, check: fn(&[u8]) -> Verdict) -> Self {
        Self { name, check, most_bytes: MOST_BYTES }
    }

    /// The parser of this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn named(name: &str) -> &'static Self {
        PARSERS.iter().find(|parser| parser.name == name).expect("a parser of PARSERS")
    }

    /// Has the parser read `input`, while nobody else does anything.
    ///
    /// # Panics
    ///
    /// When anything does not hold that must hold for any bytes.
    pub fn check(&self, input: &[u8]) -> Verdict {
        MEMORY.reset_peak_usage();
        let (before, started) = (MEMORY.current_usage(), computed());
        let verdict = (self.check)(input);
        let (took, more) = (computed().saturating_sub(started), MEMORY.peak_usage().saturating_sub(before));
        assert!(took <= MOST_TIME, "{}: {took:?} of computing for {} bytes", self.name, input.len());
        assert!(more <= self.most_bytes, "{}: {more} bytes of memory for {}", self.name, input.len());
        verdict
    }
}

/// How long this thread has computed.
#[must_use]
pub fn computed() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
