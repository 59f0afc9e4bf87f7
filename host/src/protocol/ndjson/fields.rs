//! What the members of a line must be: every check has one sentence that tells the client what is wrong.

use std::borrow::Cow;

use super::object::{self, Object};
use super::time;
use super::value::Value;
use crate::limits;
use crate::message::{DEFAULT_KIND, Millis, Severity};

/// What keeps a severity that is none of mag's words.
const SEVERITY_LABEL: &str = "severity_text";
/// Characters of the client's own names that an error repeats.
const SHOWN_CHARS: usize = 64;

/// Name and value of a label.
type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What one line asks for.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Ack,
    Message(Fields<'a>),
}

/// A message, checked.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) severity: Option<Severity>,
    pub(super) labels: Vec<Label<'a>>,
    pub(super) source: Option<Cow<'a, str>>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) count: u64,
    pub(super) time: Option<Millis>,
    pub(super) ignored: u64,
}

/// Reads and checks a line.
pub(super) fn read(line: &str) -> Result<Line<'_>, String> {
    let mut object = object::read(line)?;
    if object.members == 1
        && let Some(ack) = object.ack
    {
        return if ack == Value::Bool(true) { Ok(Line::Ack) } else { Err("`ack` must be true".to_owned()) };
    }
    let mut ignored = object.others + u64::from(object.ack.is_some());
    let text = text(&mut object, &mut ignored)?;
    let mut labels = labels(present(object.labels.take()))?;
    let severity = severity(&mut object, &mut ignored, &mut labels)?;
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Line::Message(Fields {
        text,
        kind: word("kind", limits::WORD_BYTES, object.kind)?.filter(|kind| kind != DEFAULT_KIND),
        severity,
        labels,
        source: word("source", limits::WORD_BYTES, object.source)?,
        id: word("id", limits::ID_BYTES, object.id)?,
        count: count(present(object.count).as_ref())?,
        time: when(present(object.time).as_ref())?,
        ignored,
    }))
}

/// A key that is null counts as left out.
fn present(value: Option<Value<'_>>) -> Option<Value<'_>> {
    value.filter(|value| *value != Value::Null)
}

/// The first of the spellings that is there; the others mean nothing then.
fn first_of<'a, const N: usize>(
    spellings: [(&'static str, Option<Value<'a>>); N],
    ignored: &mut u64,
) -> Option<(&'static str, Value<'a>)> {
    let mut given = spellings.into_iter().filter_map(|(name, value)| Some((name, present(value)?)));
    let first = given.next();
    for _ in given {
        *ignored += 1;
    }
    first
}

fn text<'a>(object: &mut Object<'a>, ignored: &mut u64) -> Result<Cow<'a, str>, String> {
    let spellings = [("text", object.text.take()), ("message", object.message.take()), ("msg", object.msg.take())];
    match first_of(spellings, ignored) {
        None => Err("`text` is missing".to_owned()),
        Some((_, Value::Text(text))) => Ok(text),
        Some((name, _)) => Err(format!("`{name}` must be a string")),
    }
}

fn severity<'a>(
    object: &mut Object<'a>,
    ignored: &mut u64,
    labels: &mut Vec<Label<'a>>,
) -> Result<Option<Severity>, String> {
    let spellings = [("severity", object.severity.take()), ("level", object.level.take())];
    let Some((name, value)) = first_of(spellings, ignored) else { return Ok(None) };
    let Some(word) = word(name, limits::WORD_BYTES, Some(value))? else { return Ok(None) };
    let known = Severity::from_word(&word);
    if known.is_none() {
        labels.retain(|(label, _)| label != SEVERITY_LABEL);
        labels.push((Cow::Borrowed(SEVERITY_LABEL), word));
    }
    Ok(known)
}

/// A word of bounded length; an empty one counts as left out.
fn word<'a>(name: &str, most: usize, value: Option<Value<'a>>) -> Result<Option<Cow<'a, str>>, String> {
    match present(value) {
        None => Ok(None),
        Some(Value::Text(word)) if word.len() > most => Err(format!("`{name}` is longer than {most} bytes")),
        Some(Value::Text(word)) => Ok(Some(word).filter(|word| !word.is_empty())),
        Some(_) => Err(format!("`{name}` must be a string")),
    }
}

fn labels(value: Option<Value<'_>>) -> Result<Vec<Label<'_>>, String> {
    let members = match value {
        None => return Ok(Vec::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err("`labels` must be an object of strings, numbers and booleans".to_owned()),
    };
    if members.len() > limits::LABELS {
        return Err(format!("`labels` has more than {} labels", limits::LABELS));
    }
    let mut labels = members.into_iter().map(label).collect::<Result<Vec<_>, _>>()?;
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    let twice = labels.windows(2).find_map(|pair| match pair {
        [(a, _), (b, _)] if a == b => Some(a),
        _ => None,
    });
    match twice {
        Some(name) => Err(format!("label `{}` is there twice", shown(name))),
        None => Ok(labels),
    }
}

fn label<'a>((name, value): (Cow<'a, str>, Value<'a>)) -> Result<Label<'a>, String> {
    if name.is_empty() {
        return Err("a label has an empty name".to_owned());
    }
    if name.len() > limits::LABEL_NAME_BYTES {
        return Err(format!("the name of label `{}…` is longer than {} bytes", shown(&name), limits::LABEL_NAME_BYTES));
    }
    let value = match value {
        Value::Text(text) => text,
        other => match other.word() {
            Some(word) => Cow::Owned(word.into_owned()),
            None => return Err(format!("label `{}` must be a string, a number or a boolean", shown(&name))),
        },
    };
    if value.len() > limits::LABEL_VALUE_BYTES {
        return Err(format!("label `{}` is longer than {} bytes", shown(&name), limits::LABEL_VALUE_BYTES));
    }
    Ok((name, value))
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARS).collect()
}

fn count(value: Option<&Value<'_>>) -> Result<u64, String> {
    let count = match value {
        None => Some(1),
        Some(Value::Unsigned(count)) => Some(*count),
        Some(_) => None,
    };
    count
        .filter(|count| (1..=limits::MESSAGE_COUNT).contains(count))
        .ok_or_else(|| format!("`count` must be a whole number from 1 to {}", limits::MESSAGE_COUNT))
}

fn when(value: Option<&Value<'_>>) -> Result<Option<Millis>, String> {
    match value {
        None => Ok(None),
        Some(value) => time::read(value).map(Some).ok_or_else(|| {
            "`time` must be RFC 3339, such as \"2024-05-01T12:00:00Z\", or Unix time in seconds or milliseconds"
                .to_owned()
        }),
    }
}
