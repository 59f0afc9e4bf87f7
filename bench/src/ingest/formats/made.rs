//! Requests and chunks as the usual clients of these formats make them, with other people's encoders.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use rmpv::Value;
use serde_json::json;

use super::{KEYS, ROWS};

/// 2024-05-01 12:00 in Unix seconds.
const NOON: u32 = 1_714_564_800;

/// 120 bytes that say which of the keys it is.
fn text(n: u32) -> String {
    let begin = format!("worker {:08} cannot reach the database: ", key(n));
    format!("{begin:.<120}")
}

/// In no order.
fn key(n: u32) -> u32 {
    n.wrapping_mul(7_919) % KEYS
}

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: mag\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, &str)| {
        let value = Some(AnyValue { value: Some(Any::StringValue((*value).to_owned())) });
        KeyValue { key: (*key).to_owned(), value, ..KeyValue::default() }
    };
    pairs.iter().map(attribute).collect()
}

/// What the SDK of a program in Python exports of its log.
pub(super) fn otlp(from: u32) -> anyhow::Result<Vec<u8>> {
    let record = |n: u32| {
        let time = u64::from(NOON) * 1_000_000_000 + u64::from(n);
        LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time,
            severity_number: 17,
            severity_text: "ERROR".to_owned(),
            body: Some(AnyValue { value: Some(Any::StringValue(text(n))) }),
            attributes: attributes(&[("code.file.path", "/srv/shop/worker.py"), ("code.function.name", "run")]),
            ..LogRecord::default()
        }
    };
    let resource = attributes(&[
        ("service.name", "shop"),
        ("service.version", "1.4.2"),
        ("telemetry.sdk.language", "python"),
        ("telemetry.sdk.name", "opentelemetry"),
    ]);
    let log_records = (from..from + ROWS[0].together).map(record).collect();
    let scope = Some(InstrumentationScope { name: "shop.worker".to_owned(), ..InstrumentationScope::default() });
    let scope_logs = vec![ScopeLogs { scope, log_records, schema_url: String::new() }];
    let resource = Some(Resource { attributes: resource, ..Resource::default() });
    let logs = ResourceLogs { resource, scope_logs, schema_url: String::new() };
    let request = ExportLogsServiceRequest { resource_logs: vec![logs] };
    Ok(post("/v1/logs", "application/x-protobuf", &request.encode_to_vec()))
}

/// What Fluent Bit forwards of a container's log.
pub(super) fn forward(from: u32) -> anyhow::Result<Vec<u8>> {
    let map = |pairs: &[(&str, Value)]| {
        Value::Map(pairs.iter().map(|(name, value)| (Value::from(*name), value.clone())).collect())
    };
    let (count, mut entries) = (ROWS[1].together, Vec::new());
    for n in from..from + count {
        // Fluentd's own time: seconds and nanoseconds.
        let time = Value::Ext(0, [NOON.to_be_bytes(), n.to_be_bytes()].concat());
        let record = map(&[("message", text(n).into()), ("stream", "stderr".into()), ("container", "shop-1".into())]);
        rmpv::encode::write_value(&mut entries, &Value::Array(vec![time, record]))?;
    }
    let options = map(&[("size", count.into())]);
    let mut chunk = Vec::new();
    rmpv::encode::write_value(&mut chunk, &Value::Array(vec!["kube.shop".into(), Value::Binary(entries), options]))?;
    Ok(chunk)
}

/// What Prometheus posts of rules that fire, again and again.
pub(super) fn alerts(from: u32) -> anyhow::Result<Vec<u8>> {
    let alert = |n: u32| {
        let instance = format!("10.0.{}.{}:9100", key(n) / 250, key(n) % 250);
        json!({
            "labels": {"alertname": "DiskFull", "instance": instance, "job": "node", "severity": "critical", "env": "prod"},
            "annotations": {
                "summary": format!("disk of {instance} is full"),
                "description": text(n),
            },
            "startsAt": "2024-05-01T12:00:00.000Z",
            "endsAt": "2124-05-01T12:04:00.000Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=node_filesystem_avail_bytes+%3C+1e9&g0.tab=1",
        })
    };
    let alerts: Vec<_> = (from..from + ROWS[2].together).map(alert).collect();
    Ok(post("/api/v2/alerts", "application/json", &serde_json::to_vec(&alerts)?))
}
