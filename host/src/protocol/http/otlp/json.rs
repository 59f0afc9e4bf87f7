//! OTLP as JSON: lowerCamelCase, numbers of 64 bits as strings, enums as numbers; what it does not know it skips.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::record::{Record, Records, Shared};
use super::{Outcome, Refusal, TOO_DEEP, partial};
use crate::limits;
use crate::protocol::json::{Text, elements};
use crate::protocol::labels::Labels;

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    resource_logs: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Option<Attributes<'a>>,
    #[serde(borrow)]
    scope_logs: Raw<'a>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    #[serde(borrow)]
    attributes: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    scope: Option<Scope<'a>>,
    #[serde(borrow)]
    log_records: Raw<'a>,
}

#[derive(Deserialize)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    time_unix_nano: Option<Whole<u64>>,
    observed_time_unix_nano: Option<Whole<u64>>,
    severity_number: Option<Whole<u64>>,
    #[serde(borrow)]
    severity_text: Option<Text<'a>>,
    #[serde(borrow)]
    body: Option<AnyValue<'a>>,
    #[serde(borrow)]
    event_name: Option<Text<'a>>,
    #[serde(borrow)]
    attributes: Raw<'a>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Option<Text<'a>>,
    #[serde(borrow)]
    value: Option<AnyValue<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<Text<'a>>,
    bool_value: Option<bool>,
    int_value: Option<Whole<i64>>,
    #[serde(borrow)]
    double_value: Option<Real<'a>>,
    #[serde(borrow)]
    array_value: Option<Values<'a>>,
    #[serde(borrow)]
    kvlist_value: Option<Values<'a>>,
    #[serde(borrow)]
    bytes_value: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: Raw<'a>,
}

/// A whole number, also in a string.
struct Whole<N>(N);

impl<'de, N: TryFrom<i128> + std::str::FromStr> Deserialize<'de> for Whole<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match deserializer.deserialize_any(ReadNumber)? {
            Number::Whole(number) => N::try_from(number).ok(),
            Number::Text(text) => text.parse().ok(),
        };
        number.map(Whole).ok_or_else(|| D::Error::custom("a number is not whole or too large"))
    }
}

/// A number with a fraction, as it was spelled: reading it and writing it again could change its last digit.
/// In a string stands what JSON has no numbers for.
struct Real<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Real<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        match json.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Ok(Self(Cow::Borrowed(json))),
            Some(b'"') => serde_json::from_str(json).map(|Text(text)| Self(text)).map_err(D::Error::custom),
            _ => Err(D::Error::custom("a number, or one in a string, was expected")),
        }
    }
}

impl Real<'_> {
    fn is_json(&self) -> bool {
        serde_json::from_str::<serde_json::Number>(&self.0).is_ok()
    }
}

enum Number {
    Whole(i128),
    Text(String),
}

struct ReadNumber;

impl Visitor<'_> for ReadNumber {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or one in a string")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number::Whole(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        Ok(Number::Whole(number.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        Ok(Number::Text(text.to_owned()))
    }
}

/// Reads a whole request.
pub(super) fn read(body: &[u8], records: &mut Records<'_>) -> Result<(), Refusal> {
    let request: Request<'_> = serde_json::from_slice(body).map_err(|error| wrong(&error))?;
    each(request.resource_logs, |item| {
        let logs: ResourceLogs<'_> = parse(item)?;
        let mut resource = Shared::default();
        if let Some(Attributes { attributes }) = logs.resource {
            add_all(attributes, &mut resource.labels)?;
        }
        each(logs.scope_logs, |item| read_scope(item, &resource, records))
    })
}

fn read_scope(item: &RawValue, resource: &Shared<'_>, records: &mut Records<'_>) -> Result<(), Refusal> {
    let logs: ScopeLogs<'_> = parse(item)?;
    let mut scope = Shared::default();
    if let Some(Scope { name, version, attributes }) = logs.scope {
        add_all(attributes, &mut scope.labels)?;
        scope.add_scope(name.unwrap_or_default().0, version.unwrap_or_default().0);
    }
    each(logs.log_records, |item| records.take(record(item)?, &scope, resource))
}

fn record(item: &RawValue) -> Result<Record<'_>, Refusal> {
    let record: LogRecord<'_> = parse(item)?;
    let mut labels = Labels::default();
    add_all(record.attributes, &mut labels)?;
    let body = record.body.map(words).transpose()?.flatten().unwrap_or_default();
    let number = |number: Option<Whole<u64>>| number.map_or(0, |number| number.0);
    Ok(Record {
        time: number(record.time_unix_nano),
        observed: number(record.observed_time_unix_nano),
        severity: number(record.severity_number),
        severity_text: record.severity_text.unwrap_or_default().0,
        body: match body {
            Cow::Borrowed(body) => Cow::Borrowed(body.as_bytes()),
            Cow::Owned(body) => Cow::Owned(body.into_bytes()),
        },
        event: record.event_name.unwrap_or_default().0,
        labels,
    })
}

