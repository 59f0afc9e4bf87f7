//! The limits of a call: each with its name, its value, and the key of `mag.toml` that moves it.
//!
//! Pure values. Who enforces a limit stands elsewhere: `call` (time, memory), `hooks` (requests), `output` (the log),
//! `started` (what is given back).

use std::fmt;
use std::time::Duration;

use crate::config::PluginLimits;
use crate::limits;
use crate::message::counted;

/// Which of its exports a plugin is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// What it is.
    Describe,
    /// Whether its config is right, and what it wants to reach.
    Validate,
    /// Signing in.
    Prepare,
    /// Telling.
    Send,
}

impl Calling {
    /// The export's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Validate => "validate",
            Self::Prepare => "prepare",
            Self::Send => "send",
        }
    }
}

/// Something of which a call may have only so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// In all, waiting included.
    Time,
    /// Computing.
    Cpu,
    /// Linear memory.
    Memory,
    /// Elements of tables.
    Tables,
    /// Core modules.
    Instances,
    /// Recursion.
    Stack,
    /// Handles at a time.
    Resources,
    /// Bytes moved out of the guest in one step.
    Transfer,
    /// Requests and mails.
    Requests,
    /// Of them at a time.
    AtOnce,
    /// Header fields of a request.
    Headers,
    /// Bytes of them.
    HeaderSize,
    /// Body of a request.
    RequestSize,
    /// From a request to the end of its answer.
    AnswerTime,
    /// Body of an answer.
    AnswerSize,
    /// Bytes written into the log.
    LogSize,
    /// Lines written into the log.
    LogLines,
    /// What `prepare` gave back.
    State,
    /// What `send` gave back.
    Receipt,
}

