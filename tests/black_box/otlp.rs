//! OTLP logs as the exporters of OpenTelemetry's Python SDK send them, with the config of the README's table.

use serde_json::json;

use super::support::{Mag, Python, Receiver};

/// Logs through the standard library, as a program does that was never written for mag.
const PROGRAM: &str = r#"
import logging
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.exporter.otlp.proto.EXPORTER._log_exporter import OTLPLogExporter

provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
log = logging.getLogger("shop.cart")
for n in range(3):
    log.error("disk full", extra={"disk": "/dev/sda1", "n": n})
provider.shutdown()
"#;

/// Starts the program with these variables; says what the sender was told.
fn told(exporter: &str, variables: &[(&str, &str)]) -> Option<serde_json::Value> {
    let python = Python::with(
        "opentelemetry.sdk._logs, opentelemetry.exporter.otlp.proto.http, opentelemetry.exporter.otlp.proto.grpc",
    )?;
    let receiver = Receiver::start();
    let url = receiver.url("/");
    let mag = Mag::with(&format!(
        "[route]\nmax_messages = 3\nsenders = [\"hook\"]\n[senders.hook]\nplugin = \"webhook\"\nconfig = {{ url = \"{url}\" }}\n"
    ));
    let endpoint = format!("http://{}", mag.address());
    let all =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop,site=eu")];
    let said = python.runs(&PROGRAM.replace("EXPORTER", exporter), &[&all, variables].concat());
    assert!(!said.contains("Failed to export"), "{said}");
    let told = receiver.request(1).json();
    mag.stops();
    Some(told["groups"][0].clone())
}

#[track_caller]
fn check(exporter: &str, variables: &[(&str, &str)]) {
    let Some(group) = told(exporter, variables) else { return };
    assert_eq!((&group["text"], &group["count"]), (&json!("disk full"), &json!(3)));
    assert_eq!((&group["severity"], &group["source"]), (&json!("error"), &json!("shop")));
    let labels = &group["labels"];
    let expected = [("service.name", "shop"), ("site", "eu"), ("otel.scope.name", "shop.cart"), ("disk", "/dev/sda1")];
    for (name, value) in expected {
        assert_eq!(labels[name], value, "{labels}");
    }
    assert_eq!(labels["n"], json!(null), "not all messages have it with the same value");
}

#[test]
fn the_http_exporter_of_the_python_sdk_tells_its_records() {
    check("http", &[]);
}

#[test]
fn the_http_exporter_may_compress() {
    check("http", &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
}

#[test]
fn the_grpc_exporter_of_the_python_sdk_tells_its_records() {
    check("grpc", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")]);
}

#[test]
fn the_grpc_exporter_may_compress() {
    check("grpc", &[("OTEL_EXPORTER_OTLP_INSECURE", "true"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
}
