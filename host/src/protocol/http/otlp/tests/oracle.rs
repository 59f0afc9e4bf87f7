//! Any request that the crate can write reads as a plain look at its values says.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::{attribute, logs, read};

fn values() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        "[ -~é\"\\\\]{0,8}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        (-1e9_f64..1e9).prop_map(Value::DoubleValue),
        vec(any::<u8>(), 0..5).prop_map(Value::BytesValue),
    ];
    let leaf = option::of(leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let map = vec(("[a-c]", inner), 0..4).prop_map(|members| {
            let values = members.into_iter().map(|(key, value)| attribute(&key, value)).collect();
            Value::KvlistValue(KeyValueList { values })
        });
        prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let name = prop_oneof![Just("service.name".to_owned()), "[a-e]".prop_map(String::from)];
    // A name that is there twice is against the specification.
    vec((name, values()), 0..6).prop_map(|attributes| {
        let unique: BTreeMap<_, _> = attributes.into_iter().collect();
        unique.into_iter().map(|(name, value)| attribute(&name, value)).collect()
    })
}

fn records() -> impl Strategy<Value = Vec<LogRecord>> {
    let record =
        (values(), attributes(), 0_i32..26, any::<u64>()).prop_map(|(body, attributes, severity_number, time)| {
            LogRecord { body: Some(body), attributes, severity_number, time_unix_nano: time, ..LogRecord::default() }
        });
    vec(record, 0..4)
}

/// The plain look: a string as it is, bytes in base64, anything else as JSON.
fn words(value: &AnyValue) -> Option<String> {
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::BytesValue(_) => json(value).as_str().unwrap().to_owned(),
        _ => text_of(value),
    })
}

fn text_of(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::ArrayValue(list)) => format!("[{}]", list.values.iter().map(text_of).collect::<Vec<_>>().join(",")),
        Some(Value::KvlistValue(map)) => {
            let member = |member: &KeyValue| format!("{:?}:{}", member.key, text_of(member.value.as_ref().unwrap()));
            format!("{{{}}}", map.values.iter().map(member).collect::<Vec<_>>().join(","))
        }
        _ => json(value).to_string(),
    }
}

/// A leaf, as the crate writes it.
fn json(value: &AnyValue) -> serde_json::Value {
    match &value.value {
        Some(Value::StringValue(text)) => text.as_str().into(),
        Some(Value::BoolValue(flag)) => (*flag).into(),
        Some(Value::IntValue(number)) => (*number).into(),
        Some(Value::DoubleValue(number)) => (*number).into(),
        Some(Value::BytesValue(_)) => serde_json::to_value(value).unwrap()["bytesValue"].clone(),
        _ => serde_json::Value::Null,
    }
}

fn expected(request: &ExportLogsServiceRequest) -> Vec<(String, BTreeMap<String, String>, Option<u64>)> {
    let mut messages = Vec::new();
    for resource in &request.resource_logs {
        for scope in &resource.scope_logs {
            for record in &scope.log_records {
                let shared = &resource.resource.as_ref().unwrap().attributes;
                let all = shared.iter().chain(&scope.scope.as_ref().unwrap().attributes).chain(&record.attributes);
                let labels = all.filter_map(|one| Some((one.key.clone(), words(one.value.as_ref()?)?))).collect();
                let text = record.body.as_ref().and_then(words).unwrap_or_default();
                if !text.is_empty() {
                    messages.push((
                        text,
                        labels,
                        Some(record.time_unix_nano / 1_000_000).filter(|_| record.time_unix_nano > 0),
                    ));
                }
            }
        }
    }
    messages
}

proptest! {
    #[test]
    fn any_request_reads_as_its_values_say(resource in attributes(), scope in attributes(), records in records()) {
        let scope = InstrumentationScope { attributes: scope, ..InstrumentationScope::default() };
        let request = logs(resource, scope, records);
        let taken = read(&request);
        let messages: Vec<_> =
            taken.messages.into_iter().map(|told| (told.text, told.labels.into_iter().collect(), told.time)).collect();
        assert_eq!(messages, expected(&request));
    }
}
