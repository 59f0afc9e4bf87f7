//! A sender's `config`: TOML as typed, JSON as the plugin gets it.

use std::ops::Range;

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::typed::File;

/// The JSON for a table; `text` is asked about every text in it.
pub(super) fn table(table: &DeTable<'_>, file: &File, text: &impl Fn(&str, &Range<usize>)) -> Map<String, Json> {
    table.iter().map(|(key, node)| (key.get_ref().to_string(), value(node, file, text))).collect()
}

fn value(node: &Spanned<DeValue<'_>>, file: &File, text: &impl Fn(&str, &Range<usize>)) -> Json {
    let number = |number: Option<Number>| match number {
        Some(number) => Json::Number(number),
        None => {
            file.wrong(&node.span(), "no number that JSON can hold");
            Json::Null
        }
    };
    match node.get_ref() {
        DeValue::String(string) => {
            text(string, &node.span());
            Json::String(string.to_string())
        }
        DeValue::Integer(typed) => number(integer(typed)),
        DeValue::Float(typed) => number(typed.as_str().parse().ok().and_then(Number::from_f64)),
        DeValue::Boolean(truth) => Json::Bool(*truth),
        DeValue::Datetime(time) => Json::String(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| value(item, file, text)).collect(),
        DeValue::Table(inner) => Json::Object(table(inner, file, text)),
    }
}

fn integer(typed: &DeInteger<'_>) -> Option<Number> {
    i64::from_str_radix(typed.as_str(), typed.radix()).ok().map(Number::from)
}
