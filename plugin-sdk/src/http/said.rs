//! What a destination says of a refusal in its own words, laid onto what the status alone means. Pure.

use serde_json::Value;

use super::Response;
use super::answer::pause_ms;
use crate::{Failure, FailureKind, text};

/// Characters shown of what a destination says.
const SAID_CHARS: usize = 160;
/// Characters of a code.
const CODE_CHARS: usize = 60;

/// A destination's own account of why it refuses; whatever it leaves open is as the status says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Its word or number for it.
    pub code: String,
    /// Its sentence.
    pub text: String,
    /// The pause that it asks for, in seconds.
    pub after_s: Option<f64>,
    /// What it means, where the status says something else.
    pub kind: Option<FailureKind>,
}

impl Said {
    /// Reads the parts that most answers have, by JSON pointer.
    #[must_use]
    pub fn read(answer: &Value, code: &str, text: &str) -> Self {
        Self { code: word(answer, code), text: word(answer, text), ..Self::default() }
    }

    /// The failure that the status gave, told in the destination's words; `who` is the destination's name.
    #[must_use]
    pub fn onto(self, failure: Failure, who: &str) -> Failure {
        let code = text::truncate_chars(&text::plain_line(&self.code), CODE_CHARS);
        let said = text::truncate_chars(&text::plain_line(&self.text), SAID_CHARS);
        let said = match (code.as_str(), said.as_str()) {
            ("", "") => String::new(),
            ("", said) => format!("{who} says {said}: "),
            (code, "") => format!("{who} says {code}: "),
            (code, said) => format!("{who} says {code}, {said}: "),
        };
        Failure {
            kind: self.kind.unwrap_or(failure.kind),
            message: said + &failure.message,
            code: if code.is_empty() { failure.code } else { code },
            after_ms: self.after_s.and_then(pause_ms).or(failure.after_ms),
            ..failure
        }
    }
}

impl Response {
    /// [`check`](Self::check), and what the destination says beside the status when it refuses. `said` gets the answer's
    /// body, `null` where that is no JSON. mag blanks its secrets in what comes out of this; quote nothing that was sent.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_with(&self, now_ms: u64, who: &str, said: impl FnOnce(&Value) -> Said) -> Result<(), Failure> {
        self.check(now_ms).map_err(|failure| {
            let answer = serde_json::from_slice(&self.body).unwrap_or_default();
            said(&answer).onto(failure, who)
        })
    }
}

/// A text or a number of an answer, by JSON pointer; empty where there is neither.
#[must_use]
pub fn word(answer: &Value, pointer: &str) -> String {
    match answer.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::answer;

    #[test]
    fn a_refusal_is_told_in_the_destinations_words_and_cleaned() {
        let refused = answer(404, "{\"code\":10015,\"message\":\"Unknown\\u001b Webhook\"}");
        let failure = refused.check_with(0, "discord", |said| Said::read(said, "/code", "/message")).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Misconfigured, "10015"));
        assert_eq!(failure.message, "discord says 10015, Unknown\u{fffd} Webhook: 404 the destination is not there");
    }

    #[test]
    fn what_is_no_json_leaves_what_the_status_says() {
        let plain = answer(503, "<html>").check(0).unwrap_err();
        let said = answer(503, "<html>").check_with(0, "x", |said| Said::read(said, "/code", "/message"));
        assert_eq!(said, Err(plain));
    }

    #[test]
    fn a_pause_and_a_kind_of_its_own_win() {
        let said = |_: &Value| Said { after_s: Some(2.5), kind: Some(FailureKind::RateLimited), ..Said::default() };
        let failure = answer(400, "{}").check_with(0, "x", said).unwrap_err();
        assert_eq!((failure.kind, failure.after_ms), (FailureKind::RateLimited, Some(2_500)));
    }
}
