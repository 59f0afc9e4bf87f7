//! OTLP as protobuf: reads an `ExportLogsServiceRequest` where it stands and copies nothing but what is nested.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::record::{Record, Records, Shared};
use super::wire::{Field, Fields, Malformed, put_bytes, put_number};
use super::{Outcome, Refusal, TOO_DEEP, partial};
use crate::limits;
use crate::protocol::labels::Labels;

/// An `AnyValue` that says something.
#[derive(Debug)]
enum Value<'a> {
    Text(&'a [u8]),
    Written(String),
}

impl<'a> Value<'a> {
    fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Written(text) => Cow::Owned(text.into_bytes()),
        }
    }

    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => String::from_utf8_lossy(text),
            Self::Written(text) => Cow::Owned(text),
        }
    }
}

/// Reads a whole request.
pub(super) fn read(body: &[u8], records: &mut Records<'_>) -> Result<(), Refusal> {
    for field in Fields(body) {
        if let (1, Field::Bytes(resource_logs)) = field? {
            read_resource(resource_logs, records)?;
        }
    }
    Ok(())
}

fn read_resource(resource_logs: &[u8], records: &mut Records<'_>) -> Result<(), Refusal> {
    let mut resource = Shared::default();
    // Fields may come in any order, so what all share is read first.
    for field in Fields(resource_logs) {
        if let (1, Field::Bytes(bytes)) = field? {
            for field in Fields(bytes) {
                if let (1, Field::Bytes(attribute)) = field? {
                    add(attribute, &mut resource.labels)?;
                }
            }
        }
    }
    for field in Fields(resource_logs) {
        if let (2, Field::Bytes(scope_logs)) = field? {
            read_scope(scope_logs, &resource, records)?;
        }
    }
    Ok(())
}

fn read_scope(scope_logs: &[u8], resource: &Shared<'_>, records: &mut Records<'_>) -> Result<(), Refusal> {
    let mut scope = Shared::default();
    for field in Fields(scope_logs) {
        if let (1, Field::Bytes(bytes)) = field? {
            let (mut name, mut version) = (&b""[..], &b""[..]);
            for field in Fields(bytes) {
                match field? {
                    (1, Field::Bytes(bytes)) => name = bytes,
                    (2, Field::Bytes(bytes)) => version = bytes,
                    (3, Field::Bytes(attribute)) => add(attribute, &mut scope.labels)?,
                    _ => {}
                }
            }
            scope.add_scope(String::from_utf8_lossy(name), String::from_utf8_lossy(version));
        }
    }
    for field in Fields(scope_logs) {
        if let (2, Field::Bytes(bytes)) = field? {
            records.take(record(bytes)?, &scope, resource)?;
        }
    }
    Ok(())
}

fn record(bytes: &[u8]) -> Result<Record<'_>, Malformed> {
    let mut record = Record::default();
    for field in Fields(bytes) {
        match field? {
            (1, Field::Fixed64(time)) => record.time = time,
            (2, Field::Varint(number)) => record.severity = number,
            (3, Field::Bytes(text)) => record.severity_text = String::from_utf8_lossy(text),
            (5, Field::Bytes(body)) => record.body = value(body)?.map(Value::into_bytes).unwrap_or_default(),
            (6, Field::Bytes(attribute)) => add(attribute, &mut record.labels)?,
            (11, Field::Fixed64(time)) => record.observed = time,
            (12, Field::Bytes(name)) => record.event = String::from_utf8_lossy(name),
            _ => {}
        }
    }
    Ok(record)
}

/// Adds a `KeyValue`, if it has a value.
fn add<'a>(attribute: &'a [u8], labels: &mut Labels<'a>) -> Result<(), Malformed> {
    let (name, any) = key_value(attribute)?;
    if let Some(value) = any.map(value).transpose()?.flatten() {
        labels.add(String::from_utf8_lossy(name), value.into_text());
    }
    Ok(())
}

fn key_value(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let (mut name, mut value) = (&b""[..], None);
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (2, Field::Bytes(bytes)) => value = Some(bytes),
            _ => {}
        }
    }
    Ok((name, value))
}

