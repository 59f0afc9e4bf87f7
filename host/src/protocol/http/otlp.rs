//! OTLP logs: `POST /v1/logs` as protobuf or JSON, and the service `LogsService/Export` of gRPC.
//!
//! A body that is no OTLP is refused whole; a record that says nothing is refused alone, as a partial success.

use hyper::http::StatusCode;

use super::super::Parsed;
use super::{Answer, Head, Outcome, Refusal, Take};

mod grpc;
mod json;
mod protobuf;
mod record;
mod wire;

use record::Records;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// Stands for what is nested deeper than anybody reads.
const TOO_DEEP: &str = "\"…\"";

/// Reads an `ExportLogsServiceRequest` of either form.
pub(super) fn read(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let mut records = Records::new(head.text_bytes, take);
    match head.media_type().as_str() {
        PROTOBUF | "application/protobuf" => protobuf::read(body, &mut records),
        JSON => json::read(body, &mut records),
        other => Err(Refusal::unknown_kind(format!(
            "Content-Type {other:?} is not known here: use application/x-protobuf or application/json"
        ))),
    }
}

/// Reads the message of a gRPC call.
pub(super) fn read_call(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let message = grpc::message(head, body)?;
    protobuf::read(&message, &mut Records::new(head.text_bytes, take))
}

/// An `ExportLogsServiceResponse`, or a `google.rpc.Status` when nothing is taken, in the form that was asked in.
pub(super) fn answer(head: &Head<'_>, came: Result<&Outcome, &Refusal>) -> Answer {
    let in_protobuf = matches!(head.media_type().as_str(), PROTOBUF | "application/protobuf");
    match came {
        Ok(outcome) if in_protobuf => Answer::of(StatusCode::OK, PROTOBUF, protobuf::response(outcome)),
        Ok(outcome) => Answer::json(StatusCode::OK, &json::response(outcome)),
        Err(refusal) if in_protobuf => {
            let status = protobuf::status(grpc::code(refusal.status), &refusal.why);
            Answer::of(refusal.status, PROTOBUF, status)
        }
        Err(refusal) => {
            let status = serde_json::json!({ "code": grpc::code(refusal.status), "message": refusal.why });
            Answer::json(refusal.status, &status)
        }
    }
}

/// What a gRPC call is answered: its status stands behind the message, if there is one.
pub(super) fn answer_call(came: Result<&Outcome, &Refusal>) -> Answer {
    grpc::answer(came.map(protobuf::response))
}

/// Why records were refused, in one sentence: the first reason stands for all.
fn partial(outcome: &Outcome) -> Option<(u64, String)> {
    let (index, why) = outcome.errors.first()?;
    Some((outcome.refused, format!("record {index}: {why}")))
}

#[cfg(test)]
mod tests;
