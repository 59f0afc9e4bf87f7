//! mag's own HTTP format: `POST /api/v1/messages` with one JSON object, an array of them, NDJSON, or lines of plain text.
//!
//! An object is what an NDJSON line is; each is taken or refused by itself. Nothing is taken of a body that is no JSON.

use hyper::http::StatusCode;
use serde_json::value::RawValue;

use super::super::json::elements;
use super::super::text::{cut, trim};
use super::super::{Parsed, ndjson};
use super::{Answer, Head, Outcome, Refusal, Take};

/// Reads a body of any of the four kinds.
pub(super) fn read(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    match head.media_type().as_str() {
        "application/json" | "text/json" => json(head, body, take),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            lines(head, body, take)
        }
        "text/plain" => text(head, body, take),
        // What `curl -d` says of whatever it sends.
        "" | "application/x-www-form-urlencoded" => match body.trim_ascii_start().first() {
            Some(b'[') => json(head, body, take),
            Some(b'{') => lines_or_object(head, body, take),
            _ => text(head, body, take),
        },
        other => Err(Refusal::unknown_kind(format!(
            "Content-Type {other:?} is not known here: use application/json, application/x-ndjson or text/plain"
        ))),
    }
}

/// Without a type, `{` begins one object over many lines, or many objects of one line each.
fn lines_or_object(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let whole = serde_json::from_slice::<&RawValue>(body).is_ok();
    if whole { json(head, body, take) } else { lines(head, body, take) }
}

fn json(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let wrong = |error: serde_json::Error| Refusal::bad(format!("the body is not JSON: {error}"));
    if body.trim_ascii_start().first() == Some(&b'[') {
        let body = str::from_utf8(body).map_err(|error| Refusal::bad(format!("the body is not UTF-8: {error}")))?;
        let mut index = 0;
        elements(body, |item| {
            object(head, item.get(), index, take);
            index += 1;
        })
        .map_err(wrong)?;
    } else {
        let item: &RawValue = serde_json::from_slice(body).map_err(wrong)?;
        object(head, item.get(), 0, take);
    }
    Ok(())
}

fn lines(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    let body = str::from_utf8(body).map_err(|error| Refusal::bad(format!("the body is not UTF-8: {error}")))?;
    let filled = body.split('\n').filter(|line| !line.trim_ascii().is_empty());
    for (index, line) in (0..).zip(filled) {
        object(head, line, index, take);
    }
    Ok(())
}

fn object(head: &Head<'_>, object: &str, index: u64, take: &mut dyn Take) {
    let mut kept = String::new();
    match ndjson::object(object, index, &mut kept, head.text_bytes) {
        Ok(Some(message)) => take.message(message),
        // Whoever posts is answered after the commit anyway.
        Ok(None) => {}
        Err(why) => take.refuse(index, why),
    }
}

fn text(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    for line in body.split(|byte| *byte == b'\n').map(trim).filter(|line| !line.is_empty()) {
        let (text, truncated) = cut(line, head.text_bytes);
        take.message(Parsed::plain(text, None, truncated));
    }
    Ok(())
}

/// `{"accepted": N, "errors": [{"index": I, "error": "…"}]}`; 400 when all of it is wrong.
pub(super) fn answer(came: Result<&Outcome, &Refusal>) -> Answer {
    let outcome = match came {
        Ok(outcome) => outcome,
        Err(refusal) => return Answer::error(refusal),
    };
    let errors: Vec<_> =
        outcome.errors.iter().map(|(index, error)| serde_json::json!({ "index": index, "error": error })).collect();
    let nothing_good = outcome.accepted == 0 && !errors.is_empty();
    let status = if nothing_good { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let mut told = serde_json::json!({ "accepted": outcome.accepted, "errors": errors });
    if let Some(told) = told.as_object_mut().filter(|_| outcome.refused > outcome.errors.len() as u64) {
        told.insert("refused".to_owned(), outcome.refused.into());
    }
    Answer::json(status, &told)
}