impl Limit {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 19] = [
        Self::Time,
        Self::Cpu,
        Self::Memory,
        Self::Tables,
        Self::Instances,
        Self::Stack,
        Self::Resources,
        Self::Transfer,
        Self::Requests,
        Self::AtOnce,
        Self::Headers,
        Self::HeaderSize,
        Self::RequestSize,
        Self::AnswerTime,
        Self::AnswerSize,
        Self::LogSize,
        Self::LogLines,
        Self::State,
        Self::Receipt,
    ];

    /// The stable code in the store, in the API and on screen.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Time => "timeout",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Tables => "tables",
            Self::Instances => "instances",
            Self::Stack => "stack",
            Self::Resources => "resources",
            Self::Transfer => "transfer",
            Self::Requests => "too-many-requests",
            Self::AtOnce => "requests-at-once",
            Self::Headers => "headers",
            Self::HeaderSize => "header-size",
            Self::RequestSize => "request-size",
            Self::AnswerTime => "answer-timeout",
            Self::AnswerSize => "answer-size",
            Self::LogSize => "log-size",
            Self::LogLines => "log-lines",
            Self::State => "state",
            Self::Receipt => "receipt",
        }
    }

    /// Its name, as the key of a send has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.key(Calling::Send).map_or(self.code(), |key| key.strip_prefix("limits.").unwrap_or(key))
    }

    /// The name with the unit of a bare number behind it.
    #[must_use]
    pub fn measured(self) -> String {
        let unit = match self.amount(0) {
            Amount::Time(_) => "_us",
            Amount::Bytes(_) => "_bytes",
            Amount::Count(_) => "",
        };
        format!("{}{unit}", self.name())
    }

    /// The key that moves it in this call, as it stands below `[senders.NAME]`; none where it is fixed.
    #[must_use]
    pub fn key(self, call: Calling) -> Option<&'static str> {
        use Calling::{Prepare, Send};
        Some(match (self, call) {
            (Self::Time, Send) => "timeout",
            (Self::Time, Prepare) => "limits.prepare_timeout",
            (Self::Time, _) => "limits.offline_timeout",
            (Self::Cpu, Send) => "limits.cpu",
            (Self::Cpu, Prepare) => "limits.prepare_cpu",
            (Self::Cpu, _) => "limits.offline_cpu",
            (Self::Memory, _) => "limits.memory",
            (Self::Tables, _) => "limits.tables",
            (Self::Instances, _) => "limits.instances",
            (Self::Stack, _) => return None,
            (Self::Resources, _) => "limits.resources",
            (Self::Transfer, _) => "limits.transfer",
            (Self::Requests, Prepare) => "limits.prepare_requests",
            (Self::Requests, _) => "limits.requests",
            (Self::AtOnce, _) => "limits.requests_at_once",
            (Self::Headers, _) => "limits.headers",
            (Self::HeaderSize, _) => "limits.header_size",
            (Self::RequestSize, _) => "limits.request_size",
            (Self::AnswerTime, _) => "limits.answer_timeout",
            (Self::AnswerSize, Prepare) => "limits.prepare_answer_size",
            (Self::AnswerSize, _) => "limits.answer_size",
            (Self::LogSize, _) => "limits.log_size",
            (Self::LogLines, _) => "limits.log_lines",
            (Self::State, _) => "limits.state",
            (Self::Receipt, _) => "limits.receipt",
        })
    }

    /// The number as this limit measures it.
    #[must_use]
    pub fn amount(self, number: u64) -> Amount {
        match self {
            Self::Time | Self::Cpu | Self::AnswerTime => Amount::Time(Duration::from_micros(number)),
            Self::Memory
            | Self::Stack
            | Self::Transfer
            | Self::HeaderSize
            | Self::RequestSize
            | Self::AnswerSize
            | Self::LogSize
            | Self::State
            | Self::Receipt => Amount::Bytes(number),
            Self::Tables
            | Self::Instances
            | Self::Resources
            | Self::Requests
            | Self::AtOnce
            | Self::Headers
            | Self::LogLines => Amount::Count(number),
        }
    }

    /// What a plugin did that went past it.
    fn passed(self, amount: &Amount) -> String {
        match self {
            Self::Time => format!("no result within {amount}"),
            Self::Cpu => format!("it computed for more than {amount}"),
            Self::Memory => format!("it wanted more than {amount} of memory"),
            Self::Tables => format!("it wanted more than {} of tables", amount.of("element")),
            Self::Instances => format!("it is made of more than {}", amount.of("core module")),
            Self::Stack => format!("it recursed deeper than a stack of {amount}, which no key raises"),
            Self::Resources => format!("it held more than {amount} requests, bodies and streams at a time"),
            Self::Transfer => format!("it moved more than {amount} in one step"),
            Self::Requests => format!("it made more than {}", amount.of("request")),
            Self::AtOnce => format!("it had more than {} under way at a time", amount.of("request")),
            Self::Headers => format!("a request of it had more than {}", amount.of("header field")),
            Self::HeaderSize => format!("the header fields of a request had more than {amount}"),
            Self::RequestSize => format!("a request of it had more than {amount}"),
            Self::AnswerTime => format!("an answer took longer than {amount}"),
            Self::AnswerSize => format!("an answer had more than {amount}"),
            Self::LogSize => format!("it wrote more than {amount} into the log"),
            Self::LogLines => format!("it wrote more than {} into the log", amount.of("line")),
            Self::State => format!("its state has more than {amount}"),
            Self::Receipt => format!("its receipt has more than {amount}"),
        }
    }
}

/// So much of something, as a person reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Things.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// A time.
    Time(Duration),
}

impl Amount {
    /// So many of these.
    fn of(self, noun: &str) -> String {
        match self {
            Self::Count(count) => counted(count, noun),
            other => format!("{other} {noun}s"),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: u64 = 1024;
        const MIB: u64 = 1024 * 1024;
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) if bytes >= MIB && bytes % MIB == 0 => write!(f, "{} MiB", bytes / MIB),
            Self::Bytes(bytes) if bytes >= KIB && bytes % KIB == 0 => write!(f, "{} KiB", bytes / KIB),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Time(time) => write!(f, "{}", humantime::format_duration(time)),
        }
    }
}

/// How far one call may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimits {
    pub(super) call: Calling,
    of: PluginLimits,
    send_timeout: Duration,
    /// What passed of the call's time before its guest began.
    passed_before: Duration,
}

impl CallLimits {
    pub(super) fn new(call: Calling, of: PluginLimits, send_timeout: Duration) -> Self {
        Self { call, of, send_timeout, passed_before: Duration::ZERO }
    }

    /// The same once so much of the time has passed.
    pub(super) fn after(self, passed_before: Duration) -> Self {
        Self { passed_before, ..self }
    }

    /// What the guest may still take, waiting included.
    pub(super) fn left(&self) -> Duration {
        self.timeout().saturating_sub(self.passed_before)
    }

    /// The same sender's, for another call.
    pub(super) fn of_call(&self, call: Calling) -> Self {
        Self { call, ..*self }
    }

