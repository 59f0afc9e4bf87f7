//! A message, and how each protocol writes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::Error;

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Severity {
    /// Finer than debugging.
    Trace,
    /// For whoever debugs the program.
    Debug,
    /// Normal operation.
    Info,
    /// Normal, but worth a look.
    Notice,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
    /// A person is needed.
    Critical,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl From<Severity> for String {
    fn from(severity: Severity) -> Self {
        severity.as_str().to_owned()
    }
}

/// One event to tell mag of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    text: String,
    kind: Option<String>,
    severity: Option<String>,
    source: Option<String>,
    labels: BTreeMap<String, String>,
    count: Option<u64>,
    id: Option<String>,
}

impl Message {
    /// A message that says `text`; equal texts are counted together.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// What its texts take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let words = [&self.kind, &self.severity, &self.source, &self.id].into_iter().flatten().map(String::len);
        let labels = self.labels.iter().map(|(name, value)| name.len() + value.len());
        self.text.len() + words.chain(labels).sum::<usize>()
    }

    /// What sort of message it is; routes decide by it.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// How bad it is: a [`Severity`], or a word of your own, which mag keeps as the label `severity_text`.
    #[must_use]
    pub fn severity(mut self, severity: impl Into<String>) -> Self {
        self.severity = Some(severity.into());
        self
    }

    /// Who says so, instead of this machine's address.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A label; of two with the same name the later one wins.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// How often it happened, if more than once.
    #[must_use]
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// An id of your own, instead of the one that the client gives it: mag counts a message with the same id from the
    /// same source once, even if another process sends it again.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Writes it as one line of NDJSON, with `id` unless it has one of its own.
    pub(crate) fn write_ndjson(&self, id: Option<&str>, out: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert("text".to_owned(), json!(self.text));
        for (name, value) in [("kind", &self.kind), ("severity", &self.severity), ("source", &self.source)] {
            if let Some(value) = value {
                object.insert(name.to_owned(), json!(value));
            }
        }
        if !self.labels.is_empty() {
            object.insert("labels".to_owned(), json!(self.labels));
        }
        if let Some(count) = self.count {
            object.insert("count".to_owned(), json!(count));
        }
        if let Some(id) = self.id.as_deref().or(id) {
            object.insert("id".to_owned(), json!(id));
        }
        out.extend_from_slice(Value::Object(object).to_string().as_bytes());
        out.push(b'\n');
    }

    /// Writes it as a classic command, which carries one line of text and whether it is an error.
    pub(crate) fn write_classic(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let command = match self.severity.as_deref() {
            None => "STRING\n",
            Some("error") => "ERROR\n",
            Some(_) => return Err(Error::Invalid("the classic protocol carries no severity but error; use NDJSON")),
        };
        let more = self.kind.is_some() || self.source.is_some() || self.count.is_some() || self.id.is_some();
        if more || !self.labels.is_empty() {
            return Err(Error::Invalid("the classic protocol carries a text alone; use NDJSON"));
        }
        if self.text.contains('\n') {
            return Err(Error::Invalid("the classic protocol carries one line of text; use NDJSON"));
        }
        for part in [command, &self.text, "\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Severity};

    #[test]
    fn ndjson_carries_everything_and_nothing_that_was_not_said() {
        let mut out = Vec::new();
        Message::new("a\n\"b\"").write_ndjson(None, &mut out);
        let message = Message::new("c").kind("k").severity(Severity::Warning).source("s").label("x", "1").count(3);
        message.write_ndjson(Some("7"), &mut out);
        message.id("own").write_ndjson(Some("8"), &mut out);
        let expect = "{\"text\":\"a\\n\\\"b\\\"\"}\n\
            {\"count\":3,\"id\":\"7\",\"kind\":\"k\",\"labels\":{\"x\":\"1\"},\"severity\":\"warning\",\"source\":\"s\",\"text\":\"c\"}\n\
            {\"count\":3,\"id\":\"own\",\"kind\":\"k\",\"labels\":{\"x\":\"1\"},\"severity\":\"warning\",\"source\":\"s\",\"text\":\"c\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }

    #[test]
    fn classic_carries_one_line_of_text() {
        let mut out = Vec::new();
        Message::new("a").write_classic(&mut out).unwrap();
        Message::new("b").severity(Severity::Error).write_classic(&mut out).unwrap();
        assert_eq!(out, b"STRING\na\nERROR\nb\n");
        for bad in [Message::new("a\nb"), Message::new("a").kind("k"), Message::new("a").severity("info")] {
            assert!(bad.write_classic(&mut out).is_err());
        }
    }
}
