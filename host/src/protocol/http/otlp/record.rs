//! What a log record means to mag, however it was written.

use std::borrow::Cow;

use super::{Parsed, Refusal, Take};
use crate::limits;
use crate::message::{Millis, Severity};
use crate::protocol::Extra;
use crate::protocol::labels::Labels;
use crate::protocol::text::cut;

const SERVICE: &str = "service.name";
const SCOPE_NAME: &str = "otel.scope.name";
const SCOPE_VERSION: &str = "otel.scope.version";
const EXCEPTION_TYPE: &str = "exception.type";
const EXCEPTION_MESSAGE: &str = "exception.message";
/// What keeps a severity that is none of mag's words.
const SEVERITY_LABEL: &str = "severity_text";

/// What all records of one resource or scope share.
#[derive(Debug, Default)]
pub(super) struct Shared<'a> {
    pub(super) labels: Labels<'a>,
}

impl<'a> Shared<'a> {
    /// A scope's name and version, under the names that OpenTelemetry gives them where there are only attributes.
    pub(super) fn add_scope(&mut self, name: impl Into<Cow<'a, str>>, version: impl Into<Cow<'a, str>>) {
        for (label, value) in [(SCOPE_NAME, name.into()), (SCOPE_VERSION, version.into())] {
            if !value.is_empty() {
                self.labels.add(label, value);
            }
        }
    }
}

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    /// Unix time in nanoseconds; 0 when not known.
    pub(super) time: u64,
    /// When it was collected, in the same way.
    pub(super) observed: u64,
    /// From 1 to 24; 0 when not known.
    pub(super) severity: u64,
    pub(super) severity_text: Cow<'a, str>,
    pub(super) body: Cow<'a, [u8]>,
    pub(super) event: Cow<'a, str>,
    pub(super) labels: Labels<'a>,
}

/// Takes records one after the other.
pub(super) struct Records<'t> {
    text_bytes: usize,
    take: &'t mut dyn Take,
    index: u64,
    /// What records may still come to when what they share is written out for each.
    left_bytes: usize,
}

impl<'t> Records<'t> {
    pub(super) fn new(text_bytes: usize, take: &'t mut dyn Take) -> Self {
        Self { text_bytes, take, index: 0, left_bytes: limits::HTTP_EXPANDED_BYTES }
    }

    /// Takes a record of this resource and scope.
    pub(super) fn take<'a>(
        &mut self,
        mut record: Record<'a>,
        scope: &'a Shared<'_>,
        resource: &'a Shared<'_>,
    ) -> Result<(), Refusal> {
        let index = self.index;
        self.index += 1;
        let severity = severity(&mut record);
        record.labels.add_all(&scope.labels);
        record.labels.add_all(&resource.labels);
        self.expand(&record)?;
        let Some(text) = text(&record.body, &record.labels, &record.event) else {
            self.take.refuse(index, "it has no body, no exception and no event name".to_owned());
            return Ok(());
        };
        let (text, truncated) = cut(&text, self.text_bytes);
        let ignored_keys = record.labels.left_out();
        let source = record.labels.get(SERVICE).filter(|name| !name.is_empty() && name.len() <= limits::WORD_BYTES);
        let source = source.map(|name| Cow::Owned(name.to_owned()));
        let extra = Extra { kind: None, source, labels: record.labels.into_pairs() };
        self.take.message(Parsed {
            time: time(record.time, record.observed),
            ignored_keys,
            extra: (extra != Extra::default()).then(|| Box::new(extra)),
            ..Parsed::plain(text, severity, truncated)
        });
        Ok(())
    }

    /// A few bytes of a record can stand for all that its resource says.
    fn expand(&mut self, record: &Record<'_>) -> Result<(), Refusal> {
        let bytes = record.labels.bytes() + record.labels.len() * limits::MERGE_LABEL_BYTES;
        let left = self.left_bytes.checked_sub(bytes);
        self.left_bytes = left.ok_or_else(|| {
            Refusal::too_large("the attributes that all records share are too much for so many records: send fewer")
        })?;
        Ok(())
    }
}

/// Whatever the record says first of these: a body, an exception, the name of an event.
fn text<'r>(body: &'r [u8], labels: &Labels<'_>, event: &'r str) -> Option<Cow<'r, [u8]>> {
    if !body.is_empty() {
        return Some(Cow::Borrowed(body));
    }
    let exception = |name| labels.get(name).filter(|value| !value.is_empty());
    match (exception(EXCEPTION_TYPE), exception(EXCEPTION_MESSAGE)) {
        (Some(class), Some(message)) => Some(Cow::Owned(format!("{class}: {message}").into_bytes())),
        (Some(one), None) | (None, Some(one)) => Some(Cow::Owned(one.as_bytes().to_vec())),
        (None, None) => Some(Cow::Borrowed(event.as_bytes())).filter(|event| !event.is_empty()),
    }
}

/// The number, else the words; words that mag does not know become a label.
fn severity(record: &mut Record<'_>) -> Option<Severity> {
    match record.severity {
        1..=4 => Some(Severity::Trace),
        5..=8 => Some(Severity::Debug),
        9..=12 => Some(Severity::Info),
        13..=16 => Some(Severity::Warning),
        17..=20 => Some(Severity::Error),
        21..=24 => Some(Severity::Critical),
        _ => {
            let word = std::mem::take(&mut record.severity_text);
            let known = Severity::from_word(&word);
            if known.is_none() && !word.is_empty() {
                record.labels.add(SEVERITY_LABEL, word);
            }
            known
        }
    }
}

/// When it happened, else when it was collected.
fn time(time: u64, observed: u64) -> Option<Millis> {
    [time, observed].into_iter().find(|time| *time != 0).map(|nanos| nanos / 1_000_000)
}