    pub(super) fn of(&self) -> &PluginLimits {
        &self.of
    }

    /// In all, waiting included.
    pub(super) fn timeout(&self) -> Duration {
        match self.call {
            Calling::Describe | Calling::Validate => self.of.offline_timeout,
            Calling::Prepare => self.of.prepare_timeout,
            Calling::Send => self.send_timeout,
        }
    }

    /// Of computing.
    pub(super) fn cpu(&self) -> Duration {
        match self.call {
            Calling::Describe | Calling::Validate => self.of.offline_cpu,
            Calling::Prepare => self.of.prepare_cpu,
            Calling::Send => self.of.send_cpu,
        }
    }

    /// HTTP requests and mails together.
    pub(super) fn requests(&self) -> u32 {
        match self.call {
            Calling::Describe | Calling::Validate => 0,
            Calling::Prepare => self.of.prepare_requests,
            Calling::Send => self.of.send_requests,
        }
    }

    /// Bytes of one answer.
    pub(super) fn answer_bytes(&self) -> usize {
        if self.call == Calling::Prepare { self.of.prepare_answer_bytes } else { self.of.send_answer_bytes }
    }

    /// From a request to the end of its answer.
    pub(super) fn answer_timeout(&self) -> Duration {
        self.of.answer_timeout.unwrap_or_else(|| self.timeout()).min(self.timeout())
    }

    /// So much of it this call may have.
    pub(super) fn allowed(&self, limit: Limit) -> Amount {
        let of = &self.of;
        let number = match limit {
            Limit::Time => return Amount::Time(self.timeout()),
            Limit::Cpu => return Amount::Time(self.cpu()),
            Limit::AnswerTime => return Amount::Time(self.answer_timeout()),
            Limit::Memory => of.memory_bytes,
            Limit::Tables => of.table_elements,
            Limit::Instances => of.instances,
            Limit::Stack => limits::PLUGIN_STACK_BYTES,
            Limit::Resources => of.resources,
            Limit::Transfer => of.transfer_bytes,
            Limit::Requests => return Amount::Count(self.requests().into()),
            Limit::AtOnce => return Amount::Count(of.requests_at_once.into()),
            Limit::Headers => of.header_fields,
            Limit::HeaderSize => of.header_bytes,
            Limit::RequestSize => of.request_bytes,
            Limit::AnswerSize => self.answer_bytes(),
            Limit::LogSize => of.log_bytes,
            Limit::LogLines => of.log_lines,
            Limit::State => of.state_bytes,
            Limit::Receipt => of.receipt_bytes,
        };
        limit.amount(number as u64)
    }

    /// What went wrong, for a person: which limit, its value, and the key of `mag.toml` that raises it.
    pub(super) fn passed(&self, limit: Limit, sender: &str) -> String {
        let said = limit.passed(&self.allowed(limit));
        match limit.key(self.call) {
            Some(key) => format!("{said}; `{key}` of [senders.{sender}] raises that"),
            None => said,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_code_of_its_own_and_a_key_that_the_config_knows() {
        let codes: std::collections::BTreeSet<_> = Limit::ALL.iter().map(|limit| limit.code()).collect();
        assert_eq!(codes.len(), Limit::ALL.len());
        let schema = crate::config::schema();
        for call in [Calling::Describe, Calling::Validate, Calling::Prepare, Calling::Send] {
            for limit in Limit::ALL {
                let Some(key) = limit.key(call) else { continue };
                let (section, key) = match key.strip_prefix("limits.") {
                    Some(key) => ("sender_limits", key),
                    None => ("sender", key),
                };
                assert!(schema["$defs"][section]["properties"][key].is_object(), "{section}.{key}");
            }
        }
    }

    #[test]
    fn a_limit_that_was_passed_is_named_with_its_value_and_the_key_that_raises_it() {
        let of = CallLimits::new(Calling::Send, PluginLimits::default(), Duration::from_secs(10));
        assert_eq!(
            of.passed(Limit::Memory, "team"),
            "it wanted more than 128 MiB of memory; `limits.memory` of [senders.team] raises that"
        );
        assert_eq!(of.passed(Limit::Time, "team"), "no result within 10s; `timeout` of [senders.team] raises that");
        assert_eq!(of.passed(Limit::Stack, "team"), "it recursed deeper than a stack of 1 MiB, which no key raises");
    }
}
