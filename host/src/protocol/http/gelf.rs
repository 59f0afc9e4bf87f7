//! GELF over HTTP: `POST /gelf` with one message, or one a line, answered as Graylog does.

use hyper::http::StatusCode;
use serde_json::value::RawValue;

use super::super::gelf;
use super::{Answer, Head, Outcome, Refusal, Take};

/// Reads one object over many lines, or many of one line each.
pub(super) fn read(head: &Head<'_>, body: &[u8], take: &mut dyn Take) -> Result<(), Refusal> {
    if serde_json::from_slice::<&RawValue>(body).is_ok() {
        one(head, body, 0, take);
        return Ok(());
    }
    let filled = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for (index, line) in (0..).zip(filled) {
        one(head, line, index, take);
    }
    Ok(())
}

fn one(head: &Head<'_>, message: &[u8], index: u64, take: &mut dyn Take) {
    let (mut clean, mut kept) = (String::new(), String::new());
    match gelf::read(message, &mut clean, &mut kept, head.text_bytes) {
        Ok(message) => take.message(message),
        Err(why) => take.refuse(index, why),
    }
}

/// 202 without a body; 400 when nothing of it was good.
pub(super) fn answer(came: Result<&Outcome, &Refusal>) -> Answer {
    match came {
        Err(refusal) => Answer::error(refusal),
        Ok(Outcome { accepted: 0, errors, .. }) if !errors.is_empty() => {
            let why = errors.first().map(|(_, why)| why.as_str()).unwrap_or_default();
            Answer::error(&Refusal::bad(why))
        }
        Ok(_) => Answer::of(StatusCode::ACCEPTED, "text/plain", Vec::new()),
    }
}

#[cfg(test)]
mod tests;