/// The last member of the `oneof` that is there.
fn any(bytes: &[u8]) -> Result<Option<(u32, Field<'_>)>, Malformed> {
    let mut last = None;
    for field in Fields(bytes) {
        let (number, field) = field?;
        let known = match number {
            1 | 5..=7 => matches!(field, Field::Bytes(_)),
            2 | 3 => matches!(field, Field::Varint(_)),
            4 => matches!(field, Field::Fixed64(_)),
            _ => false,
        };
        if known {
            last = Some((number, field));
        }
    }
    Ok(last)
}

/// A string as it is, bytes in base64, anything else as JSON.
fn value(bytes: &[u8]) -> Result<Option<Value<'_>>, Malformed> {
    Ok(match any(bytes)? {
        None => None,
        Some((1, Field::Bytes(text))) => Some(Value::Text(text)),
        Some((7, Field::Bytes(bytes))) => Some(Value::Written(STANDARD.encode(bytes))),
        Some(member) => {
            let mut written = String::new();
            write(member, limits::VALUE_DEPTH, &mut written)?;
            // What is not a number is a string in JSON.
            let bare = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            Some(Value::Written(bare.map(str::to_owned).unwrap_or(written)))
        }
    })
}

/// Writes a member of an `AnyValue` as JSON.
fn write((number, field): (u32, Field<'_>), depth: usize, out: &mut String) -> Result<(), Malformed> {
    let Some(depth) = depth.checked_sub(1) else {
        out.push_str(TOO_DEEP);
        return Ok(());
    };
    match (number, field) {
        (1, Field::Bytes(text)) => out.push_str(&json_string(text)),
        (2, Field::Varint(flag)) => out.push_str(if flag == 0 { "false" } else { "true" }),
        (3, Field::Varint(number)) => put(out, format_args!("{}", number.cast_signed())),
        (4, Field::Fixed64(bits)) => write_float(f64::from_bits(bits), out),
        (5, Field::Bytes(array)) => {
            out.push('[');
            let mut comma = "";
            for field in Fields(array) {
                if let (1, Field::Bytes(element)) = field? {
                    out.push_str(std::mem::replace(&mut comma, ","));
                    write_any(Some(element), depth, out)?;
                }
            }
            out.push(']');
        }
        (6, Field::Bytes(list)) => {
            out.push('{');
            let mut comma = "";
            for field in Fields(list) {
                if let (1, Field::Bytes(member)) = field? {
                    let (name, value) = key_value(member)?;
                    put(out, format_args!("{}{}:", std::mem::replace(&mut comma, ","), json_string(name)));
                    write_any(value, depth, out)?;
                }
            }
            out.push('}');
        }
        (_, Field::Bytes(bytes)) => put(out, format_args!("\"{}\"", STANDARD.encode(bytes))),
        _ => out.push_str("null"),
    }
    Ok(())
}

fn write_any(bytes: Option<&[u8]>, depth: usize, out: &mut String) -> Result<(), Malformed> {
    match bytes.map(any).transpose()?.flatten() {
        Some(member) => write(member, depth, out),
        None => {
            out.push_str("null");
            Ok(())
        }
    }
}

fn write_float(number: f64, out: &mut String) {
    match serde_json::Number::from_f64(number) {
        Some(number) => put(out, format_args!("{number}")),
        None if number.is_nan() => out.push_str("\"NaN\""),
        None => out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
    }
}

fn json_string(text: &[u8]) -> String {
    serde_json::Value::from(String::from_utf8_lossy(text)).to_string()
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing into a string cannot fail");
}

/// An `ExportLogsServiceResponse`.
pub(super) fn response(outcome: &Outcome) -> Vec<u8> {
    let (mut response, mut success) = (Vec::new(), Vec::new());
    if let Some((rejected, why)) = partial(outcome) {
        put_number(&mut success, 1, rejected);
        put_bytes(&mut success, 2, why.as_bytes());
        put_bytes(&mut response, 1, &success);
    }
    response
}

/// A `google.rpc.Status`.
pub(super) fn status(code: u8, message: &str) -> Vec<u8> {
    let mut status = Vec::new();
    put_number(&mut status, 1, code.into());
    put_bytes(&mut status, 2, message.as_bytes());
    status
}