fn add_all<'a>(attributes: Raw<'a>, labels: &mut Labels<'a>) -> Result<(), Refusal> {
    each(attributes, |item| {
        let KeyValue { key, value } = parse(item)?;
        if let Some(value) = value.map(words).transpose()?.flatten() {
            labels.add(key.unwrap_or_default().0, value);
        }
        Ok(())
    })
}

/// A string as it is, bytes in base64 as they came, anything else as JSON.
fn words(value: AnyValue<'_>) -> Result<Option<Cow<'_, str>>, Refusal> {
    if let Some(Text(text)) = value.string_value.or(value.bytes_value) {
        return Ok(Some(text));
    }
    if let Some(Real(number)) = value.double_value {
        return Ok(Some(number));
    }
    let mut written = String::new();
    write(
        &AnyValue { string_value: None, bytes_value: None, double_value: None, ..value },
        limits::VALUE_DEPTH,
        &mut written,
    )?;
    Ok(Some(written).filter(|written| written != "null").map(Cow::Owned))
}

/// Writes a value as the JSON that it stands for.
fn write(value: &AnyValue<'_>, depth: usize, out: &mut String) -> Result<(), Refusal> {
    let Some(depth) = depth.checked_sub(1) else {
        out.push_str(TOO_DEEP);
        return Ok(());
    };
    if let Some(Text(text)) = value.string_value.as_ref().or(value.bytes_value.as_ref()) {
        put(out, format_args!("{}", serde_json::Value::from(text.as_ref())));
    } else if let Some(flag) = value.bool_value {
        put(out, format_args!("{flag}"));
    } else if let Some(Whole(number)) = value.int_value {
        put(out, format_args!("{number}"));
    } else if let Some(number) = &value.double_value {
        match number.is_json() {
            true => out.push_str(&number.0),
            false => put(out, format_args!("{}", serde_json::Value::from(number.0.as_ref()))),
        }
    } else if let Some(Values { values }) = value.array_value {
        write_all(values, ['[', ']'], out, |item, out| write_if_any(parse(item)?, depth, out))?;
    } else if let Some(Values { values }) = value.kvlist_value {
        write_all(values, ['{', '}'], out, |item, out| {
            let KeyValue { key, value } = parse(item)?;
            put(out, format_args!("{}:", serde_json::Value::from(key.unwrap_or_default().0)));
            write_if_any(value, depth, out)
        })?;
    } else {
        out.push_str("null");
    }
    Ok(())
}

fn write_if_any(value: Option<AnyValue<'_>>, depth: usize, out: &mut String) -> Result<(), Refusal> {
    match value {
        Some(value) => write(&value, depth, out),
        None => {
            out.push_str("null");
            Ok(())
        }
    }
}

fn write_all<'a>(
    values: Raw<'a>,
    [open, close]: [char; 2],
    out: &mut String,
    mut write: impl FnMut(&'a RawValue, &mut String) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    out.push(open);
    let mut comma = "";
    each(values, |item| {
        out.push_str(std::mem::replace(&mut comma, ","));
        write(item, out)
    })?;
    out.push(close);
    Ok(())
}

fn put(out: &mut String, arguments: fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing into a string cannot fail");
}

/// Gives each element to `take`, up to the first that it refuses.
fn each<'a>(array: Raw<'a>, mut take: impl FnMut(&'a RawValue) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let Some(array) = array else { return Ok(()) };
    let mut came = Ok(());
    elements(array.get(), |element| {
        if came.is_ok() {
            came = take(element);
        }
    })
    .map_err(|error| wrong(&error))?;
    came
}

fn parse<'a, T: Deserialize<'a>>(item: &'a RawValue) -> Result<T, Refusal> {
    serde_json::from_str(item.get()).map_err(|error| wrong(&error))
}

fn wrong(error: &serde_json::Error) -> Refusal {
    Refusal::bad(format!("the body is no OTLP/JSON message of the type ExportLogsServiceRequest: {error}"))
}

/// An `ExportLogsServiceResponse`.
pub(super) fn response(outcome: &Outcome) -> serde_json::Value {
    match partial(outcome) {
        None => serde_json::json!({}),
        Some((rejected, why)) => serde_json::json!({
            "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": why }
        }),
    }
}
